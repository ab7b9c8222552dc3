//! The host as an operator's unit test has it: state, timers and outputs in memory, on the test's thread.
//!
//! It keeps the rules of the contract that an operator can break, and panics where the real host would trap. It does
//! not partition, checkpoint or limit anything.

mod emitted;
pub(crate) mod headers;
pub(crate) mod output;
pub(crate) mod state;
mod stored;
pub(crate) mod telemetry;
pub(crate) mod timers;
mod unkeyed_state;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

pub use emitted::Emitted;
pub(crate) use stored::{Held, Stored, Unkeyed};

use crate::batch::NO_TIME;
use crate::bindings::exports::weir::operator::operators::Ttl;
use crate::telemetry::Level;
use crate::timers::Timer;

thread_local! {
    static SCENE: RefCell<Option<Scene>> = const { RefCell::new(None) };
}

/// Runs `call` with the scene around it, and returns what became of the scene.
pub(crate) fn play<T>(scene: Scene, call: impl FnOnce() -> T) -> (T, Scene) {
    SCENE.set(Some(scene));
    let result = call();
    (result, SCENE.take().expect("only `play` takes it"))
}

fn with<T>(action: impl FnOnce(&mut Scene) -> T) -> T {
    SCENE.with_borrow_mut(|scene| action(scene.as_mut().expect("the host is there only while the harness calls")))
}

/// What an operator may do depends on the call that it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Open,
    Process,
    Timers,
    Finish,
}

/// One call: what it works on, and what it did.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) call: Call,
    pub(crate) outputs: Vec<&'static str>,
    /// The distinct keys; none where keyed state is closed.
    pub(crate) keys: Vec<Vec<u8>>,
    pub(crate) rows: Vec<Row>,
    /// Whether the batch is of a broadcast input.
    pub(crate) is_broadcast: bool,
    pub(crate) world: World,
    pub(crate) emitted: Vec<Emitted>,
    pub(crate) rejected: Vec<(u32, String)>,
}

/// A record (or timer) of the call.
#[derive(Debug, Clone, Default)]
pub(crate) struct Row {
    pub(crate) key: Option<u32>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) timestamp: Option<i64>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
}

/// What lasts from call to call.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) states: BTreeMap<String, BTreeMap<Vec<u8>, Stored>>,
    /// How long what they hold lives, where that was declared.
    pub(crate) lives: BTreeMap<String, Ttl>,
    /// State that belongs to no key.
    pub(crate) unkeyed: BTreeMap<String, Unkeyed>,
    pub(crate) timers: BTreeSet<Pending>,
    pub(crate) watermark: i64,
    pub(crate) processing_time: i64,
    pub(crate) logs: Vec<(Level, String)>,
    pub(crate) counters: BTreeMap<String, u64>,
    pub(crate) gauges: BTreeMap<String, f64>,
    pub(crate) histograms: BTreeMap<String, Vec<f64>>,
    /// The calls that state took, by name.
    pub(crate) state_calls: Vec<&'static str>,
}

/// A registered timer; in the order in which timers fire.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pending {
    pub(crate) event_time: bool,
    pub(crate) at: i64,
    pub(crate) key: Vec<u8>,
    pub(crate) tag: u32,
}

impl Default for World {
    fn default() -> Self {
        Self {
            states: BTreeMap::new(),
            lives: BTreeMap::new(),
            unkeyed: BTreeMap::new(),
            timers: BTreeSet::new(),
            watermark: NO_TIME,
            processing_time: 0,
            logs: Vec::new(),
            counters: BTreeMap::new(),
            gauges: BTreeMap::new(),
            histograms: BTreeMap::new(),
            state_calls: Vec::new(),
        }
    }
}

impl World {
    /// The pending timers of a key, in the order in which they fire, event time after processing time.
    pub(crate) fn timers_of(&self, key: &[u8]) -> Vec<Timer> {
        let of_key = self.timers.iter().filter(|timer| timer.key == key);
        let timer = |timer: &Pending| {
            let made = if timer.event_time { Timer::event_time(timer.at) } else { Timer::processing_time(timer.at) };
            made.tag(timer.tag)
        };
        of_key.map(timer).collect()
    }
}

impl Scene {
    /// The bytes of a key of the call.
    fn key(&self, index: u32) -> &[u8] {
        let keys = self.keys.len();
        self.keys.get(index as usize).unwrap_or_else(|| panic!("trap: key {index} of {keys} keys; {:?}", self.call))
    }

    /// A row of the batch.
    fn row(&self, index: u32) -> &Row {
        let rows = self.rows.len();
        self.rows.get(index as usize).unwrap_or_else(|| panic!("trap: row {index} of {rows} rows"))
    }

    fn expect_call(&self, legal: &[Call], what: &str) {
        assert!(legal.contains(&self.call), "trap: {what} is not legal in {:?}", self.call);
    }
}
