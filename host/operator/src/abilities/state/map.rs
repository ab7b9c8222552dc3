//! An ordered map per key.

use super::{Abilities, ENTRY_BYTES, MapState, READ_AT_ONCE, Violation};
use crate::abilities::{column, same_length};
use crate::batch::{BytesColumn, OptionalColumn};
use crate::keyed_state::{Entries, EntryRange, KeyedState, MapWrite, Read, StateId, Writes};

/// The most entries of one page, whatever the operator asks for; `more` then says that there are more.
pub(super) const PAGE_ENTRIES_MAX: usize = 4_096;

impl Abilities {
    /// The value of one entry.
    ///
    /// # Errors
    /// Without keyed state; a key out of bounds; state that cannot be read.
    pub fn get_entry(&mut self, state: MapState, key: u32, entry: &[u8]) -> Result<Option<Vec<u8>>, Violation> {
        let entries = BytesColumn::from_iter([entry]);
        let read = self.get_entries_as("map-state.get", state, &[key], &entries)?;
        Ok(read.get(0).map(<[u8]>::to_vec))
    }

    /// Writes, or removes, one entry.
    ///
    /// # Errors
    /// Without keyed state; a key out of bounds; too much written.
    pub fn put_entry(
        &mut self,
        state: MapState,
        key: u32,
        entry: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), Violation> {
        let ability = if value.is_some() { "map-state.put" } else { "map-state.remove" };
        self.in_keyed(ability)?;
        self.check_key(ability, key)?;
        self.charge_written(entry.len() + value.map_or(0, <[u8]>::len) + ENTRY_BYTES)?;
        let (_, writes) = self.keyed(ability)?;
        writes.map_write_mut(state.0, key).write(entry, value);
        Ok(())
    }

    /// Removes all entries of a key.
    ///
    /// # Errors
    /// Without keyed state; a key out of bounds; too much written.
    pub fn clear_map(&mut self, state: MapState, key: u32) -> Result<(), Violation> {
        const ABILITY: &str = "map-state.clear";
        self.in_keyed(ABILITY)?;
        self.check_key(ABILITY, key)?;
        self.charge_written(ENTRY_BYTES)?;
        let (_, writes) = self.keyed(ABILITY)?;
        let write = writes.map_write_mut(state.0, key);
        write.replaced = true;
        write.entries.clear();
        Ok(())
    }

    /// Whether a key has no entry.
    ///
    /// # Errors
    /// Without keyed state; a key out of bounds; state that cannot be read.
    pub fn is_map_empty(&mut self, state: MapState, key: u32) -> Result<bool, Violation> {
        const ABILITY: &str = "map-state.is-empty";
        let first = EntryRange { start: None, end: None, limit: 1 };
        self.in_keyed(ABILITY)?;
        self.check_key(ABILITY, key)?;
        if self.call.effects.writes.map_write(state.0, key).is_some() {
            return Ok(self.scan_as(ABILITY, state, key, first)?.entries.is_empty());
        }
        self.bring(&Read::Scan(state.0, key, first))?;
        Ok(self.keyed(ABILITY)?.0.is_empty(state.0, key)?)
    }

    /// Entries of a key in order, at most 4,096 at once.
    ///
    /// # Errors
    /// Without keyed state; a key out of bounds; state that cannot be read.
    pub fn scan(&mut self, state: MapState, key: u32, range: EntryRange<'_>) -> Result<Entries, Violation> {
        self.scan_as("map-state.scan", state, key, range)
    }

    /// Entry `entries[i]` of `keys[i]`.
    ///
    /// # Errors
    /// Without keyed state; a malformed column; lengths that differ; a key out of bounds; state that cannot be read.
    pub fn get_entries(
        &mut self,
        state: MapState,
        keys: &[u32],
        entries: &BytesColumn,
    ) -> Result<OptionalColumn, Violation> {
        self.get_entries_as("map-state.get-many", state, keys, entries)
    }

    /// Writes entry `entries[i]` of `keys[i]`, in order; a missing value removes it.
    ///
    /// # Errors
    /// Without keyed state; a malformed column; lengths that differ; a key out of bounds; too much written.
    pub fn put_entries(
        &mut self,
        state: MapState,
        keys: &[u32],
        entries: &BytesColumn,
        values: &OptionalColumn,
    ) -> Result<(), Violation> {
        const ABILITY: &str = "map-state.put-many";
        self.in_keyed(ABILITY)?;
        column(ABILITY, "entries", entries.check())?;
        column(ABILITY, "values", values.check())?;
        same_length(ABILITY, ("keys", keys.len()), ("entries", entries.len()))?;
        same_length(ABILITY, ("keys", keys.len()), ("values", values.len()))?;
        self.check_keys(ABILITY, keys)?;
        self.charge_written(entries.data.len() + values.bytes() + values.len() * ENTRY_BYTES)?;
        let (_, writes) = self.keyed(ABILITY)?;
        let (maps, mut written) = (writes.map_writes_mut(state.0), entries.iter().zip(values.iter()));
        for same in keys.chunk_by(PartialEq::eq) {
            let map = maps.get_mut(same[0]);
            map.entries.reserve(same.len());
            written.by_ref().take(same.len()).for_each(|(entry, value)| map.write(entry, value));
        }
        Ok(())
    }

