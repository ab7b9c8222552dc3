//! What an owner does next, and what it is told.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::entry::EntryKind;
use crate::fault::Fault;
use crate::id::{CheckpointId, EntryNumber, Nonce, Uid};
use crate::manifest::{Manifest, Outlet, Positions};
use crate::time::Timestamp;

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Create the entry, if it is absent; then [`Ownership::on_create`](super::Ownership::on_create).
    Create {
        /// The entry.
        number: EntryNumber,
        /// Its bytes, the same each time.
        bytes: Arc<[u8]>,
    },
    /// Read the entry; then [`Ownership::on_look`](super::Ownership::on_look). Where the read fails, read again.
    Look {
        /// The entry.
        number: EntryNumber,
    },
    /// List the chain from this number on; then [`Ownership::on_list`](super::Ownership::on_list). Where that fails, list again.
    List {
        /// The first number of interest.
        from: EntryNumber,
    },
    /// The newest entry stands: what follows from it may be done.
    Stands(Confirmed),
    /// Another owns the chain: stop, and publish and delete nothing.
    Lost {
        /// An entry of the other's.
        to: EntryNumber,
    },
}

/// That an entry was created, and that no higher one was there afterwards. Whoever publishes, commits or deletes needs
/// it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confirmed {
    pub(super) number: EntryNumber,
    pub(super) owner: EntryNumber,
}

/// How a job begins, or an attempt at it.
#[derive(Debug, Clone, PartialEq)]
pub struct Start {
    /// Of the entry by which the attempt becomes owner.
    pub nonce: Nonce,
    /// When, by the clock.
    pub at: Timestamp,
    /// The `spec/` entry to run.
    pub spec: EntryNumber,
    /// How many checkpoints to keep; at least 1.
    pub checkpoints_retained: u32,
    /// Where sources begin that the newest manifest does not know yet; a takeover's manifest takes them in.
    pub new_sources: BTreeMap<Uid, Positions>,
}

/// What an owner appends next.
#[derive(Debug, Clone, PartialEq)]
pub struct Next {
    /// Of this entry alone.
    pub nonce: Nonce,
    /// When, by the clock.
    pub at: Timestamp,
    /// What happened; not the beginning of an attempt.
    pub kind: EntryKind,
    /// Where the job stands.
    pub manifest: Manifest,
    /// For each outlet the newest outbox known to be published.
    pub published: BTreeMap<Outlet, CheckpointId>,
}

/// Why nothing can be appended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NextError {
    /// The last append is not decided; finish it first.
    #[error("entry {0} was sent, and what became of it is not known yet")]
    Undecided(EntryNumber),
    /// Another owns the chain.
    #[error("another owner made entry {0}")]
    Lost(EntryNumber),
    /// The job has ended.
    #[error("entry {0} ended the job")]
    Ended(EntryNumber),
    /// What was to be appended does not hold together.
    #[error("entry {number} would not hold together: {what}")]
    Unsound {
        /// The number it would have.
        number: EntryNumber,
        /// What does not hold.
        what: String,
    },
}

impl NextError {
    /// Who must act.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Lost(_) => Fault::Unavailable,
            Self::Undecided(_) | Self::Ended(_) | Self::Unsound { .. } => Fault::Bug,
        }
    }
}

impl Confirmed {
    /// The entry that stands.
    #[must_use]
    pub const fn number(self) -> EntryNumber {
        self.number
    }

    /// The number of the entry by which its maker became owner.
    #[must_use]
    pub const fn owner(self) -> EntryNumber {
        self.owner
    }
}
