//! What one call wrote to state that belongs to no key, staged.
//!
//! Receives the writes of a call in order; guarantees that the last one of a list, or of an entry, is the one that
//! stays, and that the call's own reads can see it. Does not own reading what is committed.

use std::collections::BTreeMap;

use super::{UnkeyedState, entry_bytes, list_bytes};
use crate::batch::BytesColumn;
use crate::keyed_state::StateId;

/// Everything that one call wrote, by state.
#[derive(Debug, Default)]
pub struct UnkeyedWrites {
    states: BTreeMap<StateId, UnkeyedWrite>,
    /// By how many bytes the writes make the state larger (or smaller).
    growth: i64,
}

/// What one call wrote to one state.
#[derive(Debug)]
pub enum UnkeyedWrite {
    /// The list that takes the place of what it held.
    List(BytesColumn),
    /// Entries of a map; `None`: removed.
    Map(BTreeMap<Vec<u8>, Option<Vec<u8>>>),
}

impl UnkeyedWrites {
    /// Whether the call wrote nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    /// By how many bytes the writes make the state larger (or smaller).
    #[must_use]
    pub const fn growth(&self) -> i64 {
        self.growth
    }

    /// The bytes that the state has with the writes.
    #[must_use]
    pub fn bytes_over(&self, committed: &UnkeyedState) -> u64 {
        committed.bytes().saturating_add_signed(self.growth)
    }

    /// The list that was written.
    #[must_use]
    pub fn list(&self, state: StateId) -> Option<&BytesColumn> {
        match self.states.get(&state) {
            Some(UnkeyedWrite::List(list)) => Some(list),
            Some(UnkeyedWrite::Map(_)) | None => None,
        }
    }

    /// The entries of a map that were written.
    #[must_use]
    pub fn map(&self, state: StateId) -> Option<&BTreeMap<Vec<u8>, Option<Vec<u8>>>> {
        match self.states.get(&state) {
            Some(UnkeyedWrite::Map(entries)) => Some(entries),
            Some(UnkeyedWrite::List(_)) | None => None,
        }
    }

    /// Replaces a list.
    pub fn set_list(&mut self, state: StateId, list: BytesColumn, committed: &UnkeyedState) {
        let before = self.list(state).or_else(|| committed.list(state).map(AsRef::as_ref)).map_or(0, list_bytes);
        self.grow(list_bytes(&list), before);
        self.states.insert(state, UnkeyedWrite::List(list));
    }

    /// Writes, or removes, an entry of a map.
    pub fn put_entry(&mut self, state: StateId, entry: &[u8], value: Option<&[u8]>, committed: &UnkeyedState) {
        let before = match self.map(state).and_then(|entries| entries.get(entry)) {
            Some(written) => written.as_ref().map(Vec::len),
            None => committed.entry(state, entry).map(|value| value.len()),
        };
        let size = |value: Option<usize>| value.map_or(0, |value| entry_bytes(entry, value));
        self.grow(size(value.map(<[u8]>::len)), size(before));
        let written = self.states.entry(state).or_insert_with(|| UnkeyedWrite::Map(BTreeMap::new()));
        match written {
            UnkeyedWrite::Map(entries) => entries.insert(entry.to_vec(), value.map(<[u8]>::to_vec)),
            UnkeyedWrite::List(_) => unreachable!("a state has one kind, checked by its handle"),
        };
    }

    pub(super) fn into_writes(self) -> impl Iterator<Item = (StateId, UnkeyedWrite)> {
        self.states.into_iter()
    }

    fn grow(&mut self, to: u64, from: u64) {
        let (to, from) = (i64::try_from(to).unwrap_or(i64::MAX), i64::try_from(from).unwrap_or(i64::MAX));
        self.growth = self.growth.saturating_add(to.saturating_sub(from));
    }
}
