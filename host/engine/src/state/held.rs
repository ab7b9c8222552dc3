//! What checkpoint files hold, record by record: for people and tools, who look without restoring.
//!
//! Receives the files of one subtask, oldest first, of which nothing need be in memory. Guarantees the order of the
//! files (key group, timers, then states by name, key, entry) and that of several records only the one that counts is
//! shown, as a restore would decide. Does not own how anything is shown.

use std::ops::ControlFlow;

use weir_operator::keyed_state::StateError;
use weir_operator::turn::TimeDomain;
use weir_protocol::Fault;
use weir_protocol::key_group::{KeyGroup, KeyGroupRange};
use weir_protocol::time::Timestamp;

use super::bundle::Bundle;
use super::file::{FileRecord, Merge, Place, Reader, RowKind, StateRow};
use super::stamp::split;
use super::timers::Timer;

/// Something that is held under a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holding<'a> {
    /// The key's group.
    pub group: KeyGroup,
    /// The state.
    pub row: &'a StateRow,
    /// The key.
    pub key: &'a [u8],
    /// What orders it among others of its key and state: an element's position (8 bytes, big-endian), an entry's key.
    pub entry: &'a [u8],
    /// Where its state had a time to live: when it was last written, or read where that refreshes it.
    pub stamp: Option<Timestamp>,
    /// What is held.
    pub held: Held<'a>,
}

/// What is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held<'a> {
    /// A value.
    Value(&'a [u8]),
    /// An element of a list.
    Element {
        /// Among those of its list that are held, from 0. Where each stands leaves gaps: behind what has expired, and where
        /// a list was appended to while some of it was on disk only.
        position: u64,
        /// The element.
        value: &'a [u8],
    },
    /// An entry of a map, under the entry's key.
    Entry(&'a [u8]),
    /// A timer.
    Timer {
        /// Which time it waits for.
        domain: TimeDomain,
        /// When it is due.
        at: Timestamp,
        /// What its operator knows it by.
        tag: u32,
    },
}

/// Visits what these files, oldest first, hold for some key groups, from a place on, until `visit` breaks it off. May
/// hold its thread.
///
/// # Errors
/// [`Fault::Corrupt`] where a file does not verify, naming it; [`Fault::Unavailable`] where it cannot be read.
pub fn walk(
    files: Vec<(Reader, KeyGroupRange)>,
    key_groups: KeyGroupRange,
    from: Option<&Place>,
    mut visit: impl FnMut(Holding<'_>) -> ControlFlow<()>,
) -> Result<(), StateError> {
    let merge = Merge::of(files, key_groups)?;
    let rows = merge.header().rows.clone();
    let mut list = List::default();
    merge.run_from(from, true, |record| {
        let row = &rows[usize::from(record.row)];
        let (stamp, value) = if row.stamped {
            let (stamp, value) = split(record.value);
            (Some(stamp), value)
        } else {
            (None, record.value)
        };
        let (group, key, entry) = (record.group, record.key, record.entry);
        let holding = Holding { group, row, key, entry, stamp, held: Held::Value(value) };
        Ok(match row.kind {
            RowKind::Value => visit(holding),
            RowKind::List => {
                let bundle = Bundle::under(entry).filter(|bundle| bundle.is_sound(value));
                let bundle =
                    bundle.ok_or_else(|| malformed(&record, "what stands in a list is no bundle of elements"))?;
                list.is_at(row, key);
                (bundle.position..).zip(bundle.elements(value)).try_for_each(|(entry, value)| {
                    let held = Held::Element { position: list.next(), value };
                    visit(Holding { entry: &entry.to_be_bytes(), held, ..holding })
                })
            }
            RowKind::Map => visit(Holding { held: Held::Entry(value), ..holding }),
            RowKind::Timers => match Timer::from_record(key, entry) {
                Some(Timer { domain, at, tag, .. }) => {
                    visit(Holding { held: Held::Timer { domain, at, tag }, ..holding })
                }
                None => return Err(malformed(&record, "a timer's entry is not 13 bytes that begin with 0 or 1")),
            },
        })
    })
}

/// The list that is being visited, and how many of its elements were.
#[derive(Default)]
struct List {
    name: String,
    key: Vec<u8>,
    visited: u64,
}

impl List {
    /// The next record is of this list: elements are counted from 0 where it is another one.
    fn is_at(&mut self, row: &StateRow, key: &[u8]) {
        if self.visited == 0 || self.name != row.name || self.key != key {
            self.name.clone_from(&row.name);
            self.key.clear();
            self.key.extend_from_slice(key);
            self.visited = 0;
        }
    }

    const fn next(&mut self) -> u64 {
        self.visited += 1;
        self.visited - 1
    }
}

fn malformed(record: &FileRecord<'_>, what: &str) -> StateError {
    let message = format!("checkpoint files, key group {}: {what}", record.group.0);
    StateError { fault: Fault::Corrupt, message }
}

impl Holding<'_> {
    /// The bytes of key, entry and value.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        let held = match self.held {
            Held::Value(value) | Held::Element { value, .. } | Held::Entry(value) => value.len(),
            Held::Timer { .. } => 0,
        };
        self.key.len() + self.entry.len() + held
    }
}
