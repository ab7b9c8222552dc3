//! A checkpoint that was copied away from its job, to begin other jobs from.
//!
//! Receives an entry that stands; guarantees that what is kept of it holds together by itself, wherever it is moved to:
//! names of objects are relative to the folder in which the [`Savepoint`] lies, and no result is in it ([`Fork`] says what
//! that means for a job which begins from it). Does not own the copying, nor when a folder counts as a savepoint.

mod fork;
mod refusal;

use serde::{Deserialize, Serialize};

use crate::chain::{DroppedOutbox, RunEntry};
use crate::document::{self, DocumentError};
use crate::id::{CheckpointId, EntryNumber, JobId};
use crate::job_spec::JobSpec;
use crate::manifest::Manifest;
use crate::time::Timestamp;

pub use fork::{Fork, shared_place};
pub use refusal::Refusal;

/// What a savepoint is: the document `_metadata`, written when all that it names is there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Savepoint {
    /// The job whose checkpoint it was.
    pub job: JobId,
    /// The entry of its `run/` chain that holds that checkpoint.
    pub entry: EntryNumber,
    /// When it was taken, by the clock of who took it.
    pub at: Timestamp,
    /// Whether the job ended with that entry, so that it published nothing which comes after the checkpoint.
    pub ended: bool,
    /// Results before the checkpoint that the job ended without publishing: nobody will.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unpublished: Vec<DroppedOutbox>,
    /// What the job was when the checkpoint was taken.
    pub spec: JobSpec,
    /// The checkpoint. Names of objects are those that they had in the job's own store.
    pub manifest: Manifest,
}

/// The savepoint that a job began from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ancestor {
    /// Where it was.
    pub location: String,
    /// The job whose checkpoint it was.
    pub job: JobId,
    /// Which one.
    pub checkpoint: CheckpointId,
}

impl Savepoint {
    /// The version of the layout that is written, and the only one that is read.
    pub const FORMAT: u32 = 1;

    /// What is kept of an entry that stands; `spec` is what its manifest was made under. `None`: it holds no checkpoint.
    #[must_use]
    pub fn of(job: JobId, entry: &RunEntry, spec: JobSpec, at: Timestamp) -> Option<Self> {
        if entry.manifest.checkpoint == CheckpointId(0) {
            return None;
        }
        let ended = entry.kind.is_terminal();
        let outboxes = entry.manifest.outboxes.iter().filter(|_| ended);
        let left = |outbox: &crate::manifest::Outbox| DroppedOutbox {
            outlet: outbox.outlet.clone(),
            checkpoint: outbox.checkpoint,
        };
        let unpublished = outboxes.map(left).collect();
        let manifest = Manifest { outboxes: Vec::new(), ..entry.manifest.clone() };
        Some(Self { job, entry: entry.number, at, ended, unpublished, spec, manifest })
    }

    /// The bytes to write it with.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        document::encode(Self::FORMAT, self)
    }

    /// What the bytes of a `_metadata` say.
    ///
    /// # Errors
    /// When they are none, damaged, or do not hold together.
    pub fn decode(bytes: &[u8]) -> Result<Self, DocumentError> {
        let savepoint: Self = document::decode(Self::FORMAT, bytes)?;
        savepoint.check().map_err(DocumentError::Unsound)?;
        Ok(savepoint)
    }

    fn check(&self) -> Result<(), String> {
        let claims = [
            (self.manifest.checkpoint > CheckpointId(0), "it holds no checkpoint"),
            (self.manifest.outboxes.is_empty(), "it holds results, which belong to its job alone"),
            (self.ended || self.unpublished.is_empty(), "its job had not ended, and yet left results behind"),
            (self.spec.max_parallelism == self.manifest.max_parallelism, "its job had another number of key groups"),
        ];
        if let Some((_, what)) = claims.into_iter().find(|(holds, _)| !holds) {
            return Err(what.to_owned());
        }
        self.manifest.check(&Default::default())
    }
}
