//! List states: one record an element, under its key and its position in the list.
//!
//! An append writes one record, whatever the length of the list. A list that is replaced or cleared leaves one mark
//! that hides what older files hold of it; the elements after it count from 0 again. Elements that expire leave a
//! tombstone each; those behind them keep their positions.

use std::collections::BTreeMap;

use weir_operator::batch::BytesColumn;
use weir_operator::keyed_state::ListWrite;

use super::heads::Heads;
use super::log::{Log, Part, Position};
use super::record::{Flags, Parts};
use super::selection::Selection;
use super::stamp::{Life, Seen, join, split};

/// In the place of an element that has expired.
const GONE: u32 = 0;

/// One list state.
#[derive(Debug)]
pub(super) struct Lists {
    state: u16,
    /// How long elements live; then each is stored behind its stamp.
    life: Option<Life>,
    /// Keys whose list was read, and is to be refreshed.
    pub(super) seen: Seen<u32>,
    scratch: Vec<u8>,
    /// Where each element of a key's list is, oldest first. No list is without an element.
    heads: Heads<Vec<u32>>,
    /// By the number of its head: the front of each list that has lost elements.
    fronts: BTreeMap<u32, Front>,
}

/// What a list has lost.
#[derive(Debug, Clone, Copy, Default)]
struct Front {
    /// The position of the first element that is held, or is [`GONE`] but still has its place.
    first: u64,
    /// How many of the first are gone; once they are half, they lose their places.
    gone: usize,
}

/// The length of the entry under which the record of an element is written.
pub(super) const POSITION_BYTES: usize = 8;

const fn element_entry(position: u64) -> [u8; POSITION_BYTES] {
    position.to_be_bytes()
}

fn element_position(entry: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(entry.try_into().ok()?))
}

impl Lists {
    /// No list; records are written for `state`.
    pub(super) fn new(state: u16, life: Option<Life>) -> Self {
        let (seen, scratch) = (Seen::default(), Vec::new());
        Self { state, life, seen, scratch, heads: Heads::default(), fronts: BTreeMap::new() }
    }

    /// How long elements live.
    pub(super) const fn life(&self) -> Option<Life> {
        self.life
    }

