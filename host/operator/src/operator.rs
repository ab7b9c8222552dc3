//! User code, whatever it is made of: an instance of a component, or native Rust.
//!
//! An [`Operator`] is one instance for one subtask; a [`Factory`] makes them. Both implementations pass one contract
//! suite. Retrying and splitting a batch that failed is not done here but in [`crate::attempt`].

use futures::future::BoxFuture;
use weir_protocol::Fault;
use weir_protocol::description::OperatorDescription;
use weir_protocol::job_spec::LimitSpec;

use crate::migrator::Migrator;
use crate::turn::Turn;
use crate::unkeyed_state::UnkeyedState;

/// Makes instances of one operator.
pub trait Factory: Send + Sync + std::fmt::Debug {
    /// What the operator says of itself.
    fn description(&self) -> &OperatorDescription;

    /// Makes an instance and calls `open`.
    fn open(&self, context: OpenContext) -> BoxFuture<'_, Result<Box<dyn Operator>, CallError>>;

    /// Whether there is a migrator: states that are declared with a raised version can be read.
    fn exports_migration(&self) -> bool {
        false
    }

    /// What rewrites values of older versions, where there is such. It starts when it is called first.
    fn migrator(&self, _context: OpenContext) -> Option<Box<dyn Migrator>> {
        None
    }
}

/// What an instance is opened with.
#[derive(Debug, Clone)]
pub struct OpenContext {
    /// The uid that the job gives the operator.
    pub uid: String,
    /// The job's name.
    pub job: String,
    /// JSON.
    pub config: String,
    /// Which subtask, from 0.
    pub subtask: u32,
    /// How many there are.
    pub parallelism: u32,
    /// For the language's random numbers; another one for each instance.
    pub seed: u64,
    /// The processing time while it is opened.
    pub processing_time: i64,
    /// What the subtask holds for no key: it can be read in `open` already.
    pub unkeyed: UnkeyedState,
    /// What it may use up.
    pub limits: LimitSpec,
}

/// One instance of an operator, for one subtask.
pub trait Operator: Send {
    /// Runs one call: `process`, `on-timers` or `finish`, as the turn's work says. When it returns, the turn holds its
    /// state again, and what the call did in its effects; after an error these are worth nothing, and neither is the
    /// instance. If the future is dropped, the turn is lost as well.
    fn call<'a>(&'a mut self, turn: &'a mut Turn) -> BoxFuture<'a, Result<(), CallError>>;

    /// Whether the instance should be replaced before the next call, because its memory has passed a threshold.
    fn is_worn(&self) -> bool {
        false
    }
}

/// Why a call did not return ok.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The operator returned a failure.
    #[error("{message}")]
    Failure {
        /// The rows that it names; none: it does not know.
        rows: Vec<u32>,
        /// Its own words.
        message: String,
    },
    /// The operator trapped; the text holds the guest's backtrace.
    #[error("{0}")]
    Trap(String),
    /// The operator passed a limit; the text names it, its value and the mend.
    #[error("{0}")]
    Limit(String),
    /// The host could not serve the call.
    #[error("{message}")]
    Host {
        /// Who must act.
        fault: Fault,
        /// What is wrong.
        message: String,
    },
}

impl CallError {
    /// A failure as an operator returned it; one that names a row that does not exist is a trap.
    pub(crate) fn failure(rows: Vec<u32>, message: String, rows_in_work: u32) -> Self {
        match rows.iter().find(|row| **row >= rows_in_work) {
            None => Self::Failure { rows, message },
            Some(row) => Self::Trap(format!(
                "the operator returned a failure that names row {row}, which is out of bounds: there are \
                 {rows_in_work} rows; its message was: {message}"
            )),
        }
    }

    /// Who must act.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Failure { .. } | Self::Trap(_) | Self::Limit(_) => Fault::Guest,
            Self::Host { fault, .. } => *fault,
        }
    }
}
