//! Savepoints over REST, in Weir's shapes and in Flink's.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use weir_engine::job::EngineError;

use super::setup::{Asked, JOB};
use crate::api::Problem;

const PATH: &str = "/api/v1/jobs/numbers";
const JSON: &str = "application/json";

/// A job that has taken checkpoints, a place for savepoints, and the job's id.
async fn running() -> (Asked, tempfile::TempDir, String) {
    let asked = Asked::with_component().await;
    asked.post("/api/v1/jobs", "application/toml", JOB).await;
    let job = asked.until(PATH, |job| job["checkpoints"]["completed"].as_u64() > Some(1)).await;
    (asked, tempfile::tempdir().unwrap(), job["id"].as_str().unwrap().to_owned())
}

/// What became of a request, asked after at `path`.
async fn ended(asked: &Asked, path: &str) -> Value {
    asked.until(path, |status| status["status"] != "in-progress" && status["status"]["id"] != "IN_PROGRESS").await
}

fn escaped(location: &str) -> String {
    location.replace('/', "%2F")
}

#[tokio::test]
async fn a_savepoint_is_taken_looked_at_begun_from_and_deleted() {
    let (asked, folder, id) = running().await;
    let body = json!({ "target-directory": folder.path() }).to_string();
    let accepted = asked.post(&format!("{PATH}/savepoints"), JSON, body).await;
    assert_eq!(accepted.status, StatusCode::ACCEPTED, "{}", accepted.body);
    let request = accepted.json()["request-id"].as_str().unwrap().to_owned();
    let taken = ended(&asked, &format!("{PATH}/savepoints/{request}")).await;
    assert_eq!(taken["status"], "completed", "{taken}");
    let location = taken["location"].as_str().unwrap();
    assert!(location.starts_with(folder.path().to_str().unwrap()), "{location}");
    assert!(location.contains(&format!("/savepoint-{}-", &id[..6])), "{location}");

    let place = format!("/api/v1/savepoint?location={}", escaped(location));
    let found = asked.get(&place).await.json();
    assert_eq!((&found["job"], &found["name"], &found["ended"]), (&json!(id), &json!("numbers"), &json!(false)));
    assert_eq!(found["checkpoint"]["id"], taken["checkpoint"]);
    let verified = asked.get(&place.replace("savepoint?", "savepoint/verify?")).await;
    let last: Value = serde_json::from_str(verified.body.lines().last().unwrap()).unwrap();
    assert_eq!(last["damaged"], 0, "{}", verified.body);
    let strange = asked.get(&place.replace("savepoint?", "savepoint/state/other?")).await;
    assert_eq!(strange.status, StatusCode::NOT_FOUND, "{}", strange.body);

    let submit = |query: &str| format!("/api/v1/jobs?from={}{query}", escaped(location));
    let taken = asked.post(&submit(""), "application/toml", JOB).await;
    assert_eq!(taken.status, StatusCode::CONFLICT, "the same job runs, and does not begin anew: {}", taken.body);
    let other = JOB.replace("\"numbers\"", "\"others\"");
    let renamed =
        other.replace("uid = \"generator\"", "uid = \"made\"").replace("from = \"generator\"", "from = \"made\"");
    let refused = asked.post(&submit(""), "application/toml", renamed.clone()).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.body);
    assert_eq!(refused.json()["title"], "the job cannot begin from this savepoint");
    let unknown = asked.post(&submit("&allow=true"), "application/toml", other.clone()).await;
    assert_eq!(unknown.status, StatusCode::BAD_REQUEST, "{}", unknown.body);
    let begun = asked.post(&submit(""), "application/toml", other).await;
    assert_eq!(begun.status, StatusCode::CREATED, "{}", begun.body);
    let begun = asked.until("/api/v1/jobs/others", |job| job["checkpoints"]["completed"].as_u64() > Some(0)).await;
    let ancestor = json!({ "location": location, "job": id, "checkpoint": found["checkpoint"]["id"] });
    assert_eq!((&begun["began-from"], &asked.get(PATH).await.json()["began-from"]), (&ancestor, &Value::Null));
    asked.ask(Method::POST, "/api/v1/jobs/others/cancel").await;
    asked.until("/api/v1/jobs/others", |job| job["state"] == "CANCELED").await;
    let dropped = asked.post(&submit("&allow-non-restored-state=true"), "application/toml", renamed).await;
    assert_eq!(dropped.status, StatusCode::CREATED, "{}", dropped.body);

    assert_eq!(asked.ask(Method::DELETE, &place).await.status, StatusCode::NO_CONTENT);
    let again = asked.ask(Method::DELETE, &place).await;
    assert_eq!(again.status, StatusCode::NOT_FOUND, "{}", again.body);
    assert!(again.json()["detail"].as_str().unwrap().contains("no savepoint"), "{}", again.body);
}

