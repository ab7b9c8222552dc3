//! Results and dead letters that are sealed but not yet published.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Blob;
use crate::id::{CheckpointId, NameError, SubtaskId, Uid};

/// Where sealed records go: what has a publisher, a marker and a sequence of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Outlet {
    /// A sink's results. Written as the sink's uid.
    Sink(Uid),
    /// The dead letters of the whole job. Written as `!dead-letters`, which is no uid.
    DeadLetters,
}

impl Outlet {
    const DEAD_LETTERS: &'static str = "!dead-letters";
}

impl fmt::Display for Outlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sink(uid) => uid.fmt(f),
            Self::DeadLetters => f.write_str(Self::DEAD_LETTERS),
        }
    }
}

impl TryFrom<String> for Outlet {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text == Self::DEAD_LETTERS { Ok(Self::DeadLetters) } else { Uid::try_from(text).map(Self::Sink) }
    }
}

impl From<Outlet> for String {
    fn from(outlet: Outlet) -> Self {
        outlet.to_string()
    }
}

/// What one checkpoint sealed for one outlet. Its identity (job, outlet, checkpoint) is the identity of its
/// publication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outbox {
    /// Where it goes.
    pub outlet: Outlet,
    /// The checkpoint that recorded it.
    pub checkpoint: CheckpointId,
    /// The outlet's outbox before this one in the job's history. The outlet's marker moves only from it to this one.
    pub predecessor: Option<CheckpointId>,
    /// By subtask, then by epoch. A subtask has several where checkpoints were aborted in between; published, they
    /// follow each other.
    pub parts: Vec<OutboxPart>,
}

/// What one subtask sealed at one barrier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxPart {
    /// Who sealed it.
    pub subtask: SubtaskId,
    /// The checkpoint at whose barrier it was sealed, whatever became of that checkpoint. What a subtask seals when it
    /// has finished has the checkpoint after the last barrier it passed.
    pub epoch: CheckpointId,
    /// The bytes, as they are published.
    pub blob: Blob,
    /// How many records they are.
    pub records: u64,
}
