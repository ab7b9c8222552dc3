//! `/jobs/{id}/savepoints`, `/jobs/{id}/stop` and `/savepoint-disposal`.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use weir_engine::job::{SavepointAsk, SavepointStatus};
use weir_protocol::id::Nonce;

use crate::api::flink::{Errors, job};
use crate::node::Node;

/// Flink's `SavepointTriggerRequestBody`. There is one format; its name may be either.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Trigger {
    target_directory: Option<String>,
    #[serde(default)]
    cancel_job: bool,
    #[serde(rename = "triggerId")]
    trigger_id: Option<String>,
}

/// Flink's `StopWithSavepointRequestBody`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Stop {
    target_directory: Option<String>,
    #[serde(default)]
    drain: bool,
    trigger_id: Option<String>,
}

/// Flink's `SavepointDisposalRequest`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Disposal {
    savepoint_path: String,
}

type Accepted = Result<(StatusCode, Json<Value>), Errors>;

pub(super) async fn trigger(
    State(node): State<Node>,
    path: Path<String>,
    body: Result<Json<Trigger>, JsonRejection>,
) -> Accepted {
    let Json(Trigger { target_directory, cancel_job, trigger_id }) = body.map_err(|rejection| unread(&rejection))?;
    take(&node, &path, target_directory, trigger_id, cancel_job)
}

/// The job ends, and its savepoint holds all that it published.
pub(super) async fn stop(
    State(node): State<Node>,
    path: Path<String>,
    body: Result<Json<Stop>, JsonRejection>,
) -> Accepted {
    let Json(Stop { target_directory, drain, trigger_id }) = body.map_err(|rejection| unread(&rejection))?;
    if drain {
        let message = "`drain` is not supported: a job is stopped where it is, and goes on from there";
        return Err(Errors::new(StatusCode::BAD_REQUEST, message));
    }
    take(&node, &path, target_directory, trigger_id, true)
}

fn take(node: &Node, path: &Path<String>, target: Option<String>, trigger: Option<String>, stops: bool) -> Accepted {
    let request = trigger.map(|trigger| id(&trigger)).transpose()?;
    let refused = |problem: crate::api::Problem| Errors::new(StatusCode::BAD_REQUEST, problem.detail);
    let target = node.savepoints().target(target).map_err(refused)?;
    let request = node.engine().savepoint(job(node, path)?.id, SavepointAsk { target, request, stops })?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "request-id": request }))))
}

pub(super) async fn status(
    State(node): State<Node>,
    Path((path, trigger)): Path<(String, String)>,
) -> Result<Json<Value>, Errors> {
    let (job, request) = (job(&node, &Path(path))?, id(&trigger)?);
    let Some(status) = node.engine().savepoint_status(job.id, request) else { return Err(unknown(request)) };
    Ok(Json(match status {
        SavepointStatus::InProgress { .. } => json!({ "status": { "id": "IN_PROGRESS" }, "operation": null }),
        SavepointStatus::Completed { location, .. } => completed(&json!({ "location": location })),
        SavepointStatus::Failed { message, .. } => completed(&failed(&message)),
    }))
}

pub(super) async fn dispose(State(node): State<Node>, body: Result<Json<Disposal>, JsonRejection>) -> Accepted {
    let Json(Disposal { savepoint_path }) = body.map_err(|rejection| unread(&rejection))?;
    let request = node.savepoints().dispose(node.engine(), &savepoint_path).await;
    Ok((StatusCode::ACCEPTED, Json(json!({ "request-id": request }))))
}

pub(super) async fn disposed(State(node): State<Node>, Path(trigger): Path<String>) -> Result<Json<Value>, Errors> {
    let request = id(&trigger)?;
    match node.savepoints().disposal(request) {
        None => Err(unknown(request)),
        Some(Ok(())) => Ok(Json(completed(&json!({})))),
        Some(Err(message)) => Ok(Json(completed(&failed(&message)))),
    }
}

fn completed(operation: &Value) -> Value {
    json!({ "status": { "id": "COMPLETED" }, "operation": operation })
}

/// Flink's form of an exception, as far as there is one.
fn failed(message: &str) -> Value {
    json!({ "failure-cause": { "class": "weir", "stack-trace": message, "serialized-throwable": "" } })
}

fn id(text: &str) -> Result<Nonce, Errors> {
    text.parse().map_err(|error| Errors::new(StatusCode::BAD_REQUEST, format!("not a trigger id: {error}")))
}

fn unknown(request: Nonce) -> Errors {
    Errors::new(StatusCode::NOT_FOUND, format!("nothing is known of the request {request} since this node was started"))
}

fn unread(rejection: &JsonRejection) -> Errors {
    Errors::new(StatusCode::BAD_REQUEST, rejection.body_text())
}
