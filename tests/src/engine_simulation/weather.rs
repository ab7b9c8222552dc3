//! How the world treats each call to a store: how long it takes, whether it is performed and answered.
//!
//! Everything is drawn from the seed, in the order of the calls. What was sent is performed at its time even if whoever
//! sent it has crashed meanwhile: that is what makes a late write.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use object_store::{Error, Result};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use weir_engine::clock::Clock;
use weir_protocol::time::Timestamp;

use super::log::Log;

/// What may go wrong.
#[derive(Debug, Clone, Default)]
pub struct Climate {
    /// Of a thousand calls, how many fail.
    pub per_mille: u32,
    /// How long a call usually takes at most, in milliseconds.
    pub latency_ms: u64,
    /// How late a write that had no answer may be performed, in milliseconds.
    pub late_ms: u64,
    /// When the store is away, in simulated milliseconds since the start.
    pub outages: Vec<Range<u64>>,
}

/// What has happened so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Weathered {
    /// Calls.
    pub calls: u64,
    /// Calls that saw an error.
    pub faults: u64,
    /// Writes performed after their caller was told that they failed.
    pub late_writes: u64,
}

/// A cheap handle to the weather that all stores of a run share.
#[derive(Debug, Clone)]
pub(super) struct Weather {
    clock: Clock,
    log: Log,
    state: Arc<Mutex<State>>,
}

struct State {
    random: StdRng,
    climate: Climate,
    is_calm: bool,
    so_far: Weathered,
    /// What was sent and is not performed yet, by when it will be.
    sent: BTreeMap<(Timestamp, u64), Box<dyn FnOnce() + Send>>,
}

/// What becomes of one call.
#[derive(Debug, Clone, Copy)]
struct Fate {
    arrives: Option<Duration>,
    answers: Duration,
    is_answered: bool,
}

impl Weather {
    pub(super) fn new(seed: u64, climate: Climate, clock: Clock, log: Log) -> Self {
        let random = StdRng::seed_from_u64(seed);
        let state = State { random, climate, is_calm: false, so_far: Weathered::default(), sent: BTreeMap::new() };
        Self { clock, log, state: Arc::new(Mutex::new(state)) }
    }

    /// From now on every call is performed and answered, soon.
    pub(super) fn calm_down(&self) {
        self.lock().is_calm = true;
    }

    /// The faults begin (again).
    pub(super) fn rise(&self) {
        self.lock().is_calm = false;
    }

    /// In `start` milliseconds the store goes away, for `length` of them.
    pub(super) fn go_away(&self, start: u64, length: u64) {
        let start = self.log.at() + start;
        self.lock().climate.outages.push(start..start + length);
    }

    /// What has happened so far.
    pub(super) fn so_far(&self) -> Weathered {
        self.lock().so_far
    }

    /// The clock that objects are dated by.
    pub(super) const fn clock(&self) -> Clock {
        self.clock
    }

    /// Performs a write, or not, at its time; answers, or not.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        what: String,
        perform: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let fate = self.draw(true);
        let answer: Arc<Mutex<Option<Result<T>>>> = Arc::default();
        if let Some(arrives) = fate.arrives {
            self.send(arrives, what.clone(), {
                let answer = Arc::clone(&answer);
                move || *answer.lock().expect("nothing panics while it holds this lock") = Some(perform())
            });
        }
        self.clock.sleep(fate.answers).await;
        self.settle();
        let answered = answer.lock().expect("nothing panics while it holds this lock").take();
        self.answer(what, fate, answered)
    }

    /// Reads at its time; answers, or not.
    pub(super) async fn read<T>(&self, what: String, perform: impl FnOnce() -> Result<T>) -> Result<T> {
        let fate = self.draw(false);
        self.clock.sleep(fate.answers / 2).await;
        self.settle();
        let answered = perform();
        self.clock.sleep(fate.answers / 2).await;
        self.answer(what, fate, Some(answered))
    }

    /// Performs what is due.
    pub(super) fn settle(&self) {
        loop {
            let now = self.clock.now();
            let due = {
                let mut state = self.lock();
                let is_due = state.sent.first_key_value().is_some_and(|((at, _), _)| *at <= now);
                if is_due { state.sent.pop_first() } else { None }
            };
            let Some((_, perform)) = due else { return };
            perform();
        }
    }

    fn answer<T>(&self, what: String, fate: Fate, answered: Option<Result<T>>) -> Result<T> {
        match answered {
            Some(answer) if fate.is_answered => answer,
            Some(_) | None => {
                self.log.note("store", format!("{what}: no answer"));
                Err(Error::Generic { store: "simulated", source: "no answer".into() })
            }
        }
    }

    fn send(&self, arrives: Duration, what: String, perform: impl FnOnce() + Send + 'static) {
        let at = self.clock.now().saturating_add_unsigned(u64::try_from(arrives.as_millis()).unwrap_or(0));
        let log = self.log.clone();
        let mut state = self.lock();
        let number = state.so_far.calls;
        state.sent.insert(
            (at, number),
            Box::new(move || {
                log.note("store", what);
                perform();
            }),
        );
    }

    fn draw(&self, is_write: bool) -> Fate {
        let now = self.log.at();
        self.lock().draw(now, is_write)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds this lock")
    }
}

impl State {
    fn draw(&mut self, now: u64, is_write: bool) -> Fate {
        self.so_far.calls += 1;
        if self.is_calm {
            let answers = Duration::from_millis(self.random.random_range(0..=3));
            return Fate { arrives: Some(Duration::ZERO), answers, is_answered: true };
        }
        let usual = self.random.random_range(0..=self.climate.latency_ms);
        let is_slow = self.random.random_range(0..50) == 0;
        let answers = Duration::from_millis(if is_slow { usual * 20 } else { usual });
        let arrives = answers.mul_f64(self.random.random_range(0.0..=1.0));
        let is_away = self.climate.outages.iter().any(|outage| outage.contains(&now));
        let fails = self.random.random_range(0..1_000) < self.climate.per_mille;
        if !is_away && !fails {
            return Fate { arrives: Some(arrives), answers, is_answered: true };
        }
        self.so_far.faults += 1;
        let arrives = match self.random.random_range(0..if is_away { 10 } else { 3 }) {
            0 => Some(arrives),
            1 if self.climate.late_ms > 0 => {
                self.so_far.late_writes += u64::from(is_write);
                Some(answers + Duration::from_millis(self.random.random_range(0..=self.climate.late_ms)))
            }
            _ => None,
        };
        Fate { arrives, answers, is_answered: false }
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("so_far", &self.so_far).field("sent", &self.sent.len()).finish_non_exhaustive()
    }
}
