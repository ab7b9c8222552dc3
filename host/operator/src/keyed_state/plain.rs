//! Keyed state as plain maps: what tests and test tools use, and the model that a real backend is compared with.
//!
//! Guarantees what [`KeyedState`] asks for, in the simplest way. It cleans nothing up: what has
//! expired is only hidden. Does not own snapshots or any bound on its size.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::{
    Entries, EntryRange, KeyedState, ListWrite, MapWrite, StateError, StateId, StateWrites, ValueWrites, Writes,
};
use crate::batch::{BytesColumn, Keys, OptionalColumn};
use weir_protocol::description::{StateDescription, TtlDescription};
use weir_protocol::time::Timestamp;

type ByKey<T> = BTreeMap<(StateId, Vec<u8>), T>;

/// Keyed state in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlainState {
    selected: Vec<Vec<u8>>,
    now: Timestamp,
    lives: BTreeMap<StateId, TtlDescription>,
    values: ByKey<Stamped>,
    lists: ByKey<Vec<Stamped>>,
    maps: ByKey<BTreeMap<Vec<u8>, Stamped>>,
    /// What was read since the last `select`; a commit refreshes it.
    read: BTreeSet<Place>,
}

/// What is held, and when it was last written.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamped {
    at: Timestamp,
    bytes: Vec<u8>,
}

/// A value, a list, or an entry of a map.
type Place = (StateId, Vec<u8>, Option<Vec<u8>>);

impl PlainState {
    /// No state at all.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// No state yet, for the declared states whose index is their [`StateId`]; some have a time to live.
    #[must_use]
    pub fn of(states: &[StateDescription]) -> Self {
        let lives = (0..).map(StateId).zip(states).filter_map(|(id, state)| Some((id, state.ttl?)));
        Self { lives: lives.collect(), ..Self::default() }
    }

    /// The value of a key, expired or not.
    #[must_use]
    pub fn value_of(&self, state: StateId, key: &[u8]) -> Option<&[u8]> {
        self.values.get(&(state, key.to_vec())).map(|value| value.bytes.as_slice())
    }

    /// The list of a key, oldest first, expired or not.
    #[must_use]
    pub fn list_of(&self, state: StateId, key: &[u8]) -> Vec<&[u8]> {
        let list = self.lists.get(&(state, key.to_vec()));
        list.into_iter().flatten().map(|element| element.bytes.as_slice()).collect()
    }

    /// The map of a key, expired or not.
    #[must_use]
    pub fn map_of(&self, state: StateId, key: &[u8]) -> BTreeMap<&[u8], &[u8]> {
        let map = self.maps.get(&(state, key.to_vec()));
        map.into_iter().flatten().map(|(entry, value)| (entry.as_slice(), value.bytes.as_slice())).collect()
    }

    fn stamped(&self, bytes: &[u8]) -> Stamped {
        Stamped { at: self.now, bytes: bytes.to_vec() }
    }

    /// Whether a read may see it.
    fn shows(&self, state: StateId, held: &Stamped) -> bool {
        self.lives.get(&state).is_none_or(|life| life.shows(held.at, self.now))
    }

    /// Notes a read for the commit behind it.
    fn note_read(&mut self, state: StateId, key: u32, entry: Option<&[u8]>) {
        if self.lives.get(&state).is_some_and(|life| life.refresh_on_read) {
            let (state, key) = self.at(state, key);
            self.read.insert((state, key, entry.map(<[u8]>::to_vec)));
        }
    }

    /// Stamps what was read; what the call wrote bears this stamp already.
    fn refresh(&mut self) {
        for (state, key, entry) in std::mem::take(&mut self.read) {
            let life = self.lives[&state];
            let at = (state, key);
            let value = self.values.get_mut(&at).filter(|_| entry.is_none());
            let elements = self.lists.get_mut(&at).filter(|_| entry.is_none()).into_iter().flatten();
            let entry = entry.and_then(|entry| self.maps.get_mut(&at)?.get_mut(&entry));
            for held in value.into_iter().chain(elements).chain(entry) {
                if life.is_refreshed(held.at, self.now) {
                    held.at = self.now;
                }
            }
        }
    }

