//! Map states: one record an entry, under its key and the entry's key.
//!
//! Where the entries of one map are is kept beside the log ([`MapEntries`]), so that a scan reads no other. A removed entry
//! leaves a tombstone; a map that is replaced or cleared leaves one mark that hides all that older files hold of it.
//! Neither is left where no older file can hold anything. Where the base may hold something of a map, tombstones and mark
//! stay resident until the base has them.

use weir_operator::keyed_state::{Entries, EntryRange, MapWrite};

use super::below::{Below, Leaving};
use super::entries::MapEntries;
use super::heads::Heads;
use super::log::{Log, Part, Position};
use super::record::{Flags, Parts, Record};
use super::selection::Selection;
use super::size::size_of;
use super::stamp::{Life, Seen, join, split};

/// What is resident of a key's map.
#[derive(Debug)]
struct Map {
    /// Where each entry, or its tombstone, is.
    entries: MapEntries,
    below: Below,
}

/// One map state.
#[derive(Debug)]
pub(super) struct Maps {
    state: u16,
    /// How long entries live; then each is stored behind its stamp.
    life: Option<Life>,
    /// Keys and entries that were read, and are to be refreshed.
    pub(super) seen: Seen<(u32, Box<[u8]>)>,
    scratch: Vec<u8>,
    /// Numbers of heads that are about to be looked at.
    warmed: Vec<u32>,
    /// No map is empty, unless a mark stands in for its entries.
    heads: Heads<Map>,
    entry_bytes: u64,
}

impl Maps {
    /// No map; records are written for `state`.
    pub(super) fn new(state: u16, life: Option<Life>) -> Self {
        let (seen, scratch, warmed) = (Seen::default(), Vec::new(), Vec::new());
        Self { state, life, seen, scratch, warmed, heads: Heads::default(), entry_bytes: 0 }
    }

    /// How long entries live.
    pub(super) const fn life(&self) -> Option<Life> {
        self.life
    }

    /// Has what is about to be looked at for these keys fetched into the processor's caches.
    pub(super) fn warm(&mut self, log: &Log, selection: &Selection, keys: impl Iterator<Item = u32> + Clone) {
        self.heads.warm(keys.map(|key| selection.hash(key)), &mut self.warmed);
        log.warm(self.warmed_maps().map(|map| map.map_or(0, |map| map.entries.any())));
    }

    /// The same for these entries of theirs.
    pub(super) fn warm_entries<'a>(
        &mut self,
        log: &Log,
        selection: &Selection,
        entries: impl Iterator<Item = (u32, &'a [u8])> + Clone,
    ) {
        self.heads.warm(entries.clone().map(|(key, _)| selection.hash(key)), &mut self.warmed);
        std::hint::black_box(self.warmed_maps().flatten().map(|map| map.entries.any()).fold(0, u32::wrapping_add));
        let candidate =
            |(map, (_, entry)): (Option<&Map>, (u32, &[u8]))| map.map_or(0, |map| map.entries.candidate(entry));
        log.warm(self.warmed_maps().zip(entries).map(candidate));
    }

    fn warmed_maps(&self) -> impl Iterator<Item = Option<&Map>> {
        self.warmed.iter().map(|&number| (number != 0).then(|| self.heads.content(number)))
    }

    /// Whether so many of the batch's keys were read one by one that the rest is worth being [warmed](Self::warm).
    pub(super) fn is_read_one_by_one(&mut self, selection: &Selection) -> bool {
        self.heads.is_read_one_by_one(selection.batch())
    }

