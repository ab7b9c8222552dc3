//! Distinct keys, found again by their hash and their bytes.

use hashbrown::HashTable;
use weir_operator::batch::Keys;

/// Keys of a batch that is being made. What was pushed is found only once it is indexed, so that a batch made from a
/// single other one, whose keys are distinct already, builds no table at all.
#[derive(Debug, Default)]
pub(super) struct Dictionary {
    /// The keys so far, and which one each row carries; the caller appends to `key_of`.
    pub(super) keys: Keys,
    table: HashTable<u32>,
    indexed: usize,
}

impl Dictionary {
    /// The index of a key, which is found or added, and will be found.
    pub(super) fn intern(&mut self, key: &[u8], hash: u64) -> u32 {
        self.index_all();
        self.find(key, hash).unwrap_or_else(|| self.push(key, hash))
    }

    /// The index of a key among those that are indexed.
    pub(super) fn find(&self, key: &[u8], hash: u64) -> Option<u32> {
        if self.indexed == 0 {
            return None;
        }
        let Keys { distinct, hashes, .. } = &self.keys;
        let is_same = |&index: &u32| hashes[index as usize] == hash && distinct.get(index as usize) == key;
        self.table.find(hash, is_same).copied()
    }

    /// Adds a key that is not in it.
    pub(super) fn push(&mut self, key: &[u8], hash: u64) -> u32 {
        let index = u32::try_from(self.keys.count()).expect("batches are bounded far below 2^32 rows");
        self.keys.distinct.push(key);
        self.keys.hashes.push(hash);
        index
    }

    /// Lets everything that was pushed be found.
    pub(super) fn index_all(&mut self) {
        let hashes = &self.keys.hashes;
        for (index, &hash) in hashes.iter().enumerate().skip(self.indexed) {
            let index = u32::try_from(index).expect("batches are bounded far below 2^32 rows");
            self.table.insert_unique(hash, index, |&other| hashes[other as usize]);
        }
        self.indexed = hashes.len();
    }

    /// Hands out the keys and begins anew.
    pub(super) fn take(&mut self) -> Keys {
        self.table.clear();
        self.indexed = 0;
        std::mem::take(&mut self.keys)
    }
}
