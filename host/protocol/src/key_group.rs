//! Key → key group → subtask.
//!
//! Receives the bytes of a key; guarantees that every key belongs to exactly one key group, and every key group to
//! exactly one subtask, at every parallelism. The function is part of the durable format: a manifest names it
//! ([`KEY_GROUP_FUNCTION`]), and it never changes for a job. Does not own how keys are extracted from records.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// The name under which manifests record how keys map to key groups: xxh3-64 with seed 0, modulo the maximum
/// parallelism.
pub const KEY_GROUP_FUNCTION: &str = "xxh3-64-mod";

/// One slice of a job's key space; the unit in which keyed state is assigned to subtasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyGroup(pub u16);

/// How many key groups a job has; fixed for its life. Between 1 and 2^15.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct MaxParallelism(u16);

/// The hash of a key's bytes from which its key group follows.
#[must_use]
pub fn key_hash(key: &[u8]) -> u64 {
    xxh3_64(key)
}

/// A maximum parallelism, or a parallelism, outside its bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be between 1 and {max}, not {given}")]
pub struct ParallelismError {
    /// Which of the two.
    pub what: &'static str,
    /// What was given.
    pub given: u64,
    /// The bound that applies.
    pub max: u32,
}

impl MaxParallelism {
    /// The bound, as in Flink: 2^15.
    pub const BOUND: u32 = 1 << 15;
    /// What a job has that names none.
    pub const DEFAULT: Self = Self(128);

    /// Checks the bounds.
    ///
    /// # Errors
    /// When `groups` is 0 or above [`Self::BOUND`].
    pub fn new(groups: u32) -> Result<Self, ParallelismError> {
        match u16::try_from(groups) {
            Ok(groups) if groups > 0 && u32::from(groups) <= Self::BOUND => Ok(Self(groups)),
            _ => Err(ParallelismError { what: "max-parallelism", given: groups.into(), max: Self::BOUND }),
        }
    }

    /// The number of key groups.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// The key group of a key whose [`key_hash`] is given.
    #[must_use]
    pub fn key_group(self, key_hash: u64) -> KeyGroup {
        let group = key_hash % u64::from(self.0);
        KeyGroup(u16::try_from(group).expect("a remainder is smaller than its divisor, which fits"))
    }

    /// The subtask, of `parallelism`, that owns a key group.
    #[must_use]
    pub fn subtask(self, group: KeyGroup, parallelism: u32) -> u32 {
        u32::from(group.0) * parallelism / u32::from(self.0)
    }

    /// The key groups that subtask `index` of `parallelism` owns: those for which [`Self::subtask`] gives `index`.
    #[must_use]
    pub fn range(self, index: u32, parallelism: u32) -> KeyGroupRange {
        let bound = |index: u32| {
            let first = (u64::from(index) * u64::from(self.0)).div_ceil(u64::from(parallelism));
            u16::try_from(first).expect("an index up to the parallelism gives a group up to the maximum")
        };
        KeyGroupRange { start: bound(index), end: bound(index + 1) }
    }

    /// Checks that a parallelism is at least 1 and at most this.
    ///
    /// # Errors
    /// Outside those bounds.
    pub fn check(self, parallelism: u32) -> Result<(), ParallelismError> {
        if parallelism == 0 || parallelism > u32::from(self.0) {
            return Err(ParallelismError { what: "parallelism", given: parallelism.into(), max: self.0.into() });
        }
        Ok(())
    }
}

impl Default for MaxParallelism {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl TryFrom<u32> for MaxParallelism {
    type Error = ParallelismError;
    fn try_from(groups: u32) -> Result<Self, Self::Error> {
        Self::new(groups)
    }
}

impl From<MaxParallelism> for u32 {
    fn from(max: MaxParallelism) -> Self {
        max.0.into()
    }
}

/// Key groups `start .. end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct KeyGroupRange {
    /// The first key group in the range.
    pub start: u16,
    /// The first key group behind the range.
    pub end: u16,
}

impl KeyGroupRange {
    /// Whether a key group lies in the range.
    #[must_use]
    pub const fn contains(self, group: KeyGroup) -> bool {
        self.start <= group.0 && group.0 < self.end
    }

    /// The part that both ranges have; empty ranges start where they end.
    #[must_use]
    pub fn clip(self, other: Self) -> Self {
        let start = self.start.max(other.start);
        Self { start, end: self.end.min(other.end).max(start) }
    }

    /// Whether no key group lies in the range.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.start >= self.end
    }

    /// The numbers of the key groups in the range.
    #[must_use]
    pub const fn groups(self) -> Range<u16> {
        self.start..self.end
    }
}
