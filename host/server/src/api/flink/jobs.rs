//! `/jobs` and `/jobs/{id}`.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use weir_engine::component::hash;
use weir_engine::job::{JobState, JobStatus, VertexStatus};
use weir_protocol::id::Uid;
use weir_protocol::job_spec::{OutputRef, PartitionSpec};
use weir_protocol::time::Timestamp;

use crate::api::flink::{Errors, job};
use crate::api::shape::sum;
use crate::node::Node;

/// Flink's `ExecutionState`, each a key of `tasks` and `status-counts`.
const EXECUTION_STATES: [&str; 10] = [
    "CREATED",
    "SCHEDULED",
    "DEPLOYING",
    "INITIALIZING",
    "RUNNING",
    "FINISHED",
    "CANCELING",
    "CANCELED",
    "FAILED",
    "RECONCILING",
];

/// Flink's `JobStatus`, each a key of `timestamps`.
const JOB_STATES: [&str; 11] = [
    "INITIALIZING",
    "CREATED",
    "RUNNING",
    "FAILING",
    "FAILED",
    "CANCELLING",
    "CANCELED",
    "FINISHED",
    "RESTARTING",
    "SUSPENDED",
    "RECONCILING",
];

pub(super) async fn list(State(node): State<Node>) -> Json<Value> {
    let jobs = node.engine().jobs();
    let jobs = jobs.iter().map(|job| json!({ "id": job.id, "status": job.state })).collect::<Vec<_>>();
    Json(json!({ "jobs": jobs }))
}

pub(super) async fn one(State(node): State<Node>, path: Path<String>) -> Result<Json<Value>, Errors> {
    Ok(Json(details(&job(&node, &path)?, node.clock().now())))
}

#[derive(Debug, Deserialize)]
pub(super) struct Termination {
    mode: Option<String>,
}

pub(super) async fn terminate(
    State(node): State<Node>,
    path: Path<String>,
    query: Result<Query<Termination>, QueryRejection>,
) -> Result<(StatusCode, Json<Value>), Errors> {
    let refused = |message: String| Errors::new(StatusCode::BAD_REQUEST, message);
    let Query(termination) = query.map_err(|rejection| refused(rejection.body_text()))?;
    match termination.mode.as_deref() {
        None | Some("cancel") => {}
        Some(mode) => {
            let mode: String = mode.chars().take(64).collect();
            return Err(refused(format!("unknown termination mode `{mode}`; the only one is `cancel`")));
        }
    }
    node.engine().cancel(job(&node, &path)?.id).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({}))))
}

fn details(job: &JobStatus, now: Timestamp) -> Value {
    let end = job.ended_at.unwrap_or(-1);
    let execution = execution_state(job.state);
    let vertices: Vec<_> = job.vertices.iter().map(|vertex| self::vertex(job, vertex, now)).collect();
    let timestamps: BTreeMap<_, _> = JOB_STATES.into_iter().map(|state| (state, timestamp(job, state))).collect();
    let counts = EXECUTION_STATES
        .into_iter()
        .map(|state| (state, if state == execution { job.vertices.len() } else { 0 }))
        .collect::<BTreeMap<_, _>>();
    json!({
        "jid": job.id,
        "name": job.name,
        "isStoppable": false,
        "state": job.state,
        "job-type": "STREAMING",
        "start-time": job.started_at,
        "end-time": end,
        "duration": job.ended_at.unwrap_or(now) - job.started_at,
        "maxParallelism": job.spec.max_parallelism,
        "now": now,
        "timestamps": timestamps,
        "vertices": vertices,
        "status-counts": counts,
        "plan": plan(job),
    })
}

/// When the job took on a state, as far as that is known: 0 where it is not.
fn timestamp(job: &JobStatus, state: &str) -> Timestamp {
    match state {
        state if state == job.state.as_str() => job.state_since,
        "INITIALIZING" | "CREATED" => job.started_at,
        _ => 0,
    }
}

const fn execution_state(state: JobState) -> &'static str {
    match state {
        JobState::Created | JobState::Suspended => "CREATED",
        JobState::Running => "RUNNING",
        JobState::Failing | JobState::Failed => "FAILED",
        JobState::Cancelling => "CANCELING",
        JobState::Canceled => "CANCELED",
        JobState::Finished => "FINISHED",
        JobState::Restarting => "SCHEDULED",
    }
}

fn vertex(job: &JobStatus, vertex: &VertexStatus, now: Timestamp) -> Value {
    let execution = execution_state(job.state);
    let tasks: BTreeMap<_, _> = EXECUTION_STATES
        .into_iter()
        .map(|state| (state, if state == execution { vertex.parallelism } else { 0 }))
        .collect();
    json!({
        "id": vertex_id(&vertex.uid),
        "name": name(vertex),
        "maxParallelism": job.spec.max_parallelism,
        "parallelism": vertex.parallelism,
        "status": execution,
        "start-time": job.started_at,
        "end-time": job.ended_at.unwrap_or(-1),
        "duration": job.ended_at.unwrap_or(now) - job.started_at,
        "tasks": tasks,
        "metrics": {
            "read-bytes": sum(vertex, |subtask| &subtask.bytes_in),
            "read-bytes-complete": true,
            "write-bytes": sum(vertex, |subtask| &subtask.bytes_out),
            "write-bytes-complete": true,
            "read-records": sum(vertex, |subtask| &subtask.records_in),
            "read-records-complete": true,
            "write-records": sum(vertex, |subtask| &subtask.records_out),
            "write-records-complete": true,
            "accumulated-backpressured-time": 0,
            "accumulated-idle-time": 0,
            "accumulated-busy-time": 0,
        },
    })
}

fn name(vertex: &VertexStatus) -> String {
    format!("{}: {}", vertex.uid, vertex.title)
}

/// Flink's vertex ids have 32 hexadecimal digits; ours follow from the uid.
fn vertex_id(uid: &Uid) -> String {
    let mut id = hash(uid.as_str().as_bytes());
    id.truncate(32);
    id
}

fn plan(job: &JobStatus) -> Value {
    let nodes: Vec<_> = job
        .vertices
        .iter()
        .map(|vertex| {
            json!({
                "id": vertex_id(&vertex.uid),
                "parallelism": vertex.parallelism,
                "operator": "",
                "operator_strategy": "",
                "description": name(vertex),
                "inputs": inputs(job, &vertex.uid),
                "optimizer_properties": {},
            })
        })
        .collect();
    json!({ "jid": job.id, "name": job.name, "type": "STREAMING", "nodes": nodes })
}

fn inputs(job: &JobStatus, uid: &Uid) -> Vec<Value> {
    let operators = job.spec.operators.iter().filter(|operator| operator.uid == *uid);
    let operators =
        operators.flat_map(|operator| operator.inputs.iter().map(|input| (&input.from, ship(&input.partition))));
    let sinks = job.spec.sinks.iter().filter(|sink| sink.uid == *uid);
    let sinks = sinks.flat_map(|sink| sink.from.iter().map(|from| (from, "FORWARD")));
    let input = |(num, (from, strategy)): (usize, (&OutputRef, &str))| json!({ "num": num, "id": vertex_id(&from.uid), "ship_strategy": strategy, "exchange": "pipelined_bounded" });
    operators.chain(sinks).enumerate().map(input).collect()
}

const fn ship(partition: &PartitionSpec) -> &'static str {
    match partition {
        PartitionSpec::Hash(_) => "HASH",
        PartitionSpec::Forward => "FORWARD",
        PartitionSpec::Rebalance => "REBALANCE",
        PartitionSpec::Broadcast => "BROADCAST",
    }
}
