//! Packed maps: the entries of a small map, together in one record.
//!
//! A map whose entries are few and short is one record in memory, which holds them in the order of their keys: read with
//! one wait for memory, written again as a whole where one of them changes. Only memory knows it. Of each entry it says
//! what the epoch that runs did to it, so that checkpoint files, and the base, are told of each entry for itself, as if it
//! had a record of its own. Does not own the records, nor when a map is packed.
//!
//! ```text
//!  0  how many entries
//!  1  of each: length of its key (6) | what became of it in the epoch (2), length of its value (8), key, value
//!     room to grow
//! ```

use weir_operator::keyed_state::EntryWrites;
use weir_operator::keyed_state::short::{compare, is_same};

use super::size::{Amount, counted_size};

/// The most bytes of a packed map. In tests few entries are too many for it.
const PACKED_BYTES: usize = if cfg!(test) { 80 } else { 512 };
/// What a packed map that grew within its epoch is given beyond what it needs, at most.
const ROOM_BYTES: usize = 128;
/// The bits of the length of an entry's key.
const ENTRY_BYTES_MASK: u8 = 0x3f;
/// The longest key of a map that is packed, so that its record is a short one.
const KEY_BYTES: usize = 0xff;
/// Of an entry, before its key.
const LENGTHS: usize = 2;

/// What the epoch that runs did to an entry. Right in a record of the open segment, and in the segment that it becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing: a file has it, or will.
    None = 0,
    /// It was written.
    Put = 1,
    /// The same, and no older file holds its key.
    Fresh = 2,
}

/// An entry of a packed map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PackedEntry<'a> {
    /// Where it begins; never 0.
    pub(super) at: usize,
    pub(super) change: Change,
    pub(super) entry: &'a [u8],
    pub(super) value: &'a [u8],
}

/// The entries of a packed map, in order.
#[derive(Debug, Clone)]
pub(super) struct PackedEntries<'a> {
    packed: &'a [u8],
    left: u8,
    at: usize,
}

/// All entries of what a record holds.
#[inline]
pub(super) const fn entries(packed: &[u8]) -> PackedEntries<'_> {
    PackedEntries { packed, left: packed[0], at: 1 }
}

/// How many entries there are.
#[inline]
pub(super) fn count(packed: &[u8]) -> usize {
    packed[0].into()
}

/// The entry with this key.
#[inline]
pub(super) fn find<'a>(packed: &'a [u8], entry: &[u8]) -> Option<PackedEntry<'a>> {
    entries(packed).find(|found| is_same(found.entry, entry))
}

/// The entry that begins there.
#[inline]
pub(super) fn entry_at(packed: &[u8], at: usize) -> PackedEntry<'_> {
    let (head, len) = (packed[at], usize::from(packed[at + 1]));
    let change = match head >> 6 {
        0 => Change::None,
        1 => Change::Put,
        _ => Change::Fresh,
    };
    let key = at + LENGTHS;
    let value = key + usize::from(head & ENTRY_BYTES_MASK);
    PackedEntry { at, change, entry: &packed[key..value], value: &packed[value..value + len] }
}

/// Puts another value of the same length in the place of an entry's.
pub(super) fn overwrite(packed: &mut [u8], at: usize, value: &[u8]) {
    let PackedEntry { change, entry, .. } = entry_at(packed, at);
    let place = at + LENGTHS + entry.len();
    if change == Change::None {
        packed[at] |= (Change::Put as u8) << 6;
    }
    packed[place..place + value.len()].copy_from_slice(value);
}

/// Whether a map with this key can be packed.
pub(super) const fn has_room_for_key(key: &[u8]) -> bool {
    key.len() <= KEY_BYTES
}

/// The bytes of records that a call which writes to a map with such a key moves at most.
pub(super) const fn moved_bytes_max(key: usize) -> usize {
    // Unpacked, each entry has a record of its own.
    2 * PACKED_BYTES + PACKED_BYTES / LENGTHS * (key + 16)
}

impl<'a> Iterator for PackedEntries<'a> {
    type Item = PackedEntry<'a>;

    #[inline]
    fn next(&mut self) -> Option<PackedEntry<'a>> {
        self.left = self.left.checked_sub(1)?;
        let entry = entry_at(self.packed, self.at);
        self.at = entry.end();
        Some(entry)
    }
}

impl PackedEntry<'_> {
    /// Where the next one begins.
    #[inline]
    const fn end(&self) -> usize {
        self.at + LENGTHS + self.entry.len() + self.value.len()
    }

    /// What it counts with, under a key of this length.
    pub(super) const fn amount(&self, key: usize) -> Amount {
        Amount { bytes: counted_size(key, self.entry.len(), self.value.len()) as u64, entries: 1 }
    }
}

/// A packed map that is being made.
#[derive(Debug, Default)]
pub(super) struct Packing {
    bytes: Vec<u8>,
}

/// What a call's writes do to a packed map.
#[derive(Debug, Default)]
pub(super) struct Merged {
    /// What comes.
    pub(super) come: Amount,
    /// What goes, or is written over.
    pub(super) gone: Amount,
    /// Whether an entry goes that a file may hold.
    pub(super) leaves_tombstones: bool,
}

