//! What flows: records with a number per key, what an operator makes of them, and what it keeps of them.
//!
//! Everything an operator emits can be worked out from the sources' positions alone, however its inputs interleave; so
//! whatever was lost, doubled or reordered shows in what is published.

use std::fmt;
use std::rc::Rc;
use std::sync::LazyLock;

use weir_protocol::alignment::Barrier;
use weir_protocol::id::CheckpointId;
use weir_protocol::key_group::{KeyGroup, KeyGroupRange, MaxParallelism, key_hash};
use weir_protocol::time::Timestamp;

/// How many different keys there are.
pub(crate) const KEYS: u8 = 6;
/// Sides of the join, and the ingest log.
pub(crate) const SIDES: u8 = 3;
/// The side that the ingest log feeds.
pub(crate) const INGEST: u8 = 2;
/// Splits of each side.
pub(crate) const SPLITS: u8 = 2;
/// The length of the windows whose ends fire timers.
const WINDOW: Timestamp = 40;

static GROUPS: LazyLock<Vec<KeyGroup>> =
    LazyLock::new(|| (0..KEYS).map(|key| max_parallelism().key_group(key_hash(&[key]))).collect());

pub(crate) fn max_parallelism() -> MaxParallelism {
    MaxParallelism::new(8).expect("8 is a maximum parallelism")
}

pub(crate) fn group(key: u8) -> KeyGroup {
    GROUPS[usize::from(key)]
}

pub(crate) fn owns(range: KeyGroupRange, key: u8) -> bool {
    range.contains(group(key))
}

/// A record, and its place in its split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Record {
    pub(crate) side: u8,
    pub(crate) split: u8,
    pub(crate) position: u32,
    pub(crate) key: u8,
    /// What the ingest log's record was asked for with; 0 elsewhere.
    pub(crate) request: u32,
    pub(crate) time: Timestamp,
}

/// `left 1:4 key 3`: split 1, position 4.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { side, split, position, key, .. } = self;
        write!(f, "{} {split}:{position} key {key}", ["left", "right", "ingest"][usize::from(*side)])
    }
}

/// What an operator emits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Outcome {
    /// It has seen a record; `missed`: after that record's window had fired.
    Seen { record: Record, value: Value, session: u32, missed: bool },
    /// A key's window is over; `late`: it was before the first record of it came.
    Fired { key: u8, window: u16, records: u32, late: bool },
    /// Everything has come.
    Final { key: u8, counts: [u32; 3] },
}

impl Outcome {
    pub(crate) const fn key(&self) -> u8 {
        match self {
            Self::Seen { record, .. } => record.key,
            Self::Fired { key, .. } | Self::Final { key, .. } => *key,
        }
    }
}

/// What moves through a channel.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Element {
    Record(Record),
    Outcome(Outcome),
    Watermark(Timestamp),
    Idle,
    Barrier(Barrier),
    End,
}

/// What a state is kept under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct StateKey {
    pub(crate) key: u8,
    pub(crate) slot: Slot,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Slot {
    /// Everything of one side.
    Side(u8),
    /// Records of one side since the last that ended a session.
    Session(u8),
    /// A window whose end is awaited.
    Timer(u16),
    /// A window that is over.
    Fired(u16),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Value {
    pub(crate) count: u32,
    /// Of the positions of the records, in order.
    pub(crate) hash: u64,
}

impl Value {
    pub(crate) fn with(self, record: Record) -> Self {
        let mut mixed = self.hash ^ (u64::from(record.position) << 8) ^ u64::from(record.split);
        mixed = (mixed ^ (mixed >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self { count: self.count + 1, hash: mixed ^ (mixed >> 29) }
    }
}

/// Whether the record that makes this count ends its key's session.
pub(crate) const fn ends_session(count: u32) -> bool {
    count.is_multiple_of(4)
}

pub(crate) fn window(time: Timestamp) -> u16 {
    u16::try_from(time / WINDOW).expect("times are small")
}

pub(crate) fn window_end(window: u16) -> Timestamp {
    (Timestamp::from(window) + 1) * WINDOW - 1
}

/// What lies in an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Content {
    State(Segment),
    Results(Vec<Outcome>),
}

/// What changed between two barriers (in a base: everything), with what was on its way at the second one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Segment {
    pub(crate) changes: Vec<(StateKey, Option<Value>)>,
    pub(crate) channel: Option<Rc<Channel>>,
}

/// The channel state of an unaligned checkpoint; it counts only for that one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Channel {
    pub(crate) checkpoint: CheckpointId,
    pub(crate) inputs: Vec<Record>,
    pub(crate) outputs: Vec<Outcome>,
}

impl Content {
    /// A size: records and states held.
    pub(crate) fn weight(&self) -> u64 {
        match self {
            Self::State(segment) => 1 + segment.changes.len() as u64,
            Self::Results(results) => results.len() as u64,
        }
    }
}
