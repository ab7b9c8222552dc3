//! What the entries of the two chains say.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::EntryHash;
use crate::document::{self, DocumentError};
use crate::fault::Fault;
use crate::id::{CheckpointId, EntryNumber, JobId, Nonce};
use crate::job_spec::JobSpec;
use crate::manifest::{Manifest, Outlet};
use crate::savepoint::Ancestor;
use crate::time::Timestamp;

/// An entry as it lies in the store.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored<E> {
    /// What it says.
    pub entry: E,
    /// The hash of its bytes.
    pub hash: EntryHash,
}

/// An entry of `run/`: something that happened to the job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunEntry {
    /// Its number, from 0; also its name.
    pub number: EntryNumber,
    /// The entry before it.
    pub parent: Option<EntryHash>,
    /// What makes this attempt at the number unlike any other.
    pub nonce: Nonce,
    /// Who made it.
    pub owner: Owner,
    /// The `spec/` entry that runs.
    pub spec: EntryNumber,
    /// The `spec/` entry under which the manifest was made, where that is another: the job was changed, and has taken no
    /// checkpoint since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest_spec: Option<EntryNumber>,
    /// What happened.
    pub kind: EntryKind,
    /// When, by the owner's clock; for people.
    pub at: Timestamp,
    /// The highest checkpoint of the whole chain, dropped ones included; the next has a higher number.
    pub highest_checkpoint: CheckpointId,
    /// The earlier entries that are kept, oldest first. All others may be deleted.
    pub retained: Vec<Retained>,
    /// For each outlet the newest outbox that is known to be published.
    pub published: BTreeMap<Outlet, CheckpointId>,
    /// Where the job stands.
    pub manifest: Manifest,
}

/// Who appends to `run/`: the attempt that the entry with this number and nonce began. Earlier means a smaller number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The entry by which it became owner.
    pub number: EntryNumber,
    /// That entry's nonce.
    pub nonce: Nonce,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum EntryKind {
    /// The job began: entry 0. Its manifest holds the resolved start positions of every source.
    Start,
    /// An attempt began from the entry before, whose manifest it repeats.
    Takeover,
    /// A checkpoint was taken.
    Checkpoint,
    /// A person went back to an earlier entry, whose manifest it repeats.
    RestoredFrom {
        /// That entry.
        entry: EntryNumber,
    },
    /// Terminal: all sources ended, and everything is published.
    Finished,
    /// Terminal: the job was cancelled.
    Cancelled {
        /// Outboxes that will never be published, because a person said so.
        dropped: Vec<DroppedOutbox>,
    },
    /// Terminal until a person restores it: the job failed more often than its restart strategy bears.
    Failed {
        /// The last failure.
        reason: String,
        /// Who must act. What was written before this was told is taken for the operator's author's.
        #[serde(default = "guest")]
        fault: Fault,
    },
    /// Terminal: another job took the checkpoints over.
    ClaimedBy {
        /// That job.
        job: JobId,
    },
}

/// An outbox that will never be published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DroppedOutbox {
    /// Where it would have gone.
    pub outlet: Outlet,
    /// Which one.
    pub checkpoint: CheckpointId,
}

/// An earlier entry that is kept: it can be restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retained {
    /// The entry.
    pub number: EntryNumber,
    /// The hash of its bytes: entries in between may be gone, and this still shows that it belongs to the chain.
    pub hash: EntryHash,
    /// The checkpoint that it holds.
    pub checkpoint: CheckpointId,
}

/// An entry of `spec/`: what is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpecEntry {
    /// Its number, from 0; also its name.
    pub number: EntryNumber,
    /// The entry before it.
    pub parent: Option<EntryHash>,
    /// What makes this attempt at the number unlike any other.
    pub nonce: Nonce,
    /// When, by the writer's clock; for people.
    pub at: Timestamp,
    /// What is wanted.
    pub wanted: Wanted,
    /// What it takes back; `None`: somebody wanted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<Undone>,
    /// Of entry 0: what the job began from; `None`: anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_from: Option<Ancestor>,
}

/// A wish that was taken back, since the job could not go on as it was wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undone {
    /// The `spec/` entry of that wish.
    pub spec: EntryNumber,
    /// Why the job could not go on.
    pub reason: String,
}

/// What is wanted of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wanted {
    /// It shall run like this.
    Deploy(Box<JobSpec>),
    /// It shall end.
    Cancel,
}

const fn guest() -> Fault {
    Fault::Guest
}

impl EntryKind {
    /// Whether the job ends with this entry.
    #[must_use]
    pub const fn is_terminal(&self) -> bool {
        match self {
            Self::Finished | Self::Cancelled { .. } | Self::Failed { .. } | Self::ClaimedBy { .. } => true,
            Self::Start | Self::Takeover | Self::Checkpoint | Self::RestoredFrom { .. } => false,
        }
    }

