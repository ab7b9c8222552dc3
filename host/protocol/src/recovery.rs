//! What to do with a job that nobody runs, and what each subtask is restored from.
//!
//! Receives what the store shows of a job's two chains. Guarantees that the newest entry is what a job goes on from,
//! that a job which ended stays ended, and that a newest entry whose objects do not verify stops the job rather than
//! letting an older one run in its place. Does not own the reading of the objects.

use std::collections::BTreeMap;

use crate::chain::{EntryKind, RunEntry, SpecEntry, Wanted};
use crate::fault::Fault;
use crate::id::{CheckpointId, EntryNumber};
use crate::job_spec::JobSpec;
use crate::key_group::KeyGroupRange;
use crate::manifest::{Outlet, StateFile, SubtaskManifest};
use crate::time::{NO_TIME, Timestamp};

/// What to do with a job that nobody runs.
#[derive(Debug, Clone, PartialEq)]
pub enum Recovery<'a> {
    /// Its `run/` chain has no entry: the job never came to be, and whoever submitted it was told nothing.
    NeverBegan,
    /// It ended.
    Ended(&'a EntryKind),
    /// Take it over and run it like this.
    Run(&'a JobSpec),
    /// Take it over, publish what its entries name, and append its end: somebody cancelled it.
    Cancel,
}

/// What to do with a job, from the newest entry of each of its chains.
#[must_use]
pub fn recover<'a>(spec: &'a SpecEntry, run: Option<&'a RunEntry>) -> Recovery<'a> {
    match (run, &spec.wanted) {
        (None, _) => Recovery::NeverBegan,
        (Some(run), _) if run.kind.is_terminal() => Recovery::Ended(&run.kind),
        (Some(_), Wanted::Cancel) => Recovery::Cancel,
        (Some(_), Wanted::Deploy(spec)) => Recovery::Run(spec),
    }
}

/// Why a job was stopped: its newest entry cannot be restored. A person decides; nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("entry {newest} cannot be restored: {damage}; {}", advice(*.verified, .published_since))]
pub struct Stopped {
    /// The job's newest entry.
    pub newest: EntryNumber,
    /// What does not verify: the object that is missing or damaged, by name.
    pub damage: String,
    /// The newest retained entry that does.
    pub verified: Option<EntryNumber>,
    /// The outlets that published beyond that entry, and up to which checkpoint.
    pub published_since: BTreeMap<Outlet, CheckpointId>,
}

impl Stopped {
    /// Decides for a newest entry with damage. `older` are the entries that it retains and whose objects all verify;
    /// `markers` is what was read outside.
    #[must_use]
    pub fn new(
        newest: EntryNumber,
        damage: String,
        older: &[&RunEntry],
        markers: &BTreeMap<Outlet, CheckpointId>,
    ) -> Self {
        let verified = older.iter().max_by_key(|entry| entry.number);
        let restored = verified.map_or(CheckpointId(0), |entry| entry.manifest.checkpoint);
        let beyond = markers.iter().filter(|(_, marker)| **marker > restored);
        let published_since = beyond.map(|(outlet, marker)| (outlet.clone(), *marker)).collect();
        Self { newest, damage, verified: verified.map(|entry| entry.number), published_since }
    }

    /// Who must act: the operator of the node.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        Fault::Corrupt
    }
}

fn advice(verified: Option<EntryNumber>, published_since: &BTreeMap<Outlet, CheckpointId>) -> String {
    let Some(verified) = verified else {
        return "no retained entry verifies; restore the object from a copy".to_owned();
    };
    let since: Vec<String> =
        published_since.iter().map(|(outlet, marker)| format!("`{outlet}` up to checkpoint {marker}")).collect();
    let repeated = if since.is_empty() { String::new() } else { format!("; published since: {}", since.join(", ")) };
    format!("the newest that verifies is entry {verified}{repeated}")
}

/// What one subtask is restored from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The files to read, oldest first, each clipped to the key groups that are the subtask's own.
    pub files: Vec<StateFile>,
    /// The least watermark of the subtasks that contribute.
    pub watermark: Timestamp,
    /// The highest processing time of the subtasks that contribute: time does not go back.
    pub processing_time: Timestamp,
}

/// What a subtask with these key groups is restored from, out of all subtasks of its operator at the checkpoint.
/// Without any, it starts anew.
#[must_use]
pub fn restore(subtasks: &[SubtaskManifest], key_groups: KeyGroupRange) -> Restored {
    let contributing: Vec<_> =
        subtasks.iter().filter(|subtask| !subtask.key_groups.clip(key_groups).is_empty()).collect();
    let clip = |subtask: &SubtaskManifest, file: &StateFile| StateFile {
        blob: file.blob.clone(),
        key_groups: file.key_groups.clip(subtask.key_groups).clip(key_groups),
    };
    let files = contributing.iter().flat_map(|subtask| subtask.state_files().map(move |file| clip(subtask, file)));
    Restored {
        files: files.filter(|file| !file.key_groups.is_empty()).collect(),
        watermark: contributing.iter().map(|subtask| subtask.watermark).min().unwrap_or(NO_TIME),
        processing_time: contributing.iter().map(|subtask| subtask.processing_time).max().unwrap_or(NO_TIME),
    }
}
