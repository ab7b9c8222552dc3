//! Map states: one record an entry, under its key and the entry's key.
//!
//! The entries of one map are kept in order beside the log, so that a scan costs what it returns. A removed entry
//! leaves a tombstone; a map that is replaced or cleared leaves one mark that hides all that older files hold of it.
//! Neither is left where no older file can hold anything.

use std::collections::BTreeMap;
use std::ops::Bound;

use weir_operator::keyed_state::{Entries, EntryRange, MapWrite};

use super::heads::Heads;
use super::log::{Log, Part, Position};
use super::record::{Flags, Parts};

/// Where each entry of one map is, in the order of the entries' keys.
type Map = BTreeMap<Box<[u8]>, u32>;

/// One map state.
#[derive(Debug)]
pub(super) struct Maps {
    state: u16,
    /// No map is empty.
    heads: Heads<Map>,
    entries: u64,
}

impl Maps {
    /// No map; records are written for `state`.
    pub(super) fn new(state: u16) -> Self {
        Self { state, heads: Heads::default(), entries: 0 }
    }

    /// The value of one entry.
    pub(super) fn entry<'a>(&self, log: &'a Log, hash: u64, key: &[u8], entry: &[u8]) -> Option<&'a [u8]> {
        let &at = self.heads.get(hash, key)?.get(entry)?;
        Some(log.record(Position(at)).value())
    }

    /// Appends entries of a key's map, in order.
    pub(super) fn scan(&self, log: &Log, hash: u64, key: &[u8], range: EntryRange<'_>, into: &mut Entries) {
        into.more = false;
        let start = range.start.unwrap_or_default();
        if range.end.is_some_and(|end| end <= start) {
            return;
        }
        let Some(map) = self.heads.get(hash, key) else { return };
        let bounds = (Bound::Included(start), range.end.map_or(Bound::Unbounded, Bound::Excluded));
        for (count, (entry, &at)) in map.range::<[u8], _>(bounds).enumerate() {
            if count == range.limit {
                into.more = true;
                return;
            }
            into.entries.push(entry);
            into.values.push(log.record(Position(at)).value());
        }
    }

    /// Makes a call's write to one key visible.
    pub(super) fn store(&mut self, log: &mut Log, hash: u64, key: &[u8], write: &MapWrite) {
        if write.replaced {
            self.clear(log, hash, key);
        }
        let number = self.heads.find_or_insert(hash, key);
        let map = self.heads.content_mut(number);
        let before = map.len();
        for (entry, value) in &write.entries {
            match value {
                Some(value) => put(log, map, Parts { flags: Flags::FRESH, state: self.state, key, entry, value }),
                None => {
                    let flags = Flags::TOMBSTONE;
                    remove(log, map, &Parts { flags, state: self.state, key, entry, value: &[] });
                }
            }
        }
        self.entries = self.entries + map.len() as u64 - before as u64;
        if map.is_empty() {
            self.heads.remove(hash, number);
        }
    }

    fn clear(&mut self, log: &mut Log, hash: u64, key: &[u8]) {
        let Some(number) = self.heads.find(hash, key) else { return };
        let map = std::mem::take(self.heads.content_mut(number));
        self.heads.remove(hash, number);
        self.entries -= map.len() as u64;
        if map.values().any(|&at| !log.is_fresh(Position(at))) {
            log.append(Part::Open, &Parts { flags: Flags::CLEAR, state: self.state, key, entry: &[], value: &[] });
        }
        for at in map.into_values() {
            log.supersede(Position(at));
        }
    }

    /// Whether the map holds this record.
    pub(super) fn is_live(&self, hash: u64, key: &[u8], entry: &[u8], at: Position) -> bool {
        self.heads.get(hash, key).and_then(|map| map.get(entry)) == Some(&at.0)
    }

    /// Points the map to where an entry was moved.
    pub(super) fn repoint(&mut self, hash: u64, key: &[u8], entry: &[u8], new: Position) {
        if let Some(at) = self.heads.get_mut(hash, key).and_then(|map| map.get_mut(entry)) {
            *at = new.0;
        }
    }

    /// Takes in an entry of a checkpoint file; it is not there yet.
    pub(super) fn restore(&mut self, log: &mut Log, hash: u64, key: &[u8], entry: &[u8], value: &[u8]) {
        let at = log.append(Part::Clean, &Parts { flags: Flags::PUT, state: self.state, key, entry, value });
        let number = self.heads.find_or_insert(hash, key);
        self.heads.content_mut(number).insert(entry.into(), at.0);
        self.entries += 1;
    }

    /// Roughly the bytes held beside the log.
    pub(super) fn bytes(&self) -> u64 {
        self.heads.bytes() + self.entries * ENTRY_BYTES
    }
}

/// Roughly what a resident entry costs: its place in the tree, its key and the allocator's share.
pub(super) const ENTRY_BYTES: u64 = 64;

/// Puts an entry of an ordered map whose records are its values.
pub(super) fn put(log: &mut Log, map: &mut Map, mut parts: Parts<'_>) {
    let Some(at) = map.get_mut(parts.entry) else {
        map.insert(parts.entry.into(), log.append(Part::Open, &parts).0);
        return;
    };
    let old = Position(*at);
    if !log.overwrite(old, parts.value) {
        parts.flags = if log.is_fresh(old) { Flags::FRESH } else { Flags::PUT };
        *at = log.append(Part::Open, &parts).0;
        log.supersede(old);
    }
}

/// Removes an entry, leaving `tombstone` if a file may hold it.
fn remove(log: &mut Log, map: &mut Map, tombstone: &Parts<'_>) {
    if let Some(at) = map.remove(tombstone.entry) {
        if !log.is_fresh(Position(at)) {
            log.append(Part::Open, tombstone);
        }
        log.supersede(Position(at));
    }
}
