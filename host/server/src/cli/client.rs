//! Requests to a node.

use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, RequestBuilder, Response};
use serde::de::DeserializeOwned;
use weir_engine::store;

use crate::api::Problem;
use crate::api::shape::{
    Component, Health, HeldCheckpoint, Job, Named, Requested, SavepointPlace, SavepointRequest, StatePage, Submission,
    Upgrade, Upload,
};
use crate::cli::exit::{FAILED, Failure, NO_ANSWER};
use crate::journal::Line;

/// How long a node may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long it may take to answer; an upload is compiled meanwhile.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// How long a verification may take, which reads everything that a checkpoint names.
const VERIFY_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a job may take to begin from a savepoint, which is copied, and a savepoint to be deleted.
const COPY_TIMEOUT: Duration = VERIFY_TIMEOUT;

/// How long to wait for a sign of life.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);

/// A node, by its address.
#[derive(Debug, Clone)]
pub(super) struct Client {
    url: String,
    http: reqwest::Client,
}

impl Client {
    pub(super) fn new(url: &str) -> Result<Self, Failure> {
        if !url.starts_with("http://") {
            let mend = "write it as http://ADDRESS:PORT; for TLS put a proxy in front of the node";
            return Err(Failure::wrong_use(format!("`{url}` is no address of a node"), mend));
        }
        let http = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).timeout(ANSWER_TIMEOUT).build();
        let http = http.map_err(|error| Failure { code: FAILED, message: cause(&error), mend: None })?;
        Ok(Self { url: url.trim_end_matches('/').to_owned(), http })
    }

    /// Where the node is, and its status page.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// What the node says of itself; an error if whatever answers is no node.
    pub(super) async fn health(&self) -> Result<Health, Failure> {
        let health: Health = self.send(self.request(Method::GET, &["health"])?.timeout(HEALTH_TIMEOUT)).await?;
        if health.service == crate::api::SERVICE { Ok(health) } else { Err(self.stranger("it is another service")) }
    }

    pub(super) async fn upload(&self, bytes: Vec<u8>, name: &str) -> Result<Upload, Failure> {
        let request = self.request(Method::POST, &["components"])?.query(&[("name", name)]);
        self.send(request.header(CONTENT_TYPE, "application/wasm").body(bytes)).await
    }

    pub(super) async fn components(&self) -> Result<Vec<Component>, Failure> {
        self.send(self.request(Method::GET, &["components"])?).await
    }

    /// Submits a job; `query` says what it begins from.
    pub(super) async fn submit(
        &self,
        query: &[(&str, String)],
        job: String,
        content_type: &'static str,
    ) -> Result<Submission, Failure> {
        let request = self.request(Method::POST, &["jobs"])?.query(query);
        let request = if query.is_empty() { request } else { request.timeout(COPY_TIMEOUT) };
        self.send(request.header(CONTENT_TYPE, content_type).body(job)).await
    }

    /// Has a running job become another; `query` says how.
    pub(super) async fn upgrade(
        &self,
        job: &str,
        query: &[(&str, bool)],
        text: String,
        content_type: &'static str,
    ) -> Result<Upgrade, Failure> {
        let request = self.request(Method::PUT, &["jobs", job])?.query(query);
        self.send(request.header(CONTENT_TYPE, content_type).body(text)).await
    }

    pub(super) async fn jobs(&self) -> Result<Vec<Job>, Failure> {
        self.send(self.request(Method::GET, &["jobs"])?).await
    }

    pub(super) async fn job(&self, job: &str) -> Result<Job, Failure> {
        self.send(self.request(Method::GET, &["jobs", job])?).await
    }

    pub(super) async fn logs(&self, job: &str, limit: usize) -> Result<Vec<Line>, Failure> {
        self.send(self.request(Method::GET, &["jobs", job, "logs"])?.query(&[("limit", limit)])).await
    }

    /// A page of what an operator holds.
    pub(super) async fn state(
        &self,
        job: &str,
        operator: &str,
        query: &[(&str, String)],
    ) -> Result<StatePage, Failure> {
        let request = match savepoint_at(job) {
            Some(location) => self.request(Method::GET, &["savepoint", "state", operator])?.query(&[location]),
            None => self.request(Method::GET, &["jobs", job, "state", operator])?,
        };
        self.send(request.query(query)).await
    }

    pub(super) async fn checkpoints(&self, job: &str) -> Result<Vec<HeldCheckpoint>, Failure> {
        if let Some(location) = savepoint_at(job) {
            let request = self.request(Method::GET, &["savepoint"])?.query(&[location]);
            return Ok(vec![self.send::<SavepointPlace>(request).await?.checkpoint]);
        }
        self.send(self.request(Method::GET, &["jobs", job, "checkpoints"])?).await
    }

    /// Has a savepoint of a job taken.
    pub(super) async fn take_savepoint(&self, job: &str, wanted: &serde_json::Value) -> Result<Requested, Failure> {
        let request = self.request(Method::POST, &["jobs", job, "savepoints"])?;
        self.send(request.header(CONTENT_TYPE, "application/json").body(wanted.to_string())).await
    }

    /// What became of that.
    pub(super) async fn savepoint(&self, job: &str, request: &str) -> Result<SavepointRequest, Failure> {
        self.send(self.request(Method::GET, &["jobs", job, "savepoints", request])?).await
    }

    pub(super) async fn dispose_savepoint(&self, location: &str) -> Result<(), Failure> {
        let request = self.request(Method::DELETE, &["savepoint"])?.query(&[("location", location)]);
        let answer = request.timeout(COPY_TIMEOUT).send().await.map_err(|error| self.no_answer(&error))?;
        if answer.status().is_success() { Ok(()) } else { self.read(answer).await }
    }

    /// Has a checkpoint verified; gives each line of the answer to `take` as it comes.
    pub(super) async fn verify(
        &self,
        job: &str,
        checkpoint: &str,
        mut take: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let request = match savepoint_at(job) {
            Some(location) => self.request(Method::GET, &["savepoint", "verify"])?.query(&[location]),
            None => self.request(Method::GET, &["jobs", job, "checkpoints", checkpoint, "verify"])?,
        };
        let request = request.timeout(VERIFY_TIMEOUT);
        let mut answer = request.send().await.map_err(|error| self.no_answer(&error))?;
        if !answer.status().is_success() {
            return self.read::<()>(answer).await;
        }
        let mut text = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(|error| self.no_answer(&error))? {
            text.extend_from_slice(&part);
            while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
                take(&text[..end])?;
                text.drain(..=end);
            }
        }
        Ok(())
    }

    pub(super) async fn cancel(&self, job: &str) -> Result<Named, Failure> {
        self.send(self.request(Method::POST, &["jobs", job, "cancel"])?).await
    }

    /// A request for a resource; each part of its path is escaped.
    fn request(&self, method: Method, path: &[&str]) -> Result<RequestBuilder, Failure> {
        let wrong = |reason: String| {
            Failure::wrong_use(format!("`{}` is no address of a node: {reason}", self.url), "see --server")
        };
        let mut url = reqwest::Url::parse(&self.url).map_err(|error| wrong(error.to_string()))?;
        match url.path_segments_mut() {
            Ok(mut parts) => drop(parts.pop_if_empty().extend(["api", "v1"]).extend(path)),
            Err(()) => return Err(wrong("it cannot have a path".to_owned())),
        }
        Ok(self.http.request(method, url))
    }

    async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Failure> {
        let answer = request.send().await.map_err(|error| self.no_answer(&error))?;
        self.read(answer).await
    }

    async fn read<T: DeserializeOwned>(&self, answer: Response) -> Result<T, Failure> {
        let status = answer.status();
        let body = answer.bytes().await.map_err(|error| self.no_answer(&error))?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|error| self.stranger(&error.to_string()));
        }
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => Err(problem.into()),
            Err(_) => Err(self.stranger(&format!("its answer is {status}"))),
        }
    }

    fn no_answer(&self, error: &reqwest::Error) -> Failure {
        Failure {
            code: NO_ANSWER,
            message: format!("no node answers at {}: {}", self.url, cause(error)),
            mend: Some("start one with `weir serve`, or name another with --server".to_owned()),
        }
    }

    pub(super) fn stranger(&self, reason: &str) -> Failure {
        Failure {
            code: FAILED,
            message: format!("what answers at {} is no weir node of this version: {reason}", self.url),
            mend: Some("name another with --server".to_owned()),
        }
    }
}

/// What is asked of a savepoint, where what is named is one and no job: names and ids of jobs have no slash.
pub(super) fn savepoint_at(job: &str) -> Option<(&'static str, String)> {
    job.contains('/').then(|| ("location", store::absolute(job)))
}

/// The innermost cause, which is what says something.
fn cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
