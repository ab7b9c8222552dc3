//! An ordered map that is the same on every subtask.

use super::map::{PAGE_ENTRIES_MAX, merge};
use super::{Abilities, BroadcastState, ENTRY_BYTES, Violation};
use crate::keyed_state::{Entries, EntryRange};

impl Abilities {
    /// The value of one entry.
    ///
    /// # Errors
    /// Before `open`; more than an instance may have.
    pub fn get_broadcast(&mut self, state: BroadcastState, entry: &[u8]) -> Result<Option<Vec<u8>>, Violation> {
        const ABILITY: &str = "broadcast-state.get";
        self.once_open(ABILITY)?;
        let written = self.call.effects.unkeyed.map(state.0).and_then(|entries| entries.get(entry));
        let value = match written {
            Some(written) => written.as_deref(),
            None => self.call.unkeyed.entry(state.0, entry).map(AsRef::as_ref),
        };
        self.check_read(ABILITY, value.map_or(0, <[u8]>::len))?;
        Ok(value.map(<[u8]>::to_vec))
    }

    /// Writes, or removes, one entry.
    ///
    /// # Errors
    /// Anywhere but while a batch of a broadcast input is processed; too much written, or held.
    pub fn put_broadcast(
        &mut self,
        state: BroadcastState,
        entry: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), Violation> {
        let ability = if value.is_some() { "broadcast-state.put" } else { "broadcast-state.remove" };
        self.in_broadcast(ability)?;
        self.charge_written(entry.len() + value.map_or(0, <[u8]>::len) + ENTRY_BYTES)?;
        self.call.effects.unkeyed.put_entry(state.0, entry, value, &self.call.unkeyed);
        self.check_held(ability)
    }

    /// Entries in order, at most 4,096 at once.
    ///
    /// # Errors
    /// Before `open`; more than an instance may have.
    pub fn scan_broadcast(&mut self, state: BroadcastState, range: EntryRange<'_>) -> Result<Entries, Violation> {
        const ABILITY: &str = "broadcast-state.scan";
        self.once_open(ABILITY)?;
        let range = EntryRange { limit: range.limit.min(PAGE_ENTRIES_MAX), ..range };
        let mut page = Entries::default();
        match self.call.effects.unkeyed.map(state.0) {
            None => self.call.unkeyed.scan(state.0, range, &mut page),
            Some(written) => {
                let removed = written.values().filter(|value| value.is_none()).count();
                let mut below = Entries::default();
                // At most `removed` of what is committed is hidden: enough for the page and one entry behind it.
                let enough = EntryRange { limit: range.limit + removed + 1, ..range };
                self.call.unkeyed.scan(state.0, enough, &mut below);
                let written = written.iter().map(|(entry, value)| (entry.as_slice(), value.as_deref()));
                page = merge(written, &below, range);
            }
        }
        self.check_read(ABILITY, page.entries.data.len() + page.values.data.len())?;
        Ok(page)
    }
}
