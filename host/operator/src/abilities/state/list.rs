//! An append-only list per key.

use super::{Abilities, ENTRY_BYTES, ListState, Violation};
use crate::abilities::{column, same_length};
use crate::batch::BytesColumn;
use crate::keyed_state::{KeyedState, Read, StateId, Writes};

/// Lists of several keys, one after the other.
#[derive(
    Debug,
    Clone,
    Default,
    PartialEq,
    Eq,
    wasmtime::component::ComponentType,
    wasmtime::component::Lift,
    wasmtime::component::Lower,
)]
#[component(record)]
pub struct Lists {
    /// List `i` is `values[ends[i - 1] .. ends[i]]`.
    pub ends: Vec<u32>,
    /// The values of all.
    pub values: BytesColumn,
}

impl Abilities {
    /// The list of a key, oldest first.
    ///
    /// # Errors
    /// Without keyed state; a key out of bounds; state that cannot be read.
    pub fn get_list(&mut self, state: ListState, key: u32) -> Result<BytesColumn, Violation> {
        Ok(self.get_lists_as("list-state.get", state, &[key])?.values)
    }

    /// Appends a value to the list of a key.
    ///
    /// # Errors
    /// Without keyed state; a key out of bounds; too much written.
    pub fn append(&mut self, state: ListState, key: u32, value: &[u8]) -> Result<(), Violation> {
        const ABILITY: &str = "list-state.append";
        self.in_keyed(ABILITY)?;
        self.check_key(ABILITY, key)?;
        self.charge_written(value.len() + ENTRY_BYTES)?;
        let (_, writes) = self.keyed(ABILITY)?;
        writes.list_write_mut(state.0, key).appended.push(value);
        Ok(())
    }

    /// Replaces the list of a key; no values clears it.
    ///
    /// # Errors
    /// Without keyed state; a key out of bounds; a malformed column; too much written.
    pub fn set_list(&mut self, state: ListState, key: u32, values: BytesColumn) -> Result<(), Violation> {
        const ABILITY: &str = "list-state.set";
        self.in_keyed(ABILITY)?;
        self.check_key(ABILITY, key)?;
        column(ABILITY, "values", values.check())?;
        self.charge_written(values.data.len() + (values.len() + 1) * ENTRY_BYTES)?;
        let (_, writes) = self.keyed(ABILITY)?;
        let write = writes.list_write_mut(state.0, key);
        write.replaced = true;
        write.appended = values;
        Ok(())
    }

    /// Appends `values[i]` to the list of `keys[i]`.
    ///
    /// # Errors
    /// Without keyed state; a malformed column; lengths that differ; a key out of bounds; too much written.
    pub fn append_many(&mut self, state: ListState, keys: &[u32], values: &BytesColumn) -> Result<(), Violation> {
        const ABILITY: &str = "list-state.append-many";
        self.in_keyed(ABILITY)?;
        column(ABILITY, "values", values.check())?;
        same_length(ABILITY, ("keys", keys.len()), ("values", values.len()))?;
        self.check_keys(ABILITY, keys)?;
        self.charge_written(values.data.len() + values.len() * ENTRY_BYTES)?;
        let (_, writes) = self.keyed(ABILITY)?;
        let (lists, mut start) = (writes.list_writes_mut(state.0), 0);
        for same in keys.chunk_by(PartialEq::eq) {
            let end = start + same.len();
            lists.get_mut(same[0]).appended.extend_from(values, start..end);
            start = end;
        }
        Ok(())
    }

    /// The lists of several keys.
    ///
    /// # Errors
    /// Without keyed state; a key out of bounds; state that cannot be read.
    pub fn get_lists(&mut self, state: ListState, keys: &[u32]) -> Result<Lists, Violation> {
        self.get_lists_as("list-state.get-many", state, keys)
    }

    fn get_lists_as(&mut self, ability: &str, state: ListState, keys: &[u32]) -> Result<Lists, Violation> {
        self.in_keyed(ability)?;
        self.check_keys(ability, keys)?;
        self.bring(&Read::Lists(state.0, keys))?;
        let mut lists = Lists::default();
        for &key in keys {
            let (committed, writes) = self.keyed(ability)?;
            read_list(committed, writes, state.0, key, &mut lists.values)?;
            self.check_read(ability, lists.values.data.len() + lists.values.offsets.len() * 4)?;
            lists.ends.push(u32::try_from(lists.values.len()).expect("what is read is bounded far below 2^32 values"));
        }
        Ok(lists)
    }
}

/// What is committed, and behind it what the call appended.
fn read_list(
    committed: &mut dyn KeyedState,
    writes: &Writes,
    state: StateId,
    key: u32,
    into: &mut BytesColumn,
) -> Result<(), Violation> {
    let written = writes.list_write(state, key);
    if !written.is_some_and(|write| write.replaced) {
        committed.list(state, key, into)?;
    }
    if let Some(write) = written {
        write.appended.iter().for_each(|value| into.push(value));
    }
    Ok(())
}
