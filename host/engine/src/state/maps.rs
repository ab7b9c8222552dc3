//! Map states: a record for each entry, under its key and the entry's key, or one for all of a small map.
//!
//! Where the entries of one map are is kept beside the log ([`Map`]), so that a scan reads no other. A removed entry
//! leaves a tombstone; a map that is replaced or cleared leaves one mark that hides all that older files hold of it.
//! Neither is left where no older file can hold anything. Where the base may hold something of a map, tombstones and mark
//! stay resident until the base has them. Where entries expire, each has a record of its own.

use weir_operator::keyed_state::{Entries, EntryRange, MapWrite};

use super::arriving::Arriving;
use super::below::{Below, Leaving};
use super::content::{Content, Owner};
use super::heads::Heads;
use super::log::{Log, Part, Position};
use super::map::Map;
use super::packed::Packing;
use super::record::{Flags, Parts, Record};
use super::selection::Selection;
use super::size::size_of;
use super::stamp::{Life, Seen, join, split};

/// One map state.
#[derive(Debug)]
pub(super) struct Maps {
    state: u16,
    /// How long entries live; then each is stored behind its stamp.
    life: Option<Life>,
    /// Keys and entries that were read, and are to be refreshed.
    pub(super) seen: Seen<(u32, Box<[u8]>)>,
    scratch: Vec<u8>,
    packing: Packing,
    /// Of a restore: the map of which entries come.
    arriving: Arriving,
    /// No map is empty, unless a mark stands in for its entries.
    heads: Heads<Map>,
    entry_bytes: u64,
}

impl Maps {
    /// No map; records are written for `state`.
    pub(super) fn new(state: u16, life: Option<Life>) -> Self {
        let (seen, scratch) = (Seen::default(), Vec::new());
        let (packing, arriving, heads) = (Packing::default(), Arriving::default(), Heads::default());
        Self { state, life, seen, scratch, packing, arriving, heads, entry_bytes: 0 }
    }

    /// How long entries live.
    pub(super) const fn life(&self) -> Option<Life> {
        self.life
    }

    /// Has what is about to be looked at for these keys fetched into the processor's caches.
    pub(super) fn warm(&mut self, log: &Log, selection: &Selection, keys: impl Iterator<Item = u32> + Clone) {
        self.heads.warm(selection, keys);
        log.warm(self.heads.warmed().map(|map| map.map_or(0, |map| map.content.any())));
        self.warm_packed(log);
    }

    /// The same for these entries of theirs.
    pub(super) fn warm_entries<'a>(
        &mut self,
        log: &Log,
        selection: &Selection,
        entries: impl Iterator<Item = (u32, &'a [u8])> + Clone,
    ) {
        self.heads.warm(selection, entries.clone().map(|(key, _)| key));
        std::hint::black_box(self.heads.warmed().flatten().map(|map| map.content.any()).fold(0, u32::wrapping_add));
        let candidate =
            |(map, (_, entry)): (Option<&Map>, (u32, &[u8]))| map.map_or(0, |map| map.content.candidate(entry));
        log.warm(self.heads.warmed().zip(entries).map(candidate));
        self.warm_packed(log);
    }

    /// The same for what is about to be written.
    pub(super) fn warm_writes(&mut self, log: &Log, selection: &Selection, writes: &[(u32, MapWrite)]) {
        self.warm(log, selection, writes.iter().map(|(key, _)| *key));
        let entries = self.heads.warmed().zip(writes).flat_map(|(map, (_, write))| {
            let content = map.map(|map| &map.content).filter(|content| content.packed_at().is_none());
            content.into_iter().flat_map(|content| write.entries.iter().map(|(entry, _)| content.candidate(entry)))
        });
        log.warm(entries);
    }

    /// The rest of the records of those that are packed.
    fn warm_packed(&self, log: &Log) {
        log.warm_whole(self.heads.warmed().flatten().filter_map(|map| map.content.packed_at()));
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
        let map = self.heads.get_selected(selection, key)?;
        let (stored, size) = map.content.find(log, entry)?;
        let Some(life) = self.life else { return Some(stored) };
        if life.is_refreshed(stored, selection.now()) {
            self.seen.note((key, entry.into()), size);
        }
        life.read(stored, selection.now())
    }

    /// Whether a key's map has no entry. Looks at no more records than it must, unless they expire: then which one was
    /// read matters.
    pub(super) fn is_empty(&mut self, log: &Log, selection: &Selection, key: u32) -> bool {
        if self.life.is_some() {
            let mut first = Entries::default();
            self.scan(log, selection, key, EntryRange { start: None, end: None, limit: 1 }, &mut first);
            return first.entries.is_empty();
        }
        let map = self.heads.get_selected(selection, key);
        !map.is_some_and(|map| map.content.has_any(log))
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
        let Some(number) = self.heads.find_selected(selection, key) else { return };
        let map = self.heads.content(number);
        if let Some((entries, bytes)) = map.content.packed_room(log) {
            into.reserve(entries.min(range.limit), bytes);
        }
        let mut count = 0;
        for (entry, stored, size) in map.content.range(log, start, range.end) {
            let value = match self.life {
                None => Some(stored),
                Some(life) => life.read(stored, selection.now()),
            };
            let Some(value) = value else { continue };
            if count == range.limit {
                into.more = true;
                return;
            }
            count += 1;
            into.entries.push(entry);
            into.values.push(value);
            if self.life.is_some_and(|life| life.is_refreshed(stored, selection.now())) {
                self.seen.note((key, entry.into()), size);
            }
        }
    }