impl Packing {
    /// Begins again, with no entry.
    pub(super) fn begin(&mut self) {
        self.bytes.clear();
        self.bytes.push(0);
    }

    /// Whether it holds nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.first().is_none_or(|&count| count == 0)
    }

    /// What was made.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Adds an entry, which comes behind the others. Whether it fits; else nothing was done that counts.
    pub(super) fn push(&mut self, change: Change, entry: &[u8], value: &[u8]) -> bool {
        let at = self.bytes.len();
        let fits = at + LENGTHS + entry.len() + value.len() <= PACKED_BYTES;
        fits && self.put(PackedEntry { at, change, entry, value }, 0).is_some()
    }

    /// Makes what `old`, or no entry, becomes by these writes; what the epoch did to its entries counts if it `is_open`.
    /// `None`: that cannot be packed.
    pub(super) fn merge(
        &mut self,
        old: Option<&[u8]>,
        is_open: bool,
        key: &[u8],
        writes: &EntryWrites,
    ) -> Option<Merged> {
        if !has_room_for_key(key) {
            return None;
        }
        self.begin_with(old, is_open);
        let (mut merged, mut at) = (Merged::default(), 1);
        for (entry, value) in writes.iter() {
            while let Some(before) = self.entry_at(at).filter(|before| compare(before.entry, entry).is_lt()) {
                at = before.end();
            }
            let there = self.entry_at(at).filter(|there| is_same(there.entry, entry));
            let is_fresh = there.is_none_or(|there| there.change == Change::Fresh);
            if let Some(there) = there {
                merged.gone = merged.gone.with(there.amount(key.len()));
                merged.leaves_tombstones |= value.is_none() && !is_fresh;
            }
            let old_len = there.map_or(0, |there| there.end() - at);
            let Some(value) = value else {
                if old_len > 0 {
                    self.bytes.drain(at..at + old_len);
                    self.bytes[0] -= 1;
                }
                continue;
            };
            let change = if is_fresh { Change::Fresh } else { Change::Put };
            let new = PackedEntry { at, change, entry, value };
            merged.come = merged.come.with(new.amount(key.len()));
            at = self.put(new, old_len)?;
        }
        (self.bytes.len() <= PACKED_BYTES).then_some(merged)
    }

    fn begin_with(&mut self, old: Option<&[u8]>, is_open: bool) {
        let Some(old) = old else { return self.begin() };
        self.bytes.clear();
        self.bytes.extend_from_slice(old);
        let (mut left, mut at) = (self.bytes[0], 1);
        while left > 0 {
            if !is_open {
                self.bytes[at] &= ENTRY_BYTES_MASK;
            }
            at = entry_at(&self.bytes, at).end();
            left -= 1;
        }
        self.bytes.truncate(at);
    }

    /// The entry that begins there; `None`: it is the end.
    #[inline]
    fn entry_at(&self, at: usize) -> Option<PackedEntry<'_>> {
        (at < self.bytes.len()).then(|| entry_at(&self.bytes, at))
    }

    /// Puts an entry where one of so many bytes was, or where none was. Where the next one begins; `None`: it is too long.
    fn put(&mut self, PackedEntry { at, change, entry, value }: PackedEntry<'_>, old_len: usize) -> Option<usize> {
        let (Ok(entry_len), Ok(value_len)) = (u8::try_from(entry.len()), u8::try_from(value.len())) else {
            return None;
        };
        let new_len = LENGTHS + entry.len() + value.len();
        let rest = at + old_len;
        if entry_len > ENTRY_BYTES_MASK || self.bytes.len() > 2 * PACKED_BYTES {
            return None;
        }
        if old_len == 0 {
            self.bytes[0] = self.bytes[0].checked_add(1)?;
        }
        if rest == self.bytes.len() {
            self.bytes.truncate(at);
            self.bytes.extend_from_slice(&[entry_len | (change as u8) << 6, value_len]);
            self.bytes.extend_from_slice(entry);
            self.bytes.extend_from_slice(value);
            return Some(self.bytes.len());
        }
        if new_len > old_len {
            let len = self.bytes.len();
            self.bytes.resize(len + new_len - old_len, 0);
            self.bytes.copy_within(rest..len, at + new_len);
        } else {
            self.bytes.drain(at + new_len..rest);
        }
        let place = &mut self.bytes[at..at + new_len];
        place[..LENGTHS].copy_from_slice(&[entry_len | (change as u8) << 6, value_len]);
        place[LENGTHS..LENGTHS + entry.len()].copy_from_slice(entry);
        place[LENGTHS + entry.len()..].copy_from_slice(value);
        Some(at + new_len)
    }

    /// Adds room to grow.
    pub(super) fn add_room(&mut self) {
        let bytes = self.bytes.len();
        self.bytes.resize(bytes + (bytes / 2).min(ROOM_BYTES), 0);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use weir_operator::keyed_state::EntryWrites;

    use super::{Change, PACKED_BYTES, Packing, entries, find, overwrite};
    use crate::state::size::Amount;

    /// What is held, and what the epoch did to it.
    type Model = BTreeMap<Vec<u8>, (Change, Vec<u8>)>;

    fn writes() -> impl Strategy<Value = Vec<(Vec<u8>, Option<Vec<u8>>)>> {
        // Of different lengths, some of them beginnings of others.
        let entry = (0..12_usize).prop_map(|number| vec![b'a' + u8::try_from(number % 3).expect("small"); number / 3]);
        let value = prop::option::weighted(0.7, (any::<u8>(), 0..14_usize).prop_map(|(byte, len)| vec![byte; len]));
        prop::collection::vec((entry, value), 1..8)
    }

    fn model_of(packed: &[u8]) -> Model {
        entries(packed).map(|found| (found.entry.to_vec(), (found.change, found.value.to_vec()))).collect()
    }

    fn amount(model: &Model, keys: impl Iterator<Item = Vec<u8>>) -> Amount {
        let sizes = keys.filter_map(|key| Some((16 + 3 + key.len() + model.get(&key)?.1.len()).next_multiple_of(8)));
        sizes.fold(Amount::default(), |sum, size| sum.with(Amount { bytes: size as u64, entries: 1 }))
    }

    proptest! {
        #[test]
        fn what_is_packed_is_what_was_written_and_says_what_the_epoch_did(
            epochs in prop::collection::vec((any::<bool>(), writes()), 1..12),
        ) {
            let (mut packing, mut packed, mut model) = (Packing::default(), None::<Vec<u8>>, Model::new());
            for (is_open, writes) in epochs {
                let mut staged = EntryWrites::default();
                writes.iter().for_each(|(entry, value)| staged.write(entry, value.as_deref()));
                let mut before = model.clone();
                if !is_open {
                    before.values_mut().for_each(|(change, _)| *change = Change::None);
                }
                let mut after = before.clone();
                for (entry, value) in staged.iter() {
                    let is_fresh = before.get(entry).is_none_or(|(change, _)| *change == Change::Fresh);
                    let change = if is_fresh { Change::Fresh } else { Change::Put };
                    match value {
                        Some(value) => after.insert(entry.to_vec(), (change, value.to_vec())),
                        None => after.remove(entry),
                    };
                }
                let bytes = 1 + after.iter().map(|(entry, (_, value))| 2 + entry.len() + value.len()).sum::<usize>();
                let Some(merged) = packing.merge(packed.as_deref(), is_open, b"key", &staged) else {
                    prop_assert!(bytes > PACKED_BYTES, "{bytes} bytes fit");
                    continue;
                };
                prop_assert!(bytes <= PACKED_BYTES);
                let written = || staged.iter().map(|(entry, _)| entry.to_vec());
                prop_assert_eq!(merged.gone, amount(&before, written()));
                prop_assert_eq!(merged.come, amount(&after, written()));
                let is_known = |entry: &[u8]| before.get(entry).is_some_and(|(change, _)| *change != Change::Fresh);
                let mut removed = staged.iter().filter(|(_, value)| value.is_none());
                prop_assert_eq!(merged.leaves_tombstones, removed.any(|(entry, _)| is_known(entry)));
                prop_assert_eq!(packing.is_empty(), after.is_empty());
                prop_assert!(entries(packing.bytes()).map(|found| found.entry).is_sorted());
                packing.add_room();
                model = after;
                prop_assert_eq!(&model_of(packing.bytes()), &model);
                for (entry, (_, value)) in &model {
                    prop_assert_eq!(find(packing.bytes(), entry).map(|found| found.value), Some(value.as_slice()));
                }
                packed = Some(packing.bytes().to_vec());
            }
        }
    }

    #[test]
    fn an_entry_that_is_overwritten_in_place_was_put_and_stays_fresh() {
        let mut packing = Packing::default();
        packing.begin();
        assert!(packing.push(Change::None, b"a", b"12") && packing.push(Change::Fresh, b"b", b"34"));
        let mut packed = packing.bytes().to_vec();
        for (entry, change) in [(b"a", Change::Put), (b"b", Change::Fresh)] {
            let at = find(&packed, entry).expect("it is there").at;
            overwrite(&mut packed, at, b"56");
            let found = find(&packed, entry).expect("it is there");
            assert_eq!((found.change, found.value), (change, b"56".as_slice()));
        }
    }

    #[test]
    fn what_is_too_long_for_its_length_is_not_packed() {
        let merge = |key: &[u8], entry: &[u8], value: &[u8]| {
            let mut writes = EntryWrites::default();
            writes.write(entry, Some(value));
            Packing::default().merge(None, false, key, &writes).is_some()
        };
        assert!(merge(&[1; 255], &[1; 63], &[1; 9]));
        assert!(!merge(&[1; 256], &[1; 63], &[1; 9]));
        assert!(!merge(&[1; 255], &[1; 64], &[1; 9]));
        assert!(!merge(&[1; 255], &[1; 9], &[1; 256]));
    }
}
