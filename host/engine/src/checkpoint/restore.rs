//! From a manifest back to what subtasks start with.
//!
//! Guarantees that every byte handed out is the one that was written, and that a subtask gets exactly the files that
//! hold its key groups, clipped to them. Where something does not verify, nothing is guessed: [`stopped`] names it, and
//! the newest entry that a person can restore instead.

use std::collections::BTreeSet;

use bytes::Bytes;
use weir_protocol::chain::{RunEntry, Stored};
use weir_protocol::id::{EntryNumber, JobId, Uid};
use weir_protocol::key_group::KeyGroupRange;
use weir_protocol::manifest::{Blob, Manifest, StateFile, SubtaskManifest};
use weir_protocol::recovery::{Restored, Stopped, restore};
use weir_protocol::redistribution::Place;
use weir_protocol::time::Timestamp;

use super::blob::{BlobError, read_blob, verify_blob};
use super::chain::{ChainError, Newest, run_entry};
use super::stored::StoredFiles;
use super::upload::StateFiles;
use crate::state::file::Reader;
use crate::store::{ChainName, Store, StoreError};

/// What one subtask of an operator starts with.
#[derive(Debug, Clone)]
pub struct RestoredSubtask {
    /// Its files, oldest first, open, with the key groups of each that count.
    pub files: Vec<(Reader, KeyGroupRange)>,
    /// The same files as its next manifest lists them.
    pub listed: StateFiles,
    /// The least watermark of the subtasks that contribute.
    pub watermark: Timestamp,
    /// The greatest processing time of the subtasks that contribute: it does not go back.
    pub processing_time: Timestamp,
}

/// Opens the state of one subtask of operator `uid`, which owns `key_groups`; reading it takes about `budget` bytes of
/// memory. Where the manifest holds none, the subtask starts anew: no files.
///
/// # Errors
/// [`BlobError`], naming the object that is missing or damaged.
pub async fn restore_subtask(
    stored: &StoredFiles,
    manifest: &Manifest,
    uid: &Uid,
    key_groups: KeyGroupRange,
    budget: u64,
) -> Result<RestoredSubtask, BlobError> {
    let subtasks = manifest.operators.get(uid).map_or(&[][..], Vec::as_slice);
    let Restored { files: listed, watermark, processing_time } = restore(subtasks, key_groups);
    let files = stored.open(&listed, budget).await?;
    let listed = with_base(subtasks, listed);
    Ok(RestoredSubtask { files, listed, watermark, processing_time })
}

/// What one subtask of an operator starts with that belongs to no key.
#[derive(Debug, Clone)]
pub struct RestoredUnkeyed {
    /// The snapshots of the old subtasks, by index; those that are not looked at are left out as if there were none.
    pub old: Vec<Option<Bytes>>,
    /// The subtask's own, as its next manifest names it; `None` where there is none, or what it gets is dealt out anew.
    pub own: Option<Blob>,
}

/// Reads what the subtask of operator `uid` at `place` needs of the old subtasks' snapshots.
///
/// # Errors
/// [`BlobError`], naming the object that is missing or damaged.
pub async fn restore_unkeyed(
    store: &Store,
    job: JobId,
    manifest: &Manifest,
    uid: &Uid,
    place: Place,
) -> Result<RestoredUnkeyed, BlobError> {
    let subtasks = manifest.operators.get(uid).map_or(&[][..], Vec::as_slice);
    let mut old = vec![None; subtasks.len()];
    for index in place.sources(subtasks.len()) {
        if let Some(blob) = &subtasks[index].unkeyed {
            old[index] = Some(read_blob(store, job, blob).await?);
        }
    }
    let is_own = subtasks.len() == place.parallelism as usize;
    let own = subtasks.get(place.index as usize).filter(|_| is_own).and_then(|own| own.unkeyed.clone());
    Ok(RestoredUnkeyed { old, own })
}

/// The base of one old subtask stays the base where nothing else comes before it; the bases of several are files.
fn with_base(subtasks: &[SubtaskManifest], mut files: Vec<StateFile>) -> StateFiles {
    let bases: Vec<_> = subtasks.iter().filter_map(|subtask| subtask.base.as_ref()).map(|base| &base.blob).collect();
    let is_base = |file: &StateFile| bases.contains(&&file.blob);
    let alone = files.first().is_some_and(is_base) && !files.iter().skip(1).any(is_base);
    let base = alone.then(|| files.remove(0));
    StateFiles { base, files }
}

/// Decides for a newest entry that names a blob which does not verify. Reads all that the entries name which it retains,
/// until it finds one that verifies.
pub async fn stopped(store: &Store, newest: &Newest, damage: &BlobError) -> Stopped {
    let entry = &newest.stored.entry;
    let sound = newest_sound(store, newest.job, newest.retained.values().rev()).await;
    Stopped::new(entry.number, damage.to_string(), sound.as_slice(), &entry.published)
}

/// Decides for a newest entry that does not verify itself: every other entry may be what is restored.
///
/// # Errors
/// When the chain cannot be listed.
pub async fn stopped_at_entry(store: &Store, job: JobId, damage: &ChainError) -> Result<Stopped, StoreError> {
    let numbers = store.entries(&ChainName::Run(job), EntryNumber(0)).await?;
    let mut candidates = Vec::new();
    for number in &numbers {
        // What cannot be read is no candidate, for whatever reason.
        candidates.extend(run_entry(store, job, *number).await.ok().flatten());
    }
    let published = candidates.last().map(|last| last.entry.published.clone()).unwrap_or_default();
    let sound = newest_sound(store, job, candidates.iter().rev()).await;
    let newest = numbers.last().copied().unwrap_or_default();
    Ok(Stopped::new(newest, damage.to_string(), sound.as_slice(), &published))
}

async fn newest_sound<'a>(
    store: &Store,
    job: JobId,
    candidates: impl Iterator<Item = &'a Stored<RunEntry>>,
) -> Option<&'a RunEntry> {
    for candidate in candidates {
        if verify(store, job, &candidate.entry.manifest).await.is_ok() {
            return Some(&candidate.entry);
        }
    }
    None
}

/// Reads everything that a manifest names.
///
/// # Errors
/// For the first object that does not verify, or cannot be read.
pub async fn verify(store: &Store, job: JobId, manifest: &Manifest) -> Result<(), BlobError> {
    let mut seen = BTreeSet::new();
    for blob in manifest.blobs() {
        if blob.object().is_some_and(|object| seen.insert(&object.name)) {
            verify_blob(store, job, blob).await?;
        }
    }
    Ok(())
}
