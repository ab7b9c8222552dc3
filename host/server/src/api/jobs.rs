//! `/api/v1/jobs`.

use axum::Json;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use serde::Deserialize;
use weir_engine::dead_letter::DeadLetter;
use weir_engine::job::{Origin, Upgraded, Upgrading};

use crate::api::Problem;
use crate::api::shape::{Job, Named, Submission, Upgrade};
use crate::job_file::{self, Draft};
use crate::journal::{self, Line};
use crate::node::Node;

/// Dead letters that are given where the request does not say how many.
const DEAD_LETTERS: usize = 100;

/// The most dead letters that are given at once.
const DEAD_LETTERS_MAX: usize = 10_000;

#[derive(Debug, Deserialize)]
pub(super) struct Limit {
    limit: Option<usize>,
}

/// What a job begins from; without it, anew.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct SubmitQuery {
    from: Option<String>,
    #[serde(default)]
    allow_non_restored_state: bool,
    #[serde(default)]
    allow_inexact_results: bool,
}

/// Takes a job: TOML (`application/toml`) or JSON.
pub(super) async fn submit(
    State(node): State<Node>,
    query: Result<Query<SubmitQuery>, QueryRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Submission>), Problem> {
    let Query(SubmitQuery { from, allow_non_restored_state, allow_inexact_results }) = query?;
    let draft = read_body(&headers, body)?;
    let submitted = match from {
        None => node.submit(&draft).await?,
        Some(location) => {
            let (drops_state, inexact) = (allow_non_restored_state, allow_inexact_results);
            node.submit_from(&draft, &Origin { location, drops_state, inexact }).await?
        }
    };
    let status = if submitted.created { StatusCode::CREATED } else { StatusCode::OK };
    let (id, name) = (submitted.id.to_string(), draft.name().to_string());
    let warnings = draft.warnings().to_vec();
    Ok((status, Json(Submission { id, name, created: submitted.created, warnings })))
}

/// How a job is changed.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct UpgradeQuery {
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    allow_non_restored_state: bool,
}

/// Has a running job become another: TOML (`application/toml`) or JSON.
pub(super) async fn upgrade(
    State(node): State<Node>,
    Path(job): Path<String>,
    query: Result<Query<UpgradeQuery>, QueryRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Upgrade>), Problem> {
    let Query(UpgradeQuery { dry_run, allow_non_restored_state }) = query?;
    let draft = read_body(&headers, body)?;
    let job = node.job(&job)?;
    let how = Upgrading { dry_run, drops_state: allow_non_restored_state };
    let Upgraded { spec, is_new, changes, warnings } = node.upgrade(job.id, &draft, how).await?;
    let status = if is_new { StatusCode::ACCEPTED } else { StatusCode::OK };
    let (id, name) = (job.id.to_string(), job.name.to_string());
    let warnings = [draft.warnings(), &warnings].concat();
    Ok((status, Json(Upgrade { id, name, spec_number: spec.0, accepted: is_new, changes, warnings })))
}

fn read_body(headers: &HeaderMap, body: Result<Bytes, BytesRejection>) -> Result<Draft, Problem> {
    let body = body.map_err(|rejection| Problem::body(&rejection, "a job", job_file::BYTES_MAX))?;
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    read(content_type, &body)
}

fn read(content_type: &str, body: &[u8]) -> Result<Draft, Problem> {
    let refused = |status, detail: String| {
        let mend = "send TOML as `content-type: application/toml`, or JSON as `application/json`";
        Problem::request(status, "the job cannot be read", detail, mend)
    };
    let text = std::str::from_utf8(body)
        .map_err(|error| refused(StatusCode::BAD_REQUEST, format!("the job is no UTF-8 text: {error}")))?;
    match content_type.split(';').next().unwrap_or_default().trim() {
        "application/json" => Ok(job_file::from_json(text)?),
        "application/toml" | "text/toml" | "text/x-toml" => Ok(job_file::from_toml(text)?),
        "" => Err(refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the request has no content type".to_owned())),
        other => {
            let shown: String = other.chars().take(64).collect();
            Err(refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("a job cannot be written as `{shown}`")))
        }
    }
}

pub(super) async fn list(State(node): State<Node>) -> Json<Vec<Job>> {
    Json(node.engine().jobs().iter().map(Job::short).collect())
}

pub(super) async fn one(State(node): State<Node>, Path(job): Path<String>) -> Result<Json<Job>, Problem> {
    Ok(Json(Job::whole(&node.job(&job)?)))
}

/// Asks for the job's end; it ends soon after.
pub(super) async fn cancel(
    State(node): State<Node>,
    Path(job): Path<String>,
) -> Result<(StatusCode, Json<Named>), Problem> {
    let job = node.job(&job)?;
    node.engine().cancel(job.id).await?;
    let (id, name) = (job.id.to_string(), job.name.to_string());
    Ok((StatusCode::ACCEPTED, Json(Named { id, name })))
}

pub(super) async fn dead_letters(
    State(node): State<Node>,
    Path(job): Path<String>,
    limit: Result<Query<Limit>, QueryRejection>,
) -> Result<Json<Vec<DeadLetter>>, Problem> {
    let limit = limit?.limit.unwrap_or(DEAD_LETTERS).min(DEAD_LETTERS_MAX);
    Ok(Json(node.engine().dead_letters(node.job(&job)?.id, limit).await?))
}

pub(super) async fn logs(
    State(node): State<Node>,
    Path(job): Path<String>,
    limit: Result<Query<Limit>, QueryRejection>,
) -> Result<Json<Vec<Line>>, Problem> {
    let limit = limit?.limit.unwrap_or(journal::LINES_MAX);
    let job = node.job(&job)?;
    Ok(Json(node.journal().read(&[&job.id.to_string(), job.name.as_str()], job.started_at, limit)))
}
