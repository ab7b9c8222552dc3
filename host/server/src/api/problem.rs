//! Why a request was not performed.

use axum::Json;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use weir_engine::checkpoint::inspect::{InspectError, Shown};
use weir_engine::component::RegistryError;
use weir_engine::job::{EngineError, JobStatus};
use weir_protocol::Fault;
use weir_protocol::id::{CheckpointId, NameError, Uid};

use crate::job_file;

/// Why a request was not performed, as JSON; nothing was changed. The `mend` is what the one named by `fault` can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{detail}")]
pub struct Problem {
    /// The kind of problem, in a few words.
    pub title: String,
    /// What is wrong, and where.
    pub detail: String,
    /// Who must act.
    pub fault: Fault,
    /// What to do.
    pub mend: String,
    /// The answer's HTTP status.
    #[serde(skip, default = "unknown_status")]
    pub status: u16,
}

fn unknown_status() -> u16 {
    StatusCode::INTERNAL_SERVER_ERROR.as_u16()
}

impl Problem {
    /// A problem with a mend of its own.
    pub(crate) fn new(status: StatusCode, fault: Fault, title: &str, detail: String, mend: &str) -> Self {
        Self { title: title.to_owned(), detail, fault, mend: mend.to_owned(), status: status.as_u16() }
    }

    /// The caller's doing.
    pub(crate) fn request(status: StatusCode, title: &str, detail: impl Into<String>, mend: &str) -> Self {
        Self::new(status, Fault::Request, title, detail.into(), mend)
    }

