//! What one call wrote to keyed state, staged.
//!
//! Receives the writes of a call in order; guarantees that each key's (or entry's) last write is the one that stays,
//! and that the call's own reads can see it through the lookups here. Does not own reading what is committed. Key
//! indices were checked by whoever calls.

use std::collections::BTreeMap;

use smallvec::SmallVec;

use crate::batch::{BytesColumn, OptionalColumn};

use super::StateId;
use super::entry_writes::EntryWrites;
use super::key_writes::KeyWrites;

/// Everything that one call wrote, by state. No order exists between states.
#[derive(Debug, Default)]
pub struct Writes {
    states: BTreeMap<StateId, StateWrites>,
}

/// What one call wrote to one state.
#[derive(Debug)]
pub enum StateWrites {
    /// To a value state.
    Values(ValueWrites),
    /// To a list state.
    Lists(KeyWrites<ListWrite>),
    /// To a map state.
    Maps(KeyWrites<MapWrite>),
}

/// What one call wrote to a value state.
#[derive(Debug, Default)]
pub struct ValueWrites {
    /// The last write to all keys at once; entry `i` belongs to key `i`.
    whole: Option<OptionalColumn>,
    /// By key index: what was written after `whole`. 0: nothing; 1: cleared; else 2 + the index into `values`.
    slots: Vec<u32>,
    /// What `slots` point to.
    values: BytesColumn,
}

/// What one call wrote to the list of one key.
#[derive(Debug, Default)]
pub struct ListWrite {
    /// Whether what was committed before is gone.
    pub replaced: bool,
    /// What was appended (after it was gone, where it is).
    pub appended: BytesColumn,
}

/// What one call wrote to the map of one key.
#[derive(Debug, Default)]
pub struct MapWrite {
    /// Whether what was committed before is gone.
    pub replaced: bool,
    /// Entries written after that; `None`: removed.
    pub entries: EntryWrites,
}

/// Bytes that lie in place where they are few.
pub type Inline = SmallVec<[u8; 16]>;

impl MapWrite {
    /// Writes an entry; `None` removes it.
    pub fn write(&mut self, entry: &[u8], value: Option<&[u8]>) {
        self.entries.write(entry, value);
    }
}

impl Writes {
    /// Whether the call wrote nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    /// The states that were written to, in the order of their declaration.
    pub fn iter(&self) -> impl Iterator<Item = (StateId, &StateWrites)> {
        self.states.iter().map(|(state, writes)| (*state, writes))
    }

    /// What was written to a value state.
    #[must_use]
    pub fn value_writes(&self, state: StateId) -> Option<&ValueWrites> {
        match self.states.get(&state) {
            Some(StateWrites::Values(writes)) => Some(writes),
            _ => None,
        }
    }

    /// What was written to a key's list.
    #[must_use]
    pub fn list_write(&self, state: StateId, key: u32) -> Option<&ListWrite> {
        match self.states.get(&state) {
            Some(StateWrites::Lists(writes)) => writes.get(key),
            _ => None,
        }
    }

    /// What was written to a key's map.
    #[must_use]
    pub fn map_write(&self, state: StateId, key: u32) -> Option<&MapWrite> {
        match self.states.get(&state) {
            Some(StateWrites::Maps(writes)) => writes.get(key),
            _ => None,
        }
    }

    /// For writing to a value state. A state has one kind for good, which callers have checked.
    pub fn value_writes_mut(&mut self, state: StateId) -> &mut ValueWrites {
        match self.states.entry(state).or_insert_with(|| StateWrites::Values(ValueWrites::default())) {
            StateWrites::Values(writes) => writes,
            StateWrites::Lists(_) | StateWrites::Maps(_) => unreachable!("a state has one kind, checked by its handle"),
        }
    }

    /// For writing to a list state.
    pub fn list_writes_mut(&mut self, state: StateId) -> &mut KeyWrites<ListWrite> {
        match self.states.entry(state).or_insert_with(|| StateWrites::Lists(KeyWrites::default())) {
            StateWrites::Lists(writes) => writes,
            StateWrites::Values(_) | StateWrites::Maps(_) => {
                unreachable!("a state has one kind, checked by its handle")
            }
        }
    }

    /// For writing to a map state.
    pub fn map_writes_mut(&mut self, state: StateId) -> &mut KeyWrites<MapWrite> {
        match self.states.entry(state).or_insert_with(|| StateWrites::Maps(KeyWrites::default())) {
            StateWrites::Maps(writes) => writes,
            StateWrites::Values(_) | StateWrites::Lists(_) => {
                unreachable!("a state has one kind, checked by its handle")
            }
        }
    }

    /// For writing to a key's list.
    pub fn list_write_mut(&mut self, state: StateId, key: u32) -> &mut ListWrite {
        self.list_writes_mut(state).get_mut(key)
    }

    /// For writing to a key's map.
    pub fn map_write_mut(&mut self, state: StateId, key: u32) -> &mut MapWrite {
        self.map_writes_mut(state).get_mut(key)
    }
}

impl ValueWrites {
    /// What was written for a key: `None`: nothing; `Some(None)`: it was cleared.
    #[must_use]
    #[inline]
    pub fn get(&self, key: u32) -> Option<Option<&[u8]>> {
        match self.slots.get(key as usize).copied().unwrap_or(0) {
            0 => self.whole.as_ref().map(|whole| whole.get(key as usize)),
            1 => Some(None),
            slot => Some(Some(self.values.get(slot as usize - 2))),
        }
    }

    /// Writes, or clears, the value of one key.
    pub fn set(&mut self, key: u32, value: Option<&[u8]>) {
        let key = key as usize;
        if key >= self.slots.len() {
            self.slots.resize(key + 1, 0);
        }
        self.slots[key] = match value {
            None => 1,
            Some(value) => {
                self.values.push(value);
                u32::try_from(self.values.len() + 1).expect("a call's writes are bounded far below 2^32")
            }
        };
    }

    /// Writes the values of all keys of the batch; `values` has one for each. Forgets what was written before.
    pub fn set_all(&mut self, values: OptionalColumn) {
        self.slots.clear();
        self.values.clear();
        self.whole = Some(values);
    }

    /// Each key that was written, once, in order, with its last value; `None`: cleared.
    pub fn iter(&self) -> impl Iterator<Item = (u32, Option<&[u8]>)> {
        let keys = self.whole.as_ref().map_or(0, OptionalColumn::len).max(self.slots.len());
        let keys = u32::try_from(keys).expect("key indices are 32 bits");
        (0..keys).filter_map(|key| self.get(key).map(|value| (key, value)))
    }
}
