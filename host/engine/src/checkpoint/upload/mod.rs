//! What one subtask sealed becomes durable.
//!
//! Receives closed segments ([`StateUploader`]), snapshots ([`UnkeyedUploader`]), sealed results and dead letters
//! ([`PartUploader`]) in the order of their barriers; guarantees that what was sealed for a checkpoint that failed is
//! part of the next one, so that no epoch is lost in between, and that nothing is acknowledged before it is in the
//! store. Does not own when a checkpoint is triggered or counts as recorded: it is told.

mod blob;
mod growing;
mod merge;
mod part;
mod state;
mod unkeyed;

use weir_operator::keyed_state::StateError;
use weir_protocol::Fault;

use super::blob::BlobError;
use crate::spawn::Panicked;
use crate::store::StoreError;

pub use blob::{BlobWriter, Unsaved};
pub use part::PartUploader;
pub use state::{StateFiles, StateUploader};
pub use unkeyed::UnkeyedUploader;

/// Bytes of one job that are closed and not in the store, beyond which no checkpoint should be triggered: what its
/// subtasks write meanwhile stays in their open segments, where it is written in place.
pub const UNSAVED_BYTES_MAX: u64 = 256 << 20;

/// Why a subtask's part of a checkpoint is not durable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UploadError {
    /// The store did not take it; it is kept, and tried again with the next checkpoint.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file that is merged into a new base cannot be read back.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// Files that are merged into a new base do not fit together.
    #[error("could not merge checkpoint files: {message}")]
    State {
        /// Who must act.
        fault: Fault,
        /// What is wrong.
        message: String,
    },
    /// Whoever wanted a merge is gone, so it was given up.
    #[error("nobody waits any more for the merge of checkpoint files")]
    Abandoned,
    /// A broken invariant.
    #[error("encoding state failed: {0}")]
    Panicked(String),
}

impl UploadError {
    /// Who must act. [`Fault::Unavailable`]: the checkpoint is declined, and the next may succeed; any other: the job
    /// cannot go on.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Store(error) => error.fault(),
            Self::Blob(error) => error.fault(),
            Self::State { fault, .. } => *fault,
            Self::Abandoned => Fault::Unavailable,
            Self::Panicked(_) => Fault::Bug,
        }
    }
}

impl From<StateError> for UploadError {
    fn from(error: StateError) -> Self {
        Self::State { fault: error.fault, message: error.message }
    }
}

impl From<Panicked> for UploadError {
    fn from(error: Panicked) -> Self {
        Self::Panicked(error.to_string())
    }
}

#[cfg(test)]
mod tests;
