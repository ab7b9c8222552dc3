//! `/api/v1/health`.

use axum::Json;

use crate::api::shape::Health;

/// What [`Health::service`] says.
pub(crate) const SERVICE: &str = "weir";

pub(super) async fn health() -> Json<Health> {
    Json(Health { service: SERVICE.to_owned(), version: env!("CARGO_PKG_VERSION").to_owned(), pid: std::process::id() })
}