    /// Whether the entry's manifest is new, and no other entry's.
    #[must_use]
    pub const fn makes_manifest(&self) -> bool {
        matches!(self, Self::Start | Self::Checkpoint)
    }

    /// Whether the entry makes its writer the owner.
    #[must_use]
    pub const fn begins_attempt(&self) -> bool {
        matches!(self, Self::Start | Self::Takeover | Self::RestoredFrom { .. })
    }
}

impl RunEntry {
    /// The version of the layout that is written, and the only one that is read.
    pub const FORMAT: u32 = 1;

    /// The bytes to create it with.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        document::encode(Self::FORMAT, self)
    }

    /// What the bytes of entry `number` say.
    ///
    /// # Errors
    /// When they are not such an entry, damaged, or do not hold together.
    pub fn decode(number: EntryNumber, bytes: &[u8]) -> Result<Stored<Self>, DocumentError> {
        let entry: Self = document::decode(Self::FORMAT, bytes)?;
        if entry.number != number {
            return Err(DocumentError::Unsound(format!("it is entry {}, not {number}", entry.number)));
        }
        entry.check().map_err(DocumentError::Unsound)?;
        Ok(Stored { entry, hash: EntryHash::of(bytes) })
    }

    /// The `spec/` entry under which the manifest was made: what its state and positions fit.
    #[must_use]
    pub fn made_under(&self) -> EntryNumber {
        self.manifest_spec.unwrap_or(self.spec)
    }

    /// Checks that the entry holds together: before it is written, and after it was read.
    ///
    /// # Errors
    /// What does not hold.
    pub fn check(&self) -> Result<(), String> {
        let first = self.number == EntryNumber(0);
        let own = Owner { number: self.number, nonce: self.nonce };
        let retained_in_order = self.retained.is_sorted_by(|a, b| a.number < b.number);
        let claims = [
            (first == self.parent.is_none(), "only entry 0 has no parent"),
            (first == (self.kind == EntryKind::Start), "entry 0, and no other, starts the job"),
            (self.kind.begins_attempt() == (self.owner == own), "who begins an attempt owns from that entry on"),
            (self.owner.number <= self.number, "its owner comes after it"),
            (!self.kind.makes_manifest() || self.manifest_spec.is_none(), "its manifest was made by another spec"),
            (retained_in_order, "retained entries are not in order"),
            (self.retained.iter().all(|retained| retained.number < self.number), "it retains a later entry"),
            (self.manifest.checkpoint <= self.highest_checkpoint, "its checkpoint is above the highest"),
        ];
        if let Some((_, what)) = claims.into_iter().find(|(holds, _)| !holds) {
            return Err(what.to_owned());
        }
        self.check_end()?;
        self.manifest.check(&self.published)
    }

    /// A job ends with everything published, or with the rest named as dropped.
    fn check_end(&self) -> Result<(), String> {
        let outboxes = &self.manifest.outboxes;
        match &self.kind {
            EntryKind::Finished if !outboxes.is_empty() => Err("it finishes with unpublished results".to_owned()),
            EntryKind::Cancelled { dropped } => {
                let named = dropped.iter().map(|outbox| (&outbox.outlet, outbox.checkpoint));
                let left = outboxes.iter().map(|outbox| (&outbox.outlet, outbox.checkpoint));
                if named.eq(left) { Ok(()) } else { Err("it drops other outboxes than are unpublished".to_owned()) }
            }
            EntryKind::Finished
            | EntryKind::Start
            | EntryKind::Takeover
            | EntryKind::Checkpoint
            | EntryKind::RestoredFrom { .. }
            | EntryKind::Failed { .. }
            | EntryKind::ClaimedBy { .. } => Ok(()),
        }
    }
}

impl SpecEntry {
    /// The version of the layout that is written, and the only one that is read.
    pub const FORMAT: u32 = 1;

    /// The bytes to create it with.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        document::encode(Self::FORMAT, self)
    }

    /// What the bytes of entry `number` say.
    ///
    /// # Errors
    /// When they are not such an entry, or damaged.
    pub fn decode(number: EntryNumber, bytes: &[u8]) -> Result<Stored<Self>, DocumentError> {
        let entry: Self = document::decode(Self::FORMAT, bytes)?;
        if entry.number != number || (number == EntryNumber(0)) != entry.parent.is_none() {
            return Err(DocumentError::Unsound(format!("it is entry {}, not {number}", entry.number)));
        }
        Ok(Stored { entry, hash: EntryHash::of(bytes) })
    }
}
