//! `/jobs/{id}/checkpoints`.

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Map, Value, json};
use weir_engine::job::{CheckpointState, CheckpointSummary, JobStatus};
use weir_protocol::time::Timestamp;

use crate::api::flink::statistics::statistics as of;
use crate::api::flink::{Errors, job};
use crate::node::Node;

pub(super) async fn statistics(State(node): State<Node>, path: Path<String>) -> Result<Json<Value>, Errors> {
    Ok(Json(body(&job(&node, &path)?)))
}

fn body(job: &JobStatus) -> Value {
    let stats = &job.checkpoints;
    let completed = || stats.history.iter().filter(|checkpoint| checkpoint.state == CheckpointState::Completed);
    let added = of(completed().map(|checkpoint| checkpoint.bytes));
    let sizes = of(completed().map(|checkpoint| checkpoint.size));
    let nothing = of(completed().map(|_| 0));
    let restored = stats.restored.map(|id| {
        json!({ "id": id, "restore_timestamp": job.state_since, "is_savepoint": false, "external_path": path(job, id.0) })
    });
    json!({
        "counts": {
            "restored": u32::from(stats.restored.is_some()),
            "total": stats.completed + stats.in_progress + stats.failed,
            "in_progress": stats.in_progress,
            "completed": stats.completed,
            "failed": stats.failed,
        },
        "summary": {
            "checkpointed_size": added,
            "state_size": sizes,
            "end_to_end_duration": of(completed().map(|checkpoint| checkpoint.duration_ms.unwrap_or(0))),
            "alignment_buffered": nothing,
            "processed_data": nothing,
            "persisted_data": nothing,
        },
        "latest": {
            "completed": stats.latest_completed.as_ref().map(|checkpoint| self::checkpoint(job, checkpoint)),
            "savepoint": null,
            "failed": stats.latest_failed.as_ref().map(|checkpoint| self::checkpoint(job, checkpoint)),
            "restored": restored,
        },
        "history": stats.history.iter().map(|checkpoint| self::checkpoint(job, checkpoint)).collect::<Vec<_>>(),
    })
}

/// Flink's `CheckpointStatistics`, of the class that the state asks for.
fn checkpoint(job: &JobStatus, checkpoint: &CheckpointSummary) -> Value {
    let class = match checkpoint.state {
        CheckpointState::InProgress => "in_progress",
        CheckpointState::Completed => "completed",
        CheckpointState::Failed => "failed",
    };
    let duration = checkpoint.duration_ms.unwrap_or(0);
    let ended_at = checkpoint.triggered_at.saturating_add(Timestamp::try_from(duration).unwrap_or(Timestamp::MAX));
    let latest_ack = if checkpoint.acknowledged == 0 { -1 } else { ended_at };
    let statistics = json!({
        "className": class,
        "id": checkpoint.id,
        "status": checkpoint.state,
        "is_savepoint": false,
        "savepointFormat": null,
        "trigger_timestamp": checkpoint.triggered_at,
        "latest_ack_timestamp": latest_ack,
        "checkpointed_size": checkpoint.bytes,
        "state_size": checkpoint.size,
        "end_to_end_duration": duration,
        "alignment_buffered": 0,
        "processed_data": 0,
        "persisted_data": 0,
        "num_subtasks": checkpoint.subtasks,
        "num_acknowledged_subtasks": checkpoint.acknowledged,
        "checkpoint_type": "CHECKPOINT",
        "tasks": {},
    });
    let Value::Object(mut statistics) = statistics else { unreachable!("it was written as an object") };
    statistics.append(&mut own(job, checkpoint, ended_at));
    Value::Object(statistics)
}

/// The fields that only one class has.
fn own(job: &JobStatus, checkpoint: &CheckpointSummary, ended_at: Timestamp) -> Map<String, Value> {
    let own = match checkpoint.state {
        CheckpointState::InProgress => json!({}),
        CheckpointState::Completed => json!({ "external_path": path(job, checkpoint.id.0), "discarded": false }),
        CheckpointState::Failed => {
            json!({ "failure_timestamp": ended_at, "failure_message": checkpoint.failure })
        }
    };
    let Value::Object(own) = own else { unreachable!("each was written as an object") };
    own
}

/// What people can name the checkpoint by; it has no single place in the store.
fn path(job: &JobStatus, id: u64) -> String {
    format!("{}/{id}", job.id)
}