    fn of_fault(fault: Fault, detail: String) -> Self {
        let (status, title, mend) = match fault {
            Fault::Request => {
                (StatusCode::BAD_REQUEST, "the request is wrong", "mend what is named and send the request again")
            }
            Fault::Guest => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "the component failed",
                "mend the component and upload it again; its author finds the cause in the message",
            ),
            Fault::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "something outside is away",
                "try again; if it stays away, look after what the message names",
            ),
            Fault::Corrupt => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "stored bytes are missing or damaged",
                "restore the object that the message names from a copy; nothing was guessed or deleted",
            ),
            Fault::Bug => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "an invariant of Weir is broken",
                "please report it, with the log of the node",
            ),
        };
        Self::new(status, fault, title, detail, mend)
    }

    pub(crate) fn unknown_job(id_or_name: &str) -> Self {
        let shown: String = id_or_name.chars().take(128).collect();
        let detail = format!("no job has the id or the name `{shown}`");
        Self::request(StatusCode::NOT_FOUND, "unknown job", detail, "see which jobs there are: `weir list`")
    }

    pub(crate) fn in_use(component: &str, job: &JobStatus) -> Self {
        let detail = format!("component `{component}` is used by job `{}` ({})", job.name, job.id);
        let mend = "cancel that job first: `weir cancel JOB`";
        Self::request(StatusCode::CONFLICT, "the component is in use", detail, mend)
    }

    pub(super) fn unknown_key(operator: &Uid, key: &[u8], checkpoint: CheckpointId) -> Self {
        let shown: String = Shown::key(key).to_string().chars().take(128).collect();
        let detail = format!("operator `{operator}` holds nothing under the key `{shown}` in checkpoint {checkpoint}");
        let mend = "there may be nothing: never written, removed, expired, or written since that checkpoint; else ask \
                    for the key as `weir state ls` shows it: one that is taken from a field of JSON is JSON text, so a \
                    text has its quotation marks";
        Self::request(StatusCode::NOT_FOUND, "unknown key", detail, mend)
    }

    pub(super) fn two_keys() -> Self {
        let mend = "give `key` for a text or `key-base64` for bytes";
        Self::request(StatusCode::BAD_REQUEST, "the request is wrong", "it names two keys", mend)
    }

    pub(super) fn no_checkpoint_number(given: &str) -> Self {
        let shown: String = given.chars().take(64).collect();
        let detail = format!("`{shown}` is no checkpoint");
        let mend = "give the number of a checkpoint, or `newest`";
        Self::request(StatusCode::BAD_REQUEST, "the request is wrong", detail, mend)
    }

    pub(super) fn no_location() -> Self {
        let mend = "name a savepoint as `location`, below /api/v1/savepoint, and nowhere else";
        let detail = "what is looked into is not clear";
        Self::request(StatusCode::BAD_REQUEST, "the request is wrong", detail, mend)
    }

    pub(super) fn no_json(error: &serde_json::Error) -> Self {
        let detail = format!("the request cannot be read: {error}");
        let mend = r#"send nothing, or JSON such as {"target-directory": "s3://bucket/savepoints"}"#;
        Self::request(StatusCode::BAD_REQUEST, "the request is wrong", detail, mend)
    }

    pub(super) fn unknown_request(given: &str) -> Self {
        let shown: String = given.chars().take(64).collect();
        let detail = format!("nothing is known of the request `{shown}` since this node was started");
        let mend =
            "look whether there is a savepoint where it was to be: a folder with `_metadata`; else ask for it again";
        Self::request(StatusCode::NOT_FOUND, "unknown request", detail, mend)
    }

    pub(crate) fn no_savepoint_target() -> Self {
        let detail = "the node has no place for savepoints: its store is in its memory";
        let mend = "name a target, or start the node with `weir serve --savepoint-dir`";
        Self::request(StatusCode::BAD_REQUEST, "no place for savepoints", detail, mend)
    }

    pub(super) fn no_resource() -> Self {
        let mend = "the resources are components, jobs and health, below /api/v1";
        Self::request(StatusCode::NOT_FOUND, "no such resource", "nothing is at this path", mend)
    }

    pub(super) fn no_method() -> Self {
        let mend = "the header `allow` says which methods there are";
        let detail = "this path does not know the method";
        Self::request(StatusCode::METHOD_NOT_ALLOWED, "no such method", detail, mend)
    }

    pub(super) fn too_large(what: &str, bytes_max: usize) -> Self {
        let detail = format!("{what} may have {bytes_max} bytes at most");
        Self::request(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large", detail, "make it smaller")
    }

    /// What is wrong with a body that could not be read.
    pub(super) fn body(rejection: &BytesRejection, what: &str, bytes_max: usize) -> Self {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Self::too_large(what, bytes_max),
            status => Self::request(status, "the body cannot be read", rejection.body_text(), "send it again"),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(self)).into_response()
    }
}

impl From<job_file::Error> for Problem {
    fn from(error: job_file::Error) -> Self {
        let mend = "mend the job file at that place; docs/job-file.md has every key";
        Self::request(StatusCode::BAD_REQUEST, "the job cannot be accepted", error.to_string(), mend)
    }
}

