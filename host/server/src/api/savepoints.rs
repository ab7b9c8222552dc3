//! `/api/v1/jobs/{job}/savepoints` and `/api/v1/savepoint`: savepoints are taken, looked into, and go.

use axum::Json;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use serde::Deserialize;
use weir_engine::checkpoint::inspect::{Checkpoint, Which};
use weir_engine::job::{EngineError, OpenSavepoint, SavepointAsk};
use weir_protocol::Fault;
use weir_protocol::id::Nonce;

use super::state::{self, Asked};
use crate::api::Problem;
use crate::api::shape::{Requested, SavepointPlace, SavepointRequest, StatePage};
use crate::job_file;
use crate::node::Node;

/// How a savepoint is to be taken.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Wanted {
    target_directory: Option<String>,
    #[serde(default)]
    stop: bool,
}

/// Where a savepoint is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Place {
    location: String,
}

/// Opens a savepoint, or says what is wrong with it.
async fn open(node: &Node, location: &str) -> Result<OpenSavepoint, Problem> {
    node.engine().open_savepoint(location).await.map_err(refused)
}

fn refused(error: EngineError) -> Problem {
    let is_of_request = error.fault() == Fault::Request;
    let problem = Problem::from(error);
    if !is_of_request {
        return problem;
    }
    let title = "the savepoint cannot be used".to_owned();
    Problem { title, status: StatusCode::NOT_FOUND.as_u16(), ..problem }
}

/// Why none is begun: nobody submitted a job.
fn not_taken(error: EngineError, stops: bool) -> Problem {
    let is_of_request = matches!(error, EngineError::Failed { fault: Fault::Request, .. });
    let problem = Problem::from(error);
    match (is_of_request, stops) {
        (false, _) => problem,
        (true, false) => Problem { title: "no savepoint can be taken".to_owned(), ..problem },
        (true, true) => Problem { title: "no savepoint can be taken, so the job is not stopped".to_owned(), ..problem },
    }
}

/// Has a savepoint taken; what becomes of it is asked after.
pub(super) async fn take(
    State(node): State<Node>,
    Path(job): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Requested>), Problem> {
    let body = body.map_err(|rejection| Problem::body(&rejection, "a request", job_file::BYTES_MAX))?;
    let wanted = if body.is_empty() { Ok(Wanted::default()) } else { serde_json::from_slice(&body) };
    let Wanted { target_directory, stop } = wanted.map_err(|error| Problem::no_json(&error))?;
    let (job, target) = (node.job(&job)?, node.savepoints().target(target_directory)?);
    let taken = node.engine().savepoint(job.id, SavepointAsk { target, request: None, stops: stop });
    let request = taken.map_err(|error| not_taken(error, stop))?;
    Ok((StatusCode::ACCEPTED, Json(Requested { request_id: request.to_string() })))
}

/// What became of a request.
pub(super) async fn status(
    State(node): State<Node>,
    Path((job, request)): Path<(String, String)>,
) -> Result<Json<SavepointRequest>, Problem> {
    let job = node.job(&job)?;
    let known = request.parse::<Nonce>().ok().and_then(|request| node.engine().savepoint_status(job.id, request));
    known.map(|status| Json(status.into())).ok_or_else(|| Problem::unknown_request(&request))
}

/// What a savepoint is.
pub(super) async fn one(
    State(node): State<Node>,
    place: Result<Query<Place>, QueryRejection>,
) -> Result<Json<SavepointPlace>, Problem> {
    let Query(Place { location }) = place?;
    let OpenSavepoint { location, savepoint, .. } = open(&node, &location).await?;
    let (job, name) = (savepoint.job.to_string(), savepoint.spec.name.to_string());
    let checkpoint = state::shown(&Checkpoint { entry: savepoint.entry, manifest: savepoint.manifest });
    let (at, ended) = (savepoint.at, savepoint.ended);
    Ok(Json(SavepointPlace { location, job, name, at, ended, checkpoint }))
}

/// Deletes a savepoint.
pub(super) async fn dispose(
    State(node): State<Node>,
    place: Result<Query<Place>, QueryRejection>,
) -> Result<StatusCode, Problem> {
    let Query(Place { location }) = place?;
    node.engine().dispose_savepoint(&location).await.map_err(refused)?;
    Ok(StatusCode::NO_CONTENT)
}

/// A page of what an operator holds in a savepoint.
pub(super) async fn page(
    State(node): State<Node>,
    Path(operator): Path<String>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<StatePage>, Problem> {
    let Query(mut asked) = asked?;
    let location = asked.location.take().ok_or_else(Problem::no_location)?;
    let OpenSavepoint { savepoint, inspector, .. } = open(&node, &location).await?;
    let of = state::Subject { job: savepoint.job, spec: &savepoint.spec, inspector };
    state::look(&node, of, operator, asked, Problem::from).await
}

/// Reads everything that a savepoint names, as a checkpoint is verified.
pub(super) async fn verify(
    State(node): State<Node>,
    place: Result<Query<Place>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(Place { location }) = place?;
    let OpenSavepoint { inspector, .. } = open(&node, &location).await?;
    Ok(state::verified(inspector.verify(Which::Newest).await?))
}