    /// The value of one entry.
    pub(super) fn entry<'a>(
        &mut self,
        log: &'a Log,
        selection: &Selection,
        key: u32,
        entry: &[u8],
    ) -> Option<&'a [u8]> {
        let at = self.heads.get(selection.hash(key), selection.key(key))?.entries.get(log, entry)?;
        let record = log.record(Position(at));
        if !record.flags().is_put() {
            return None;
        }
        let Some(life) = self.life else { return Some(record.value()) };
        if life.is_refreshed(record.value(), selection.now()) {
            self.seen.note((key, entry.into()), record.size());
        }
        life.read(record.value(), selection.now())
    }

    /// Whether a key's map has no entry. Looks at no more records than it must, unless they expire: then which one was
    /// read matters.
    pub(super) fn is_empty(&mut self, log: &Log, selection: &Selection, key: u32) -> bool {
        if self.life.is_some() {
            let mut first = Entries::default();
            self.scan(log, selection, key, EntryRange { start: None, end: None, limit: 1 }, &mut first);
            return first.entries.is_empty();
        }
        let map = self.heads.get(selection.hash(key), selection.key(key));
        !map.is_some_and(|map| map.entries.positions().any(|at| log.record(at).flags().is_put()))
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
        let mut count = 0;
        for (entry, at) in map.entries.range(log, start, range.end) {
            let record = log.record(at);
            let value = match self.life {
                _ if !record.flags().is_put() => None,
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
                self.seen.note((key, entry.into()), record.size());
            }
        }
    }

    /// Makes a call's write to one key visible.
    pub(super) fn store(&mut self, log: &mut Log, selection: &Selection, key: u32, write: &MapWrite) {
        let (hash, key) = (selection.hash(key), selection.key(key));
        if write.replaced {
            self.clear(log, hash, key);
        }
        let number = self.heads.find_or_insert(hash, key, || Map::unknown(log));
        let map = self.heads.content_mut(number);
        let before = map.entries.bytes();
        for (entry, value) in &write.entries {
            match value {
                Some(value) => {
                    let value = match self.life {
                        None => value.as_slice(),
                        Some(_) => join(selection.now(), value, &mut self.scratch),
                    };
                    let at = map.put(log, Parts { flags: Flags::FRESH, state: self.state, key, entry, value });
                    if let Some(life) = self.life {
                        log.note_expiry(at, life.sweep_at(value));
                    }
                }
                None => {
                    let flags = Flags::TOMBSTONE;
                    map.remove(log, &Parts { flags, state: self.state, key, entry, value: &[] });
                }
            }
        }
        self.entry_bytes = self.entry_bytes + map.entries.bytes() - before;
        self.drop_if_empty(hash, number);
    }

    /// Stamps what the call read, unless it wrote it.
    pub(super) fn refresh(&mut self, log: &mut Log, selection: &Selection) {
        let (seen, Some(life)) = (self.seen.take(), self.life) else { return };
        let now = selection.now();
        for (key, entry) in seen {
            let (hash, key) = (selection.hash(key), selection.key(key));
            let Some(map) = self.heads.get_mut(hash, key) else { continue };
            let Some(at) = map.entries.get(log, &entry) else { continue };
            let record = log.record(Position(at));
            if record.flags().is_put() && life.is_refreshed(record.value(), now) {
                let value = join(now, split(record.value()).1, &mut self.scratch);
                let at = map.put(log, Parts { flags: Flags::FRESH, state: self.state, key, entry: &entry, value });
                log.note_expiry(at, life.sweep_at(value));
            }
        }
    }

    /// Drops an expired entry, if this is its record. Whether it was.
    pub(super) fn expire(&mut self, log: &mut Log, hash: u64, key: &[u8], entry: &[u8], at: Position) -> bool {
        let Some(number) = self.heads.find(hash, key) else { return false };
        let map = self.heads.content_mut(number);
        if !map.entries.has(entry, at) {
            return false;
        }
        let before = map.entries.bytes();
        map.remove(log, &Parts { flags: Flags::TOMBSTONE, state: self.state, key, entry, value: &[] });
        self.entry_bytes = self.entry_bytes + map.entries.bytes() - before;
        self.drop_if_empty(hash, number);
        true
    }

    fn clear(&mut self, log: &mut Log, hash: u64, key: &[u8]) {
        let number = match self.heads.find(hash, key) {
            Some(number) => number,
            None if log.has_base() => self.heads.find_or_insert(hash, key, || Map::unknown(log)),
            None => return,
        };
        let map = self.heads.content_mut(number);
        let entries = std::mem::replace(&mut map.entries, MapEntries::new());
        self.entry_bytes -= entries.bytes();
        if map.below.is_hidden_by_none() || entries.positions().any(|at| !log.is_fresh(at)) {
            let mark = Parts { flags: Flags::CLEAR, state: self.state, key, entry: &[], value: &[] };
            let at = log.append(Part::Open, &mark);
            let old = std::mem::take(&mut map.below);
            if log.has_base() {
                log.hold(at);
                map.below = Below::cleared(at.0);
            }
            if old.cleared_at != 0 {
                log.supersede(Position(old.cleared_at));
            }
        }
        entries.positions().for_each(|at| log.supersede(at));
        self.drop_if_empty(hash, number);
    }

    fn drop_if_empty(&mut self, hash: u64, number: u32) {
        let map = self.heads.content(number);
        if map.entries.is_empty() && map.below.cleared_at == 0 {
            self.entry_bytes -= map.entries.bytes();
            self.heads.remove(hash, number);
        }
    }

    /// Whether the map holds this record, as an entry or as its mark.
    pub(super) fn is_live(&self, hash: u64, record: Record<'_>, at: Position) -> bool {
        let Some(map) = self.heads.get(hash, record.key()) else { return false };
        if record.flags().has(Flags::CLEAR) {
            map.below.cleared_at == at.0
        } else {
            map.entries.has(record.entry(), at)
        }
    }

    /// Points the map to where a live record was copied.
    pub(super) fn repoint(&mut self, hash: u64, record: Record<'_>, old: Position, new: Position) {
        let Some(map) = self.heads.get_mut(hash, record.key()) else { return };
        if record.flags().has(Flags::CLEAR) {
            map.below.cleared_at = new.0;
        } else {
            map.entries.repoint(record.entry(), old, new);
        }
    }

    /// A record is about to be handed to the base.
    pub(super) fn leave(&mut self, hash: u64, record: Record<'_>, at: Position) -> Leaving {
        if !self.is_live(hash, record, at) {
            return Leaving::Stays;
        }
        let map = self.heads.get_mut(hash, record.key()).expect("a live record's key has a head");
        map.below.leave(record.flags().has(Flags::CLEAR))
    }

    /// The base has what this record says: it need not be resident.
    pub(super) fn left(&mut self, log: &mut Log, hash: u64, key: &[u8], entry: &[u8], at: Position) {
        let Some(number) = self.heads.find(hash, key) else { return };
        let map = self.heads.content_mut(number);
        if map.below.cleared_at == at.0 {
            map.below.mark_left();
        } else if map.entries.has(entry, at) {
            let before = map.entries.bytes();
            map.entries.remove(log, entry);
            map.below.asks = true;
            self.entry_bytes = self.entry_bytes + map.entries.bytes() - before;
        } else {
            return;
        }
        log.leave(at);
        self.drop_if_empty(hash, number);
    }

    /// By how many bytes a call's write to one key makes what is held larger; what only the base holds is not seen.
    pub(super) fn growth(&self, log: &Log, selection: &Selection, key: u32, write: &MapWrite) -> i64 {
        let (hash, key) = (selection.hash(key), selection.key(key));
        let map = self.heads.get(hash, key);
        let counted = |at: Position| log.sizes().counted(log.record(at));
        let held: u64 = match map {
            Some(map) if write.replaced => map.entries.positions().map(counted).sum(),
            Some(map) => {
                let overwritten = write.entries.keys().filter_map(|entry| map.entries.get(log, entry));
                overwritten.map(|at| counted(Position(at))).sum()
            }
            None => 0,
        };
        let written = write.entries.iter().filter_map(|(entry, value)| Some((entry, value.as_ref()?)));
        let new: u64 = written.map(|(entry, value)| size_of(self.life, key, entry.len(), value.len())).sum();
        new.cast_signed() - held.cast_signed()
    }

    /// The entries of a key of which the base is not asked, in order.
    pub(super) fn resident(&self, log: &Log, hash: u64, key: &[u8]) -> Vec<Box<[u8]>> {
        let map = self.heads.get(hash, key);
        map.into_iter().flat_map(|map| map.entries.range(log, &[], None)).map(|(entry, _)| entry.into()).collect()
    }

    /// Which of these entries may be in the base only. Those of one key stand together.
    pub(super) fn missing<'a>(
        &self,
        log: &Log,
        selection: &Selection,
        entries: impl Iterator<Item = (u32, &'a [u8])>,
    ) -> Vec<(u32, &'a [u8])> {
        let mut found: Option<(u32, Option<&Map>)> = None;
        let is_missing = |&(key, entry): &(u32, &[u8])| {
            let map = match found {
                Some((other, map)) if other == key => map,
                _ => self.heads.get(selection.hash(key), selection.key(key)),
            };
            found = Some((key, map));
            map.map_or(log.has_base(), |map| map.below.asks && map.entries.get(log, entry).is_none())
        };
        entries.filter(is_missing).collect()
    }

    /// Whether some of a key's map may be in the base only; and how many of its entries' tombstones are resident.
    pub(super) fn is_missing(&self, log: &Log, selection: &Selection, key: u32) -> Option<usize> {
        let Some(map) = self.heads.get(selection.hash(key), selection.key(key)) else {
            return log.has_base().then_some(0);
        };
        let is_tombstone = |at: &Position| !log.record(*at).flags().is_put();
        map.below.asks.then(|| map.entries.positions().filter(is_tombstone).count())
    }

    /// Takes in an entry as the base holds it, unless something newer is resident.
    pub(super) fn supply(&mut self, log: &mut Log, hash: u64, key: &[u8], entry: &[u8], stored: &[u8]) {
        let number = self.heads.find_or_insert(hash, key, || Map::unknown(log));
        if self.heads.content(number).entries.get(log, entry).is_some() {
            return;
        }
        let at = log.append_from_base(self.state, key, entry, stored);
        self.take_in(log, number, entry, stored, at);
    }

    /// All that the base holds of a key's map was taken in.
    pub(super) fn supplied_whole(&mut self, hash: u64, key: &[u8]) {
        if let Some(map) = self.heads.get_mut(hash, key) {
            map.below.asks = false;
        }
    }

    /// Takes in an entry of a checkpoint file; it is not there yet.
    pub(super) fn restore(&mut self, log: &mut Log, part: Part, hash: u64, key: &[u8], entry: &[u8], stored: &[u8]) {
        let at = log.append(part, &Parts { flags: Flags::PUT, state: self.state, key, entry, value: stored });
        let number = self.heads.find_or_insert(hash, key, || Map::unknown(log));
        self.take_in(log, number, entry, stored, at);
    }

    /// Adds an entry, whose record is in the log, to the map with this number.
    fn take_in(&mut self, log: &mut Log, number: u32, entry: &[u8], stored: &[u8], at: Position) {
        if let Some(life) = self.life {
            log.note_expiry(at, life.sweep_at(stored));
        }
        let map = self.heads.content_mut(number);
        let before = map.entries.bytes();
        map.entries.insert(log, entry, at);
        self.entry_bytes = self.entry_bytes + map.entries.bytes() - before;
    }

    /// Roughly the bytes held beside the log.
    pub(super) fn bytes(&self) -> u64 {
        self.heads.bytes() + self.entry_bytes
    }
}

