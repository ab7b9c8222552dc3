//! Why the engine did not do what it was asked.

use weir_protocol::Fault;
use weir_protocol::id::{JobId, Name};

use crate::checkpoint::chain::ChainError;
use crate::sink::SinkError;
use crate::store::StoreError;

/// Why the engine did not do what it was asked. Nothing was changed, unless the variant says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// A job of this name runs from another spec.
    #[error("a job named `{name}` is running from another spec ({running}); cancel it first, or use another name")]
    Conflict {
        /// The name.
        name: Name,
        /// The job that has it.
        running: JobId,
    },
    /// There is no such job.
    #[error("there is no job {0}")]
    UnknownJob(JobId),
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
            Self::Conflict { .. } | Self::UnknownJob(_) => Fault::Request,
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

impl From<SinkError> for EngineError {
    fn from(error: SinkError) -> Self {
        Self::failed(error.fault, error.message)
    }
}
