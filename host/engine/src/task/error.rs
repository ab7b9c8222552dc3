//! Why a subtask ended before its time.

use weir_protocol::Fault;

/// Why a subtask ended before its time; everything that it had not handed over for a checkpoint is lost with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TaskError {
    /// Who must act. `Guest` ends the job for good: whatever could be tried again was.
    pub fault: Fault,
    /// What is wrong.
    pub message: String,
    /// Whether it only says that something else has gone, whose own failure says why.
    pub is_consequence: bool,
}

impl TaskError {
    pub(crate) fn new(fault: Fault, message: impl Into<String>) -> Self {
        Self { fault, message: message.into(), is_consequence: false }
    }

    /// What the subtask needs has gone.
    pub(crate) fn consequence(message: impl Into<String>) -> Self {
        Self { is_consequence: true, ..Self::new(Fault::Unavailable, message) }
    }

    /// A broken invariant.
    pub(crate) fn bug(message: impl Into<String>) -> Self {
        Self::new(Fault::Bug, message)
    }
}

/// The subtask on the other side of a channel has gone, which is never the first failure of a job.
impl From<crate::exchange::Closed> for TaskError {
    fn from(closed: crate::exchange::Closed) -> Self {
        Self::consequence(closed.to_string())
    }
}

impl From<crate::exchange::Abandoned> for TaskError {
    fn from(abandoned: crate::exchange::Abandoned) -> Self {
        Self::consequence(abandoned.to_string())
    }
}

impl From<crate::source::SourceError> for TaskError {
    fn from(error: crate::source::SourceError) -> Self {
        Self::new(error.fault, error.message)
    }
}

impl From<crate::sink::SinkError> for TaskError {
    fn from(error: crate::sink::SinkError) -> Self {
        Self::new(error.fault, error.message)
    }
}

impl From<weir_operator::keyed_state::StateError> for TaskError {
    fn from(error: weir_operator::keyed_state::StateError) -> Self {
        Self::new(error.fault, error.message)
    }
}

impl From<weir_operator::operator::CallError> for TaskError {
    fn from(error: weir_operator::operator::CallError) -> Self {
        Self::new(error.fault(), error.to_string())
    }
}

impl From<weir_operator::attempt::JobFailure> for TaskError {
    fn from(failure: weir_operator::attempt::JobFailure) -> Self {
        Self::new(failure.fault, failure.reason)
    }
}