impl Map {
    fn unknown(log: &Log) -> Self {
        Self { entries: MapEntries::new(), below: Below::unknown(log) }
    }

    /// Puts an entry. Where its record is.
    fn put(&mut self, log: &mut Log, mut parts: Parts<'_>) -> Position {
        let Some(at) = self.entries.get_mut(log, parts.entry) else {
            if self.below.is_hidden_by_none() {
                parts.flags = Flags::PUT;
            }
            let new = log.append(Part::Open, &parts);
            self.entries.insert(log, parts.entry, new);
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

    /// Removes an entry, leaving `tombstone` where a file or the base may hold it.
    fn remove(&mut self, log: &mut Log, tombstone: &Parts<'_>) {
        let old = self.entries.get(log, tombstone.entry).map(Position);
        if old.is_some_and(|old| !log.record(old).flags().is_put()) {
            return;
        }
        if old.is_some() {
            self.entries.remove(log, tombstone.entry);
        }
        let is_known = old.map_or(!self.below.asks, |old| log.is_fresh(old));
        if !is_known {
            let at = log.append(Part::Open, tombstone);
            if self.below.is_hidden_by_none() {
                log.hold(at);
                self.entries.insert(log, tombstone.entry, at);
            }
        }
        old.into_iter().for_each(|old| log.supersede(old));
    }
}
