//! The map whose entries a restore brings: collected until all are there, so that a small one is packed at once.
//!
//! Receives entries in the order of checkpoint files. Guarantees to hold no more than a packed map does. Does not own
//! when the next map comes.

use super::log::Part;
use super::packed::{self, Change, Packing};

/// The entries that have come of one map.
#[derive(Debug, Default)]
pub(super) struct Arriving {
    hash: u64,
    key: Vec<u8>,
    packing: Packing,
    /// Whether some were rewritten, so that the next checkpoint has to hold them.
    has_changed: bool,
}

impl Arriving {
    /// Whether entries are here.
    pub(super) fn is_any(&self) -> bool {
        !self.packing.is_empty()
    }

    /// Whether entries of this key are here.
    pub(super) fn is_of(&self, key: &[u8]) -> bool {
        self.is_any() && self.key == key
    }

    /// Takes the first entry, or the next, of a key's map. Whether there was room.
    pub(super) fn take(&mut self, part: Part, hash: u64, key: &[u8], entry: &[u8], stored: &[u8]) -> bool {
        if !self.is_any() {
            self.packing.begin();
            self.hash = hash;
            self.key.clear();
            self.key.extend_from_slice(key);
            self.has_changed = false;
        }
        let change = if part == Part::Open { Change::Put } else { Change::None };
        let is_taken = packed::has_room_for_key(key) && self.packing.push(change, entry, stored);
        self.has_changed |= is_taken && part == Part::Open;
        is_taken
    }

    /// The hash, the key, and all its entries, packed; and which part of the log they belong to.
    pub(super) fn all(&self) -> (u64, &[u8], &[u8], Part) {
        let part = if self.has_changed { Part::Open } else { Part::Clean };
        (self.hash, &self.key, self.packing.bytes(), part)
    }

    /// Forgets what has come.
    pub(super) fn clear(&mut self) {
        self.packing.begin();
    }
}
