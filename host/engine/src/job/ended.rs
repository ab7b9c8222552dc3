//! How a job's attempt, or its whole life in this process, came to an end.

use weir_protocol::Fault;
use weir_protocol::coordinator::AbortReason;
use weir_protocol::id::{CheckpointId, SubtaskId};

use crate::checkpoint::BlobError;
use crate::checkpoint::chain::ChainError;
use crate::checkpoint::publish::PublishError;
use crate::sink::SinkError;
use crate::task::TaskError;

use super::deploy::DeployError;
use super::restart::Retry;
use super::wish::Wish;

/// Why an attempt does not go on.
#[derive(Debug)]
pub(crate) enum Ended {
    /// All subtasks have finished, and an entry records it.
    Finished,
    /// Something else than running is wanted.
    Wished(Wish),
    /// Another owner has the job.
    Lost(String),
    /// Something failed.
    Failed(Box<Failed>),
}

/// What failed.
#[derive(Debug)]
pub(crate) struct Failed {
    /// The subtask, where one did.
    pub(crate) subtask: Option<SubtaskId>,
    /// Who must act.
    pub(crate) fault: Fault,
    /// What is wrong.
    pub(crate) message: String,
    /// Whether another attempt may mend it.
    pub(crate) retry: Retry,
    /// Whether it failed only because something else had.
    pub(crate) is_consequence: bool,
    /// State that does not verify, for which a sound entry should be looked for.
    pub(crate) blob: Option<BlobError>,
}

impl Failed {
    pub(crate) fn new(fault: Fault, message: impl Into<String>) -> Self {
        let retry = Retry::of(fault);
        Self { subtask: None, fault, message: message.into(), retry, is_consequence: false, blob: None }
    }

    pub(crate) fn of_subtask(subtask: SubtaskId, error: TaskError) -> Self {
        let TaskError { fault, message, is_consequence } = error;
        Self { subtask: Some(subtask), is_consequence, ..Self::new(fault, message) }
    }

    /// Too many checkpoints failed in a row, this one last. A store that is away is waited for; but checkpoints that
    /// always expire are no outage that passes, and restarting for ever would hide that the job makes no progress. Where
    /// the entry will not be made, what the job was given must change.
    pub(crate) fn of_checkpoint(checkpoint: CheckpointId, reason: &AbortReason) -> Self {
        let (fault, retry) = match reason {
            AbortReason::RecordFailed { .. } => (Fault::Request, Retry::Counted),
            AbortReason::Expired { .. } => (Fault::Unavailable, Retry::Counted),
            AbortReason::Declined { .. } | AbortReason::Subsumed { .. } => (Fault::Unavailable, Retry::Always),
        };
        Self { retry, ..Self::new(fault, format!("checkpoint {checkpoint} {reason}")) }
    }
}

impl Failed {
    /// What failed and why, as one sentence.
    pub(crate) fn text(&self) -> String {
        match &self.subtask {
            Some(subtask) => format!("{subtask}: {}", self.message),
            None => self.message.clone(),
        }
    }
}

impl From<Failed> for Ended {
    fn from(failed: Failed) -> Self {
        Self::Failed(Box::new(failed))
    }
}

impl From<ChainError> for Ended {
    fn from(error: ChainError) -> Self {
        match error {
            ChainError::Lost { .. } | ChainError::Ended { .. } => Self::Lost(error.to_string()),
            ChainError::Store(_)
            | ChainError::NoJob(_)
            | ChainError::Damaged { .. }
            | ChainError::Missing(_)
            | ChainError::Next(_) => Failed::new(error.fault(), error.to_string()).into(),
        }
    }
}

impl From<SinkError> for Ended {
    fn from(error: SinkError) -> Self {
        Failed::new(error.fault, error.message).into()
    }
}

impl From<PublishError> for Ended {
    fn from(error: PublishError) -> Self {
        Failed::new(error.fault(), error.to_string()).into()
    }
}

impl From<DeployError> for Ended {
    fn from(error: DeployError) -> Self {
        match error {
            DeployError::Blob(error) => {
                let failed = Failed::new(error.fault(), error.to_string());
                Failed { blob: Some(error), ..failed }.into()
            }
            DeployError::Unfit(unfit) => Failed::new(unfit.fault(), unfit.to_string()).into(),
            DeployError::Migration { subtask, error } | DeployError::Subtask { subtask, error } => {
                Failed::of_subtask(subtask, error).into()
            }
        }
    }
}
