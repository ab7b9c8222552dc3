//! Which earlier entries a new entry retains.

use std::collections::{BTreeMap, BTreeSet};

use super::{EntryHash, RunEntry};
use crate::id::{CheckpointId, EntryNumber, SubtaskId};
use crate::manifest::{Blob, Checksum, Manifest};

/// What an entry names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Footprint {
    /// The objects, and by which owner's attempt each was made.
    pub objects: BTreeMap<String, EntryNumber>,
    bases: BTreeMap<SubtaskId, Base>,
}

/// What tells one base from another.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Base {
    Object(String),
    Inline(Checksum),
}

/// An entry that the newest retains, as far as its owner knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The hash of its bytes.
    pub hash: EntryHash,
    /// The checkpoint that it holds; 0: none.
    pub checkpoint: CheckpointId,
    /// What it names; `None`: it could not be read, so nothing that it may name is deleted.
    pub footprint: Option<Footprint>,
}

impl Footprint {
    /// What a manifest names.
    #[must_use]
    pub fn of(manifest: &Manifest) -> Self {
        let objects = manifest.objects().map(|object| (object.name.clone(), object.made_by)).collect();
        let subtasks = manifest.operators.iter().flat_map(|(uid, subtasks)| {
            subtasks.iter().map(|subtask| (SubtaskId { uid: uid.clone(), index: subtask.index }, subtask))
        });
        let bases = subtasks.filter_map(|(id, subtask)| Some((id, Base::of(&subtask.base.as_ref()?.blob)))).collect();
        Self { objects, bases }
    }
}

impl Base {
    fn of(blob: &Blob) -> Self {
        match blob {
            Blob::Inline(bytes) => Self::Inline(Checksum::of(&bytes.0)),
            Blob::Object(object) => Self::Object(object.name.clone()),
        }
    }
}

impl Kept {
    /// An entry that is known.
    #[must_use]
    pub fn of(entry: &RunEntry, hash: EntryHash) -> Self {
        let footprint = Some(Footprint::of(&entry.manifest));
        Self { hash, checkpoint: entry.manifest.checkpoint, footprint }
    }
}

/// The entries that a new entry retains: so that with it `checkpoints` different checkpoints can be restored, and for
/// each of its subtasks the last entry before that subtask's current base.
///
/// `earlier` are the entry before it and those that one retains: what was dropped does not return.
pub(super) fn retain(
    checkpoints: u32,
    manifest: &Manifest,
    earlier: &BTreeMap<EntryNumber, Kept>,
) -> BTreeSet<EntryNumber> {
    let footprint = Footprint::of(manifest);
    let mut retained = newest_checkpoints(checkpoints, manifest.checkpoint, earlier);
    retained.extend(footprint.bases.iter().filter_map(|(subtask, base)| last_before(subtask, base, earlier)));
    retained
}

/// The newest entry of each of the newest checkpoints, the new entry's own not among them.
fn newest_checkpoints(
    checkpoints: u32,
    own: CheckpointId,
    earlier: &BTreeMap<EntryNumber, Kept>,
) -> BTreeSet<EntryNumber> {
    let with_checkpoint = earlier.iter().filter(|(_, kept)| kept.checkpoint > CheckpointId(0));
    let newest: BTreeMap<_, _> = with_checkpoint.map(|(number, kept)| (kept.checkpoint, *number)).collect();
    let others = checkpoints.saturating_sub(u32::from(own > CheckpointId(0)));
    let others = usize::try_from(others).expect("a u32 fits");
    newest
        .into_iter()
        .rev()
        .filter(|(checkpoint, _)| *checkpoint != own)
        .take(others)
        .map(|(_, number)| number)
        .collect()
}

/// The newest entry with a checkpoint in which a subtask had another base, or none.
fn last_before(subtask: &SubtaskId, base: &Base, earlier: &BTreeMap<EntryNumber, Kept>) -> Option<EntryNumber> {
    let differs = |kept: &Kept| {
        let footprint = kept.footprint.as_ref();
        kept.checkpoint > CheckpointId(0) && footprint.is_some_and(|known| known.bases.get(subtask) != Some(base))
    };
    earlier.iter().rev().find(|(_, kept)| differs(kept)).map(|(number, _)| *number)
}