    /// Appends the elements of a key's list.
    pub(super) fn load(&mut self, log: &Log, selection: &Selection, key: u32, into: &mut BytesColumn) {
        let elements = self.heads.get(selection.hash(key), selection.key(key)).into_iter().flatten();
        let Some(life) = self.life else {
            return elements.for_each(|&at| into.push(log.record(Position(at)).value()));
        };
        let mut refreshed = 0;
        for &at in elements.filter(|&&at| at != GONE) {
            let record = log.record(Position(at));
            if let Some(value) = life.read(record.value(), selection.now()) {
                into.push(value);
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
        let (hash, key) = (selection.hash(key), selection.key(key));
        if write.replaced {
            self.clear(log, hash, key);
        }
        if write.appended.is_empty() {
            return;
        }
        let number = self.heads.find_or_insert(hash, key);
        let first = front(&self.fronts, number).first;
        let elements = self.heads.content_mut(number);
        for value in write.appended.iter() {
            // The first element tells later on whether the list was born in its epoch.
            let flags = if elements.is_empty() { Flags::FRESH } else { Flags::PUT };
            let entry = element_entry(first + elements.len() as u64);
            let value = match self.life {
                None => value,
                Some(_) => join(selection.now(), value, &mut self.scratch),
            };
            let at = log.append(Part::Open, &Parts { flags, state: self.state, key, entry: &entry, value });
            if let Some(life) = self.life {
                log.note_expiry(at, life.sweep_at(value));
            }
            elements.push(at.0);
        }
    }

    /// Stamps what the call read, unless it wrote it.
    pub(super) fn refresh(&mut self, log: &mut Log, selection: &Selection) {
        let (seen, Some(life)) = (self.seen.take(), self.life) else { return };
        for key in seen {
            let (hash, key) = (selection.hash(key), selection.key(key));
            let Some(elements) = self.heads.get_mut(hash, key) else { continue };
            for at in elements.iter_mut().filter(|at| **at != GONE) {
                let (old, now) = (Position(*at), selection.now());
                let record = log.record(old);
                if !life.is_refreshed(record.value(), now) {
                    continue;
                }
                let entry: [u8; POSITION_BYTES] =
                    record.entry().try_into().expect("elements are written under their position");
                let value = join(now, split(record.value()).1, &mut self.scratch);
                if !log.overwrite(old, value) {
                    let flags = if log.is_fresh(old) { Flags::FRESH } else { Flags::PUT };
                    *at = log.append(Part::Open, &Parts { flags, state: self.state, key, entry: &entry, value }).0;
                    log.supersede(old);
                }
                log.note_expiry(Position(*at), life.sweep_at(value));
            }
        }
    }

    /// Drops an expired element, if this is its record. Whether it was.
    pub(super) fn expire(&mut self, log: &mut Log, hash: u64, key: &[u8], entry: &[u8], at: Position) -> bool {
        let Some((number, element)) = self.find(hash, key, entry) else { return false };
        let elements = self.heads.content_mut(number);
        if elements.get(element) != Some(&at.0) {
            return false;
        }
        elements[element] = GONE;
        log.append(Part::Open, &Parts { flags: Flags::TOMBSTONE, state: self.state, key, entry, value: &[] });
        log.supersede(at);
        let front = self.fronts.entry(number).or_default();
        front.gone += elements[front.gone..].iter().take_while(|&&at| at == GONE).count();
        if front.gone == elements.len() {
            self.fronts.remove(&number);
            self.heads.remove(hash, number);
        } else if front.gone >= elements.len().div_ceil(2) {
            elements.drain(..front.gone);
            elements.shrink_to_fit();
            front.first += front.gone as u64;
            front.gone = 0;
        }
        true
    }

    fn clear(&mut self, log: &mut Log, hash: u64, key: &[u8]) {
        let Some(number) = self.heads.find(hash, key) else { return };
        let elements = std::mem::take(self.heads.content_mut(number));
        self.heads.remove(hash, number);
        self.fronts.remove(&number);
        let mut held = elements.into_iter().filter(|&at| at != GONE).map(Position).peekable();
        if !held.peek().is_some_and(|&first| log.is_fresh(first)) {
            log.append(Part::Open, &Parts { flags: Flags::CLEAR, state: self.state, key, entry: &[], value: &[] });
        }
        held.for_each(|at| log.supersede(at));
    }

    /// The head of a key's list, and which of its elements stands under `entry`.
    fn find(&self, hash: u64, key: &[u8], entry: &[u8]) -> Option<(u32, usize)> {
        let number = self.heads.find(hash, key)?;
        let position = element_position(entry).expect("elements are written under their position");
        let element = position.checked_sub(front(&self.fronts, number).first)?;
        Some((number, usize::try_from(element).ok()?))
    }

    /// Whether the list holds this record.
    pub(super) fn is_live(&self, hash: u64, key: &[u8], entry: &[u8], at: Position) -> bool {
        let found = self.find(hash, key, entry);
        found.and_then(|(number, element)| self.heads.content(number).get(element)) == Some(&at.0)
    }

    /// Points the list to where an element was moved.
    pub(super) fn repoint(&mut self, hash: u64, key: &[u8], entry: &[u8], new: Position) {
        if let Some((number, element)) = self.find(hash, key, entry) {
            self.heads.content_mut(number)[element] = new.0;
        }
    }

    /// Takes in an element of a checkpoint file. Whether it is the next of its list; else the files lack one. Where it
    /// `may_expire`, so may those before it: older ones that the sweeper had not come to yet go as well.
    pub(super) fn restore(
        &mut self,
        log: &mut Log,
        part: Part,
        (hash, key, entry): (u64, &[u8], &[u8]),
        stored: &[u8],
        may_expire: bool,
    ) -> bool {
        let Some(position) = element_position(entry) else { return false };
        let number = self.heads.find_or_insert(hash, key);
        let first = front(&self.fronts, number).first;
        let elements = self.heads.content_mut(number);
        let next = first + elements.len() as u64;
        if position < next || position > next && !may_expire {
            return false;
        }
        if position > next {
            for (place, at) in (first..).zip(elements.drain(..)) {
                let entry = element_entry(place);
                let tombstone = Parts { flags: Flags::TOMBSTONE, state: self.state, key, entry: &entry, value: &[] };
                log.append(Part::Open, &tombstone);
                log.supersede(Position(at));
            }
            self.fronts.insert(number, Front { first: position, gone: 0 });
        }
        let at = log.append(part, &Parts { flags: Flags::PUT, state: self.state, key, entry, value: stored });
        if let Some(life) = self.life {
            log.note_expiry(at, life.sweep_at(stored));
        }
        elements.push(at.0);
        true
    }

    /// Roughly the bytes held beside the log.
    pub(super) fn bytes(&self) -> u64 {
        self.heads.bytes() + (self.fronts.len() * size_of::<(u32, Front)>()) as u64
    }
}

/// What a list has lost; most states have none that has lost anything.
fn front(fronts: &BTreeMap<u32, Front>, number: u32) -> Front {
    fronts.get(&number).copied().unwrap_or_default()
}
