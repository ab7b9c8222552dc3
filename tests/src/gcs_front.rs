//! What stands between Weir's client and fake-gcs-server, which takes writes through Google's XML interface only where
//! they look signed, and answers them without a tag. It knows of no conditions, as the server behind it does not.

use anyhow::Result;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use weir_engine::spawn::TaskGroup;

#[derive(Clone)]
struct Behind {
    client: reqwest::Client,
    url: String,
}

/// Serves at an address of its own, which is given, as long as the group lives.
pub(crate) async fn before(url: String) -> Result<(String, TaskGroup<()>)> {
    let behind = Behind { client: reqwest::Client::builder().no_proxy().build()?, url };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let mut group = TaskGroup::new(Handle::current());
    group.spawn("the front of a GCS", async move {
        // It ends with the group, however it ends.
        drop(axum::serve(listener, Router::new().fallback(pass).with_state(behind)).await);
    });
    Ok((address, group))
}

async fn pass(
    State(behind): State<Behind>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    behind.pass(method, &uri, headers, body).await.unwrap_or_else(|error| {
        let mut response = Response::new(Body::from(error.to_string()));
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        response
    })
}

impl Behind {
    async fn pass(&self, method: Method, uri: &Uri, mut headers: HeaderMap, body: Bytes) -> Result<Response<Body>> {
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let signed = if uri.query().is_some() { "&X-Goog-Algorithm=none" } else { "?X-Goog-Algorithm=none" };
        let signed = if method == Method::PUT { signed } else { "" };
        headers.remove("host");
        headers.remove("content-length");
        let request = self.client.request(method, format!("{}{path}{signed}", self.url)).headers(headers).body(body);
        let answer = request.send().await?;
        let mut response = Response::builder().status(answer.status());
        let headers = response.headers_mut().expect("a status is no error");
        *headers = answer.headers().clone();
        headers.remove("transfer-encoding");
        headers.entry("etag").or_insert(HeaderValue::from_static("\"0\""));
        Ok(response.body(Body::from(answer.bytes().await?))?)
    }
}
