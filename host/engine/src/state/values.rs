//! Value states: one record a key, found through an index of its own.
//!
//! Where the index is larger than the caches, a batch is looked up in stages: the first slots of all keys, then the
//! headers of all records, then the comparisons, so that cache misses overlap instead of following each other.
//!
//! Where a base may hold what the index does not, a removal leaves a tombstone in the index until the base has it.

use weir_operator::batch::OptionalColumn;
use weir_operator::keyed_state::ValueWrites;
use weir_operator::keyed_state::short::is_same;

use super::below::Leaving;
use super::index::{Index, STAGED_FROM};
use super::log::{Log, Part, Position};
use super::record::{Flags, Parts, Record};
use super::selection::Selection;
use super::size::size_of;
use super::stamp::{Life, Seen, join, split};

/// Not in the index: absent, unless the base holds it.
const ABSENT: u32 = 0;
/// Neither of these is a position: the last chunk is never used.
const UNKNOWN: u32 = u32::MAX;
/// Not in the index, nor in the base.
const NOWHERE: u32 = u32::MAX - 1;

/// One value state.
#[derive(Debug)]
pub(super) struct Values {
    state: u16,
    /// How long values live; then each is stored behind its stamp.
    life: Option<Life>,
    /// Keys whose value was read, and is to be refreshed.
    pub(super) seen: Seen<u32>,
    scratch: Vec<u8>,
    index: Index,
    /// Where the value of each selected key is, as far as it was looked up; right for `located_in`.
    located: Vec<u32>,
    located_in: u64,
    /// How often the base was asked for values of this selection.
    asked: u32,
    /// Room for the stages of a lookup.
    pending: Vec<Pending>,
}

/// A key that is being looked up.
#[derive(Debug, Clone, Copy)]
struct Pending {
    key: u32,
    /// The first slot of its probe, then its candidate.
    found: u64,
    key_len: usize,
}

impl Values {
    /// No value; records are written for `state`.
    pub(super) fn new(state: u16, life: Option<Life>) -> Self {
        let (seen, scratch) = (Seen::default(), Vec::new());
        let (index, located, pending) = (Index::default(), Vec::new(), Vec::new());
        Self { state, life, seen, scratch, index, located, located_in: 0, asked: 0, pending }
    }

    /// How long values live.
    pub(super) const fn life(&self) -> Option<Life> {
        self.life
    }

    /// Appends the value of each of `keys`.
    pub(super) fn load(&mut self, log: &Log, selection: &Selection, keys: &[u32], into: &mut OptionalColumn) {
        self.locate(log, selection, keys.iter().copied());
        if let Some(life) = self.life {
            return self.load_living(life, log, selection, keys, into);
        }
        for &key in keys {
            into.push(self.record(log, key).map(Record::value));
        }
    }

