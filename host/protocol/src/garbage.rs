//! Which objects may be deleted.
//!
//! Receives the chain as its owner knows it, with an entry that stands. Guarantees that nothing is deleted that the
//! newest entry or one that it retains names, nor anything that a newer owner made; and that an entry goes only after
//! what only it named, so that a crash in between leaves the entry for the next sweep to find. Does not own the listing
//! of the store, nor what age the store gives its objects.

use std::collections::{BTreeMap, BTreeSet};

use crate::chain::{Confirmed, Footprint, Ownership};
use crate::id::EntryNumber;
use crate::time::Timestamp;

/// What may be deleted after an entry stands: first the objects, then the entries. When both are gone,
/// [`Ownership::deleted`] for each entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deletion {
    /// The names of objects that no restorable entry names any more.
    pub objects: Vec<String>,
    /// The entries that named them.
    pub entries: Vec<EntryNumber>,
}

/// An object as a listing of the store shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its whole name.
    pub name: String,
    /// The number of the entry by which its writer became owner; it is part of the name.
    pub made_by: EntryNumber,
    /// When it was written, by the store's clock.
    pub modified: Timestamp,
}

/// What may be deleted of the entries that were dropped, and of what they name. Nothing, while an entry is retained
/// that could not be read: what it names is not known.
///
/// # Panics
/// When another entry than the newest was confirmed.
#[must_use]
pub fn dropped(ownership: &Ownership, confirmed: Confirmed) -> Deletion {
    let Some(live) = live(ownership, confirmed) else {
        return Deletion::default();
    };
    let unnamed = ownership.dropped().values().flat_map(|footprint| &footprint.objects);
    let unnamed = unnamed.filter(|(name, made_by)| **made_by <= confirmed.owner() && !live.contains(name.as_str()));
    let objects: BTreeSet<&String> = unnamed.map(|(name, _)| name).collect();
    Deletion { objects: objects.into_iter().cloned().collect(), entries: ownership.dropped().keys().copied().collect() }
}

/// Which listed objects are orphans: uploaded by this owner or an earlier one longer than `grace_ms` ago, and named by
/// no entry. `held` are names that this attempt's subtasks may yet contribute.
///
/// # Panics
/// When another entry than the newest was confirmed.
#[must_use]
pub fn orphans(
    ownership: &Ownership,
    confirmed: Confirmed,
    listed: &[Listed],
    held: &BTreeSet<String>,
    now: Timestamp,
    grace_ms: u64,
) -> Vec<String> {
    let Some(live) = live(ownership, confirmed) else {
        return Vec::new();
    };
    let awaits_deletion =
        |name: &String| ownership.dropped().values().any(|dropped| dropped.objects.contains_key(name));
    let orphan = |object: &&Listed| {
        let named = live.contains(object.name.as_str()) || held.contains(&object.name) || awaits_deletion(&object.name);
        let old = object.modified.saturating_add_unsigned(grace_ms) < now;
        !named && old && object.made_by <= confirmed.owner()
    };
    listed.iter().filter(orphan).map(|object| object.name.clone()).collect()
}

/// The names in the newest entry and in those that it retains; `None`: not all of them are known.
fn live(ownership: &Ownership, confirmed: Confirmed) -> Option<BTreeSet<String>> {
    let newest = ownership.newest().expect("an entry stands");
    assert_eq!(newest.entry.number, confirmed.number(), "only the newest entry says what is garbage");
    let mut names: BTreeMap<String, EntryNumber> = Footprint::of(&newest.entry.manifest).objects;
    for kept in ownership.kept().values() {
        names.extend(kept.footprint.as_ref()?.objects.clone());
    }
    Some(names.into_keys().collect())
}
