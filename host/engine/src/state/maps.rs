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
use super::selection::Selection;
use super::stamp::{Life, Seen, join, split};

/// Where each entry of one map is, in the order of the entries' keys.
type Map = BTreeMap<Box<[u8]>, u32>;

/// One map state.
#[derive(Debug)]
pub(super) struct Maps {
    state: u16,
    /// How long entries live; then each is stored behind its stamp.
    life: Option<Life>,
    /// Keys and entries that were read, and are to be refreshed.
    pub(super) seen: Seen<(u32, Box<[u8]>)>,
    scratch: Vec<u8>,
    /// No map is empty.
    heads: Heads<Map>,
    entries: u64,
}

impl Maps {
    /// No map; records are written for `state`.
    pub(super) fn new(state: u16, life: Option<Life>) -> Self {
        Self { state, life, seen: Seen::default(), scratch: Vec::new(), heads: Heads::default(), entries: 0 }
    }

    /// How long entries live.
    pub(super) const fn life(&self) -> Option<Life> {
        self.life
    }

    /// The value of one entry.
    pub(super) fn entry<'a>(
        &mut self,
        log: &'a Log,
        selection: &Selection,
        key: u32,
        entry: &[u8],
    ) -> Option<&'a [u8]> {
        let &at = self.heads.get(selection.hash(key), selection.key(key))?.get(entry)?;
        let record = log.record(Position(at));
        let Some(life) = self.life else { return Some(record.value()) };
        if life.is_refreshed(record.value(), selection.now()) {
            self.seen.note((key, entry.into()), record.size());
        }
        life.read(record.value(), selection.now())
    }

    /// Appends entries of a key's map, in order.
    pub(super) fn scan(
        &mut self,
        log: &Log,
        selection: &Selection,
        key: u32,
        range: EntryRange<'_>,
        into: &mut Entries,
    ) {
        into.more = false;
        let start = range.start.unwrap_or_default();
        if range.end.is_some_and(|end| end <= start) {
            return;
        }
        let Some(map) = self.heads.get(selection.hash(key), selection.key(key)) else { return };
        let bounds = (Bound::Included(start), range.end.map_or(Bound::Unbounded, Bound::Excluded));
        let mut count = 0;
        for (entry, &at) in map.range::<[u8], _>(bounds) {
            let record = log.record(Position(at));
            let value = match self.life {
                None => Some(record.value()),
                Some(life) => life.read(record.value(), selection.now()),
            };
            let Some(value) = value else { continue };
            if count == range.limit {
                into.more = true;
                return;
            }
            count += 1;
            into.entries.push(entry);
            into.values.push(value);
            if self.life.is_some_and(|life| life.is_refreshed(record.value(), selection.now())) {
                self.seen.note((key, entry.clone()), record.size());
            }
        }
    }

    /// Makes a call's write to one key visible.
    pub(super) fn store(&mut self, log: &mut Log, selection: &Selection, key: u32, write: &MapWrite) {
        let (hash, key) = (selection.hash(key), selection.key(key));
        if write.replaced {
            self.clear(log, hash, key);
        }
        let number = self.heads.find_or_insert(hash, key);
        let map = self.heads.content_mut(number);
        let before = map.len();
        for (entry, value) in &write.entries {
            match value {
                Some(value) => {
                    let value = match self.life {
                        None => value.as_slice(),
                        Some(_) => join(selection.now(), value, &mut self.scratch),
                    };
                    let at = put(log, map, Parts { flags: Flags::FRESH, state: self.state, key, entry, value });
                    if let Some(life) = self.life {
                        log.note_expiry(at, life.sweep_at(value));
                    }
                }
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

    /// Stamps what the call read, unless it wrote it.
    pub(super) fn refresh(&mut self, log: &mut Log, selection: &Selection) {
        let (seen, Some(life)) = (self.seen.take(), self.life) else { return };
        let now = selection.now();
        for (key, entry) in seen {
            let (hash, key) = (selection.hash(key), selection.key(key));
            let Some(map) = self.heads.get_mut(hash, key) else { continue };
            let Some(&at) = map.get(&entry) else { continue };
            let stored = log.record(Position(at)).value();
            if life.is_refreshed(stored, now) {
                let value = join(now, split(stored).1, &mut self.scratch);
                let at = put(log, map, Parts { flags: Flags::FRESH, state: self.state, key, entry: &entry, value });
                log.note_expiry(at, life.sweep_at(value));
            }
        }
    }

    /// Drops an expired entry, if this is its record. Whether it was.
    pub(super) fn expire(&mut self, log: &mut Log, hash: u64, key: &[u8], entry: &[u8], at: Position) -> bool {
        let Some(number) = self.heads.find(hash, key) else { return false };
        let map = self.heads.content_mut(number);
        if map.get(entry) != Some(&at.0) {
            return false;
        }
        remove(log, map, &Parts { flags: Flags::TOMBSTONE, state: self.state, key, entry, value: &[] });
        self.entries -= 1;
        if map.is_empty() {
            self.heads.remove(hash, number);
        }
        true
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
    pub(super) fn restore(&mut self, log: &mut Log, part: Part, hash: u64, key: &[u8], entry: &[u8], stored: &[u8]) {
        let at = log.append(part, &Parts { flags: Flags::PUT, state: self.state, key, entry, value: stored });
        if let Some(life) = self.life {
            log.note_expiry(at, life.sweep_at(stored));
        }
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

/// Puts an entry of an ordered map whose records are its values. Where its record is.
fn put(log: &mut Log, map: &mut Map, mut parts: Parts<'_>) -> Position {
    let Some(at) = map.get_mut(parts.entry) else {
        let new = log.append(Part::Open, &parts);
        map.insert(parts.entry.into(), new.0);
        return new;
    };
    let old = Position(*at);
    if log.overwrite(old, parts.value) {
        return old;
    }
    parts.flags = if log.is_fresh(old) { Flags::FRESH } else { Flags::PUT };
    let new = log.append(Part::Open, &parts);
    *at = new.0;
    log.supersede(old);
    new
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