impl From<RegistryError> for Problem {
    fn from(error: RegistryError) -> Self {
        let problem = Self::of_fault(error.fault(), error.to_string());
        match error {
            RegistryError::Unknown(_) => Self {
                title: "unknown component".to_owned(),
                mend: "upload it, or see which components there are: `weir list`".to_owned(),
                status: StatusCode::NOT_FOUND.as_u16(),
                ..problem
            },
            RegistryError::Refused(refusal) if refusal.fault == Fault::Request => Self {
                title: "the component is not admitted".to_owned(),
                mend: "mend the component as the message says and upload it again".to_owned(),
                ..problem
            },
            RegistryError::Refused(_)
            | RegistryError::NameIsHash(_)
            | RegistryError::Contended(_)
            | RegistryError::Store(_)
            | RegistryError::Compiling { .. } => problem,
        }
    }
}

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        let problem = Self::of_fault(error.fault(), error.to_string());
        match error {
            EngineError::Conflict { .. } => Self {
                title: "the name is taken".to_owned(),
                mend: "change the job that has it (`weir upgrade JOB.toml`), cancel it (`weir cancel JOB`), or use another name".to_owned(),
                status: StatusCode::CONFLICT.as_u16(),
                ..problem
            },
            EngineError::NotRunning { .. } => Self {
                title: "the job does not run".to_owned(),
                mend: "submit it as a new job: `weir deploy JOB.toml`".to_owned(),
                status: StatusCode::CONFLICT.as_u16(),
                ..problem
            },
            EngineError::Unchangeable(_) => Self {
                title: "the running job cannot become this one".to_owned(),
                mend: "mend what is named and try `weir upgrade --dry-run`; nothing was stopped or changed".to_owned(),
                status: StatusCode::UNPROCESSABLE_ENTITY.as_u16(),
                ..problem
            },
            EngineError::Unrestorable(_) => Self {
                title: "the job cannot begin from this savepoint".to_owned(),
                mend: "mend what is named; nothing was started or written".to_owned(),
                status: StatusCode::UNPROCESSABLE_ENTITY.as_u16(),
                ..problem
            },
            EngineError::SavepointLimit(_) => Self {
                title: "too many savepoints at once".to_owned(),
                mend: "ask again later; nothing is away".to_owned(),
                ..problem
            },
            EngineError::UnknownJob(id) => Self::unknown_job(&id.to_string()),
            EngineError::Failed { fault: Fault::Request, .. } => {
                Self { title: "the job cannot be accepted".to_owned(), ..problem }
            }
            EngineError::Failed { .. } => problem,
        }
    }
}

impl Problem {
    /// Why a job's checkpoints cannot be looked into.
    pub(super) fn of_look(error: InspectError, job: &JobStatus) -> Self {
        let none = |title, detail: &str, mend| {
            Self::request(StatusCode::NOT_FOUND, title, format!("job `{}` {detail}", job.name), mend)
        };
        match error {
            InspectError::NoCheckpoint if job.spec.checkpoint.is_none() => none(
                "the job takes no checkpoints",
                "takes no checkpoints, and only these can be looked into",
                "add a table `[checkpoint]` with an `interval` to its job file, then `weir upgrade JOB.toml`",
            ),
            InspectError::NoCheckpoint if job.state.is_terminal() => none(
                "the job has no checkpoint",
                "has no checkpoint: it ended before one was completed",
                "there is nothing to look into; what it logged is there: `weir logs JOB`",
            ),
            InspectError::NoCheckpoint
            | InspectError::NotRetained { .. }
            | InspectError::Gone
            | InspectError::UnknownOperator { .. }
            | InspectError::UnknownState { .. }
            | InspectError::Failed { .. } => error.into(),
        }
    }
}

impl From<InspectError> for Problem {
    fn from(error: InspectError) -> Self {
        let not_found = |title, mend| Self::request(StatusCode::NOT_FOUND, title, error.to_string(), mend);
        let checkpoints = "see which checkpoints there are: `weir checkpoint ls JOB`";
        match &error {
            InspectError::NoCheckpoint => not_found("no checkpoint yet", "ask again once one is completed"),
            InspectError::NotRetained { .. } => not_found("the checkpoint is not retained", checkpoints),
            InspectError::Gone => Self::request(
                StatusCode::GONE,
                "the checkpoint is not retained any more",
                error.to_string(),
                "begin again, without `after`; checkpoints stay longer with `retained` in the job's `[checkpoint]`",
            ),
            InspectError::UnknownOperator { .. } => not_found("unknown operator", "name one of these"),
            InspectError::UnknownState { .. } => not_found("unknown state", "name one of these"),
            InspectError::Failed { fault, message } => Self::of_fault(*fault, message.clone()),
        }
    }
}

impl From<NameError> for Problem {
    fn from(error: NameError) -> Self {
        Self::of_fault(Fault::Request, error.to_string())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::of_fault(Fault::Request, rejection.body_text())
    }
}
