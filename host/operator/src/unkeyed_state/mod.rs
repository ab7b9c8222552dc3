//! State of one subtask that belongs to no key: operator lists and broadcast maps.
//!
//! Receives what calls wrote, whole, once they have returned ok; guarantees that a copy of it ([`UnkeyedState::clone`])
//! costs next to nothing and never changes. Does not own how lists are split when the parallelism changes, nor making
//! anything durable. All of it is in memory, and has to fit into what an instance may have.

mod writes;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

pub use writes::{UnkeyedWrite, UnkeyedWrites};

use crate::batch::BytesColumn;
use crate::keyed_state::{Entries, EntryRange, StateId};

/// What an entry of a map, or an element of a list, costs beside its bytes.
pub(crate) const ENTRY_BYTES: u64 = 16;

/// An ordered map that is the same on every subtask.
pub type BroadcastMap = BTreeMap<Arc<[u8]>, Arc<[u8]>>;

/// Everything that one subtask holds for no key. Shared with its copies until it is written to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnkeyedState {
    states: BTreeMap<StateId, UnkeyedValue>,
    /// Of each state that holds something.
    bytes: BTreeMap<StateId, u64>,
}

/// What one state holds; nothing at all is held as no state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnkeyedValue {
    /// A list of the subtask's own.
    List(Arc<BytesColumn>),
    /// A map that is the same on every subtask.
    Map(Arc<BroadcastMap>),
}

impl UnkeyedState {
    /// The bytes that it holds, each entry and element with 16 more.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.values().sum()
    }

    /// The bytes, and how many entries or elements, of one state.
    #[must_use]
    pub fn size(&self, state: StateId) -> (u64, u64) {
        let entries = self.states.get(&state).map_or(0, UnkeyedValue::len);
        (self.bytes.get(&state).copied().unwrap_or(0), entries as u64)
    }

    /// The states that hold something, in the order of their declaration.
    pub fn iter(&self) -> impl Iterator<Item = (StateId, &UnkeyedValue)> {
        self.states.iter().map(|(state, value)| (*state, value))
    }

    /// What a list holds; `None`: nothing.
    #[must_use]
    pub fn list(&self, state: StateId) -> Option<&Arc<BytesColumn>> {
        match self.states.get(&state) {
            Some(UnkeyedValue::List(list)) => Some(list),
            Some(UnkeyedValue::Map(_)) | None => None,
        }
    }

    /// What a map holds under an entry's key.
    #[must_use]
    pub fn entry(&self, state: StateId, entry: &[u8]) -> Option<&Arc<[u8]>> {
        self.map(state)?.get(entry)
    }

    /// Appends up to `range.limit` entries of a map, in byte order of their keys.
    pub fn scan(&self, state: StateId, range: EntryRange<'_>, into: &mut Entries) {
        into.more = false;
        let is_empty = range.start.zip(range.end).is_some_and(|(start, end)| start >= end);
        let Some(map) = self.map(state).filter(|_| !is_empty) else { return };
        let start = range.start.map_or(Bound::Unbounded, Bound::Included);
        let end = range.end.map_or(Bound::Unbounded, Bound::Excluded);
        let mut found = map.range::<[u8], _>((start, end));
        for (entry, value) in found.by_ref().take(range.limit) {
            into.entries.push(entry);
            into.values.push(value);
        }
        into.more = found.next().is_some();
    }

    /// Puts what a state holds in place of what it held.
    pub fn put(&mut self, state: StateId, value: UnkeyedValue) {
        if value.len() == 0 {
            self.bytes.remove(&state);
            self.states.remove(&state);
        } else {
            self.bytes.insert(state, value.bytes());
            self.states.insert(state, value);
        }
    }

    /// Makes everything that one call wrote visible, together.
    pub fn commit(&mut self, writes: UnkeyedWrites) {
        for (state, write) in writes.into_writes() {
            match write {
                UnkeyedWrite::List(list) => self.put(state, UnkeyedValue::List(Arc::new(list))),
                UnkeyedWrite::Map(entries) => self.write_entries(state, entries),
            }
        }
    }

    /// Writes in place; a map of which there is a copy is copied first, its entries are not.
    fn write_entries(&mut self, state: StateId, entries: BTreeMap<Vec<u8>, Option<Vec<u8>>>) {
        let mut map = match self.states.remove(&state) {
            Some(UnkeyedValue::Map(map)) => map,
            Some(UnkeyedValue::List(_)) | None => Arc::default(),
        };
        let own = Arc::make_mut(&mut map);
        let mut bytes = self.bytes.remove(&state).unwrap_or(0);
        for (entry, value) in entries {
            let size = entry_bytes(&entry, 0);
            let before = match value {
                Some(value) => {
                    bytes += size + value.len() as u64;
                    own.insert(entry.into(), value.into())
                }
                None => own.remove(entry.as_slice()),
            };
            bytes -= before.map_or(0, |before| size + before.len() as u64);
        }
        if !map.is_empty() {
            self.bytes.insert(state, bytes);
            self.states.insert(state, UnkeyedValue::Map(map));
        }
    }

    fn map(&self, state: StateId) -> Option<&BroadcastMap> {
        match self.states.get(&state) {
            Some(UnkeyedValue::Map(map)) => Some(map),
            Some(UnkeyedValue::List(_)) | None => None,
        }
    }
}

impl UnkeyedValue {
    fn len(&self) -> usize {
        match self {
            Self::List(list) => list.len(),
            Self::Map(map) => map.len(),
        }
    }

    fn bytes(&self) -> u64 {
        match self {
            Self::List(list) => list_bytes(list),
            Self::Map(map) => map.iter().map(|(entry, value)| entry_bytes(entry, value.len())).sum(),
        }
    }
}

pub(crate) fn list_bytes(list: &BytesColumn) -> u64 {
    list.data.len() as u64 + list.len() as u64 * ENTRY_BYTES
}

pub(crate) const fn entry_bytes(entry: &[u8], value: usize) -> u64 {
    entry.len() as u64 + value as u64 + ENTRY_BYTES
}

#[cfg(test)]
mod tests;
