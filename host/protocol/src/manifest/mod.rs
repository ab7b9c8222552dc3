//! The durable description of one checkpoint.
//!
//! A manifest is part of every entry of a job's `run/` chain and is all that a restore needs: where each source stands,
//! which files hold each subtask's state, and what is sealed but not known to be published. It is checked when it is
//! made and again when it is read ([`Manifest::check`]). Does not own the bytes it names, nor the names' form.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::{CheckpointId, SubtaskId, Uid};
use crate::key_group::{KEY_GROUP_FUNCTION, KeyGroupRange, MaxParallelism};
use crate::time::Timestamp;

mod blob;
mod outbox;
mod soundness;

pub use blob::{Blob, Checksum, InlineBytes, ObjectRef, Unverified};
pub use outbox::{Outbox, OutboxPart, Outlet};

/// A source's positions: split → position, both in the connector's own words.
pub type Positions = BTreeMap<String, Value>;

/// The durable description of one checkpoint, or of the start positions before the first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of this layout: [`Manifest::FORMAT`].
    pub format: u32,
    /// Which checkpoint; 0: none yet, only start positions.
    pub checkpoint: CheckpointId,
    /// When the checkpoint was triggered.
    pub taken_at: Timestamp,
    /// How keys map to key groups: [`KEY_GROUP_FUNCTION`].
    pub key_group_function: String,
    /// How many key groups there are.
    pub max_parallelism: MaxParallelism,
    /// Where each source goes on reading.
    pub sources: BTreeMap<Uid, Positions>,
    /// The state of each operator's subtasks, by index. Empty before the first checkpoint.
    pub operators: BTreeMap<Uid, Vec<SubtaskManifest>>,
    /// All outboxes that no entry confirms as published; those of one outlet in order.
    pub outboxes: Vec<Outbox>,
    /// Records dead-lettered or skipped over the job's life, which counts against its budget.
    pub rejected: u64,
    /// The subtasks that have finished; see [`finished`](crate::finished::finished).
    pub finished: BTreeSet<SubtaskId>,
    /// How many subtasks each source, operator and sink had: an index of `finished` is one of so many.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parallelism: BTreeMap<Uid, u32>,
}

/// The state of one subtask at one barrier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubtaskManifest {
    /// Its index when the checkpoint was taken.
    pub index: u32,
    /// The operator's parallelism then.
    pub parallelism: u32,
    /// The key groups that were its own.
    pub key_groups: KeyGroupRange,
    /// All state at one earlier barrier; it covers every segment closed at or before that one.
    pub base: Option<StateFile>,
    /// The checkpoint files of the segments closed after the base, oldest first; those of aborted checkpoints too.
    pub files: Vec<StateFile>,
    /// All of its state that belongs to no key; `None`: there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unkeyed: Option<Blob>,
    /// Its watermark.
    pub watermark: Timestamp,
    /// Its processing time, which does not go back on a restore.
    pub processing_time: Timestamp,
}

/// A file of state, and which part of it counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateFile {
    /// The bytes.
    pub blob: Blob,
    /// Only these key groups of it count; restore and rebase clip to them.
    pub key_groups: KeyGroupRange,
}

impl Manifest {
    /// The version of the layout that is written, and the only one that is read.
    pub const FORMAT: u32 = 1;

    /// The manifest of a job that starts anew: every source's resolved start positions, and nothing else.
    #[must_use]
    pub fn start(max_parallelism: MaxParallelism, at: Timestamp, sources: BTreeMap<Uid, Positions>) -> Self {
        Self {
            format: Self::FORMAT,
            checkpoint: CheckpointId::default(),
            taken_at: at,
            key_group_function: KEY_GROUP_FUNCTION.to_owned(),
            max_parallelism,
            sources,
            operators: BTreeMap::new(),
            outboxes: Vec::new(),
            rejected: 0,
            finished: BTreeSet::new(),
            parallelism: BTreeMap::new(),
        }
    }

    /// Every blob of the manifest, inlined or named.
    pub fn blobs(&self) -> impl Iterator<Item = &Blob> {
        let states = self.operators.values().flatten().flat_map(SubtaskManifest::blobs);
        states.chain(self.outboxes.iter().flat_map(|outbox| &outbox.parts).map(|part| &part.blob))
    }

    /// Every object that the manifest names; one may come several times.
    pub fn objects(&self) -> impl Iterator<Item = &ObjectRef> {
        self.blobs().filter_map(Blob::object)
    }

    /// The same with other objects in the place of those that hold its state.
    #[must_use]
    pub fn with_state_in(mut self, mut other: impl FnMut(&ObjectRef) -> ObjectRef) -> Self {
        for subtask in self.operators.values_mut().flatten() {
            let files = subtask.base.iter_mut().chain(&mut subtask.files).map(|file| &mut file.blob);
            for blob in files.chain(&mut subtask.unkeyed) {
                if let Blob::Object(object) = blob {
                    *object = other(object);
                }
            }
        }
        self
    }

    /// The bytes of all it holds and names, what subtasks share once: the size of the checkpoint.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let mut seen = BTreeSet::new();
        let blobs = self.blobs().map(|blob| (blob.bytes(), blob.object().map(|object| &object.name)));
        blobs.filter(|(_, name)| name.is_none_or(|name| seen.insert(name))).map(|(bytes, _)| bytes).sum()
    }
}

impl SubtaskManifest {
    /// The base, then the files: the order in which they are read.
    pub fn state_files(&self) -> impl Iterator<Item = &StateFile> {
        self.base.iter().chain(&self.files)
    }

    /// Every blob that holds state of it.
    pub fn blobs(&self) -> impl Iterator<Item = &Blob> {
        self.state_files().map(|file| &file.blob).chain(&self.unkeyed)
    }
}
