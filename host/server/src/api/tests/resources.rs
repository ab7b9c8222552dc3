//! Paths and methods that there are, and those that there are not.

use axum::http::{Method, StatusCode};
use serde_json::json;

use super::setup::Asked;

#[tokio::test]
async fn a_node_says_that_it_is_one() {
    let health = Asked::new().await.get("/api/v1/health").await;
    let expected = json!({ "service": "weir", "version": env!("CARGO_PKG_VERSION"), "pid": std::process::id() });
    assert_eq!((health.status, health.json()), (StatusCode::OK, expected));
}

#[tokio::test]
async fn unknown_paths_and_methods_are_answered_in_the_form_of_their_neighbours() {
    let asked = Asked::new().await;
    let path = asked.get("/api/v1/tasks").await;
    assert_eq!((path.status, &path.json()["title"]), (StatusCode::NOT_FOUND, &json!("no such resource")));
    let method = asked.ask(Method::PUT, "/api/v1/jobs").await;
    assert_eq!((method.status, &method.json()["title"]), (StatusCode::METHOD_NOT_ALLOWED, &json!("no such method")));
    let flink = asked.get("/taskmanagers").await;
    assert_eq!(flink.status, StatusCode::NOT_FOUND);
    assert_eq!(flink.json(), json!({ "errors": ["Not found: nothing is at this path."] }));
}

#[tokio::test]
async fn the_page_needs_nothing_from_elsewhere() {
    let page = Asked::new().await.get("/").await;
    assert_eq!(page.status, StatusCode::OK);
    for foreign in ["http://", "https://", "src=", "@import", "innerHTML"] {
        assert!(!page.body.contains(foreign), "{foreign}");
    }
}
