//! Where the records of one key's map are, by entry.
//!
//! Receives entries with the positions of their records; guarantees that one is found without a search of the log, and
//! that a range comes in the order of the entries' keys. A small map, as most are, is one short run of hashes and
//! positions, to which each record says its own entry; one that grows becomes a tree. Does not own the records.

use std::collections::BTreeMap;
use std::ops::Bound;

use smallvec::SmallVec;
use weir_operator::keyed_state::Inline;
use weir_operator::keyed_state::short::{compare, is_same};
use weir_protocol::key_group::key_hash;

use super::log::{Log, Position};

/// The most entries of a small map.
const FEW: usize = 32;
/// A small map makes room for so many more: memory that is not used is the larger part of many small maps otherwise.
const STEP: usize = 4;
/// Roughly what an entry of a tree costs: its place, its key and the allocator's share.
pub(super) const TREE_ENTRY_BYTES: u64 = 64;

/// The entries of one map: tombstones, too.
#[derive(Debug)]
pub(super) enum MapEntries {
    /// Hashes of entries' keys, and where their records are; in no order.
    Few(Vec<(u32, u32)>),
    Many(BTreeMap<Inline, u32>),
}

impl MapEntries {
    /// No entry.
    pub(super) const fn new() -> Self {
        Self::Few(Vec::new())
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Few(few) => few.len(),
            Self::Many(many) => many.len(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Roughly the bytes held.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Few(few) => (few.capacity() * size_of::<(u32, u32)>()) as u64,
            Self::Many(many) => many.len() as u64 * TREE_ENTRY_BYTES,
        }
    }

    /// Where an entry's record is.
    #[inline]
    pub(super) fn get(&self, log: &Log, entry: &[u8]) -> Option<u32> {
        match self {
            Self::Few(few) => Some(few[find(few, log, entry)?].1),
            Self::Many(many) => many.get(entry).copied(),
        }
    }

    /// Where an entry's record is, to be changed.
    #[inline]
    pub(super) fn get_mut(&mut self, log: &Log, entry: &[u8]) -> Option<&mut u32> {
        match self {
            Self::Few(few) => find(few, log, entry).map(|place| &mut few[place].1),
            Self::Many(many) => many.get_mut(entry),
        }
    }

    /// Where the entry's record may be, found without a look at the log; 0: it has none.
    pub(super) fn candidate(&self, entry: &[u8]) -> u32 {
        match self {
            Self::Few(few) => {
                let hash = short_hash(entry);
                few.iter().find(|(other, _)| *other == hash).map_or(0, |&(_, at)| at)
            }
            Self::Many(many) => many.get(entry).copied().unwrap_or_default(),
        }
    }

    /// Where some entry's record is; 0: there is none.
    pub(super) fn any(&self) -> u32 {
        match self {
            Self::Few(few) => few.first().map_or(0, |&(_, at)| at),
            Self::Many(many) => many.first_key_value().map_or(0, |(_, &at)| at),
        }
    }

    /// Adds an entry that is not there; its record is in the log already.
    pub(super) fn insert(&mut self, log: &Log, entry: &[u8], at: Position) {
        if let Self::Few(few) = self {
            if few.len() < FEW {
                if few.len() == few.capacity() {
                    few.reserve_exact(STEP);
                }
                few.push((short_hash(entry), at.0));
                return;
            }
            let entry_of = |(_, at): (u32, u32)| (Inline::from(log.record(Position(at)).entry()), at);
            *self = Self::Many(few.drain(..).map(entry_of).collect());
        }
        if let Self::Many(many) = self {
            many.insert(entry.into(), at.0);
        }
    }

    /// Takes an entry away. Whether it was there.
    pub(super) fn remove(&mut self, log: &Log, entry: &[u8]) -> bool {
        match self {
            Self::Few(few) => match find(few, log, entry) {
                Some(place) => {
                    few.swap_remove(place);
                    true
                }
                None => false,
            },
            Self::Many(many) => many.remove(entry).is_some(),
        }
    }

    /// Whether this is the record of an entry.
    pub(super) fn has(&self, entry: &[u8], at: Position) -> bool {
        match self {
            Self::Few(few) => few.iter().any(|&(_, other)| other == at.0),
            Self::Many(many) => many.get(entry) == Some(&at.0),
        }
    }

    /// Points an entry to where its record was copied.
    pub(super) fn repoint(&mut self, entry: &[u8], old: Position, new: Position) {
        let place = match self {
            Self::Few(few) => few.iter_mut().map(|(_, at)| at).find(|at| **at == old.0),
            Self::Many(many) => many.get_mut(entry),
        };
        if let Some(at) = place {
            *at = new.0;
        }
    }

