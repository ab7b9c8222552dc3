//! List states: one record an element, under its key and its position in the list.
//!
//! An append writes one record, whatever the length of the list. A list that is replaced or cleared leaves one mark
//! that hides what older files hold of it; the elements after it count from 0 again.

use weir_operator::batch::BytesColumn;
use weir_operator::keyed_state::ListWrite;

use super::heads::Heads;
use super::log::{Log, Part, Position};
use super::record::{Flags, Parts};

/// One list state.
#[derive(Debug)]
pub(super) struct Lists {
    state: u16,
    /// Where each element of a key's list is, oldest first. No list is empty.
    heads: Heads<Vec<u32>>,
}

/// The entry under which the record of an element is written.
pub(super) const fn element_entry(position: u64) -> [u8; 8] {
    position.to_be_bytes()
}

fn element_position(entry: &[u8]) -> Option<usize> {
    usize::try_from(u64::from_be_bytes(entry.try_into().ok()?)).ok()
}

impl Lists {
    /// No list; records are written for `state`.
    pub(super) fn new(state: u16) -> Self {
        Self { state, heads: Heads::default() }
    }

    /// Appends the elements of a key's list.
    pub(super) fn load(&self, log: &Log, hash: u64, key: &[u8], into: &mut BytesColumn) {
        for &at in self.heads.get(hash, key).into_iter().flatten() {
            into.push(log.record(Position(at)).value());
        }
    }

    /// Makes a call's write to one key visible.
    pub(super) fn store(&mut self, log: &mut Log, hash: u64, key: &[u8], write: &ListWrite) {
        if write.replaced {
            self.clear(log, hash, key);
        }
        if write.appended.is_empty() {
            return;
        }
        let number = self.heads.find_or_insert(hash, key);
        let elements = self.heads.content_mut(number);
        for value in write.appended.iter() {
            // The first element tells later on whether the list was born in its epoch.
            let flags = if elements.is_empty() { Flags::FRESH } else { Flags::PUT };
            let entry = element_entry(elements.len() as u64);
            let at = log.append(Part::Open, &Parts { flags, state: self.state, key, entry: &entry, value });
            elements.push(at.0);
        }
    }

    fn clear(&mut self, log: &mut Log, hash: u64, key: &[u8]) {
        let Some(number) = self.heads.find(hash, key) else { return };
        let elements = std::mem::take(self.heads.content_mut(number));
        self.heads.remove(hash, number);
        if !elements.first().is_some_and(|&first| log.is_fresh(Position(first))) {
            log.append(Part::Open, &Parts { flags: Flags::CLEAR, state: self.state, key, entry: &[], value: &[] });
        }
        for at in elements {
            log.supersede(Position(at));
        }
    }

    /// Whether the list holds this record.
    pub(super) fn is_live(&self, hash: u64, key: &[u8], entry: &[u8], at: Position) -> bool {
        let element = element_position(entry).expect("elements are written under their position");
        self.heads.get(hash, key).and_then(|elements| elements.get(element)) == Some(&at.0)
    }

    /// Points the list to where an element was moved.
    pub(super) fn repoint(&mut self, hash: u64, key: &[u8], entry: &[u8], new: Position) {
        let element = element_position(entry).expect("elements are written under their position");
        if let Some(elements) = self.heads.get_mut(hash, key) {
            elements[element] = new.0;
        }
    }

    /// Takes in an element of a checkpoint file. Whether it is the next of its list; else the files lack one.
    pub(super) fn restore(&mut self, log: &mut Log, hash: u64, key: &[u8], entry: &[u8], value: &[u8]) -> bool {
        let number = self.heads.find_or_insert(hash, key);
        let elements = self.heads.content_mut(number);
        if element_position(entry) != Some(elements.len()) {
            return false;
        }
        let at = log.append(Part::Clean, &Parts { flags: Flags::PUT, state: self.state, key, entry, value });
        elements.push(at.0);
        true
    }

    /// Roughly the bytes held beside the log.
    pub(super) fn bytes(&self) -> u64 {
        self.heads.bytes()
    }
}