#[tokio::test]
async fn without_a_place_a_savepoint_is_refused_and_an_unknown_request_is_not_found() {
    let (asked, _folder, _) = running().await;
    let path = format!("{PATH}/savepoints");
    let nowhere = asked.post(&path, JSON, "").await;
    assert_eq!(nowhere.status, StatusCode::BAD_REQUEST);
    assert!(nowhere.json()["mend"].as_str().unwrap().contains("--savepoint-dir"), "{}", nowhere.body);
    assert_eq!(asked.post(&path, JSON, r#"{"targetDirectory": "/x"}"#).await.status, StatusCode::BAD_REQUEST);
    for request in ["nonsense", "00000000000000000000000000000001"] {
        assert_eq!(asked.get(&format!("{path}/{request}")).await.status, StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn a_target_that_can_be_no_place_is_refused_at_once_in_both_shapes() {
    let (asked, _folder, id) = running().await;
    for target in ["", "ftp://host/x", "s3://", "s3://key:geheim@bucket", "memory:"] {
        for (stop, title) in
            [(false, "no savepoint can be taken"), (true, "no savepoint can be taken, so the job is not stopped")]
        {
            let body = json!({ "target-directory": target, "stop": stop }).to_string();
            let refused = asked.post(&format!("{PATH}/savepoints"), JSON, body).await;
            assert_eq!(
                (refused.status, &refused.json()["title"]),
                (StatusCode::BAD_REQUEST, &json!(title)),
                "{target}"
            );
            assert!(!refused.body.contains("geheim"), "{}", refused.body);
        }
        let body = json!({ "target-directory": target, "targetDirectory": target }).to_string();
        for call in ["savepoints", "stop"] {
            let refused = asked.post(&format!("/jobs/{id}/{call}"), JSON, body.clone()).await;
            assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{call} {target}: {}", refused.body);
        }
    }
    let other = JOB.replace("\"numbers\"", "\"others\"");
    let begun = asked.post("/api/v1/jobs?from=", "application/toml", other).await;
    assert!(begun.status == StatusCode::BAD_REQUEST && begun.body.contains("it is empty"), "{}", begun.body);
    assert_eq!(asked.get(PATH).await.json()["state"], "RUNNING");
}

#[tokio::test]
async fn of_a_job_without_checkpoints_it_is_said_that_there_is_no_savepoint() {
    let (asked, folder) = (Asked::with_component().await, tempfile::tempdir().unwrap());
    let job = JOB.replace("[checkpoint]\ninterval = \"20ms\"\n", "");
    let submitted = asked.post("/api/v1/jobs", "application/toml", job).await;
    assert_eq!(submitted.status, StatusCode::CREATED, "{}", submitted.body);
    let body = json!({ "target-directory": folder.path() }).to_string();
    let refused = asked.post(&format!("{PATH}/savepoints"), JSON, body).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(refused.json()["title"], "no savepoint can be taken", "nobody submits a job here: {}", refused.body);
    assert!(refused.json()["detail"].as_str().unwrap().contains("[checkpoint]"), "{}", refused.body);
}

#[test]
fn a_limit_is_not_told_as_something_that_is_away() {
    let problem = Problem::from(EngineError::SavepointLimit(8));
    assert_eq!(problem.title, "too many savepoints at once");
    assert!(problem.detail.contains('8') && problem.mend.contains("ask again later"), "{problem:?}");
}

#[tokio::test]
async fn flinks_tools_trigger_poll_stop_and_dispose() {
    let (asked, folder, id) = running().await;
    let trigger = "0123456789abcdef0123456789abcdef";
    let body = json!({ "target-directory": folder.path(), "formatType": "CANONICAL", "triggerId": trigger });
    let path = format!("/v1/jobs/{id}/savepoints");
    for _ in 0..2 {
        let accepted = asked.post(&path, JSON, body.to_string()).await;
        assert_eq!((accepted.status, accepted.json()), (StatusCode::ACCEPTED, json!({ "request-id": trigger })));
    }
    let taken = ended(&asked, &format!("{path}/{trigger}")).await;
    assert_eq!(taken["status"]["id"], "COMPLETED");
    let location = taken["operation"]["location"].as_str().unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "to ask again is to ask after it");

    let disposed = asked.post("/savepoint-disposal", JSON, json!({ "savepoint-path": location }).to_string()).await;
    let request = disposed.json()["request-id"].as_str().unwrap().to_owned();
    let done = asked.get(&format!("/savepoint-disposal/{request}")).await.json();
    assert_eq!(done, json!({ "status": { "id": "COMPLETED" }, "operation": {} }));
    let again = asked.post("/savepoint-disposal", JSON, json!({ "savepoint-path": location }).to_string()).await;
    let request = again.json()["request-id"].as_str().unwrap().to_owned();
    let failed = asked.get(&format!("/savepoint-disposal/{request}")).await.json();
    assert!(failed["operation"]["failure-cause"]["stack-trace"].as_str().unwrap().contains("no savepoint"), "{failed}");

    let drained = asked.post(&format!("/jobs/{id}/stop"), JSON, r#"{"drain": true}"#).await;
    assert_eq!(drained.status, StatusCode::BAD_REQUEST, "{}", drained.body);
    let stop = json!({ "targetDirectory": folder.path(), "drain": false }).to_string();
    let stopped = asked.post(&format!("/jobs/{id}/stop"), JSON, stop).await;
    assert_eq!(stopped.status, StatusCode::ACCEPTED, "{}", stopped.body);
    let request = stopped.json()["request-id"].as_str().unwrap().to_owned();
    let taken = ended(&asked, &format!("{path}/{request}")).await;
    let location = taken["operation"]["location"].as_str().unwrap();
    assert_eq!(asked.get(PATH).await.json()["state"], "CANCELED");
    let found = asked.get(&format!("/api/v1/savepoint?location={}", escaped(location))).await.json();
    assert_eq!(found["ended"], true);

    let broken = json!({ "target-directory": "/proc/weir" }).to_string();
    let accepted = asked.post(&path, JSON, broken).await.json();
    let request = accepted["request-id"].as_str().unwrap();
    let failed = ended(&asked, &format!("{path}/{request}")).await;
    let cause = &failed["operation"]["failure-cause"];
    assert!(failed["status"]["id"] == "COMPLETED" && cause["stack-trace"].as_str().unwrap().contains("/proc/weir"));
}