    fn at(&self, state: StateId, key: u32) -> (StateId, Vec<u8>) {
        (state, self.selected[key as usize].clone())
    }

    fn commit_values(&mut self, state: StateId, writes: &ValueWrites) {
        for (key, value) in writes.iter() {
            let at = self.at(state, key);
            match value {
                Some(value) => self.values.insert(at, self.stamped(value)),
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
            let appended: Vec<_> = write.appended.iter().map(|value| self.stamped(value)).collect();
            self.lists.entry(at).or_default().extend(appended);
        }
    }

    fn commit_map(&mut self, state: StateId, key: u32, write: &MapWrite) {
        let at = self.at(state, key);
        let mut map = self.maps.remove(&at).unwrap_or_default();
        if write.replaced {
            map.clear();
        }
        for (entry, value) in write.entries.iter() {
            match value {
                Some(value) => map.insert(entry.to_vec(), self.stamped(value)),
                None => map.remove(entry),
            };
        }
        if !map.is_empty() {
            self.maps.insert(at, map);
        }
    }
}

impl KeyedState for PlainState {
    fn select(&mut self, keys: &Keys, now: Timestamp) -> Result<(), StateError> {
        self.now = self.now.max(now);
        self.read.clear();
        self.selected = keys.distinct.iter().map(<[u8]>::to_vec).collect();
        Ok(())
    }

    fn values(&mut self, state: StateId, keys: &[u32], into: &mut OptionalColumn) -> Result<(), StateError> {
        for &key in keys {
            let value = self.values.get(&self.at(state, key)).filter(|value| self.shows(state, value));
            into.push(value.map(|value| value.bytes.as_slice()));
            self.note_read(state, key, None);
        }
        Ok(())
    }

    fn list(&mut self, state: StateId, key: u32, into: &mut BytesColumn) -> Result<(), StateError> {
        let list = self.lists.get(&self.at(state, key));
        let shown = list.into_iter().flatten().filter(|value| self.shows(state, value));
        shown.for_each(|value| into.push(&value.bytes));
        self.note_read(state, key, None);
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
            let value = map.and_then(|map| map.get(entry)).filter(|value| self.shows(state, value));
            into.push(value.map(|value| value.bytes.as_slice()));
            self.note_read(state, key, Some(entry));
        }
        Ok(())
    }

    fn scan(&mut self, state: StateId, key: u32, range: EntryRange<'_>, into: &mut Entries) -> Result<(), StateError> {
        into.more = false;
        let before = into.entries.len();
        let empty = range.start.zip(range.end).is_some_and(|(start, end)| start >= end);
        let Some(map) = self.maps.get(&self.at(state, key)).filter(|_| !empty) else { return Ok(()) };
        let start = range.start.map_or(Bound::Unbounded, Bound::Included);
        let end = range.end.map_or(Bound::Unbounded, Bound::Excluded);
        let mut found = map.range::<[u8], _>((start, end)).filter(|(_, value)| self.shows(state, value));
        for (entry, value) in found.by_ref().take(range.limit) {
            into.entries.push(entry);
            into.values.push(&value.bytes);
        }
        into.more = found.next().is_some();
        into.entries.iter().skip(before).for_each(|entry| self.note_read(state, key, Some(entry)));
        Ok(())
    }

    fn commit(&mut self, writes: &Writes) -> Result<(), StateError> {
        for (state, writes) in writes.iter() {
            match writes {
                StateWrites::Values(writes) => self.commit_values(state, writes),
                StateWrites::Lists(lists) => lists.iter().for_each(|(key, write)| self.commit_list(state, key, write)),
                StateWrites::Maps(maps) => maps.iter().for_each(|(key, write)| self.commit_map(state, key, write)),
            }
        }
        self.refresh();
        Ok(())
    }
}
