//! List states: records of [bundles](Bundle) of elements, under their key and their position in the list.
//!
//! An append writes no more than what it appends, whatever the length of the list, and reads nothing. A list that is
//! replaced or cleared leaves one mark that hides what older files, and the base, hold of it. Positions only rise:
//! from 0 where the whole list is known, else behind every position that was ever used, since how long the rest is
//! nobody has asked.

use weir_operator::batch::BytesColumn;
use weir_operator::keyed_state::ListWrite;

use super::below::{Below, Leaving};
use super::bundle::{Bundle, POSITION_BYTES};
use super::bundles::Bundles;
use super::heads::Heads;
use super::log::{Log, Part, Position};
use super::record::{Flags, Parts, Record};
use super::selection::Selection;
use super::size::size_of;
use super::stamp::{Life, Seen, join, split};

/// One list state.
#[derive(Debug)]
pub(super) struct Lists {
    state: u16,
    /// How long elements live; then each is stored behind its stamp.
    life: Option<Life>,
    /// Keys whose list was read, and is to be refreshed.
    pub(super) seen: Seen<u32>,
    scratch: Vec<u8>,
    /// No list is without an element, unless a mark stands in for them.
    heads: Heads<List>,
    /// No element stands here or behind.
    end: u64,
}

/// What is resident of a key's list.
#[derive(Debug)]
struct List {
    /// Where each bundle of elements is, oldest first.
    bundles: Bundles,
    /// Behind the last element that was ever there, if the whole list is known.
    end: u64,
    below: Below,
}

/// The bundle that an entry of a record names.
fn bundle_under(entry: &[u8]) -> Bundle {
    Bundle::under(entry).expect("elements are written as bundles")
}

fn position_at(log: &Log, at: Position) -> u64 {
    bundle_under(log.record(at).entry()).position
}

impl Lists {
    /// No list; records are written for `state`.
    pub(super) fn new(state: u16, life: Option<Life>) -> Self {
        Self { state, life, seen: Seen::default(), scratch: Vec::new(), heads: Heads::default(), end: 0 }
    }

    /// How long elements live.
    pub(super) const fn life(&self) -> Option<Life> {
        self.life
    }

    /// Has what is about to be looked at for these keys fetched into the processor's caches.
    pub(super) fn warm(&mut self, log: &Log, selection: &Selection, keys: impl Iterator<Item = u32> + Clone) {
        self.heads.warm(selection, keys);
        log.warm(self.heads.warmed().flatten().map(|list| list.bundles.first().map_or(0, |at| at.0)));
    }

    /// Whether so many of the batch's keys were read one by one that the rest is worth being [warmed](Self::warm).
    pub(super) fn is_read_one_by_one(&mut self, selection: &Selection) -> bool {
        self.heads.is_read_one_by_one(selection.batch())
    }

