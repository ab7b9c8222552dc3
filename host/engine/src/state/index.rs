//! From a hash to a position: linear probing over `hash32 | position32`, in tables that split.
//!
//! Receives hashes and positions; guarantees that no operation moves more than one table's slots, so that growth never
//! makes a pause: a table grows by a third to a half up to [`TABLE_SLOTS_MAX`], then splits in two by the next bit of the
//! hash, and a directory of the hash's upper bits finds it (extendible hashing). All tables come to their bounds at about
//! the same time, so larger steps would leave half of the slots empty at times; and what leaves makes them smaller again.
//! Does not see keys: callers compare them.
//!
//! Of the hash's upper 32 bits the uppermost choose the table and those after them the slot, so a split needs no key.

/// The most slots of a table: 64 KiB, which a split redistributes in some tens of microseconds.
const TABLE_SLOTS_MAX: usize = 1 << 13;
const TABLE_SLOTS_MIN: usize = 1 << 4;
/// Beyond this the directory grows no further and tables double instead.
const DEPTH_MAX: u32 = 18;

/// From how many keys on a batch is looked up in stages: beyond it, index and records exceed the L2 cache.
pub(super) const STAGED_FROM: usize = 1 << 14;

/// Positions by hash.
#[derive(Debug)]
pub(super) struct Index {
    /// The table of each value of the hash's upper `depth` bits.
    directory: Vec<u32>,
    depth: u32,
    tables: Vec<Table>,
    len: usize,
    /// Of all tables together.
    slots: usize,
}

#[derive(Debug)]
struct Table {
    /// 0: empty.
    slots: Vec<u64>,
    used: usize,
    /// How many upper bits all hashes of this table share.
    depth: u32,
}

/// The bits of a hash that the index uses.
#[inline]
const fn upper(hash: u64) -> u32 {
    (hash >> 32) as u32
}

const fn slot(hash: u32, position: u32) -> u64 {
    (hash as u64) << 32 | position as u64
}

#[inline]
const fn hash_of(slot: u64) -> u32 {
    (slot >> 32) as u32
}

#[inline]
const fn position_of(slot: u64) -> u32 {
    (slot & 0xffff_ffff) as u32
}

impl Default for Index {
    fn default() -> Self {
        Self { directory: vec![0], depth: 0, tables: vec![Table::with_room_for(0, 0)], len: 0, slots: TABLE_SLOTS_MIN }
    }
}

impl Index {
    /// The number of positions.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// The bytes that it holds.
    pub(super) fn bytes(&self) -> u64 {
        (self.slots * 8 + self.directory.len() * 4 + self.tables.len() * size_of::<Table>()) as u64
    }

    #[inline]
    fn table_number(&self, hash: u32) -> usize {
        self.directory[((u64::from(hash) << self.depth) >> 32) as usize] as usize
    }

    /// The first position whose hash is the same and that `is_it`.
    #[inline]
    pub(super) fn find(&self, hash: u64, is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let hash = upper(hash);
        self.tables[self.table_number(hash)].find(hash, is_it)
    }

    /// The slot at which a search for `hash` begins; reading it early brings it into the cache.
    #[inline]
    pub(super) fn first_slot(&self, hash: u64) -> u64 {
        let hash = upper(hash);
        let table = &self.tables[self.table_number(hash)];
        table.slots[table.home(hash)]
    }

    /// The position in a slot if its hash is the same.
    #[inline]
    pub(super) const fn candidate(slot: u64, hash: u64) -> Option<u32> {
        if slot != 0 && hash_of(slot) == upper(hash) { Some(position_of(slot)) } else { None }
    }

    /// Adds a position whose key is not there yet.
    pub(super) fn insert(&mut self, hash: u64, position: u32) {
        let hash = upper(hash);
        let mut number = self.table_number(hash);
        while self.tables[number].is_full() {
            self.grow(number, hash);
            number = self.table_number(hash);
        }
        self.tables[number].insert(slot(hash, position));
        self.len += 1;
    }

