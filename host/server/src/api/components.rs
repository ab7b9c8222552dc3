//! `/api/v1/components`.

use axum::Json;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{FromRequest, Multipart, Path, Query, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;
use serde::Deserialize;
use weir_protocol::id::Name;

use crate::api::shape::{Component, Upload};
use crate::api::{COMPONENT_BYTES_MAX, Problem};
use crate::node::Node;

#[derive(Debug, Deserialize)]
pub(super) struct UploadQuery {
    name: Option<String>,
}

/// Takes a component: raw bytes, or the first file of a multipart form.
pub(super) async fn upload(
    State(node): State<Node>,
    query: Result<Query<UploadQuery>, QueryRejection>,
    request: Request,
) -> Result<(StatusCode, Json<Upload>), Problem> {
    let Query(query) = query?;
    let (bytes, given) = read(request).await?;
    if bytes.is_empty() {
        let mend = "send the bytes of a component: `curl --data-binary @operator.wasm …`";
        return Err(Problem::request(StatusCode::BAD_REQUEST, "no component", "the body is empty", mend));
    }
    let name = query.name.or(given).map(Name::try_from).transpose()?;
    let uploaded = node.upload(bytes, name.as_ref()).await?;
    let names = names(&node, &uploaded.component.hash).await?;
    let status = if uploaded.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(Upload { component: Component::new(uploaded.component, names), created: uploaded.created })))
}

/// The bytes, and the name that a multipart form gives.
async fn read(request: Request) -> Result<(Bytes, Option<String>), Problem> {
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if content_type.starts_with("multipart/") {
        return read_form(request).await;
    }
    let bytes = Bytes::from_request(request, &()).await;
    let refused = |rejection: BytesRejection| Problem::body(&rejection, "a component", COMPONENT_BYTES_MAX);
    Ok((bytes.map_err(refused)?, None))
}

async fn read_form(request: Request) -> Result<(Bytes, Option<String>), Problem> {
    let unreadable = |status: StatusCode, detail: String| match status {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large("a component", COMPONENT_BYTES_MAX),
        status => {
            let mend = "send a form with one file: `curl -F component=@operator.wasm …`";
            Problem::request(status, "the form cannot be read", detail, mend)
        }
    };
    let mut form = Multipart::from_request(request, &())
        .await
        .map_err(|rejection| unreadable(rejection.status(), rejection.body_text()))?;
    let (mut file, mut name) = (None, None);
    while let Some(field) = form.next_field().await.map_err(|error| unreadable(error.status(), error.body_text()))? {
        let stem = field.file_name().map(stem);
        let is_name = field.name() == Some("name") && stem.is_none();
        let bytes = field.bytes().await.map_err(|error| unreadable(error.status(), error.body_text()))?;
        if is_name {
            name = Some(String::from_utf8_lossy(&bytes).into_owned());
        } else if file.is_none() {
            file = Some((bytes, stem));
        }
    }
    let (bytes, stem) = file.ok_or_else(|| unreadable(StatusCode::BAD_REQUEST, "the form holds no file".to_owned()))?;
    Ok((bytes, name.or(stem)))
}

/// The name of a component that is not given one: its file's, without the ending.
pub(crate) fn stem(file: &str) -> String {
    let file = file.rsplit(['/', '\\']).next().unwrap_or(file);
    file.strip_suffix(".wasm").unwrap_or(file).replace('_', "-")
}

pub(super) async fn list(State(node): State<Node>) -> Result<Json<Vec<Component>>, Problem> {
    let mut names = node.names().await?;
    let components = node.registry().list().await?.into_iter().map(|stored| {
        let names = names.remove(&stored.hash).unwrap_or_default();
        Component::new(stored, names.into_iter().map(String::from).collect())
    });
    Ok(Json(components.collect()))
}

pub(super) async fn one(State(node): State<Node>, Path(name): Path<String>) -> Result<Json<Component>, Problem> {
    let stored = node.registry().find(&name).await?;
    let names = names(&node, &stored.hash).await?;
    Ok(Json(Component::new(stored, names)))
}

pub(super) async fn delete(State(node): State<Node>, Path(name): Path<String>) -> Result<StatusCode, Problem> {
    node.delete_component(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn names(node: &Node, hash: &str) -> Result<Vec<String>, Problem> {
    let names = node.names().await?.remove(hash).unwrap_or_default();
    Ok(names.into_iter().map(String::from).collect())
}
