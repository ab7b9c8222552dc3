//! One call into an operator: what it is given, and what it did.
//!
//! A [`Turn`] is moved into an instance for the length of a call and taken back afterwards, whatever became of the
//! call. Its [`Effects`] are provisional: the caller commits them if the call returned ok, else throws them away.

use weir_protocol::time::{NO_TIME, Timestamp};

use crate::batch::gather::gather_plain;
use crate::batch::{Batch, HeaderColumn, Keys, OptionalColumn};
use crate::keyed_state::{KeyedState, Writes};
use crate::unkeyed_state::{UnkeyedState, UnkeyedWrites};

/// What one call may see and do.
pub struct Turn {
    /// What is processed.
    pub work: Work,
    /// The subtask's keyed state, its keys selected for this work. `None` where keyed state is closed (unkeyed and
    /// broadcast inputs, `finish`).
    pub state: Option<Box<dyn KeyedState>>,
    /// The subtask's state that belongs to no key.
    pub unkeyed: UnkeyedState,
    /// The event time up to which no more records are expected.
    pub watermark: Timestamp,
    /// Constant within the call and its retries; never goes back on one subtask.
    pub processing_time: Timestamp,
    /// What WASI's randomness is seeded with in this call.
    pub seed: u64,
    /// How often the batch that the work is, or is a part of, was tried before; log lines carry it.
    pub attempt: u32,
    /// What the call did so far.
    pub effects: Effects,
}

/// What is processed in a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    /// Records of an input.
    Batch {
        /// The index of the input in the operator's description.
        input: u32,
        /// The records.
        batch: Batch,
    },
    /// Timers that are due.
    Timers(FiredTimers),
    /// All inputs have ended.
    Finish,
}

/// Due timers of one domain, in time order, at most one of each key.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FiredTimers {
    /// Their domain.
    pub domain: TimeDomain,
    /// Their keys; one for each timer.
    pub keys: Keys,
    /// Their times.
    pub at: Vec<Timestamp>,
    /// Their tags.
    pub tags: Vec<u32>,
}

/// Which clock a timer follows.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    wasmtime::component::ComponentType,
    wasmtime::component::Lift,
    wasmtime::component::Lower,
)]
#[component(enum)]
#[repr(u8)]
pub enum TimeDomain {
    /// The watermark.
    #[default]
    #[component(name = "event-time")]
    EventTime,
    /// The subtask's processing time.
    #[component(name = "processing-time")]
    ProcessingTime,
}

/// What a call did. Nothing of it counts until the call has returned ok and the caller commits it.
#[derive(Debug, Default)]
pub struct Effects {
    /// To keyed state.
    pub writes: Writes,
    /// To state that belongs to no key.
    pub unkeyed: UnkeyedWrites,
    /// To timers, in order.
    pub timers: Vec<TimerChange>,
    /// To outputs, in order.
    pub emissions: Vec<Emission>,
    /// Rows given up on.
    pub rejections: Vec<Rejection>,
    /// To the operator's own metrics, in order.
    pub metrics: Vec<MetricChange>,
}

/// A timer registered or cancelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimerChange {
    /// Whether it is registered; else cancelled.
    pub register: bool,
    /// Its clock.
    pub domain: TimeDomain,
    /// Its key, as an index into the keys of the work.
    pub key: u32,
    /// Its time.
    pub at: Timestamp,
    /// Its tag.
    pub tag: u32,
}

/// Records sent to an output; all indices were checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Emission {
    /// The index of the output in the operator's description.
    pub port: u32,
    /// What is sent.
    pub records: Emitted,
}

/// What an emission sends.
#[derive(Debug, Clone, PartialEq)]
pub enum Emitted {
    /// New records.
    New {
        /// Where they come from.
        origin: Origin,
        /// Their values.
        values: OptionalColumn,
        /// Their event times where the origin's do not apply; else empty.
        timestamps: Vec<Timestamp>,
        /// Headers of their own; `None`: those of their rows.
        headers: Option<Vec<HeaderColumn>>,
    },
    /// These rows of the batch as they are.
    Forwarded(Vec<u32>),
}

/// Where emitted records come from; see `origin` of the contract.
#[derive(Debug, Clone, PartialEq)]
pub enum Origin {
    /// One for each row (or timer), in order.
    EachRow,
    /// Record `i` comes from this row.
    Rows(Vec<u32>),
    /// Record `i` carries this key of the work.
    Keys(Vec<u32>),
    /// Keys of the operator's own.
    OwnKeys(Keys),
    /// No key.
    Unkeyed,
}

/// Rows that the operator gave up on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Rows of the batch.
    pub rows: Vec<u32>,
    /// Why.
    pub reason: String,
}

/// A change to a metric of the operator's own.
#[derive(Debug, Clone, PartialEq)]
pub enum MetricChange {
    /// Adds to a counter.
    Counter(String, u64),
    /// Sets a gauge.
    Gauge(String, f64),
    /// Records in a histogram.
    Histogram(String, f64),
}

impl Turn {
    /// A turn for `work`, before the first watermark and at the start of the epoch, without keyed state.
    #[must_use]
    pub fn new(work: Work) -> Self {
        Self {
            work,
            state: None,
            unkeyed: UnkeyedState::default(),
            watermark: NO_TIME,
            processing_time: 0,
            seed: 0,
            attempt: 0,
            effects: Effects::default(),
        }
    }
}

impl Work {
    /// How many rows (or timers) it has.
    #[must_use]
    pub fn rows(&self) -> u32 {
        match self {
            Self::Batch { batch, .. } => batch.rows,
            Self::Timers(fired) => u32::try_from(fired.at.len()).expect("fired timers are bounded far below 2^32"),
            Self::Finish => 0,
        }
    }

    /// The keys of its rows; `None` where they carry none.
    #[must_use]
    pub fn keys(&self) -> Option<&Keys> {
        match self {
            Self::Batch { batch, .. } => batch.keys.as_ref(),
            Self::Timers(fired) => Some(&fired.keys),
            Self::Finish => None,
        }
    }

    /// The same work for some of its rows, in the order given.
    ///
    /// # Panics
    /// When a row is not below [`Work::rows`].
    #[must_use]
    pub fn gather(&self, rows: &[u32]) -> Self {
        match self {
            Self::Batch { input, batch } => Self::Batch { input: *input, batch: batch.gather(rows) },
            Self::Timers(fired) => Self::Timers(FiredTimers {
                domain: fired.domain,
                keys: fired.keys.gather(rows),
                at: gather_plain(&fired.at, rows),
                tags: gather_plain(&fired.tags, rows),
            }),
            Self::Finish => Self::Finish,
        }
    }
}

impl std::fmt::Debug for Turn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Turn").field("work", &self.work).field("effects", &self.effects).finish_non_exhaustive()
    }
}