    /// Puts `new` where `old` is. Whether `old` was there.
    #[inline]
    pub(super) fn replace(&mut self, hash: u64, old: u32, new: u32) -> bool {
        let hash = upper(hash);
        let number = self.table_number(hash);
        let table = &mut self.tables[number];
        let Some(at) = table.slot_of(slot(hash, old)) else { return false };
        table.slots[at] = slot(hash, new);
        true
    }

    /// Whether a position is there.
    pub(super) fn contains(&self, hash: u64, position: u32) -> bool {
        let hash = upper(hash);
        self.tables[self.table_number(hash)].slot_of(slot(hash, position)).is_some()
    }

    /// Takes a position away. Whether it was there.
    pub(super) fn remove(&mut self, hash: u64, position: u32) -> bool {
        let hash = upper(hash);
        let number = self.table_number(hash);
        let table = &mut self.tables[number];
        let Some(at) = table.slot_of(slot(hash, position)) else { return false };
        table.remove(at);
        self.len -= 1;
        if table.is_sparse() {
            let smaller = table.rebuilt();
            self.put_in_place(number, smaller);
        }
        true
    }

    fn grow(&mut self, number: usize, hash: u32) {
        let table = &self.tables[number];
        if table.slots.len() < TABLE_SLOTS_MAX || table.depth >= DEPTH_MAX {
            let larger = table.rebuilt();
            self.put_in_place(number, larger);
            return;
        }
        let depth = table.depth;
        if depth == self.depth {
            self.directory = self.directory.iter().flat_map(|&table| [table, table]).collect();
            self.depth += 1;
        }
        let (lower, upper) = self.tables[number].split();
        self.slots += upper.slots.len();
        self.put_in_place(number, lower);
        self.tables.push(upper);
        let new = u32::try_from(self.tables.len() - 1).expect("there are at most 2^DEPTH_MAX tables");
        let shared = (u64::from(hash) << depth) >> 32;
        let width = 1_usize << (self.depth - depth);
        let first = usize::try_from(shared).expect("a directory index fits") * width;
        self.directory[first + width / 2..first + width].fill(new);
    }

    fn put_in_place(&mut self, number: usize, table: Table) {
        self.slots = self.slots - self.tables[number].slots.len() + table.slots.len();
        self.tables[number] = table;
    }
}

impl Table {
    /// An empty one with a third of room beside so many positions.
    fn with_room_for(positions: usize, depth: u32) -> Self {
        let least = (positions / 2 * 3).max(TABLE_SLOTS_MIN);
        let above = least.next_power_of_two();
        let slots = if above / 4 * 3 >= least { above / 4 * 3 } else { above };
        Self { slots: vec![0; slots], used: 0, depth }
    }

    /// The slot at which a search begins.
    #[inline]
    const fn home(&self, hash: u32) -> usize {
        (((hash << self.depth) as u64 * self.slots.len() as u64) >> 32) as usize
    }

    #[inline]
    const fn after(&self, at: usize) -> usize {
        if at + 1 == self.slots.len() { 0 } else { at + 1 }
    }

    /// How many steps lead from one slot to another.
    const fn steps(&self, from: usize, to: usize) -> usize {
        if to >= from { to - from } else { to + self.slots.len() - from }
    }

    const fn is_full(&self) -> bool {
        self.used >= self.slots.len() / 4 * 3
    }

    const fn is_sparse(&self) -> bool {
        self.used < self.slots.len() / 3 && self.slots.len() > TABLE_SLOTS_MIN
    }

