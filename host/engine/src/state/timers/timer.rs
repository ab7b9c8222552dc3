//! One timer, and how it is written down: in the log, in the base, and in the order in which timers fire.

use weir_operator::turn::TimeDomain;
use weir_protocol::time::Timestamp;

/// The length of a timer's entry.
pub(in crate::state) const ENTRY: usize = 13;
/// Of that, time and tag.
const WHEN: usize = 12;
/// The bytes of a key of the base before a timer's entry.
const STATE_BYTES: usize = 2;

/// What tells a timer from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::state) struct Timer<'a> {
    pub(in crate::state) domain: TimeDomain,
    pub(in crate::state) at: Timestamp,
    pub(in crate::state) tag: u32,
    pub(in crate::state) key: &'a [u8],
}

impl<'a> Timer<'a> {
    /// Time and tag, then the key: timers of one domain in the order in which they fire. Each has a few bytes at least.
    pub(super) fn due_order(&self, into: &mut Vec<u8>) {
        into.clear();
        into.extend_from_slice(&self.entry()[1..]);
        into.extend_from_slice(self.key);
    }

    /// What stands in its record beside its key: domain (1 byte), time (8 bytes, ordered as the numbers are), tag (4 bytes).
    pub(super) fn entry(&self) -> [u8; ENTRY] {
        let mut entry = [0; ENTRY];
        entry[0] = self.domain as u8;
        entry[1..9].copy_from_slice(&ordered(self.at).to_be_bytes());
        entry[9..].copy_from_slice(&self.tag.to_be_bytes());
        entry
    }

    pub(super) fn from_due_order(domain: TimeDomain, bytes: &'a [u8]) -> Self {
        let (when, key) = bytes.split_first_chunk::<WHEN>().expect("every timer has a time and a tag");
        Self::from_parts(domain, when, key)
    }

    fn from_parts(domain: TimeDomain, when: &[u8; WHEN], key: &'a [u8]) -> Self {
        let (at, tag) = when.split_first_chunk().expect("12 bytes");
        let at = u64::from_be_bytes(*at) ^ 1 << 63;
        Self {
            domain,
            at: at.cast_signed(),
            tag: u32::from_be_bytes(tag.try_into().expect("the last 4 of 12 bytes")),
            key,
        }
    }

    /// The timer that a record holds; `None` when its entry is malformed.
    pub(in crate::state) fn from_record(key: &'a [u8], entry: &[u8]) -> Option<Self> {
        let (&domain, when) = entry.split_first()?;
        let domain = match domain {
            0 => TimeDomain::EventTime,
            1 => TimeDomain::ProcessingTime,
            _ => return None,
        };
        Some(Self::from_parts(domain, when.try_into().ok()?, key))
    }

    /// The timer under a key of the base, where the entry stands before the key.
    pub(super) fn from_base_key(bytes: &'a [u8]) -> Option<Self> {
        let (entry, key) = bytes.get(STATE_BYTES..)?.split_first_chunk::<ENTRY>()?;
        Self::from_record(key, entry)
    }
}

/// A time as a number that sorts as it does.
const fn ordered(at: Timestamp) -> u64 {
    at.cast_unsigned() ^ 1 << 63
}
