//! HTTP: Weir's own resources under `/api/v1`, Flink's paths and shapes beside them, the status page at `/`.
//!
//! Receives requests; guarantees that every answer is JSON of a documented shape (page and metrics apart), that bodies are
//! bounded, and that a refusal says what is wrong, who must act, and the mend. Does not own what is decided: that is
//! the [`Node`]'s.
//!
//! | call | answer |
//! |---|---|
//! | `GET /metrics` | what jobs hold, in Prometheus's text format |
//! | `GET /api/v1/health` | [`shape::Health`] |
//! | `POST /api/v1/components?name=…` (raw bytes, or multipart) | 201 or 200 [`shape::Upload`] |
//! | `GET /api/v1/components` | [`shape::Component`]s |
//! | `GET`, `DELETE /api/v1/components/{name or hash}` | [`shape::Component`]; 204 |
//! | `POST /api/v1/jobs` (TOML or JSON) | 201 or 200 [`shape::Submission`]; 409 |
//! | `POST /api/v1/jobs?from=&allow-non-restored-state=&allow-inexact-results=` | the same, from a savepoint; 422 |
//! | `GET /api/v1/jobs` | [`shape::Job`]s without what is long |
//! | `GET /api/v1/jobs/{id or name}` | [`shape::Job`] |
//! | `PUT /api/v1/jobs/{id or name}?dry-run=&allow-non-restored-state=` (TOML or JSON) | 202 or 200 [`shape::Upgrade`]; 409, 422 |
//! | `POST /api/v1/jobs/{id or name}/cancel` | 202 [`shape::Named`] |
//! | `GET /api/v1/jobs/{id or name}/dead-letters?limit=` | dead letters, newest first |
//! | `GET /api/v1/jobs/{id or name}/logs?limit=` | [`crate::journal::Line`]s, oldest first |
//! | `GET /api/v1/jobs/{id or name}/checkpoints` | [`shape::HeldCheckpoint`]s, the newest first |
//! | `GET /api/v1/jobs/{id or name}/checkpoints/{number or newest}/verify` | a line for each object, then [`shape::Verified`] |
//! | `POST /api/v1/jobs/{id or name}/savepoints` | 202 [`shape::Requested`] |
//! | `GET /api/v1/jobs/{id or name}/savepoints/{request}` | [`shape::SavepointRequest`] |
//! | `GET`, `DELETE /api/v1/savepoint?location=` | [`shape::SavepointPlace`]; 204 |
//! | `GET /api/v1/savepoint/verify?location=` | as of a checkpoint |
//! | `GET /api/v1/savepoint/state/{operator}?location=&…` | as of a job |
//! | `GET /api/v1/jobs/{id or name}/state/{operator}?key=&state=&checkpoint=&limit=&after=` | [`shape::StatePage`] |

mod components;
mod flink;
mod health;
mod jobs;
mod metrics;
mod problem;
mod savepoints;
pub mod shape;
mod state;

#[cfg(test)]
mod tests;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post, put};

use crate::node::Node;
use crate::{job_file, ui};

pub(crate) use components::stem;
pub(crate) use health::SERVICE;
pub use problem::Problem;

/// The largest component that is taken, in bytes.
pub const COMPONENT_BYTES_MAX: usize = 64 << 20;

/// Everything that a node answers.
pub fn router(node: Node) -> Router {
    Router::new()
        .route("/", get(|| async { Html(ui::PAGE) }))
        .route("/metrics", get(metrics::page))
        .nest("/api/v1", weir())
        .nest("/v1", flink::routes())
        .merge(flink::routes())
        .fallback(flink::not_found)
        .with_state(node)
}

fn weir() -> Router<Node> {
    let components = post(components::upload).layer(DefaultBodyLimit::max(COMPONENT_BYTES_MAX));
    let jobs = post(jobs::submit).layer(DefaultBodyLimit::max(job_file::BYTES_MAX));
    let job = put(jobs::upgrade).layer(DefaultBodyLimit::max(job_file::BYTES_MAX));
    Router::new()
        .route("/health", get(health::health))
        .route("/components", components.get(components::list))
        .route("/components/{name}", get(components::one).delete(components::delete))
        .route("/jobs", jobs.get(jobs::list))
        .route("/jobs/{job}", job.get(jobs::one))
        .route("/jobs/{job}/cancel", post(jobs::cancel))
        .route("/jobs/{job}/dead-letters", get(jobs::dead_letters))
        .route("/jobs/{job}/logs", get(jobs::logs))
        .route("/jobs/{job}/checkpoints", get(state::checkpoints))
        .route("/jobs/{job}/checkpoints/{checkpoint}/verify", get(state::verify))
        .route("/jobs/{job}/state/{operator}", get(state::page))
        .route("/jobs/{job}/savepoints", post(savepoints::take))
        .route("/jobs/{job}/savepoints/{request}", get(savepoints::status))
        .route("/savepoint", get(savepoints::one).delete(savepoints::dispose))
        .route("/savepoint/verify", get(savepoints::verify))
        .route("/savepoint/state/{operator}", get(savepoints::page))
        .fallback(not_found)
        .method_not_allowed_fallback(not_allowed)
}

async fn not_found() -> Response {
    Problem::no_resource().into_response()
}

async fn not_allowed() -> Response {
    Problem::no_method().into_response()
}
