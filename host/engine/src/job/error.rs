//! Why the engine did not do what it was asked.

use weir_protocol::Fault;
use weir_protocol::id::{JobId, Name};
use weir_protocol::savepoint;
use weir_protocol::upgrade::Refusal;

use super::JobState;
use crate::checkpoint::chain::ChainError;
use crate::checkpoint::inspect::InspectError;
use crate::sink::SinkError;
use crate::source::SourceError;
use crate::store::StoreError;

/// Why the engine did not do what it was asked. Nothing was changed, unless the variant says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// A job that has not ended has this name, and is not what was asked for.
    #[error(
        "the name `{name}` belongs to job {running}, which is {}; upgrade it to this one, cancel it first, or use another name",
        .state.as_str()
    )]
    Conflict {
        /// The name.
        name: Name,
        /// The job that has it.
        running: JobId,
        /// What that one is doing.
        state: JobState,
    },
    /// There is no such job.
    #[error("there is no job {0}")]
    UnknownJob(JobId),
    /// A running job cannot become what it is wanted to be.
    #[error(transparent)]
    Unchangeable(Refusal),
    /// A job cannot begin from a savepoint.
    #[error(transparent)]
    Unrestorable(savepoint::Refusal),
    /// A job that ends, or has ended, cannot be changed.
    #[error("job `{name}` ({id}) {}; submit what it should be as a new job", if *.ended { "has ended" } else { "is being cancelled" })]
    NotRunning {
        /// Its name.
        name: Name,
        /// The job.
        id: JobId,
        /// Whether it has ended; else it is about to.
        ended: bool,
    },
    /// So many savepoints are being taken, and each has some parts of objects in memory.
    #[error("{0} savepoints are being taken, and no more at once; ask again once one of them is there")]
    SavepointLimit(usize),
    /// Anything else.
    #[error("{message}")]
    Failed {
        /// Who must act.
        fault: Fault,
        /// What is wrong, where, and the mend.
        message: String,
    },
}

impl EngineError {
    pub(crate) fn failed(fault: Fault, message: impl Into<String>) -> Self {
        Self::Failed { fault, message: message.into() }
    }

    /// Who must act.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Conflict { .. } | Self::UnknownJob(_) | Self::NotRunning { .. } => Fault::Request,
            Self::SavepointLimit(_) => Fault::Unavailable,
            Self::Unchangeable(refusal) => refusal.fault(),
            Self::Unrestorable(refusal) => refusal.fault(),
            Self::Failed { fault, .. } => *fault,
        }
    }
}

impl From<StoreError> for EngineError {
    fn from(error: StoreError) -> Self {
        Self::failed(error.fault(), error.to_string())
    }
}

impl From<ChainError> for EngineError {
    fn from(error: ChainError) -> Self {
        Self::failed(error.fault(), error.to_string())
    }
}

impl From<InspectError> for EngineError {
    fn from(error: InspectError) -> Self {
        Self::failed(error.fault(), error.to_string())
    }
}

impl From<SourceError> for EngineError {
    fn from(error: SourceError) -> Self {
        Self::failed(error.fault, error.message)
    }
}

impl From<Refusal> for EngineError {
    fn from(refusal: Refusal) -> Self {
        Self::Unchangeable(refusal)
    }
}

impl From<SinkError> for EngineError {
    fn from(error: SinkError) -> Self {
        Self::failed(error.fault, error.message)
    }
}