    /// Appends the elements of a key's list.
    pub(super) fn load(&mut self, log: &Log, selection: &Selection, key: u32, into: &mut BytesColumn) {
        let list = self.heads.get_selected(selection, key);
        let records = list.into_iter().flat_map(|list| list.bundles.iter()).map(|at| log.record(at));
        let mut show = |record: Record<'_>, value| {
            bundle_under(record.entry()).elements(value).for_each(|element| into.push(element));
        };
        let Some(life) = self.life else {
            records.for_each(|record| show(record, record.value()));
            return;
        };
        let mut refreshed = 0;
        for record in records {
            if let Some(value) = life.read(record.value(), selection.now()) {
                show(record, value);
            }
            if life.is_refreshed(record.value(), selection.now()) {
                refreshed += record.size();
            }
        }
        if refreshed > 0 {
            self.seen.note(key, refreshed);
        }
    }

    /// Makes a call's write to one key visible.
    pub(super) fn store(&mut self, log: &mut Log, selection: &Selection, key: u32, write: &ListWrite) {
        let index = key;
        let (hash, key) = (selection.hash(key), selection.key(key));
        if write.replaced {
            self.clear(log, selection, index);
        }
        if write.appended.is_empty() {
            if let Some(number) = self.heads.find_selected(selection, index) {
                self.drop_if_empty(hash, number);
            }
            return;
        }
        let number = self.heads.find_selected_or_insert(selection, index, || List::unknown(log));
        let list = self.heads.content_mut(number);
        let mut position = if list.below.is_hidden_by_none() { self.end } else { list.end };
        let mut first = 0;
        while first < write.appended.len() {
            let bundle = Bundle::cut(&write.appended, first, position);
            // The first bundle tells later on whether the list was born in its epoch.
            let is_first = list.bundles.is_empty() && !list.below.is_hidden_by_none();
            let flags = if is_first { Flags::FRESH } else { Flags::PUT };
            let value = if bundle.count == 1 && self.life.is_none() {
                write.appended.get(first)
            } else {
                let elements = (first..).map(|index| write.appended.get(index));
                bundle.stored(self.life.map(|_| selection.now()), elements, &mut self.scratch)
            };
            let entry = &bundle.entry();
            let at = log.append(Part::Open, &Parts { flags, state: self.state, key, entry, value });
            if let Some(life) = self.life {
                log.note_expiry(at, life.sweep_at(value));
            }
            list.bundles.push(at);
            first += bundle.count as usize;
            position = bundle.end();
        }
        list.end = position;
        self.end = self.end.max(position);
    }

    /// Stamps what the call read, unless it wrote it.
    pub(super) fn refresh(&mut self, log: &mut Log, selection: &Selection) {
        let (seen, Some(life)) = (self.seen.take(), self.life) else { return };
        for key in seen {
            let (hash, key) = (selection.hash(key), selection.key(key));
            let Some(list) = self.heads.get_mut(hash, key) else { continue };
            for index in 0..list.bundles.len() {
                let Some(old) = list.bundles.get(index) else { break };
                let now = selection.now();
                if !life.is_refreshed(log.record(old).value(), now) {
                    continue;
                }
                let entry = &bundle_under(log.record(old).entry()).entry();
                let value = join(now, split(log.record(old).value()).1, &mut self.scratch);
                let mut at = old;
                if !log.overwrite(old, value) {
                    let flags = if log.is_fresh(old) { Flags::FRESH } else { Flags::PUT };
                    at = log.append(Part::Open, &Parts { flags, state: self.state, key, entry, value });
                    log.supersede(old);
                    list.bundles.set(index, at);
                }
                log.note_expiry(at, life.sweep_at(value));
            }
        }
    }

    /// Drops an expired bundle, if this is its record. Whether it was. What the base may hold of it bears an older
    /// stamp, and so is hidden without a word to the base.
    pub(super) fn expire(&mut self, log: &mut Log, hash: u64, key: &[u8], entry: &[u8], at: Position) -> bool {
        let Some((number, bundle)) = self.find(log, hash, key, entry, at) else { return false };
        self.heads.content_mut(number).bundles.remove(bundle);
        log.append(Part::Open, &Parts { flags: Flags::TOMBSTONE, state: self.state, key, entry, value: &[] });
        log.supersede(at);
        self.drop_if_empty(hash, number);
        true
    }

    /// Leaves a list without elements, which is to be dropped unless it gets some.
    fn clear(&mut self, log: &mut Log, selection: &Selection, key: u32) {
        let number = match self.heads.find_selected(selection, key) {
            Some(number) => number,
            None if log.has_base() => self.heads.find_selected_or_insert(selection, key, || List::unknown(log)),
            None => return,
        };
        let key = selection.key(key);
        let list = self.heads.content_mut(number);
        let bundles = std::mem::take(&mut list.bundles);
        list.end = 0;
        let is_fresh = bundles.first().is_some_and(|first| log.is_fresh(first));
        if list.below.is_hidden_by_none() || !bundles.is_empty() && !is_fresh {
            let mark = Parts { flags: Flags::CLEAR, state: self.state, key, entry: &[], value: &[] };
            let at = log.append(Part::Open, &mark);
            let old = std::mem::take(&mut list.below);
            if log.has_base() {
                log.hold(at);
                list.below = Below::cleared(at.0);
            }
            if old.cleared_at != 0 {
                log.supersede(Position(old.cleared_at));
            }
        }
        bundles.iter().for_each(|at| log.supersede(at));
    }

    /// The head of a key's list, and which of its bundles has this record.
    fn find(&self, log: &Log, hash: u64, key: &[u8], entry: &[u8], at: Position) -> Option<(u32, usize)> {
        let number = self.heads.find(hash, key)?;
        let position = Bundle::under(entry)?.position;
        let bundles = &self.heads.content(number).bundles;
        // Where each bundle is one element and none is missing in between, its distance from the first one is its place.
        let near = position.checked_sub(position_at(log, bundles.first()?))?;
        let near = usize::try_from(near).unwrap_or(usize::MAX);
        if bundles.get(near) == Some(at) {
            return Some((number, near));
        }
        let found = bundles.search(position, |at| position_at(log, at))?;
        (bundles.get(found) == Some(at)).then_some((number, found))
    }

    fn drop_if_empty(&mut self, hash: u64, number: u32) {
        let list = self.heads.content(number);
        if list.bundles.is_empty() && list.below.cleared_at == 0 {
            self.heads.remove(hash, number);
        }
    }

    /// Whether the list holds this record, as a bundle or as its mark.
    pub(super) fn is_live(&self, log: &Log, hash: u64, record: Record<'_>, at: Position) -> bool {
        if record.flags().has(Flags::CLEAR) {
            let list = self.heads.get(hash, record.key());
            return list.is_some_and(|list| list.below.cleared_at == at.0);
        }
        self.find(log, hash, record.key(), record.entry(), at).is_some()
    }

    /// Points the list to where a live record was copied.
    pub(super) fn repoint(&mut self, log: &Log, hash: u64, old: Position, new: Position) {
        let record = log.record(new);
        if record.flags().has(Flags::CLEAR) {
            if let Some(list) = self.heads.get_mut(hash, record.key()) {
                list.below.cleared_at = new.0;
            }
        } else if let Some((number, bundle)) = self.find(log, hash, record.key(), record.entry(), old) {
            self.heads.content_mut(number).bundles.set(bundle, new);
        }
    }

    /// A record is about to be handed to the base.
    pub(super) fn leave(&mut self, log: &Log, hash: u64, record: Record<'_>, at: Position) -> Leaving {
        if !self.is_live(log, hash, record, at) {
            return Leaving::Stays;
        }
        let list = self.heads.get_mut(hash, record.key()).expect("a live record's key has a head");
        list.below.leave(record.flags().has(Flags::CLEAR))
    }

    /// The base has what this record says: it need not be resident.
    pub(super) fn left(&mut self, log: &mut Log, hash: u64, key: &[u8], entry: &[u8], at: Position) {
        let Some(number) = self.heads.find(hash, key) else { return };
        if self.heads.content(number).below.cleared_at == at.0 {
            self.heads.content_mut(number).below.mark_left();
        } else if let Some((_, bundle)) = self.find(log, hash, key, entry, at) {
            let list = self.heads.content_mut(number);
            list.bundles.remove(bundle);
            list.below.asks = true;
        } else {
            return;
        }
        log.leave(at);
        self.drop_if_empty(hash, number);
    }

    /// By how many bytes a call's write to one key makes what is held larger; what only the base holds is not seen.
    pub(super) fn growth(&self, log: &Log, selection: &Selection, key: u32, write: &ListWrite) -> i64 {
        let (hash, key) = (selection.hash(key), selection.key(key));
        let list = self.heads.get(hash, key).filter(|_| write.replaced);
        let bundles = list.into_iter().flat_map(|list| list.bundles.iter());
        let held: u64 = bundles.map(|at| log.sizes().counted(log.record(at))).sum();
        let new: u64 = write.appended.iter().map(|value| size_of(self.life, key, POSITION_BYTES, value.len())).sum();
        new.cast_signed() - held.cast_signed()
    }

    /// The entries of a key's resident bundles, in order.
    pub(super) fn resident(&self, log: &Log, hash: u64, key: &[u8]) -> Vec<Box<[u8]>> {
        let bundles = self.heads.get(hash, key).into_iter().flat_map(|list| list.bundles.iter());
        bundles.map(|at| log.record(at).entry().into()).collect()
    }

    /// Whether some of a key's list may be in the base only.
    pub(super) fn is_missing(&self, log: &Log, selection: &Selection, key: u32) -> bool {
        let list = self.heads.get_selected(selection, key);
        list.map_or(log.has_base(), |list| list.below.asks)
    }

    /// Takes in the whole list of a key as the base holds it, in order.
    pub(super) fn supply(&mut self, log: &mut Log, hash: u64, key: &[u8], found: &BytesColumn, entries: &BytesColumn) {
        if found.is_empty() && self.heads.find(hash, key).is_none() {
            return;
        }
        let number = self.heads.find_or_insert(hash, key, || List::unknown(log));
        let list = self.heads.content_mut(number);
        let resident = std::mem::take(&mut list.bundles);
        let mut resident = resident.iter().peekable();
        for (entry, value) in entries.iter().zip(found.iter()) {
            let position = bundle_under(entry).position;
            while let Some(at) = resident.next_if(|&at| position_at(log, at) < position) {
                list.bundles.push(at);
            }
            if resident.peek().is_some_and(|&at| position_at(log, at) == position) {
                continue;
            }
            let at = log.append_from_base(self.state, key, entry, value);
            if let Some(life) = self.life {
                log.note_expiry(at, life.sweep_at(value));
            }
            list.bundles.push(at);
        }
        list.bundles.extend(resident);
        list.below.asks = false;
    }

    /// Takes in a bundle of a checkpoint file, which come in order.
    pub(super) fn restore(&mut self, log: &mut Log, part: Part, hash: u64, key: &[u8], entry: &[u8], stored: &[u8]) {
        let at = log.append(part, &Parts { flags: Flags::PUT, state: self.state, key, entry, value: stored });
        if let Some(life) = self.life {
            log.note_expiry(at, life.sweep_at(stored));
        }
        let number = self.heads.find_or_insert(hash, key, || List::unknown(log));
        let list = self.heads.content_mut(number);
        list.bundles.push(at);
        list.end = bundle_under(entry).end();
        self.end = self.end.max(list.end);
    }

    /// The base holds a bundle under this entry, which memory never held.
    pub(super) fn note_position(&mut self, entry: &[u8]) {
        self.end = self.end.max(bundle_under(entry).end());
    }

    /// Roughly the bytes held beside the log.
    pub(super) fn bytes(&self) -> u64 {
        self.heads.bytes()
    }
}

impl List {
    fn unknown(log: &Log) -> Self {
        Self { bundles: Bundles::new(), end: 0, below: Below::unknown(log) }
    }
}
