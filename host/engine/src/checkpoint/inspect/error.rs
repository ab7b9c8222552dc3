//! Why nothing could be shown.

use weir_operator::keyed_state::StateError;
use weir_protocol::Fault;
use weir_protocol::id::{CheckpointId, Uid};

use crate::checkpoint::BlobError;
use crate::checkpoint::chain::ChainError;
use crate::store::StoreError;

/// Why nothing could be shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InspectError {
    /// The job has not completed a checkpoint.
    #[error("the job has no completed checkpoint yet, and state is shown as of one")]
    NoCheckpoint,
    /// The checkpoint is not there (any more).
    #[error("checkpoint {asked} is not retained; retained are: {}", list(.retained))]
    NotRetained {
        /// What was asked for.
        asked: CheckpointId,
        /// What is there.
        retained: Vec<CheckpointId>,
    },
    /// The checkpoint that a listing began with is gone.
    #[error("the checkpoint that the listing began with is not retained any more")]
    Gone,
    /// The checkpoint has no such operator.
    #[error("checkpoint {checkpoint} has no operator `{asked}`; operators are: {}", list(.known))]
    UnknownOperator {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// What was asked for.
        asked: Uid,
        /// What it has.
        known: Vec<Uid>,
    },
    /// The operator has no such state in the checkpoint.
    #[error("operator `{operator}` holds no state `{asked}` in checkpoint {checkpoint}; states are: {}", list(.known))]
    UnknownState {
        /// The operator.
        operator: Uid,
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// What was asked for.
        asked: String,
        /// What it holds.
        known: Vec<String>,
    },
    /// Something is missing, damaged or away.
    #[error("{message}")]
    Failed {
        /// Who must act.
        fault: Fault,
        /// What, where.
        message: String,
    },
}

impl InspectError {
    /// Who must act.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        match self {
            Self::NoCheckpoint
            | Self::NotRetained { .. }
            | Self::Gone
            | Self::UnknownOperator { .. }
            | Self::UnknownState { .. } => Fault::Request,
            Self::Failed { fault, .. } => *fault,
        }
    }

    pub(super) fn bug(message: impl Into<String>) -> Self {
        Self::Failed { fault: Fault::Bug, message: message.into() }
    }
}

impl From<ChainError> for InspectError {
    fn from(error: ChainError) -> Self {
        Self::Failed { fault: error.fault(), message: error.to_string() }
    }
}

impl From<StoreError> for InspectError {
    fn from(error: StoreError) -> Self {
        Self::Failed { fault: error.fault(), message: error.to_string() }
    }
}

impl From<BlobError> for InspectError {
    fn from(error: BlobError) -> Self {
        Self::Failed { fault: error.fault(), message: error.to_string() }
    }
}

impl From<StateError> for InspectError {
    fn from(error: StateError) -> Self {
        Self::Failed { fault: error.fault, message: error.message }
    }
}

fn list<T: ToString>(known: &[T]) -> String {
    if known.is_empty() {
        return "none".to_owned();
    }
    known.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
