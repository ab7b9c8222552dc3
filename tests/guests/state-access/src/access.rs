//! Which access, and to what.

use serde::Deserialize;

/// Entries of each key's map.
pub const ENTRIES: i64 = 10;
/// Values that are appended at once.
pub const VALUES: i64 = 100;

/// Flink's accesses. Those with `add` in their name meet keys that have no state yet.
#[derive(Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    ValueUpdate,
    ValueGet,
    ListUpdate,
    ListAppend,
    ListGet,
    ListGetAndIterate,
    ListAddAll,
    MapUpdate,
    MapGet,
    MapContains,
    MapIsEmpty,
    MapKeys,
    MapValues,
    MapEntries,
    MapIterator,
    MapRemove,
    MapPutAll,
}

/// The configuration of both operators.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    pub access: Access,
}

/// The values that are written and the entries that are looked at, in a fixed sequence.
#[derive(Default)]
pub struct Sequence(i64);

impl Sequence {
    pub fn value(&mut self) -> i64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9);
        self.0
    }

    pub fn entry(&mut self) -> i64 {
        self.value().rem_euclid(ENTRIES)
    }
}
