//! The keys of the batch that is being processed.

use weir_operator::batch::{BytesColumn, Keys};
use weir_protocol::time::Timestamp;

/// A copy of a batch's distinct keys, and a mark that changes whenever positions found for them may have become wrong.
#[derive(Debug, Default)]
pub(super) struct Selection {
    keys: BytesColumn,
    hashes: Vec<u64>,
    generation: u64,
    batch: u64,
    now: Timestamp,
}

impl Selection {
    /// Makes these keys the ones that indices mean, at a processing time that does not go back.
    pub(super) fn select(&mut self, keys: &Keys, now: Timestamp) {
        self.now = self.now.max(now);
        self.keys.clone_from(&keys.distinct);
        self.hashes.clone_from(&keys.hashes);
        self.generation += 1;
        self.batch += 1;
    }

    /// Forgets positions that were found before: records have moved.
    pub(super) const fn records_moved(&mut self) {
        self.generation += 1;
    }

    /// Changes whenever positions found before may have become wrong.
    pub(super) const fn generation(&self) -> u64 {
        self.generation
    }

    /// Another one for each selection, never 0.
    pub(super) const fn batch(&self) -> u64 {
        self.batch
    }

    /// The processing time of the call.
    pub(super) const fn now(&self) -> Timestamp {
        self.now
    }

    /// The number of keys.
    pub(super) const fn count(&self) -> usize {
        self.hashes.len()
    }

    /// The indices of all keys.
    pub(super) fn indices(&self) -> impl Iterator<Item = u32> + Clone + use<> {
        0..u32::try_from(self.count()).expect("key indices are 32 bits")
    }

    /// The key at an index that callers have checked.
    #[inline]
    pub(super) fn key(&self, index: u32) -> &[u8] {
        self.keys.get(index as usize)
    }

    /// The hash of the key at an index.
    #[inline]
    pub(super) fn hash(&self, index: u32) -> u64 {
        self.hashes[index as usize]
    }
}
