//! One value per key.

use super::{Abilities, ENTRY_BYTES, READ_AT_ONCE, ValueState, Violation};
use crate::abilities::{column, same_length};
use crate::batch::OptionalColumn;
use crate::keyed_state::{KeyedState, Read, StateId, Writes};

impl Abilities {
    /// The value of one key.
    ///
    /// # Errors
    /// Without keyed state; a key out of bounds; state that cannot be read.
    pub fn get_value(&mut self, state: ValueState, key: u32) -> Result<Option<Vec<u8>>, Violation> {
        let read = self.load_some_as("value-state.get", state, &[key])?;
        Ok(read.get(0).map(<[u8]>::to_vec))
    }

    /// Writes, or clears, the value of one key.
    ///
    /// # Errors
    /// Without keyed state; a key out of bounds; too much written.
    pub fn set_value(&mut self, state: ValueState, key: u32, value: Option<&[u8]>) -> Result<(), Violation> {
        let ability = if value.is_some() { "value-state.set" } else { "value-state.clear" };
        self.in_keyed(ability)?;
        self.check_key(ability, key)?;
        self.charge_written(value.map_or(0, <[u8]>::len) + ENTRY_BYTES)?;
        let (_, writes) = self.keyed(ability)?;
        writes.value_writes_mut(state.0).set(key, value);
        Ok(())
    }

    /// The values of all keys of the batch: entry `i` belongs to key `i`.
    ///
    /// # Errors
    /// Without keyed state; state that cannot be read.
    pub fn load(&mut self, state: ValueState) -> Result<OptionalColumn, Violation> {
        self.in_keyed("value-state.load")?;
        let all = self.take_all_keys();
        let read = self.load_some_as("value-state.load", state, &all);
        self.all_keys = all;
        read
    }

    /// Replaces the values of all keys of the batch; a missing entry clears that key.
    ///
    /// # Errors
    /// Without keyed state; a malformed column; not one entry for each key; too much written.
    pub fn store(&mut self, state: ValueState, values: OptionalColumn) -> Result<(), Violation> {
        const ABILITY: &str = "value-state.store";
        self.in_keyed(ABILITY)?;
        column(ABILITY, "values", values.check())?;
        same_length(ABILITY, ("values", values.len()), ("the batch's keys", self.call.keys as usize))?;
        self.charge_written(values.bytes() + values.len() * ENTRY_BYTES)?;
        let (_, writes) = self.keyed(ABILITY)?;
        writes.value_writes_mut(state.0).set_all(values);
        Ok(())
    }

    /// The values of some keys: entry `i` belongs to `keys[i]`.
    ///
    /// # Errors
    /// Without keyed state; a key out of bounds; state that cannot be read.
    pub fn load_some(&mut self, state: ValueState, keys: &[u32]) -> Result<OptionalColumn, Violation> {
        self.load_some_as("value-state.load-some", state, keys)
    }

    /// Writes the values of some keys, in order; a missing one clears its key.
    ///
    /// # Errors
    /// Without keyed state; a malformed column; lengths that differ; a key out of bounds; too much written.
    pub fn store_some(&mut self, state: ValueState, keys: &[u32], values: &OptionalColumn) -> Result<(), Violation> {
        const ABILITY: &str = "value-state.store-some";
        self.in_keyed(ABILITY)?;
        column(ABILITY, "values", values.check())?;
        same_length(ABILITY, ("keys", keys.len()), ("values", values.len()))?;
        self.check_keys(ABILITY, keys)?;
        self.charge_written(values.bytes() + values.len() * ENTRY_BYTES)?;
        let (_, writes) = self.keyed(ABILITY)?;
        let writes = writes.value_writes_mut(state.0);
        keys.iter().zip(values.iter()).for_each(|(&key, value)| writes.set(key, value));
        Ok(())
    }

    fn load_some_as(&mut self, ability: &str, state: ValueState, keys: &[u32]) -> Result<OptionalColumn, Violation> {
        self.in_keyed(ability)?;
        self.check_keys(ability, keys)?;
        self.bring(&Read::Values(state.0, Some(keys)))?;
        // Keys that stand once give back at most what is stored; one that stands often could give back anything.
        let at_once = if self.repeats(keys) { READ_AT_ONCE } else { keys.len().max(1) };
        let mut read = OptionalColumn::default();
        for keys in keys.chunks(at_once) {
            let (committed, writes) = self.keyed(ability)?;
            read_values(committed, writes, state.0, keys, &mut read)?;
            self.check_read(ability, read.bytes())?;
        }
        Ok(read)
    }

    /// Whether a key stands more than once.
    fn repeats(&self, keys: &[u32]) -> bool {
        if keys.windows(2).all(|pair| pair[0] < pair[1]) {
            return false;
        }
        let mut seen = vec![false; self.call.keys as usize];
        keys.iter().any(|key| std::mem::replace(&mut seen[*key as usize], true))
    }

    /// `0 .. n` for the `n` keys of the batch; to be put back.
    fn take_all_keys(&mut self) -> Vec<u32> {
        let mut all = std::mem::take(&mut self.all_keys);
        let held = u32::try_from(all.len()).expect("at most as many as a batch has keys");
        all.extend(held..self.call.keys);
        all.truncate(self.call.keys as usize);
        all
    }
}

/// Appends what is committed, under what the call wrote.
fn read_values(
    committed: &mut dyn KeyedState,
    writes: &Writes,
    state: StateId,
    keys: &[u32],
    read: &mut OptionalColumn,
) -> Result<(), Violation> {
    let Some(written) = writes.value_writes(state) else {
        return Ok(committed.values(state, keys, read)?);
    };
    let untouched: Vec<u32> = keys.iter().copied().filter(|key| written.get(*key).is_none()).collect();
    let mut below = OptionalColumn::default();
    committed.values(state, &untouched, &mut below)?;
    let mut below = below.iter();
    for &key in keys {
        match written.get(key) {
            Some(value) => read.push(value),
            None => read.push(below.next().expect("one value was read for each key that was not written")),
        }
    }
    Ok(())
}