    /// The record of a value that was located.
    #[inline]
    fn record<'l>(&self, log: &'l Log, key: u32) -> Option<Record<'l>> {
        match self.located[key as usize] {
            ABSENT | NOWHERE => None,
            at => Some(log.record(Position(at))).filter(|record| record.flags().is_put()),
        }
    }

    fn load_living(&mut self, life: Life, log: &Log, selection: &Selection, keys: &[u32], into: &mut OptionalColumn) {
        let now = selection.now();
        for &key in keys {
            let Some(record) = self.record(log, key) else {
                into.push(None);
                continue;
            };
            into.push(life.read(record.value(), now));
            if life.is_refreshed(record.value(), now) {
                self.seen.note(key, record.size());
            }
        }
    }

    /// Makes a call's writes visible.
    pub(super) fn store(&mut self, log: &mut Log, selection: &Selection, writes: &ValueWrites) {
        self.locate(log, selection, writes.iter().map(|(key, _)| key));
        if self.life.is_some() {
            for (key, value) in writes.iter() {
                match value {
                    Some(value) => self.put_stamped(log, selection, key, value),
                    None => self.store_one(log, selection, key, None),
                }
            }
            return;
        }
        for (key, value) in writes.iter() {
            self.store_one(log, selection, key, value);
        }
    }

    #[inline]
    fn store_one(&mut self, log: &mut Log, selection: &Selection, key: u32, stored: Option<&[u8]>) {
        let at = self.located[key as usize];
        self.located[key as usize] = match stored {
            Some(stored) => self.put(log, selection.hash(key), selection.key(key), at, stored),
            None => self.clear(log, selection.hash(key), selection.key(key), at),
        };
    }

    /// Stores a value under the stamp of the call.
    fn put_stamped(&mut self, log: &mut Log, selection: &Selection, key: u32, value: &[u8]) {
        let mut scratch = std::mem::take(&mut self.scratch);
        let stored = join(selection.now(), value, &mut scratch);
        self.store_one(log, selection, key, Some(stored));
        if let Some(life) = self.life {
            log.note_expiry(Position(self.located[key as usize]), life.sweep_at(stored));
        }
        self.scratch = scratch;
    }

    /// Stamps what the call read, unless it wrote it.
    pub(super) fn refresh(&mut self, log: &mut Log, selection: &Selection) {
        let (seen, Some(life)) = (self.seen.take(), self.life) else { return };
        self.locate(log, selection, seen.iter().copied());
        let mut value = Vec::new();
        for key in seen {
            let record = self.record(log, key);
            let Some(record) = record.filter(|record| life.is_refreshed(record.value(), selection.now())) else {
                continue;
            };
            value.clear();
            value.extend_from_slice(split(record.value()).1);
            self.put_stamped(log, selection, key, &value);
        }
    }

    /// Drops an expired value, if this is its record. Whether it was.
    pub(super) fn expire(&mut self, log: &mut Log, hash: u64, key: &[u8], at: Position) -> bool {
        let is_live = self.is_live(hash, at);
        if is_live {
            self.clear(log, hash, key, at.0);
        }
        is_live
    }

    #[inline]
    fn put(&mut self, log: &mut Log, hash: u64, key: &[u8], at: u32, value: &[u8]) -> u32 {
        let parts = |flags| Parts { flags, state: self.state, key, entry: &[], value };
        if at == ABSENT || at == NOWHERE {
            let flags = if at == NOWHERE || !log.has_base() { Flags::FRESH } else { Flags::PUT };
            let new = log.append(Part::Open, &parts(flags));
            self.index.insert(hash, new.0);
            return new.0;
        }
        let old = Position(at);
        if log.overwrite(old, value) {
            return at;
        }
        let flags = if log.is_fresh(old) { Flags::FRESH } else { Flags::PUT };
        let new = log.append(Part::Open, &parts(flags));
        self.index.replace(hash, at, new.0);
        log.supersede(old);
        new.0
    }

    fn clear(&mut self, log: &mut Log, hash: u64, key: &[u8], at: u32) -> u32 {
        let is_known = at == NOWHERE || at == ABSENT && !log.has_base();
        let old = Some(Position(at)).filter(|_| at != ABSENT && at != NOWHERE);
        if is_known || old.is_some_and(|old| !log.record(old).flags().is_put()) {
            return at;
        }
        let tombstone = Parts { flags: Flags::TOMBSTONE, state: self.state, key, entry: &[], value: &[] };
        let left = match old {
            Some(old) if log.is_fresh(old) => None,
            _ => Some(log.append(Part::Open, &tombstone)),
        };
        match (old, left.filter(|_| log.has_base())) {
            (Some(old), Some(left)) => self.index.replace(hash, old.0, left.0),
            (Some(old), None) => self.index.remove(hash, old.0),
            (None, Some(left)) => {
                self.index.insert(hash, left.0);
                true
            }
            (None, None) => unreachable!("what is neither here nor in a base is known to be absent"),
        };
        old.into_iter().for_each(|old| log.supersede(old));
        match left.filter(|_| log.has_base()) {
            Some(left) => {
                log.hold(left);
                left.0
            }
            None if log.has_base() => NOWHERE,
            None => ABSENT,
        }
    }

    /// Which of `keys` (`None`: of all that are selected) the base must be asked for. Who asks for some, and then for
    /// others, will go on: then it is all that are selected.
    pub(super) fn missing(&mut self, log: &Log, selection: &Selection, keys: Option<&[u32]>) -> Vec<u32> {
        let all = 0..u32::try_from(selection.count()).expect("batches are bounded far below 2^32 keys");
        let missing = match keys {
            Some(keys) => {
                self.locate(log, selection, keys.iter().copied());
                let is_missing = |key: &&u32| self.located[**key as usize] == ABSENT;
                let mut missing: Vec<_> = keys.iter().filter(is_missing).copied().collect();
                missing.sort_unstable();
                missing.dedup();
                missing
            }
            None => Vec::new(),
        };
        if keys.is_some() && (missing.is_empty() || self.asked == 0) {
            self.asked += u32::from(!missing.is_empty());
            return missing;
        }
        self.locate(log, selection, all.clone());
        all.filter(|&key| self.located[key as usize] == ABSENT).collect()
    }

    /// Takes in what the base holds of a key for which it was asked.
    pub(super) fn supply(&mut self, log: &mut Log, selection: &Selection, key: u32, stored: Option<&[u8]>) {
        let Some(stored) = stored else {
            self.located[key as usize] = NOWHERE;
            return;
        };
        let at = log.append_from_base(self.state, selection.key(key), &[], stored);
        if let Some(life) = self.life {
            log.note_expiry(at, life.sweep_at(stored));
        }
        self.index.insert(selection.hash(key), at.0);
        self.located[key as usize] = at.0;
    }

    /// By how many bytes a call's writes make what is held larger.
    pub(super) fn growth(&mut self, log: &Log, selection: &Selection, writes: &ValueWrites) -> i64 {
        self.locate(log, selection, writes.iter().map(|(key, _)| key));
        let mut growth = 0;
        for (key, value) in writes.iter() {
            let new = value.map_or(0, |value| size_of(self.life, selection.key(key), 0, value.len()));
            growth += new.cast_signed();
            growth -= self.record(log, key).map_or(0, |record| log.sizes().counted(record)).cast_signed();
        }
        growth
    }

    /// The base has what this record says: it need not be resident.
    pub(super) fn left(&mut self, log: &mut Log, hash: u64, at: Position) {
        if self.index.remove(hash, at.0) {
            log.leave(at);
        }
    }

    /// A record is about to be handed to the base.
    pub(super) fn leave(&self, hash: u64, at: Position) -> Leaving {
        if self.is_live(hash, at) { Leaving::Goes } else { Leaving::Stays }
    }

    /// Finds the records of those `keys` that were not found yet.
    fn locate(&mut self, log: &Log, selection: &Selection, keys: impl Iterator<Item = u32>) {
        if self.located_in != selection.generation() {
            self.located_in = selection.generation();
            self.located.clear();
            self.located.resize(selection.count(), UNKNOWN);
            self.asked = 0;
        }
        let unknown = keys.filter(|&key| self.located[key as usize] == UNKNOWN);
        self.pending.clear();
        if self.index.len() < STAGED_FROM {
            self.pending.extend(unknown.map(|key| Pending { key, found: 0, key_len: 0 }));
            for pending in &self.pending {
                self.located[pending.key as usize] = self.find(log, selection, pending.key);
            }
            return;
        }
        self.pending.extend(unknown.map(|key| {
            let found = self.index.first_slot(selection.hash(key));
            Pending { key, found, key_len: 0 }
        }));
        for pending in &mut self.pending {
            let hash = selection.hash(pending.key);
            let candidate = Index::candidate(pending.found, hash).or_else(|| self.index.find(hash, |_| true));
            pending.found = candidate.unwrap_or(ABSENT).into();
            pending.key_len = candidate.map_or(0, |at| log.record(Position(at)).key_len());
        }
        for pending in &self.pending {
            let key = selection.key(pending.key);
            let at = u32::try_from(pending.found).expect("the second stage left a position");
            let is_it = at == ABSENT || pending.key_len == key.len() && is_same(log.record(Position(at)).key(), key);
            self.located[pending.key as usize] = if is_it { at } else { self.find(log, selection, pending.key) };
        }
    }

    #[inline]
    fn find(&self, log: &Log, selection: &Selection, key: u32) -> u32 {
        let wanted = selection.key(key);
        let found = self.index.find(selection.hash(key), |at| is_same(log.record(Position(at)).key(), wanted));
        found.unwrap_or(ABSENT)
    }

    /// Whether the index points to this record.
    pub(super) fn is_live(&self, hash: u64, at: Position) -> bool {
        self.index.contains(hash, at.0)
    }

    /// Points the index to where a record was moved.
    pub(super) fn repoint(&mut self, hash: u64, old: Position, new: Position) {
        self.index.replace(hash, old.0, new.0);
    }

    /// Takes in a value of a checkpoint file; none of this key is there yet.
    pub(super) fn restore(&mut self, log: &mut Log, part: Part, hash: u64, key: &[u8], stored: &[u8]) {
        let parts = Parts { flags: Flags::PUT, state: self.state, key, entry: &[], value: stored };
        let at = log.append(part, &parts);
        if let Some(life) = self.life {
            log.note_expiry(at, life.sweep_at(stored));
        }
        self.index.insert(hash, at.0);
    }

    /// Roughly the bytes held beside the log.
    pub(super) fn bytes(&self) -> u64 {
        self.index.bytes()
    }
}
