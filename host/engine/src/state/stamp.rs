//! Stamps: when what is held was last written or, where reads refresh it, last read.
//!
//! What is *stored* for a state with a time to live is its stamp (processing time in milliseconds, 8 bytes,
//! little-endian) and the value behind it, in the log as in files. A state without one stores the value alone: it pays
//! nothing. What a stamp means is [`TtlDescription`]'s to say.

use std::collections::BTreeSet;

use weir_protocol::description::TtlDescription;
use weir_protocol::time::Timestamp;

use super::limits::Growth;

/// The bytes of a stamp.
pub(super) const STAMP_BYTES: usize = 8;

/// Stamp and value of what is stored.
#[inline]
pub(super) fn split(stored: &[u8]) -> (Timestamp, &[u8]) {
    let (stamp, value) = stored.split_first_chunk().expect("what is stored under a stamp begins with it");
    (Timestamp::from_le_bytes(*stamp), value)
}

/// What is stored for a value.
#[inline]
pub(super) fn join<'s>(stamp: Timestamp, value: &[u8], scratch: &'s mut Vec<u8>) -> &'s [u8] {
    scratch.clear();
    scratch.extend_from_slice(&stamp.to_le_bytes());
    scratch.extend_from_slice(value);
    scratch
}

/// How long what one state holds lives, for what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Life(pub(super) TtlDescription);

impl Life {
    /// The value, if a read may see it.
    #[inline]
    pub(super) fn read(self, stored: &[u8], now: Timestamp) -> Option<&[u8]> {
        let (stamp, value) = split(stored);
        self.0.shows(stamp, now).then_some(value)
    }

    /// Whether a read gives it another stamp.
    pub(super) fn is_refreshed(self, stored: &[u8], now: Timestamp) -> bool {
        self.0.is_refreshed(split(stored).0, now)
    }

    /// Whether it has expired.
    pub(super) fn has_expired(self, stored: &[u8], now: Timestamp) -> bool {
        self.0.has_expired(split(stored).0, now)
    }

    /// When it is worth looking for: a sixteenth of its life after it has expired, so that no chunk is swept more than
    /// sixteen times in a life.
    pub(super) fn sweep_at(self, stored: &[u8]) -> Timestamp {
        self.0.expires_at(split(stored).0).saturating_add_unsigned(self.0.duration_ms / 16)
    }
}

/// What the reads of a call saw that they refresh: the commit behind them stamps it.
#[derive(Debug)]
pub(super) struct Seen<P> {
    /// A call may read a place again and again.
    places: BTreeSet<P>,
    growth: Growth,
}

impl<P> Default for Seen<P> {
    fn default() -> Self {
        Self { places: BTreeSet::new(), growth: Growth::NONE }
    }
}

impl<P: Ord> Seen<P> {
    /// Notes a place whose records have so many bytes.
    pub(super) fn note(&mut self, place: P, records: usize) {
        if self.places.insert(place) {
            self.growth.add_copy(records);
        }
    }

    /// What stamping all this may add to the log.
    pub(super) const fn growth(&self) -> Growth {
        self.growth
    }

    /// Forgets all that was seen.
    pub(super) fn clear(&mut self) {
        self.places.clear();
        self.growth = Growth::NONE;
    }

    /// All that was seen; forgets it.
    pub(super) fn take(&mut self) -> BTreeSet<P> {
        std::mem::take(self).places
    }
}

#[cfg(test)]
mod tests {
    use super::Seen;
    use crate::state::log::Log;

    #[test]
    fn what_is_read_again_and_again_needs_no_more_room_than_once() {
        let mut seen = Seen::default();
        (0..100).for_each(|_| seen.note(7, 1 << 29));
        assert!(seen.growth().check_room(&Log::new([])).is_ok());
        (0..100).for_each(|key| seen.note(key, 1 << 29));
        assert!(seen.growth().check_room(&Log::new([])).is_err());
    }
}
