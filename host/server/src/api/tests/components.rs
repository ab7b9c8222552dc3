//! `/api/v1/components`.

use axum::http::{Method, StatusCode};
use serde_json::json;
use weir_engine::component::hash;

use super::setup::{Asked, COMPONENT};
use crate::api::COMPONENT_BYTES_MAX;

const PATH: &str = "/api/v1/components";
const WASM: &str = "application/wasm";

#[tokio::test]
async fn an_upload_is_new_once() {
    let asked = Asked::new().await;
    let first = asked.post("/api/v1/components?name=echo", WASM, COMPONENT).await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.body);
    let mut body = first.json();
    assert!(body["uploaded-at"].take().is_i64());
    let operator = json!({
        "name": "echo",
        "doc": "Says it again.",
        "inputs": [{
            "name": "in",
            "kind": "unkeyed",
            "columns": { "keys": false, "values": true, "timestamps": false },
        }],
        "outputs": ["out"],
        "states": [],
        "config-schema": "",
        "properties": [],
    });
    let expected = json!({
        "names": ["echo"],
        "hash": hash(COMPONENT.as_bytes()),
        "bytes": 15,
        "uploaded-at": null,
        "operators": [operator],
        "created": true,
    });
    assert_eq!(body, expected);
    let again = asked.post("/api/v1/components?name=echo", WASM, COMPONENT).await;
    assert_eq!((again.status, again.json()["created"].as_bool()), (StatusCode::OK, Some(false)));
}

#[tokio::test]
async fn a_component_is_found_by_name_and_by_hash_and_deleted_by_either() {
    let asked = Asked::with_component().await;
    let hash = hash(COMPONENT.as_bytes());
    let by_name = asked.get("/api/v1/components/echo").await;
    assert_eq!((by_name.status, by_name.json()["hash"].as_str()), (StatusCode::OK, Some(hash.as_str())));
    assert_eq!(asked.get(&format!("{PATH}/{hash}")).await.json(), by_name.json());
    assert_eq!(asked.get(PATH).await.json(), json!([by_name.json()]));
    assert_eq!(asked.ask(Method::DELETE, &format!("{PATH}/{hash}")).await.status, StatusCode::NO_CONTENT);
    let gone = asked.get("/api/v1/components/echo").await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    let expected = json!({
        "title": "unknown component",
        "detail": "no component is called `echo`, by name or by hash; upload it, or see which there are (`weir list`)",
        "fault": "request",
        "mend": "upload it, or see which components there are: `weir list`",
    });
    assert_eq!(gone.json(), expected);
    assert_eq!(asked.get(PATH).await.json(), json!([]));
}

#[tokio::test]
async fn a_form_is_taken_and_names_the_component_after_its_file() {
    let asked = Asked::new().await;
    let form = |field: &str| format!("--x\r\nContent-Disposition: form-data; {field}\r\n\r\n{COMPONENT}\r\n--x--\r\n");
    let multipart = "multipart/form-data; boundary=x";
    let named = asked.post(PATH, multipart, form("name=\"component\"; filename=\"a/my_echo.wasm\"")).await;
    assert_eq!((named.status, &named.json()["names"]), (StatusCode::CREATED, &json!(["my-echo"])));
    let empty = asked.post(PATH, multipart, form("name=\"name\"")).await;
    assert_eq!((empty.status, &empty.json()["detail"]), (StatusCode::BAD_REQUEST, &json!("the form holds no file")));
}

#[tokio::test]
async fn what_cannot_be_a_component_is_refused_with_a_mend() {
    let asked = Asked::new().await;
    let refused = asked.post(PATH, WASM, "not a component").await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    let expected = json!({
        "title": "the component is not admitted",
        "detail": "this is not ok; begin with `ok`",
        "fault": "request",
        "mend": "mend the component as the message says and upload it again",
    });
    assert_eq!(refused.json(), expected);
    let empty = asked.post(PATH, WASM, "").await;
    assert_eq!((empty.status, &empty.json()["detail"]), (StatusCode::BAD_REQUEST, &json!("the body is empty")));
    let misnamed = asked.post("/api/v1/components?name=my%20echo", WASM, COMPONENT).await;
    assert_eq!(misnamed.status, StatusCode::BAD_REQUEST);
    assert!(misnamed.body.contains("`my echo` is no name"), "{}", misnamed.body);
    assert_eq!(asked.get(PATH).await.json(), json!([]), "nothing was kept");
}

#[tokio::test]
async fn a_component_beyond_the_bound_is_refused() {
    let asked = Asked::new().await;
    let refused = asked.post(PATH, WASM, vec![b'o'; COMPONENT_BYTES_MAX + 1]).await;
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(refused.json()["detail"], json!("a component may have 67108864 bytes at most"));
}
