//! Keys, dictionary-encoded.

use weir_protocol::key_group::key_hash;

use super::BytesColumn;

/// Stands in [`Keys::key_of`] for a record that carries no key. Never on a keyed input.
pub const NO_KEY: u32 = u32::MAX;

/// The keys of a batch's rows: each distinct key once, and which one each row carries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys {
    /// Each distinct key once, in the order of their first row.
    pub distinct: BytesColumn,
    /// [`key_hash`] of each distinct key.
    pub hashes: Vec<u64>,
    /// For each row an index into `distinct`, or [`NO_KEY`].
    pub key_of: Vec<u32>,
}

impl Keys {
    /// The number of distinct keys.
    #[must_use]
    pub fn count(&self) -> usize {
        self.hashes.len()
    }

    /// Encodes one key a row, the slow and plain way; the exchange has a faster one for its hot path.
    pub fn encode<'a>(keys: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut encoded = Self::default();
        let mut seen = std::collections::BTreeMap::new();
        for key in keys {
            let next = u32::try_from(encoded.count()).expect("batches are bounded far below 2^32 rows");
            let index = *seen.entry(key).or_insert(next);
            if index == next {
                encoded.distinct.push(key);
                encoded.hashes.push(key_hash(key));
            }
            encoded.key_of.push(index);
        }
        encoded
    }
}