    fn get_entries_as(
        &mut self,
        ability: &str,
        state: MapState,
        keys: &[u32],
        entries: &BytesColumn,
    ) -> Result<OptionalColumn, Violation> {
        self.in_keyed(ability)?;
        column(ability, "entries", entries.check())?;
        same_length(ability, ("keys", keys.len()), ("entries", entries.len()))?;
        self.check_keys(ability, keys)?;
        self.bring(&Read::Entries(state.0, keys, entries))?;
        let mut read = OptionalColumn::default();
        let mut first = 0;
        while first < keys.len() {
            let keys = &keys[first..first + read_at_once(&keys[first..])];
            let (committed, writes) = self.keyed(ability)?;
            if keys.len() == entries.len() {
                read_entries(committed, writes, state.0, keys, entries, &mut read)?;
            } else {
                let entries = (first..first + keys.len()).map(|index| entries.get(index)).collect();
                read_entries(committed, writes, state.0, keys, &entries, &mut read)?;
            }
            self.check_read(ability, read.bytes())?;
            first += keys.len();
        }
        Ok(read)
    }

    fn scan_as(
        &mut self,
        ability: &str,
        state: MapState,
        key: u32,
        range: EntryRange<'_>,
    ) -> Result<Entries, Violation> {
        self.in_keyed(ability)?;
        self.check_key(ability, key)?;
        let range = EntryRange { limit: range.limit.min(PAGE_ENTRIES_MAX), ..range };
        let below_range = self.range_below(state, key, range);
        if let Some(below_range) = below_range {
            self.bring(&Read::Scan(state.0, key, below_range))?;
        }
        let (committed, writes) = self.keyed(ability)?;
        let mut below = Entries::default();
        if let Some(below_range) = below_range {
            committed.scan(state.0, key, below_range, &mut below)?;
        }
        Ok(match writes.map_write(state.0, key) {
            Some(written) => merge(written.entries.iter(), &below, range),
            None => below,
        })
    }

    /// What a scan needs of what is committed; `None`: nothing, since the call has replaced the map.
    pub(crate) fn range_below<'a>(&self, state: MapState, key: u32, range: EntryRange<'a>) -> Option<EntryRange<'a>> {
        let range = EntryRange { limit: range.limit.min(PAGE_ENTRIES_MAX), ..range };
        let Some(written) = self.call.effects.writes.map_write(state.0, key) else { return Some(range) };
        // At most `removed` of what is committed is hidden: enough for the page and one entry behind it.
        let removed = written.entries.iter().filter(|(_, value)| value.is_none()).count();
        (!written.replaced).then_some(EntryRange { limit: range.limit + removed + 1, ..range })
    }
}

impl MapWrite {
    /// What the call wrote for an entry: `None`: nothing; `Some(None)`: it is gone.
    fn entry(&self, entry: &[u8]) -> Option<Option<&[u8]>> {
        match self.entries.get(entry) {
            Some(value) => Some(value),
            None if self.replaced => Some(None),
            None => None,
        }
    }
}

/// How many of these keys' entries are read before a look at how many bytes they have: keys that stand once give back at
/// most what is stored; one that stands often could give back anything.
fn read_at_once(keys: &[u32]) -> usize {
    let rising = keys.windows(2).take_while(|pair| pair[0] < pair[1]).count() + 1;
    rising.max(READ_AT_ONCE).min(keys.len())
}

fn written_entry<'a>(writes: &'a Writes, state: StateId, key: u32, entry: &[u8]) -> Option<Option<&'a [u8]>> {
    writes.map_write(state, key).and_then(|map| map.entry(entry))
}

/// Appends what is committed, under what the call wrote.
fn read_entries(
    committed: &mut dyn KeyedState,
    writes: &Writes,
    state: StateId,
    keys: &[u32],
    entries: &BytesColumn,
    read: &mut OptionalColumn,
) -> Result<(), Violation> {
    if keys.iter().all(|&key| writes.map_write(state, key).is_none()) {
        return Ok(committed.entries(state, keys, entries, read)?);
    }
    let mut untouched = (Vec::new(), BytesColumn::default());
    for (&key, entry) in keys.iter().zip(entries.iter()) {
        if written_entry(writes, state, key, entry).is_none() {
            untouched.0.push(key);
            untouched.1.push(entry);
        }
    }
    let mut below = OptionalColumn::default();
    committed.entries(state, &untouched.0, &untouched.1, &mut below)?;
    let mut below = below.iter();
    for (&key, entry) in keys.iter().zip(entries.iter()) {
        match written_entry(writes, state, key, entry) {
            Some(value) => read.push(value),
            None => read.push(below.next().expect("one value was read for each entry that was not written")),
        }
    }
    Ok(())
}

/// Two ordered runs of entries as one; where both have an entry, what the call wrote hides what is committed.
pub(super) fn merge<'a>(
    written: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
    below: &'a Entries,
    range: EntryRange<'_>,
) -> Entries {
    let mut page = Entries::default();
    let is_within =
        |entry: &[u8]| range.start.is_none_or(|start| entry >= start) && range.end.is_none_or(|end| entry < end);
    let mut above = written.filter(|(entry, _)| is_within(entry)).peekable();
    let mut below = below.entries.iter().zip(below.values.iter()).peekable();
    loop {
        let (entry, value) = match (above.peek(), below.peek()) {
            (None, None) => break,
            (Some((entry, _)), Some((other, _))) if entry > other => take_below(&mut below),
            (None, Some(_)) => take_below(&mut below),
            (Some(taken), other) => {
                let taken = *taken;
                if other.is_some_and(|(other, _)| *other == taken.0) {
                    below.next();
                }
                above.next();
                taken
            }
        };
        let Some(value) = value else { continue };
        if page.entries.len() == range.limit {
            page.more = true;
            break;
        }
        page.entries.push(entry);
        page.values.push(value);
    }
    page
}

fn take_below<'a>(below: &mut impl Iterator<Item = (&'a [u8], &'a [u8])>) -> (&'a [u8], Option<&'a [u8]>) {
    let (entry, value) = below.next().expect("it was seen by peeking");
    (entry, Some(value))
}
