//! The entries of maps that a batch read or wrote, in the record form.
//!
//! Receives entries by the index of the key whose map they are in and by their own key's bytes. Guarantees that one is
//! found without a look at the others, and that what was written is given back until the host has it, in the order of the
//! first writes.
//! Does not own what the host holds.

use std::hash::BuildHasher;
use std::ops::Range;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

/// What a batch knows of the maps of its keys.
pub(super) struct Slots<V> {
    slots: Vec<Slot<V>>,
    /// The bytes of their entries' keys, one behind the other.
    entries: Vec<u8>,
    /// Their indices, by key and entry.
    places: HashTable<usize>,
    /// How often each key's map was cleared: what was known of it before is known no more.
    clears: Vec<u32>,
    /// Those whose values the host does not have yet.
    written: Vec<usize>,
}

struct Slot<V> {
    key: u32,
    clears: u32,
    entry: Range<usize>,
    value: Option<V>,
    is_written: bool,
}

impl<V> Slots<V> {
    pub(super) const fn new() -> Self {
        Self {
            slots: Vec::new(),
            entries: Vec::new(),
            places: HashTable::new(),
            clears: Vec::new(),
            written: Vec::new(),
        }
    }

    /// The slot of an entry, if something is known of it.
    pub(super) fn find(&self, key: u32, entry: &[u8]) -> Option<usize> {
        let clears = self.clears(key);
        let is_it = |&at: &usize| {
            let slot = &self.slots[at];
            slot.key == key && slot.clears == clears && self.entries[slot.entry.clone()] == *entry
        };
        self.places.find(hash(key, entry), is_it).copied()
    }

    /// A slot for an entry that has none, with the value that the host holds. Its index.
    pub(super) fn insert(&mut self, key: u32, entry: &[u8], value: Option<V>) -> usize {
        let start = self.entries.len();
        self.entries.extend_from_slice(entry);
        let entry_at = start..self.entries.len();
        let at = self.slots.len();
        self.slots.push(Slot { key, clears: self.clears(key), entry: entry_at, value, is_written: false });
        let Self { slots, entries, places, .. } = self;
        let hash_of = |&at: &usize| hash(slots[at].key, &entries[slots[at].entry.clone()]);
        places.insert_unique(hash(key, entry), at, hash_of);
        at
    }

    /// The value of a slot.
    pub(super) fn value(&self, at: usize) -> Option<&V> {
        self.slots[at].value.as_ref()
    }

    /// The value of a slot, which is to be written.
    pub(super) fn write(&mut self, at: usize) -> &mut Option<V> {
        let slot = &mut self.slots[at];
        if !slot.is_written {
            slot.is_written = true;
            self.written.push(at);
        }
        &mut slot.value
    }

    /// Nothing is known of a key's map any more, and nothing of it is left to be written.
    pub(super) fn forget(&mut self, key: u32) {
        let at = key as usize;
        if self.clears.len() <= at {
            self.clears.resize(at + 1, 0);
        }
        self.clears[at] += 1;
    }

    /// What the host does not have yet: key, entry and value.
    pub(super) fn written(&self) -> impl Iterator<Item = (u32, &[u8], Option<&V>)> {
        let written = self.written.iter().map(|&at| &self.slots[at]);
        let is_known = |slot: &&Slot<V>| slot.clears == self.clears(slot.key);
        written.filter(is_known).map(|slot| (slot.key, &self.entries[slot.entry.clone()], slot.value.as_ref()))
    }

    /// The host has it.
    pub(super) fn written_back(&mut self) {
        for at in self.written.drain(..) {
            self.slots[at].is_written = false;
        }
    }

    /// The batch is over.
    pub(super) fn clear(&mut self) {
        self.slots.clear();
        self.entries.clear();
        self.places.clear();
        self.clears.clear();
        self.written.clear();
    }

    fn clears(&self, key: u32) -> u32 {
        self.clears.get(key as usize).copied().unwrap_or_default()
    }
}

fn hash(key: u32, entry: &[u8]) -> u64 {
    FixedState::default().hash_one((key, entry))
}

#[cfg(test)]
mod tests {
    use super::Slots;

    fn written(slots: &mut Slots<i32>) -> Vec<(u32, Vec<u8>, Option<i32>)> {
        let written = slots.written().map(|(key, entry, value)| (key, entry.to_vec(), value.copied())).collect();
        slots.written_back();
        written
    }

    #[test]
    fn what_was_written_is_given_back_once_in_the_order_of_the_first_writes() {
        let mut slots = Slots::new();
        for (key, entry) in [(1, b"b"), (0, b"b"), (1, b"a")] {
            let at = slots.insert(key, entry, None);
            *slots.write(at) = Some(1);
        }
        let at = slots.find(1, b"b").expect("it was inserted");
        *slots.write(at) = None;
        let all = [(1, b"b".to_vec(), None), (0, b"b".to_vec(), Some(1)), (1, b"a".to_vec(), Some(1))];
        assert_eq!(written(&mut slots), all);
        assert_eq!(written(&mut slots), []);
        *slots.write(at) = Some(2);
        assert_eq!(written(&mut slots), [(1, b"b".to_vec(), Some(2))]);
    }

    #[test]
    fn what_was_forgotten_is_neither_found_nor_given_back() {
        let mut slots = Slots::new();
        for key in [3, 4] {
            let at = slots.insert(key, b"", Some(0));
            *slots.write(at) = Some(1);
        }
        slots.forget(3);
        assert_eq!(slots.find(3, b""), None);
        let at = slots.insert(3, b"", None);
        assert_eq!(slots.value(at), None);
        assert_eq!(written(&mut slots), [(4, Vec::new(), Some(1))]);
    }

    #[test]
    fn each_entry_of_many_maps_is_found() {
        let mut slots = Slots::new();
        let all = || (0..100_u32).flat_map(|key| (0..key).map(move |entry| (key, entry)));
        for (key, entry) in all() {
            assert_eq!(slots.find(key, &entry.to_be_bytes()), None);
            slots.insert(key, &entry.to_be_bytes(), Some((key, entry)));
        }
        for (key, entry) in all() {
            let at = slots.find(key, &entry.to_be_bytes()).expect("it was inserted");
            assert_eq!(slots.value(at), Some(&(key, entry)));
        }
    }
}