    /// Makes a call's write to one key visible.
    pub(super) fn store(&mut self, log: &mut Log, selection: &Selection, key: u32, write: &MapWrite) {
        let index = key;
        let (hash, key) = (selection.hash(key), selection.key(key));
        if write.replaced {
            self.clear(log, selection, index);
        }
        let number = self.heads.find_selected_or_insert(selection, index, || Map::unknown(log));
        let (map, owner) = (self.heads.content_mut(number), Owner { state: self.state, key });
        let before = map.content.bytes();
        if self.life.is_some() || !map.store_packed(log, owner, &write.entries, &mut self.packing) {
            map.unpack(log, owner);
            for (entry, value) in write.entries.iter() {
                let parts = |flags, value| Parts { flags, state: self.state, key, entry, value };
                match (value, self.life) {
                    (Some(value), None) => {
                        map.put(log, parts(Flags::FRESH, value));
                    }
                    (Some(value), Some(life)) => {
                        let stored = join(selection.now(), value, &mut self.scratch);
                        let at = map.put(log, parts(Flags::FRESH, stored));
                        log.note_expiry(at, life.sweep_at(stored));
                    }
                    (None, _) => map.remove(log, &parts(Flags::TOMBSTONE, &[])),
                }
            }
        }
        self.entry_bytes = self.entry_bytes + map.content.bytes() - before;
        self.drop_if_empty(hash, number);
    }

    /// Stamps what the call read, unless it wrote it.
    pub(super) fn refresh(&mut self, log: &mut Log, selection: &Selection) {
        let (seen, Some(life)) = (self.seen.take(), self.life) else { return };
        let now = selection.now();
        for (key, entry) in seen {
            let (hash, key) = (selection.hash(key), selection.key(key));
            let Some(map) = self.heads.get_mut(hash, key) else { continue };
            let Some((stored, _)) = map.content.find(log, &entry) else { continue };
            if life.is_refreshed(stored, now) {
                let value = join(now, split(stored).1, &mut self.scratch);
                let at = map.put(log, Parts { flags: Flags::FRESH, state: self.state, key, entry: &entry, value });
                log.note_expiry(at, life.sweep_at(value));
            }
        }
    }

    /// Drops an expired entry, if this is its record. Whether it was.
    pub(super) fn expire(&mut self, log: &mut Log, hash: u64, key: &[u8], entry: &[u8], at: Position) -> bool {
        let Some(number) = self.heads.find(hash, key) else { return false };
        let map = self.heads.content_mut(number);
        if !map.content.has(entry, at) {
            return false;
        }
        let before = map.content.bytes();
        map.remove(log, &Parts { flags: Flags::TOMBSTONE, state: self.state, key, entry, value: &[] });
        self.entry_bytes = self.entry_bytes + map.content.bytes() - before;
        self.drop_if_empty(hash, number);
        true
    }