    /// Where all records are, in no order that means anything.
    pub(super) fn positions(&self) -> impl Iterator<Item = Position> {
        let (few, many) = match self {
            Self::Few(few) => (Some(few), None),
            Self::Many(many) => (None, Some(many)),
        };
        let few = few.into_iter().flatten().map(|&(_, at)| at);
        few.chain(many.into_iter().flat_map(BTreeMap::values).copied()).map(Position)
    }

    /// The entries from `start` on and before `end`, in order.
    pub(super) fn range<'a>(
        &'a self,
        log: &'a Log,
        start: &[u8],
        end: Option<&[u8]>,
    ) -> impl Iterator<Item = (&'a [u8], Position)> {
        let (few, many) = match self {
            Self::Few(few) => (Some(few), None),
            Self::Many(many) => (None, Some(many)),
        };
        let few = few.into_iter().flatten().map(|&(_, at)| (log.record(Position(at)).entry(), at));
        let mut sorted: SmallVec<[(&[u8], u32); FEW]> = few
            .filter(|(entry, _)| compare(entry, start).is_ge() && end.is_none_or(|end| compare(entry, end).is_lt()))
            .collect();
        sorted.sort_unstable_by(|(a, _), (b, _)| compare(a, b));
        let bounds = (Bound::Included(start), end.map_or(Bound::Unbounded, Bound::Excluded));
        let many = many.into_iter().flat_map(move |many| many.range::<[u8], _>(bounds));
        let many = many.map(|(entry, &at)| (entry.as_slice(), at));
        sorted.into_iter().chain(many).map(|(entry, at)| (entry, Position(at)))
    }
}

fn find(few: &[(u32, u32)], log: &Log, entry: &[u8]) -> Option<usize> {
    let hash = short_hash(entry);
    few.iter().position(|&(other, at)| other == hash && is_same(log.record(Position(at)).entry(), entry))
}

#[expect(clippy::cast_possible_truncation, reason = "a part of the hash is enough; the record has the last word")]
fn short_hash(entry: &[u8]) -> u32 {
    key_hash(entry) as u32
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::log::{Log, Part, Position};
    use super::super::record::{Flags, Parts};
    use super::super::size::Counted;
    use super::{FEW, MapEntries};

    fn append(log: &mut Log, entry: &[u8]) -> Position {
        log.append(Part::Open, &Parts { flags: Flags::PUT, state: 1, key: b"key", entry, value: b"value" })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn maps_of_any_size_hold_what_a_tree_would(steps in prop::collection::vec((0..4_u8, 0..80_u8), 0..400)) {
            let mut log = Log::new([Counted::default(); 2]);
            let mut map = MapEntries::new();
            let mut model = BTreeMap::new();
            for (step, number) in steps {
                // Of different lengths, some of them beginnings of others.
                let entry = vec![number % 7; usize::from(number / 7)];
                let there = model.get(&entry).copied();
                prop_assert_eq!(map.get(&log, &entry), there.map(|at: Position| at.0));
                match (step, there) {
                    (0, _) => prop_assert_eq!(map.remove(&log, &entry), model.remove(&entry).is_some()),
                    (_, Some(old)) => {
                        prop_assert!(map.has(&entry, old));
                        let new = append(&mut log, &entry);
                        prop_assert!(!map.has(&entry, new));
                        map.repoint(&entry, old, new);
                        model.insert(entry, new);
                    }
                    (_, None) => {
                        let at = append(&mut log, &entry);
                        map.insert(&log, &entry, at);
                        model.insert(entry, at);
                    }
                }
                prop_assert_eq!(map.len(), model.len());
            }
            let (start, end) = (vec![2; 3], vec![4; 5]);
            let found: Vec<_> = map.range(&log, &start, Some(&end)).map(|(entry, at)| (entry.to_vec(), at)).collect();
            let expected: Vec<_> = model.range(start..end).map(|(entry, &at)| (entry.clone(), at)).collect();
            prop_assert_eq!(found, expected);
            let all: Vec<_> = map.range(&log, &[], None).map(|(entry, at)| (entry.to_vec(), at)).collect();
            prop_assert_eq!(all, model.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_map_that_grows_becomes_a_tree() {
        let mut log = Log::new([Counted::default(); 2]);
        let mut map = MapEntries::new();
        for number in 0..=u8::try_from(FEW).expect("it is small") {
            assert!(matches!(map, MapEntries::Few(_)));
            let at = append(&mut log, &[number]);
            map.insert(&log, &[number], at);
        }
        assert!(matches!(map, MapEntries::Many(_)));
    }
}
