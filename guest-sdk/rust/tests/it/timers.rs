//! Timers and time.

use weir_sdk::harness::{Harness, Incoming};
use weir_sdk::prelude::*;
use weir_sdk::timers;

#[derive(Describe)]
struct Session {
    last: ValueState<i64>,
}

const TIMEOUT: u32 = 1;
const CHIME: u32 = 2;

impl Operator for Session {
    fn process(&mut self, record: &Record, out: &mut Output) -> Result {
        if record.text()? == "chime" {
            return out.register(Timer::processing_time(timers::processing_time() + 10).tag(CHIME));
        }
        let at = record.timestamp().or_reject("no event time")?;
        if let Some(last) = self.last.get()? {
            out.cancel(Timer::event_time(last + 100).tag(TIMEOUT))?;
        }
        self.last.set(at);
        out.register(Timer::event_time(at + 100).tag(TIMEOUT))
    }

    fn on_timer(&mut self, timer: &FiredTimer, out: &mut Output) -> Result {
        match timer.tag() {
            TIMEOUT => {
                self.last.clear();
                out.emit(format_args!("{} over at {} of {:?}", timer.key_text()?, timer.at(), timers::watermark()))
            }
            _ => out.emit_keyed(timer.key(), format_args!("chime at {}", timers::processing_time())),
        }
    }
}

fn visit(key: &str, at: i64) -> Incoming {
    Incoming::value("visit").key(key).at(at)
}

#[test]
fn event_timer_fires_when_the_watermark_reaches_it_and_carries_its_time() {
    let mut session = Harness::<Session>::new();
    session.send_batch([visit("a", 0), visit("b", 50), visit("a", 20)]).advance_watermark(119);
    assert!(session.take().is_empty());
    assert_eq!(session.timers("a"), [Timer::event_time(120).tag(TIMEOUT)]);
    let emitted = session.advance_watermark(150).take();
    let seen: Vec<_> = emitted.iter().map(|record| (record.value_text(), record.timestamp)).collect();
    assert_eq!(
        seen,
        [("a over at 120 of Some(150)".into(), Some(120)), ("b over at 150 of Some(150)".into(), Some(150))]
    );
    assert_eq!(session.value(|session| &session.last, "a"), None);
}

#[test]
fn processing_timer_fires_with_the_clock_and_gives_no_event_time() {
    let mut session = Harness::<Session>::new();
    session.advance_processing_time(5).send(Incoming::value("chime").key("a"));
    assert!(session.advance_processing_time(14).take().is_empty());
    let chime = session.advance_processing_time(15).take().remove(0);
    assert_eq!((chime.value_text(), chime.key_text(), chime.timestamp), ("chime at 15".into(), "a".into(), None));
}

#[test]
fn pending_event_timers_fire_before_finish() {
    let mut session = Harness::<Session>::new();
    session.send(visit("a", 0)).finish();
    assert_eq!(session.take_values().len(), 1);
}

/// Sets a timer for each record, and the next each time one fires.
#[derive(Describe)]
struct Clockwork;

impl Operator for Clockwork {
    fn process(&mut self, _record: &Record, out: &mut Output) -> Result {
        out.register(Timer::event_time(0))
    }

    fn on_timer(&mut self, timer: &FiredTimer, out: &mut Output) -> Result {
        out.register(Timer::event_time(timer.at() + 60_000))
    }
}

#[test]
#[should_panic(expected = "`clockwork` sets event-time timers without end")]
fn timers_that_set_timers_at_the_end_for_ever_fail_the_test() {
    Harness::<Clockwork>::new().send(("key", "value")).finish();
}
