//! The life of a job, as `/api/v1/jobs` and Flink's `/jobs` show it.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::setup::{Asked, JOB};

const PATH: &str = "/api/v1/jobs";
const TOML: &str = "application/toml";

/// Submits [`JOB`]; its id.
async fn submit(asked: &Asked) -> String {
    let submitted = asked.post(PATH, TOML, JOB).await;
    assert_eq!(submitted.status, StatusCode::CREATED, "{}", submitted.body);
    submitted.json()["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_same_job_again_changes_nothing_and_another_of_its_name_is_a_conflict() {
    let asked = Asked::with_component().await;
    let id = submit(&asked).await;
    let again = asked.post(PATH, TOML, JOB).await;
    assert_eq!(
        (again.status, again.json()),
        (StatusCode::OK, json!({ "id": id, "name": "numbers", "created": false }))
    );
    let other = asked.post(PATH, TOML, JOB.replace("1000", "2000")).await;
    assert_eq!((other.status, &other.json()["title"]), (StatusCode::CONFLICT, &json!("the name is taken")));
    assert!(other.body.contains(&id), "{}", other.body);
    assert_eq!(asked.get(PATH).await.json().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_job_is_shown_by_name_and_id_while_it_runs_and_after_it_was_cancelled() {
    let asked = Asked::with_component().await;
    let id = submit(&asked).await;
    let path = format!("{PATH}/{id}");
    let running = |job: &Value| job["state"] == "RUNNING" && job["checkpoints"]["completed"].as_u64() > Some(1);
    let job = asked.until(&path, running).await;
    assert_eq!(job["name"], "numbers");
    let kinds: Vec<_> = job["vertices"].as_array().unwrap().iter().map(|vertex| &vertex["kind"]).collect();
    assert_eq!(kinds, ["source", "operator", "sink"]);
    assert_eq!(job["checkpoints"]["history"][0]["state"], "COMPLETED");
    assert_eq!(job["spec"]["source"][0]["rate"], 1000);
    asked.until(&path, |job| job["vertices"][2]["records-in"].as_u64() > Some(0)).await;
    assert_eq!(asked.get("/api/v1/jobs/numbers").await.json()["id"], json!(id));
    assert!(asked.get(PATH).await.json()[0].get("spec").is_none(), "lists are short");

    let cancelled = asked.ask(Method::POST, "/api/v1/jobs/numbers/cancel").await;
    assert_eq!((cancelled.status, cancelled.json()), (StatusCode::ACCEPTED, json!({ "id": id, "name": "numbers" })));
    let ended = asked.until(&path, |job| job["ended"] == true).await;
    assert_eq!(ended["state"], "CANCELED");
    let new = submit(&asked).await;
    assert_eq!(asked.get("/api/v1/jobs/numbers").await.json()["id"], json!(new), "a name means what runs");
}

#[tokio::test]
async fn what_a_running_job_holds_can_be_scraped() {
    let asked = Asked::with_component().await;
    let id = asked.post(PATH, TOML, JOB.replace("[[source]]", "[limits]\nstate = 4096\n[[source]]")).await.json();
    let id = id["id"].as_str().unwrap();
    asked.until(&format!("{PATH}/{id}"), |job| job["state"] == "RUNNING").await;
    let page = asked.get("/metrics").await;
    assert_eq!(page.status, StatusCode::OK);
    for line in [
        "# TYPE weir_job_state_bytes gauge".to_owned(),
        format!(r#"weir_job_state_bytes{{job="numbers",job_id="{id}"}} 0"#),
        format!(r#"weir_job_state_limit_bytes{{job="numbers",job_id="{id}"}} 4096"#),
        format!(r#"weir_job_checkpoints_failed_total{{job="numbers",job_id="{id}"}} 0"#),
        format!(r#"weir_operator_timers{{job="numbers",job_id="{id}",operator="echo"}} 0"#),
    ] {
        assert!(page.body.lines().any(|there| there == line), "{line} is not in\n{}", page.body);
    }
}

#[tokio::test]
async fn jobs_are_counted_by_what_they_do() {
    let asked = Asked::with_component().await;
    asked.post(PATH, TOML, JOB).await;
    asked.until("/api/v1/jobs/numbers", |job| job["state"] == "RUNNING").await;
    asked.ask(Method::POST, "/api/v1/jobs/numbers/cancel").await;
    asked.until("/api/v1/jobs/numbers", |job| job["ended"] == true).await;
    asked.post(PATH, TOML, JOB).await;
    asked.until("/api/v1/jobs/numbers", |job| job["state"] == "RUNNING").await;
    let page = asked.get("/metrics").await.body;
    let counted: Vec<&str> = page.lines().filter(|line| line.contains("weir_jobs") && !line.contains("HELP")).collect();
    for line in ["# TYPE weir_jobs gauge", r#"weir_jobs{state="RUNNING"} 1"#, r#"weir_jobs{state="CANCELED"} 1"#] {
        assert!(counted.contains(&line), "{line} is not in {counted:?}");
    }
    assert!(counted.contains(&r#"weir_jobs{state="FAILED"} 0"#), "a rise from nothing is no rise: {counted:?}");
}

#[tokio::test]
async fn who_looks_into_a_job_without_checkpoints_is_not_told_to_ask_again() {
    let asked = Asked::with_component().await;
    asked.post(PATH, TOML, JOB.replace("[checkpoint]\ninterval = \"20ms\"\n", "")).await;
    for path in ["state/echo", "checkpoints/newest/verify"] {
        let answer = asked.get(&format!("{PATH}/numbers/{path}")).await;
        let expected = (StatusCode::NOT_FOUND, &json!("the job takes no checkpoints"));
        assert_eq!((answer.status, &answer.json()["title"]), expected);
        assert!(answer.body.contains("[checkpoint]"), "{}", answer.body);
    }
    asked.ask(Method::POST, "/api/v1/jobs/numbers/cancel").await;
    asked.until("/api/v1/jobs/numbers", |job| job["ended"] == true).await;
    let slow = asked.post(PATH, TOML, JOB.replace("20ms", "1h")).await.json();
    let slow = format!("{PATH}/{}", slow["id"].as_str().unwrap());
    let looked = asked.get(&format!("{slow}/state/echo?checkpoint=newest")).await;
    assert_eq!(&looked.json()["title"], &json!("no checkpoint yet"), "{}", looked.body);
    asked.ask(Method::POST, &format!("{slow}/cancel")).await;
    asked.until(&slow, |job| job["ended"] == true).await;
    let ended = asked.get(&format!("{slow}/state/echo")).await;
    assert_eq!(&ended.json()["title"], &json!("the job has no checkpoint"), "{}", ended.body);
    assert!(ended.body.contains("it ended before one was completed"), "{}", ended.body);
}

#[tokio::test]
async fn a_job_that_ends_by_itself_is_finished() {
    let asked = Asked::with_component().await;
    asked.post(PATH, TOML, JOB.replace("rate = 1000", "count = 100")).await;
    let job = asked.until("/api/v1/jobs/numbers", |job| job["ended"] == true).await;
    assert_eq!(job["state"], "FINISHED", "{job}");
    assert_eq!(asked.get("/api/v1/jobs/numbers/dead-letters").await.json(), json!([]));
}

#[tokio::test]
async fn flinks_tools_find_its_fields() {
    let asked = Asked::with_component().await;
    let id = submit(&asked).await;
    asked.until(&format!("{PATH}/{id}"), |job| job["checkpoints"]["completed"].as_u64() > Some(0)).await;
    let list = asked.get("/jobs").await;
    assert_eq!(list.json(), json!({ "jobs": [{ "id": id, "status": "RUNNING" }] }));
    assert_eq!(asked.get("/v1/jobs").await.json(), list.json());

    let job = asked.get(&format!("/jobs/{id}")).await.json();
    for (pointer, expected) in [
        ("/jid", json!(id)),
        ("/name", json!("numbers")),
        ("/state", json!("RUNNING")),
        ("/end-time", json!(-1)),
        ("/isStoppable", json!(false)),
        ("/maxParallelism", json!(128)),
        ("/vertices/1/name", json!("echo: echo")),
        ("/vertices/1/tasks/RUNNING", json!(1)),
        ("/vertices/1/metrics/read-bytes-complete", json!(true)),
        ("/status-counts/RUNNING", json!(3)),
        ("/plan/nodes/1/inputs/0/ship_strategy", json!("FORWARD")),
    ] {
        assert_eq!(job.pointer(pointer), Some(&expected), "{pointer} in {job}");
    }
    assert_eq!(job["plan"]["nodes"][1]["inputs"][0]["id"], job["vertices"][0]["id"]);

    let checkpoints = asked.get(&format!("/jobs/{id}/checkpoints")).await.json();
    assert!(checkpoints["counts"]["completed"].as_u64() > Some(0), "{checkpoints}");
    for percentile in ["min", "max", "avg", "p50", "p90", "p95", "p99", "p999"] {
        assert!(checkpoints["summary"]["end_to_end_duration"][percentile].is_u64(), "{percentile} in {checkpoints}");
    }
    let completed = &checkpoints["latest"]["completed"];
    assert_eq!((&completed["className"], &completed["status"]), (&json!("completed"), &json!("COMPLETED")));
    assert_eq!(checkpoints["latest"]["savepoint"], Value::Null);

    let mode = asked.ask(Method::PATCH, &format!("/jobs/{id}?mode=stop")).await;
    assert_eq!(mode.status, StatusCode::BAD_REQUEST);
    let cancel = asked.ask(Method::PATCH, &format!("/jobs/{id}?mode=cancel")).await;
    assert_eq!(cancel.status, StatusCode::ACCEPTED);
    asked.until(&format!("/jobs/{id}"), |job| job["state"] == "CANCELED").await;
}

#[tokio::test]
async fn a_component_is_not_deleted_while_a_job_uses_it() {
    let asked = Asked::with_component().await;
    let id = asked.post("/api/v1/jobs", "application/toml", JOB).await.json()["id"].as_str().unwrap().to_owned();
    let refused = asked.ask(Method::DELETE, "/api/v1/components/echo").await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.body);
    assert_eq!(refused.json()["detail"], json!(format!("component `echo` is used by job `numbers` ({id})")));
    asked.ask(Method::POST, "/api/v1/jobs/numbers/cancel").await;
    asked.until("/api/v1/jobs/numbers", |job| job["ended"] == true).await;
    assert_eq!(asked.ask(Method::DELETE, "/api/v1/components/echo").await.status, StatusCode::NO_CONTENT);
}
