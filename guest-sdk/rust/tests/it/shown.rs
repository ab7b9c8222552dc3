//! What `{:?}` prints of a row: itself, and nothing of its batch.

use weir_sdk::harness::{Harness, Incoming};
use weir_sdk::prelude::*;

/// Prints what it gets.
#[derive(Describe)]
#[input(records: keyed)]
#[input(some: keyed, reads(values))]
#[input(loose: unkeyed)]
struct Print;

impl Operator for Print {
    fn process(&mut self, record: &Record, out: &mut Output) -> Result {
        if record.input() == "records" {
            out.register(Timer::event_time(7).tag(3))?;
        }
        out.emit(format_args!("{record:?}"))
    }

    fn on_timer(&mut self, timer: &FiredTimer, out: &mut Output) -> Result {
        out.emit(format_args!("{timer:?}"))
    }
}

#[test]
fn timer_shows_its_clock_key_time_and_tag() {
    let mut print = Harness::<Print>::new();
    print.send_batch([Incoming::value("v").key("a"), Incoming::value("v").key([b'b', 0xff])]).take();
    assert_eq!(
        print.advance_watermark(10).take_values(),
        [
            r#"FiredTimer { domain: TimeDomain::EventTime, key: "a", at: 7, tag: 3 }"#,
            r#"FiredTimer { domain: TimeDomain::EventTime, key: b"b\xff", at: 7, tag: 3 }"#,
        ]
    );
}

#[test]
fn record_shows_the_columns_that_its_input_reads() {
    let mut print = Harness::<Print>::new();
    let records = [
        Incoming::value("one").key("a").at(5),
        Incoming::deletion().key("b"),
        Incoming::value([0xfe]).key("c").input("some"),
        Incoming::value("x").input("loose"),
    ];
    assert_eq!(
        print.send_batch(records).take_values(),
        [
            r#"Record { input: "records", key: "a", value: Some("one"), timestamp: Some(5) }"#,
            r#"Record { input: "records", key: "b", value: None, timestamp: None }"#,
            r#"Record { input: "some", value: Some(b"\xfe") }"#,
            r#"Record { input: "loose", value: Some("x"), timestamp: None }"#,
        ]
    );
}
