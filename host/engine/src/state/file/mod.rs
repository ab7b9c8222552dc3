//! Checkpoint files: the durable form of keyed state, for both backends, rebases, rescaling and tools.
//!
//! A file holds records in the order of (key group, state's name, key, entry), each once. A *delta* holds what one
//! epoch wrote, removals included; a *base* is complete, so that nothing older need be read. Everything in a file is
//! covered by a checksum, and a reader refuses what does not verify.
//!
//! ```text
//!   file    head block* footer tail                      integers are little-endian
//!   head    "weir.kst" (8)  version u16 = 1, 2 where a row is stamped, 3 where one is of kind 4  zero (6)
//!   block   lz4 of: run*
//!   run     key group u16  row u16  records u32  record*     row: index into the footer's rows
//!   record  kind u8  key  entry  [value, where kind is put]  each: length as LEB128, bytes
//!   footer  maximum parallelism u16  first group u16  group behind the last u16  complete u8  zero u8
//!           records u64
//!           rows u16      each: kind u8  version u32  name  codec          (length u16, UTF-8)
//!           blocks u32    each: offset u64  bytes u32  bytes of runs u32  first group u16  last group u16
//!                               records u32  xxh3-64 of the bytes u64
//!   tail    bytes of footer u32  xxh3-64 of footer u64  "weir.end" (8)
//! ```
//!
//! Kinds of records: 0 put, 1 tombstone, 2 clear (all that older files hold of this list or map is gone; stands before
//! the entries of its key). Kinds of rows: 0 timers, 1 value, 2 list each of whose elements has a record of its own, 3
//! map, 4 list; 0x80 more where it is *stamped*: its state has a time to live, and each value begins with its stamp,
//! the processing time in milliseconds of its last write or refreshing read (i64). Rows are sorted by name, timers
//! first; a name may stand in several that differ in version, codec or stamp. Other versions are refused.

mod contents;
pub(super) mod format;
mod merge;
mod reader;
mod soundness;
mod writer;

#[cfg(test)]
mod tests;

pub use contents::Remote;
pub use merge::{merge, merge_in_parts, merge_unexpired, open};
pub use reader::{Place, Reader};
pub use soundness::check;
pub use writer::Writer;

pub(crate) use format::{HEAD_BYTES, TAIL_BYTES};

pub(super) use merge::Merge;

use std::cmp::Ordering;

use bytes::Bytes;
use weir_operator::keyed_state::StateError;
use weir_protocol::Fault;
use weir_protocol::description::StateKind;
use weir_protocol::key_group::{KeyGroup, KeyGroupRange, MaxParallelism};

/// A checkpoint file, and the key groups of it that count. What it holds of others belongs to another subtask now, and
/// may be out of date.
#[derive(Debug, Clone)]
pub struct FileSlice {
    /// The whole file.
    pub bytes: Bytes,
    /// The key groups that count.
    pub key_groups: KeyGroupRange,
}

/// What a file is, and whose state it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// How many key groups the job has.
    pub max: MaxParallelism,
    /// The key groups of the subtask that wrote it.
    pub key_groups: KeyGroupRange,
    /// Whether it is a base: nothing older need be read.
    pub complete: bool,
    /// The states that occur, sorted by name, timers first.
    pub rows: Vec<StateRow>,
}

/// A state, as a file names it. Rows sort by [`rank`](Self::rank) first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateRow {
    /// Timers, or the declared kind.
    pub kind: RowKind,
    /// As declared; empty for timers.
    pub name: String,
    /// The version of the encoding that the values were written in.
    pub version: u32,
    /// As declared.
    pub codec: String,
    /// Whether values begin with a stamp: the state had a time to live when they were written.
    pub stamped: bool,
}

/// The shape of what a row's records hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum RowKind {
    /// The entry is domain, time and tag; no value.
    Timers = 0,
    /// No entry.
    Value = 1,
    /// The entry is the position in the list (8 bytes, big-endian); of a bundle of elements that of the first, and how many
    /// they are (4 bytes, big-endian).
    List = 2,
    /// The entry is the entry's key.
    Map = 3,
}

impl StateRow {
    /// The row of the timers.
    #[must_use]
    pub const fn timers() -> Self {
        Self { kind: RowKind::Timers, name: String::new(), version: 0, codec: String::new(), stamped: false }
    }

    /// What sorts rows, and with them records: timers, then by name. Rows that differ in nothing else hold the same
    /// state.
    #[must_use]
    pub fn rank(&self) -> (bool, &str) {
        (self.kind != RowKind::Timers, &self.name)
    }
}

impl Ord for StateRow {
    fn cmp(&self, other: &Self) -> Ordering {
        let rest = |row: &Self| (row.kind, row.version);
        self.rank()
            .cmp(&other.rank())
            .then_with(|| rest(self).cmp(&rest(other)))
            .then_with(|| (&self.codec, self.stamped).cmp(&(&other.codec, other.stamped)))
    }
}

impl PartialOrd for StateRow {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl RowKind {
    /// The row's kind for a declared kind; `None` for state that is not keyed.
    #[must_use]
    pub const fn of(kind: StateKind) -> Option<Self> {
        match kind {
            StateKind::KeyedValue => Some(Self::Value),
            StateKind::KeyedList => Some(Self::List),
            StateKind::KeyedMap => Some(Self::Map),
            StateKind::OperatorSplit | StateKind::OperatorUnion | StateKind::Broadcast => None,
        }
    }

    /// The declared kind; `None`: timers, which nobody declares.
    #[must_use]
    pub const fn declared(self) -> Option<StateKind> {
        match self {
            Self::Timers => None,
            Self::Value => Some(StateKind::KeyedValue),
            Self::List => Some(StateKind::KeyedList),
            Self::Map => Some(StateKind::KeyedMap),
        }
    }

    /// As people know it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Timers => "timers",
            Self::Value => "keyed-value",
            Self::List => "keyed-list",
            Self::Map => "keyed-map",
        }
    }
}

/// What a record says of its key (and entry).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum RecordKind {
    /// This is its value.
    Put = 0,
    /// It is gone.
    Tombstone = 1,
    /// All that older files hold of this list or map is gone.
    Clear = 2,
}

/// One record of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileRecord<'a> {
    /// The key's group.
    pub group: KeyGroup,
    /// The index of its state's row.
    pub row: u16,
    /// What it says.
    pub kind: RecordKind,
    /// The key.
    pub key: &'a [u8],
    /// What the row's kind says.
    pub entry: &'a [u8],
    /// Empty unless it is a put; in a stamped row, the stamp and the value.
    pub value: &'a [u8],
}

impl FileRecord<'_> {
    /// The record that says that this one is gone.
    pub(super) const fn tombstone(self) -> Self {
        Self { kind: RecordKind::Tombstone, value: &[], ..self }
    }
}

fn corrupt(message: impl std::fmt::Display) -> StateError {
    StateError { fault: Fault::Corrupt, message: format!("checkpoint file: {message}") }
}