    #[inline]
    fn find(&self, hash: u32, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let mut at = self.home(hash);
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                return None;
            }
            if hash_of(slot) == hash && is_it(position_of(slot)) {
                return Some(position_of(slot));
            }
            at = self.after(at);
        }
    }

    #[inline]
    fn slot_of(&self, wanted: u64) -> Option<usize> {
        let mut at = self.home(hash_of(wanted));
        loop {
            let slot = self.slots[at];
            if slot == wanted {
                return Some(at);
            }
            if slot == 0 {
                return None;
            }
            at = self.after(at);
        }
    }

    fn insert(&mut self, slot: u64) {
        let mut at = self.home(hash_of(slot));
        while self.slots[at] != 0 {
            at = self.after(at);
        }
        self.slots[at] = slot;
        self.used += 1;
    }

    /// Empties a slot and moves back what had to pass it, so that no search ends too early.
    fn remove(&mut self, mut gap: usize) {
        let mut at = gap;
        loop {
            at = self.after(at);
            let slot = self.slots[at];
            if slot == 0 {
                break;
            }
            if self.steps(self.home(hash_of(slot)), at) >= self.steps(gap, at) {
                self.slots[gap] = slot;
                gap = at;
            }
        }
        self.slots[gap] = 0;
        self.used -= 1;
    }

    /// The same with the slots that its positions need.
    fn rebuilt(&self) -> Self {
        let mut table = Self::with_room_for(self.used + 1, self.depth);
        self.slots.iter().filter(|&&slot| slot != 0).for_each(|&slot| table.insert(slot));
        table
    }

    /// Two tables: of the hashes whose next bit is 0, and of those whose next bit is 1.
    fn split(&self) -> (Self, Self) {
        let slots = self.slots.iter().copied().filter(|&slot| slot != 0);
        let (upper, lower): (Vec<u64>, Vec<u64>) = slots.partition(|slot| slot << self.depth >> 63 == 1);
        let half = |slots: Vec<u64>| {
            let mut table = Self::with_room_for(slots.len(), self.depth + 1);
            slots.into_iter().for_each(|slot| table.insert(slot));
            table
        };
        (half(lower), half(upper))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        /// Few distinct hashes, so that chains of equal ones and removals within them occur.
        #[test]
        fn finds_exactly_what_was_put_in(steps in prop::collection::vec((0_u64..40, 1_u32..200, any::<bool>()), 1..400)) {
            let mut index = Index::default();
            let mut model: BTreeMap<u32, u64> = BTreeMap::new();
            for (hash, position, is_insert) in steps {
                let hash = hash << 32;
                match model.get(&position).copied() {
                    None if is_insert => {
                        index.insert(hash, position);
                        model.insert(position, hash);
                    }
                    Some(hash) if !is_insert => {
                        prop_assert!(index.remove(hash, position));
                        model.remove(&position);
                    }
                    Some(_) | None => prop_assert_eq!(index.contains(hash, position), model.get(&position) == Some(&hash)),
                }
                prop_assert_eq!(index.len(), model.len());
            }
            for (&position, &hash) in &model {
                prop_assert_eq!(index.find(hash, |found| found == position), Some(position));
            }
        }
    }

    #[test]
    fn tables_split_and_lose_nothing() {
        let mut index = Index::default();
        let hash = |i: u32| weir_protocol::key_group::key_hash(&i.to_le_bytes());
        for i in 1..=100_000 {
            index.insert(hash(i), i);
        }
        assert!(index.tables.len() > 8 && index.tables.iter().all(|table| table.slots.len() <= TABLE_SLOTS_MAX));
        for i in 1..=100_000 {
            assert!(index.replace(hash(i), i, i + 1_000_000));
            assert_eq!(index.find(hash(i), |found| found == i + 1_000_000), Some(i + 1_000_000));
        }
    }

    #[test]
    fn half_of_the_slots_are_used_whatever_comes_and_a_third_whatever_goes() {
        let mut index = Index::default();
        let hash = |i: u32| weir_protocol::key_group::key_hash(&i.to_le_bytes());
        for i in 1..=200_000 {
            index.insert(hash(i), i);
            assert!(index.len < 1_000 || index.bytes() <= index.len as u64 * 17, "{} of {}", index.len, index.bytes());
        }
        for i in 1..=190_000 {
            assert!(index.remove(hash(i), i));
            assert!(index.bytes() <= index.len as u64 * 26, "{} of {}", index.len, index.bytes());
        }
        assert_eq!(index.slots, index.tables.iter().map(|table| table.slots.len()).sum::<usize>());
        assert!((190_001..=200_000).all(|i| index.contains(hash(i), i)));
    }

    #[test]
    fn hashes_that_no_bit_tells_apart_still_fit() {
        let mut index = Index::default();
        for i in 1..=20_000 {
            index.insert(u64::from(i % 2) << 63, i);
        }
        assert!((1..=20_000).step_by(997).all(|i| index.contains(u64::from(i % 2) << 63, i)));
    }
}
