//! Why a chain could not be read or appended to.

use weir_protocol::Fault;
use weir_protocol::chain::NextError;
use weir_protocol::document::DocumentError;
use weir_protocol::id::{EntryNumber, JobId};

use crate::store::{ChainName, ObjectName, StoreError};

/// Why a chain could not be read or appended to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// The store did not do its part.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another owns the job now; whatever this one had not recorded is void.
    #[error("another owner of job {job} made entry {}; this one stops", .to.0)]
    Lost {
        /// The job.
        job: JobId,
        /// An entry of the other's.
        to: EntryNumber,
    },
    /// The job does not exist: its first entry was never made.
    #[error("there is no job {0}: it has no first entry")]
    NoJob(JobId),
    /// The job has ended with this entry.
    #[error("job {job} ended with entry {}", .entry.0)]
    Ended {
        /// The job.
        job: JobId,
        /// Its last entry.
        entry: EntryNumber,
    },
    /// An entry cannot be used.
    #[error("entry `{object}` cannot be used: {error}")]
    Damaged {
        /// The entry.
        object: ObjectName,
        /// What is wrong with it.
        error: DocumentError,
    },
    /// An entry is missing whose existence another shows.
    #[error("entry `{0}` is missing though the chain needs it; restore the object from a copy")]
    Missing(ObjectName),
    /// What was to be appended is not allowed.
    #[error("entry not appended: {0}")]
    Next(NextError),
}

impl ChainError {
    /// Who must act.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Store(error) => error.fault(),
            Self::Lost { .. } => Fault::Unavailable,
            Self::NoJob(_) | Self::Ended { .. } => Fault::Request,
            Self::Damaged { error, .. } => error.fault(),
            Self::Missing(_) => Fault::Corrupt,
            Self::Next(error) => error.fault(),
        }
    }

    pub(super) fn next(job: JobId, error: NextError) -> Self {
        match error {
            NextError::Lost(to) => Self::Lost { job, to },
            NextError::Ended(entry) => Self::Ended { job, entry },
            NextError::Undecided(_) | NextError::Unsound { .. } => Self::Next(error),
        }
    }

    pub(super) fn damaged(chain: &ChainName, number: EntryNumber) -> impl FnOnce(DocumentError) -> Self {
        let object = ObjectName::entry(chain, number);
        move |error| Self::Damaged { object, error }
    }
}