    /// Leaves a map without entries, which is to be dropped unless it gets some.
    fn clear(&mut self, log: &mut Log, selection: &Selection, key: u32) {
        let number = match self.heads.find_selected(selection, key) {
            Some(number) => number,
            None if log.has_base() => self.heads.find_selected_or_insert(selection, key, || Map::unknown(log)),
            None => return,
        };
        let key = selection.key(key);
        let map = self.heads.content_mut(number);
        let content = std::mem::replace(&mut map.content, Content::new());
        self.entry_bytes -= content.bytes();
        if map.below.is_hidden_by_none() || !content.is_fresh(log) {
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
        content.supersede(log, Owner { state: self.state, key });
    }

    fn drop_if_empty(&mut self, hash: u64, number: u32) {
        let map = self.heads.content(number);
        if map.content.is_empty() && map.below.cleared_at == 0 {
            self.entry_bytes -= map.content.bytes();
            self.heads.remove(hash, number);
        }
    }

    /// Whether the map holds this record, as an entry or as its mark.
    pub(super) fn is_live(&self, hash: u64, record: Record<'_>, at: Position) -> bool {
        let Some(map) = self.heads.get(hash, record.key()) else { return false };
        if record.flags().has(Flags::CLEAR) {
            map.below.cleared_at == at.0
        } else {
            map.content.has(record.entry(), at)
        }
    }

    /// Points the map to where a live record was copied.
    pub(super) fn repoint(&mut self, hash: u64, record: Record<'_>, old: Position, new: Position) {
        let Some(map) = self.heads.get_mut(hash, record.key()) else { return };
        if record.flags().has(Flags::CLEAR) {
            map.below.cleared_at = new.0;
        } else {
            map.content.repoint(record.entry(), old, new);
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
        } else if map.content.has(entry, at) {
            let before = map.content.bytes();
            match &mut map.content {
                Content::Packed(_) => map.content = Content::new(),
                Content::Apart(entries) => drop(entries.remove(log, entry)),
            }
            map.below.asks = true;
            self.entry_bytes = self.entry_bytes + map.content.bytes() - before;
        } else {
            return;
        }
        log.leave(at);
        self.drop_if_empty(hash, number);
    }

    /// By how many bytes a call's write to one key makes what is held larger; what only the base holds is not seen.
    pub(super) fn growth(&self, log: &Log, selection: &Selection, key: u32, write: &MapWrite) -> i64 {
        let (map, key) = (self.heads.get_selected(selection, key), selection.key(key));
        let held: u64 = match map {
            Some(map) if write.replaced => map.content.counted(log, key),
            Some(map) => write.entries.iter().map(|(entry, _)| map.content.counted_entry(log, key, entry)).sum(),
            None => 0,
        };
        let written = write.entries.iter().filter_map(|(entry, value)| Some((entry, value?)));
        let new: u64 = written.map(|(entry, value)| size_of(self.life, key, entry.len(), value.len())).sum();
        new.cast_signed() - held.cast_signed()
    }

    /// The entries of a key of which the base is not asked, in order.
    pub(super) fn resident(&self, log: &Log, hash: u64, key: &[u8]) -> Vec<Box<[u8]>> {
        let map = self.heads.get(hash, key);
        map.map(|map| map.content.keys(log)).unwrap_or_default()
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
                _ => self.heads.get_selected(selection, key),
            };
            found = Some((key, map));
            map.map_or(log.has_base(), |map| map.below.asks && !map.content.knows(log, entry))
        };
        entries.filter(is_missing).collect()
    }

    /// Whether some of a key's map may be in the base only; and how many of its entries' tombstones are resident.
    pub(super) fn is_missing(&self, log: &Log, selection: &Selection, key: u32) -> Option<usize> {
        let Some(map) = self.heads.get_selected(selection, key) else {
            return log.has_base().then_some(0);
        };
        map.below.asks.then(|| map.content.tombstones(log))
    }

    /// Takes in an entry as the base holds it, unless something newer is resident.
    pub(super) fn supply(&mut self, log: &mut Log, hash: u64, key: &[u8], entry: &[u8], stored: &[u8]) {
        let number = self.heads.find_or_insert(hash, key, || Map::unknown(log));
        let map = self.heads.content_mut(number);
        if map.content.knows(log, entry) {
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

    /// Takes in an entry of a checkpoint file; it is not there yet. The last ones are there once they are
    /// [settled](Self::settle).
    pub(super) fn restore(&mut self, log: &mut Log, part: Part, hash: u64, key: &[u8], entry: &[u8], stored: &[u8]) {
        if !self.arriving.is_of(key) {
            self.settle(log);
        }
        let may_be_packed =
            self.arriving.is_any() || self.life.is_none() && !log.has_base() && self.heads.find(hash, key).is_none();
        if may_be_packed && self.arriving.take(part, hash, key, entry, stored) {
            log.sizes_mut().add(self.state, key.len(), entry, stored);
            return;
        }
        self.settle_as(log, false);
        let at = log.append(part, &Parts { flags: Flags::PUT, state: self.state, key, entry, value: stored });
        let number = self.heads.find_or_insert(hash, key, || Map::unknown(log));
        self.take_in(log, number, entry, stored, at);
    }

    /// Takes in what has come of the map that a restore came to last.
    pub(super) fn settle(&mut self, log: &mut Log) {
        self.settle_as(log, true);
    }

    fn settle_as(&mut self, log: &mut Log, packed: bool) {
        if !self.arriving.is_any() {
            return;
        }
        let (hash, key, entries, part) = self.arriving.all();
        let owner = Owner { state: self.state, key };
        let number = self.heads.find_or_insert(hash, key, || Map::unknown(log));
        let map = self.heads.content_mut(number);
        if packed && !map.below.is_hidden_by_none() {
            map.content = Content::Packed(log.append_packed(part, owner.state, key, entries));
        } else {
            map.take_in_all(log, owner, entries, true);
            self.entry_bytes += map.content.bytes();
        }
        self.arriving.clear();
    }

    /// Adds an entry, whose record is in the log, to the map with this number, which is not packed.
    fn take_in(&mut self, log: &mut Log, number: u32, entry: &[u8], stored: &[u8], at: Position) {
        if let Some(life) = self.life {
            log.note_expiry(at, life.sweep_at(stored));
        }
        let map = self.heads.content_mut(number);
        let before = map.content.bytes();
        map.apart_mut().insert(log, entry, at);
        self.entry_bytes = self.entry_bytes + map.content.bytes() - before;
    }

    /// Roughly the bytes held beside the log.
    pub(super) fn bytes(&self) -> u64 {
        self.heads.bytes() + self.entry_bytes
    }
}

#[cfg(test)]
impl Maps {
    /// Whether what is counted beside the log is what there is.
    pub(super) fn is_counted_right(&self) -> bool {
        self.entry_bytes == self.heads.contents().map(|map| map.content.bytes()).sum::<u64>()
    }
}
