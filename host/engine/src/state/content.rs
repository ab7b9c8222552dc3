//! Where the entries of one key's map are: in one record, packed, or each in its own.
//!
//! Receives positions; guarantees that an entry, a range and a count are found alike in both forms. Does not own the
//! records, nor which form a map has ([`Map`](super::map::Map)).

use weir_operator::keyed_state::short::compare;

use super::entries::MapEntries;
use super::log::{Log, Position};
use super::packed::{self, Change};
use super::size::Amount;

/// The entries of one map.
#[derive(Debug)]
pub(super) enum Content {
    /// All of them in this record; one at least.
    Packed(Position),
    /// Each in a record of its own, or its tombstone.
    Apart(MapEntries),
}

/// Which map is written to: its state and its key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner<'a> {
    pub(super) state: u16,
    pub(super) key: &'a [u8],
}

impl Content {
    /// No entry.
    pub(super) const fn new() -> Self {
        Self::Apart(MapEntries::new())
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Packed(_) => false,
            Self::Apart(entries) => entries.is_empty(),
        }
    }

    /// Roughly the bytes held beside the log.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Packed(_) => 0,
            Self::Apart(entries) => entries.bytes(),
        }
    }

    /// Where some record of it is; 0: there is none.
    pub(super) fn any(&self) -> u32 {
        match self {
            Self::Packed(at) => at.0,
            Self::Apart(entries) => entries.any(),
        }
    }

    /// Where the entry's record may be, found without a look at the log; 0: it has none.
    pub(super) fn candidate(&self, entry: &[u8]) -> u32 {
        match self {
            Self::Packed(at) => at.0,
            Self::Apart(entries) => entries.candidate(entry),
        }
    }

    /// How many entries there are, and at most how many bytes of keys and values, if it is packed.
    pub(super) fn packed_room(&self, log: &Log) -> Option<(usize, usize)> {
        self.packed(log).map(|packed| (packed::count(packed), packed.len()))
    }

    /// Where all of it is, if it is packed.
    pub(super) const fn packed_at(&self) -> Option<Position> {
        match self {
            Self::Packed(at) => Some(*at),
            Self::Apart(_) => None,
        }
    }

    /// All of them, as the packed map that they are.
    #[inline]
    fn packed<'l>(&self, log: &'l Log) -> Option<&'l [u8]> {
        match self {
            Self::Packed(at) => Some(log.record(*at).value()),
            Self::Apart(_) => None,
        }
    }

    const fn apart(&self) -> Option<&MapEntries> {
        match self {
            Self::Packed(_) => None,
            Self::Apart(entries) => Some(entries),
        }
    }

    /// What is stored for an entry, and the bytes of its record; `None`: nothing is.
    #[inline]
    pub(super) fn find<'l>(&self, log: &'l Log, entry: &[u8]) -> Option<(&'l [u8], usize)> {
        match self {
            Self::Packed(at) => {
                let record = log.record(*at);
                packed::find(record.value(), entry).map(|found| (found.value, record.size()))
            }
            Self::Apart(entries) => {
                let record = log.record(Position(entries.get(log, entry)?));
                record.flags().is_put().then(|| (record.value(), record.size()))
            }
        }
    }

    /// Whether an entry, or its tombstone, is here.
    pub(super) fn knows(&self, log: &Log, entry: &[u8]) -> bool {
        match self {
            Self::Packed(at) => packed::find(log.record(*at).value(), entry).is_some(),
            Self::Apart(entries) => entries.get(log, entry).is_some(),
        }
    }

    /// Whether there is an entry that was not removed.
    pub(super) fn has_any(&self, log: &Log) -> bool {
        match self {
            Self::Packed(_) => true,
            Self::Apart(entries) => entries.positions().any(|at| log.record(at).flags().is_put()),
        }
    }

    /// How many entries were removed, but for their tombstones.
    pub(super) fn tombstones(&self, log: &Log) -> usize {
        let positions = self.apart().into_iter().flat_map(MapEntries::positions);
        positions.filter(|&at| !log.record(at).flags().is_put()).count()
    }

    /// The entries from `start` on and before `end`, in order: what is stored for each, and the bytes of its record.
    #[inline]
    pub(super) fn range<'a>(
        &'a self,
        log: &'a Log,
        start: &'a [u8],
        end: Option<&'a [u8]>,
    ) -> impl Iterator<Item = (&'a [u8], &'a [u8], usize)> {
        let is_within =
            move |entry: &[u8]| compare(entry, start).is_ge() && end.is_none_or(|end| compare(entry, end).is_lt());
        let packed = self.packed(log).into_iter().flat_map(packed::entries);
        let packed = packed.filter(move |found| is_within(found.entry)).map(|found| (found.entry, found.value, 0));
        let apart = self.apart().into_iter().flat_map(move |entries| entries.range(log, start, end));
        let apart = apart.map(|(entry, at)| (entry, log.record(at)));
        let puts = apart.filter(|(_, record)| record.flags().is_put());
        packed.chain(puts.map(|(entry, record)| (entry, record.value(), record.size())))
    }

    /// The keys of all entries and tombstones, in order.
    pub(super) fn keys(&self, log: &Log) -> Vec<Box<[u8]>> {
        let packed = self.packed(log).into_iter().flat_map(packed::entries).map(|found| found.entry);
        let apart = self.apart().into_iter().flat_map(|entries| entries.range(log, &[], None));
        packed.chain(apart.map(|(entry, _)| entry)).map(Into::into).collect()
    }

    /// Whether this record holds an entry, or all of them.
    pub(super) fn has(&self, entry: &[u8], at: Position) -> bool {
        match self {
            Self::Packed(packed) => *packed == at,
            Self::Apart(entries) => entries.has(entry, at),
        }
    }

    /// Points to where a record was copied.
    pub(super) fn repoint(&mut self, entry: &[u8], old: Position, new: Position) {
        match self {
            Self::Packed(packed) => *packed = new,
            Self::Apart(entries) => entries.repoint(entry, old, new),
        }
    }

    /// The bytes with which all entries count.
    pub(super) fn counted(&self, log: &Log, key: &[u8]) -> u64 {
        let apart = self.apart().into_iter().flat_map(MapEntries::positions);
        let apart: u64 = apart.map(|at| log.sizes().counted(log.record(at))).sum();
        self.packed(log).map_or(apart, |packed| amount(packed, key).bytes)
    }

    /// The bytes with which an entry counts.
    pub(super) fn counted_entry(&self, log: &Log, key: &[u8], entry: &[u8]) -> u64 {
        match self {
            Self::Packed(at) => {
                packed::find(log.record(*at).value(), entry).map_or(0, |found| found.amount(key.len()).bytes)
            }
            Self::Apart(entries) => {
                entries.get(log, entry).map_or(0, |at| log.sizes().counted(log.record(Position(at))))
            }
        }
    }

    /// Whether no older file holds anything of this.
    pub(super) fn is_fresh(&self, log: &Log) -> bool {
        match self {
            Self::Packed(at) => {
                log.is_open(*at) && packed::entries(log.record(*at).value()).all(|found| found.change == Change::Fresh)
            }
            Self::Apart(entries) => entries.positions().all(|at| log.is_fresh(at)),
        }
    }

    /// All of it is gone.
    pub(super) fn supersede(self, log: &mut Log, Owner { state, key }: Owner<'_>) {
        match self {
            Self::Packed(at) => {
                let gone = amount(log.record(at).value(), key);
                log.sizes_mut().change(state, Amount::default(), gone);
                log.leave(at);
            }
            Self::Apart(entries) => entries.positions().for_each(|at| log.supersede(at)),
        }
    }
}

fn amount(packed: &[u8], key: &[u8]) -> Amount {
    packed::entries(packed).fold(Amount::default(), |sum, found| sum.with(found.amount(key.len())))
}
