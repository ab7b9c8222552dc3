//! `PUT /api/v1/jobs/JOB`.

use axum::http::{Method, StatusCode};
use serde_json::json;

use super::setup::{Asked, JOB};

const PATH: &str = "/api/v1/jobs/numbers";
const TOML: &str = "application/toml";

async fn running() -> Asked {
    let asked = Asked::with_component().await;
    asked.post("/api/v1/jobs", TOML, JOB).await;
    asked.until(PATH, |job| job["checkpoints"]["completed"].as_u64() > Some(1)).await;
    asked
}

fn wider() -> String {
    JOB.replace("component = \"echo\"", "component = \"echo\"\nparallelism = 3").replace(
        "inputs = [{ from = \"generator\" }]",
        "inputs = [{ from = \"generator\", partition = \"rebalance\" }]",
    )
}

#[tokio::test]
async fn a_running_job_gets_another_parallelism() {
    let asked = running().await;
    let asks = asked.put(&format!("{PATH}?dry-run=true"), TOML, wider()).await;
    assert_eq!((asks.status, &asks.json()["accepted"]), (StatusCode::OK, &json!(false)), "{}", asks.body);
    let upgraded = asked.put(PATH, TOML, wider()).await;
    assert_eq!(upgraded.status, StatusCode::ACCEPTED, "{}", upgraded.body);
    let answer = upgraded.json();
    assert_eq!(
        (&answer["spec-number"], &answer["accepted"], &answer["settings"]),
        (&json!(1), &json!(true), &json!(false))
    );
    let change = json!({
        "uid": "echo", "kind": "operator", "fate": "changed", "parallelism-before": 1, "parallelism": 3,
    });
    assert_eq!(answer["vertices"][1], change);
    assert_eq!(asks.json()["vertices"], answer["vertices"], "a dry run says the same");
    let job = asked.until(PATH, |job| job["spec-number"] == 1 && job["on-trial"] == false).await;
    assert_eq!((&job["state"], &job["vertices"][1]["parallelism"]), (&json!("RUNNING"), &json!(3)));
    let again = asked.put(PATH, TOML, wider()).await;
    assert_eq!((again.status, &again.json()["spec-number"]), (StatusCode::OK, &json!(1)), "{}", again.body);
}

#[tokio::test]
async fn what_a_running_job_cannot_become_is_said_with_the_mend() {
    let asked = running().await;
    let refused = asked.put(PATH, TOML, JOB.replace("\"numbers\"", "\"others\"")).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    let detail =
        "the job is named `numbers`, and the new one `others`; keep the name, or submit it as a job of its own";
    let problem = refused.json();
    assert_eq!(problem["detail"], detail);
    assert_eq!(problem["mend"], "mend what is named and try `weir upgrade --dry-run`; nothing was stopped or changed");
    let unknown = asked.put(&format!("{PATH}?dryrun=true"), TOML, JOB).await;
    assert_eq!(unknown.status, StatusCode::BAD_REQUEST, "{}", unknown.body);
    let other = asked.put("/api/v1/jobs/others", TOML, JOB).await;
    assert_eq!(other.status, StatusCode::NOT_FOUND);
    asked.ask(Method::POST, &format!("{PATH}/cancel")).await;
    let ended = asked.put(PATH, TOML, JOB).await;
    assert_eq!((ended.status, &ended.json()["title"]), (StatusCode::CONFLICT, &json!("the job does not run")));
}

#[tokio::test]
async fn a_component_that_a_job_may_go_back_to_is_not_deleted() {
    let asked = Asked::with_component().await;
    asked.post("/api/v1/components?name=next", "application/wasm", "ok, the next").await;
    asked.post("/api/v1/components?name=unused", "application/wasm", "ok, unused").await;
    // So slow that no checkpoint comes, but for one that an upgrade waits for.
    let slow = JOB.replace("20ms", "1h");
    asked.post("/api/v1/jobs", TOML, slow.clone()).await;
    asked.until(PATH, |job| job["vertices"][0]["records-out"].as_u64() > Some(0)).await;
    let upgraded = asked.put(PATH, TOML, slow.replace("component = \"echo\"", "component = \"next\"")).await;
    assert_eq!(upgraded.status, StatusCode::ACCEPTED, "{}", upgraded.body);
    for name in ["echo", "next"] {
        let refused = asked.ask(Method::DELETE, &format!("/api/v1/components/{name}")).await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{name}: {}", refused.body);
    }
    assert_eq!(asked.ask(Method::DELETE, "/api/v1/components/unused").await.status, StatusCode::NO_CONTENT);
}
