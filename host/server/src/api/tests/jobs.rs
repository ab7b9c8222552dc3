//! `/api/v1/jobs`: what is refused.

use axum::http::{Method, StatusCode};
use serde_json::json;

use super::setup::{Asked, JOB};
use crate::job_file;

const PATH: &str = "/api/v1/jobs";
const TOML: &str = "application/toml";

#[tokio::test]
async fn what_is_wrong_with_a_job_is_said_with_its_place() {
    let asked = Asked::with_component().await;
    let wrong = asked.post(PATH, TOML, JOB.replace("rate", "rat")).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    let expected = json!({
        "title": "the job cannot be accepted",
        "detail": "line 8: a source of type \"generator\" has no key `rat`; did you mean `rate`?",
        "fault": "request",
        "mend": "mend the job file at that place; docs/job-file.md has every key",
    });
    assert_eq!(wrong.json(), expected);
    let json = asked.post(PATH, "application/json", r#"{"name": 7}"#).await;
    assert_eq!(json.json()["detail"], json!("name: `name` must be a text, not 7"));
    let unknown = asked.post(PATH, TOML, JOB.replace("component = \"echo\"", "component = \"ecco\"")).await;
    let detail = "line 11: no component is called `ecco`, by name or by hash; upload it first \
                  (`weir upload FILE --name ecco`), or give it to `weir run --local` with `--component ecco=FILE`";
    assert_eq!((unknown.status, &unknown.json()["detail"]), (StatusCode::BAD_REQUEST, &json!(detail)));
    assert_eq!(asked.get(PATH).await.json(), json!([]), "nothing was accepted");
}

#[tokio::test]
async fn a_job_in_no_known_form_is_refused() {
    let asked = Asked::new().await;
    let yaml = asked.post(PATH, "application/yaml", JOB).await;
    assert_eq!(yaml.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(yaml.json()["detail"], json!("a job cannot be written as `application/yaml`"));
    let long = asked.post(PATH, TOML, " ".repeat(job_file::BYTES_MAX + 1)).await;
    assert_eq!(
        (long.status, &long.json()["detail"]),
        (StatusCode::PAYLOAD_TOO_LARGE, &json!("a job may have 1048576 bytes at most"))
    );
    let latin = asked.post(PATH, TOML, vec![0xe9]).await;
    assert_eq!(latin.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn an_unknown_job_is_not_found_in_either_form() {
    let asked = Asked::new().await;
    for path in ["", "/dead-letters", "/logs"] {
        let unknown = asked.get(&format!("{PATH}/nobody{path}")).await;
        assert_eq!(unknown.status, StatusCode::NOT_FOUND);
        assert_eq!(unknown.json()["detail"], json!("no job has the id or the name `nobody`"));
    }
    assert_eq!(asked.ask(Method::POST, "/api/v1/jobs/nobody/cancel").await.status, StatusCode::NOT_FOUND);
    let id = "0123456789abcdef0123456789abcdef";
    let flink = asked.get(&format!("/jobs/{id}")).await;
    assert_eq!(
        (flink.status, flink.json()),
        (StatusCode::NOT_FOUND, json!({ "errors": [format!("there is no job {id}")] }))
    );
    let no_id = asked.get("/jobs/numbers/checkpoints").await;
    assert_eq!(no_id.status, StatusCode::BAD_REQUEST);
    assert_eq!(no_id.json(), json!({ "errors": ["not a job id: `numbers` is not 32 hexadecimal digits"] }));
}
