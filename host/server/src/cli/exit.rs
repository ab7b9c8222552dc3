//! How a command ends.

use std::fmt;
use std::process::ExitCode;

use weir_engine::store::DataFolderError;
use weir_protocol::Fault;

use crate::api::Problem;
use crate::cli::view;
use crate::job_file;

/// It was tried, and failed; or the job that was followed did.
pub(super) const FAILED: Code = Code(1);
/// What was asked for is wrong.
pub(super) const WRONG_USE: Code = Code(2);
/// Nobody answers.
pub(super) const NO_ANSWER: Code = Code(3);

/// An exit code other than 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Code(u8);

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code.0)
    }
}

/// Whether who gave the command must act.
pub(super) fn code_of(fault: Fault) -> Code {
    if fault == Fault::Request { WRONG_USE } else { FAILED }
}

/// How a command ended that did what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Done.
    Done,
    /// Done, but the job that was followed ended otherwise than well.
    JobFailed,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::SUCCESS,
            Outcome::JobFailed => FAILED.into(),
        }
    }
}

impl Outcome {
    /// What the state in which a job ended means for who followed it.
    pub(super) fn of(state: &str) -> Self {
        if state == "FINISHED" { Self::Done } else { Self::JobFailed }
    }
}

/// Why a command did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) code: Code,
    /// What is wrong, and where.
    pub(super) message: String,
    /// What to do.
    pub(super) mend: Option<String>,
}

impl Failure {
    /// Something that whoever gave the command can mend.
    pub(super) fn wrong_use(message: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { code: WRONG_USE, message: message.into(), mend: Some(mend.into()) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", view::printable(&self.message))?;
        match &self.mend {
            Some(mend) => write!(f, "\n  mend: {}", view::printable(mend)),
            None => Ok(()),
        }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        let code = code_of(problem.fault);
        Self { code, message: format!("{}: {}", problem.title, problem.detail), mend: Some(problem.mend) }
    }
}

impl From<DataFolderError> for Failure {
    fn from(error: DataFolderError) -> Self {
        let mend = match error {
            DataFolderError::InUse { .. } => "name a folder that nobody else uses with --data",
            DataFolderError::Unusable { .. } => "name a folder that can be written to with --data",
        };
        Self::wrong_use(error.to_string(), mend)
    }
}

impl From<job_file::Error> for Failure {
    fn from(error: job_file::Error) -> Self {
        Problem::from(error).into()
    }
}
