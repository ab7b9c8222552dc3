//! Keyed state as plain maps: what tests and test tools use, and the model that a real backend is compared with.
//!
//! Guarantees what [`KeyedState`] asks for, in the simplest way. Does not own time to live, snapshots or any bound on
//! its size.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::{
    Entries, EntryRange, KeyedState, ListWrite, MapWrite, StateError, StateId, StateWrites, ValueWrites, Writes,
};
use crate::batch::{BytesColumn, Keys, OptionalColumn};

type ByKey<T> = BTreeMap<(StateId, Vec<u8>), T>;

/// Keyed state in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlainState {
    selected: Vec<Vec<u8>>,
    values: ByKey<Vec<u8>>,
    lists: ByKey<Vec<Vec<u8>>>,
    maps: ByKey<BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl PlainState {
    /// No state at all.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of a key.
    #[must_use]
    pub fn value_of(&self, state: StateId, key: &[u8]) -> Option<&[u8]> {
        self.values.get(&(state, key.to_vec())).map(Vec::as_slice)
    }

    /// The list of a key, oldest first.
    #[must_use]
    pub fn list_of(&self, state: StateId, key: &[u8]) -> &[Vec<u8>] {
        self.lists.get(&(state, key.to_vec())).map_or(&[], Vec::as_slice)
    }

    /// The map of a key.
    #[must_use]
    pub fn map_of(&self, state: StateId, key: &[u8]) -> Option<&BTreeMap<Vec<u8>, Vec<u8>>> {
        self.maps.get(&(state, key.to_vec()))
    }

    fn at(&self, state: StateId, key: u32) -> (StateId, Vec<u8>) {
        (state, self.selected[key as usize].clone())
    }

    fn commit_values(&mut self, state: StateId, writes: &ValueWrites) {
        for (key, value) in writes.iter() {
            let at = self.at(state, key);
            match value {
                Some(value) => self.values.insert(at, value.to_vec()),
                None => self.values.remove(&at),
            };
        }
    }

    fn commit_list(&mut self, state: StateId, key: u32, write: &ListWrite) {
        let at = self.at(state, key);
        if write.replaced {
            self.lists.remove(&at);
        }
        if !write.appended.is_empty() {
            self.lists.entry(at).or_default().extend(write.appended.iter().map(<[u8]>::to_vec));
        }
    }

    fn commit_map(&mut self, state: StateId, key: u32, write: &MapWrite) {
        let at = self.at(state, key);
        let mut map = self.maps.remove(&at).unwrap_or_default();
        if write.replaced {
            map.clear();
        }
        for (entry, value) in &write.entries {
            match value {
                Some(value) => map.insert(entry.clone(), value.clone()),
                None => map.remove(entry),
            };
        }
        if !map.is_empty() {
            self.maps.insert(at, map);
        }
    }
}

impl KeyedState for PlainState {
    fn select(&mut self, keys: &Keys) -> Result<(), StateError> {
        self.selected = keys.distinct.iter().map(<[u8]>::to_vec).collect();
        Ok(())
    }

    fn values(&mut self, state: StateId, keys: &[u32], into: &mut OptionalColumn) -> Result<(), StateError> {
        for &key in keys {
            into.push(self.values.get(&self.at(state, key)).map(Vec::as_slice));
        }
        Ok(())
    }

    fn list(&mut self, state: StateId, key: u32, into: &mut BytesColumn) -> Result<(), StateError> {
        let list = self.lists.get(&self.at(state, key));
        list.into_iter().flatten().for_each(|value| into.push(value));
        Ok(())
    }

    fn entries(
        &mut self,
        state: StateId,
        keys: &[u32],
        entries: &BytesColumn,
        into: &mut OptionalColumn,
    ) -> Result<(), StateError> {
        for (&key, entry) in keys.iter().zip(entries.iter()) {
            let map = self.maps.get(&self.at(state, key));
            into.push(map.and_then(|map| map.get(entry)).map(Vec::as_slice));
        }
        Ok(())
    }

    fn scan(&mut self, state: StateId, key: u32, range: EntryRange<'_>, into: &mut Entries) -> Result<(), StateError> {
        into.more = false;
        let empty = range.start.zip(range.end).is_some_and(|(start, end)| start >= end);
        let Some(map) = self.maps.get(&self.at(state, key)).filter(|_| !empty) else { return Ok(()) };
        let start = range.start.map_or(Bound::Unbounded, Bound::Included);
        let end = range.end.map_or(Bound::Unbounded, Bound::Excluded);
        let mut found = map.range::<[u8], _>((start, end));
        for (entry, value) in found.by_ref().take(range.limit) {
            into.entries.push(entry);
            into.values.push(value);
        }
        into.more = found.next().is_some();
        Ok(())
    }

    fn commit(&mut self, writes: &Writes) -> Result<(), StateError> {
        for (state, writes) in writes.iter() {
            match writes {
                StateWrites::Values(writes) => self.commit_values(state, writes),
                StateWrites::Lists(lists) => lists.iter().for_each(|(key, write)| self.commit_list(state, *key, write)),
                StateWrites::Maps(maps) => maps.iter().for_each(|(key, write)| self.commit_map(state, *key, write)),
            }
        }
        Ok(())
    }
}
