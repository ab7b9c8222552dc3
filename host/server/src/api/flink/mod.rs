//! Flink's own paths and shapes, for tools that know them: `GET /jobs`, `/jobs/{id}`, `/jobs/{id}/checkpoints`,
//! `PATCH /jobs/{id}?mode=cancel`, and what concerns savepoints; also below `/v1`.
//!
//! Field names are Flink's; errors are `{"errors":["…"]}`. What Weir does not have is there with Flink's value for
//! "nothing": 0, -1, `null`, an empty object.

mod checkpoints;
mod jobs;
mod savepoints;
mod statistics;

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;
use weir_engine::job::{EngineError, JobStatus};
use weir_protocol::Fault;
use weir_protocol::id::JobId;

use crate::node::Node;

pub(super) fn routes() -> Router<Node> {
    Router::new()
        .route("/jobs", get(jobs::list))
        .route("/jobs/{job}", get(jobs::one).patch(jobs::terminate))
        .route("/jobs/{job}/checkpoints", get(checkpoints::statistics))
        .route("/jobs/{job}/savepoints", post(savepoints::trigger))
        .route("/jobs/{job}/savepoints/{trigger}", get(savepoints::status))
        .route("/jobs/{job}/stop", post(savepoints::stop))
        .route("/savepoint-disposal", post(savepoints::dispose))
        .route("/savepoint-disposal/{trigger}", get(savepoints::disposed))
}

/// What is answered at paths that nobody knows.
pub(super) async fn not_found() -> Response {
    Errors::new(StatusCode::NOT_FOUND, "Not found: nothing is at this path.").into_response()
}

/// Flink's form of an error.
struct Errors {
    status: StatusCode,
    messages: Vec<String>,
}

impl Errors {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, messages: vec![message.into()] }
    }
}

impl IntoResponse for Errors {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "errors": self.messages }))).into_response()
    }
}

impl From<EngineError> for Errors {
    fn from(error: EngineError) -> Self {
        let status = match (&error, error.fault()) {
            (EngineError::UnknownJob(_), _) => StatusCode::NOT_FOUND,
            (_, Fault::Request) => StatusCode::BAD_REQUEST,
            (_, Fault::Unavailable) => StatusCode::SERVICE_UNAVAILABLE,
            (_, Fault::Guest | Fault::Corrupt | Fault::Bug) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}

/// The job of a path: by id alone, as in Flink.
fn job(node: &Node, Path(id): &Path<String>) -> Result<JobStatus, Errors> {
    let id: JobId =
        id.parse().map_err(|error| Errors::new(StatusCode::BAD_REQUEST, format!("not a job id: {error}")))?;
    node.engine().job(id).ok_or_else(|| EngineError::UnknownJob(id).into())
}
