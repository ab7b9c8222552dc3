//! A job whose components, checkpoints and results all lie at S3; the node's own disk is lost with it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use weir_engine::clock::Clock;
use weir_engine::store::{Environment, open_in};
use weir_tests::node::{Launch, Node};
use weir_tests::servers::{BUCKET, Server};
use weir_tests::{guests, oracle, published};

pub(super) const RECORDS: u64 = 16_000;
pub(super) const KEYS: u64 = 40;
/// How long anything may take, however slow the machine.
pub(super) const MAX: Duration = Duration::from_secs(240);

pub(super) fn job() -> String {
    format!(
        r#"
        name = "counted"

        [checkpoint]
        interval = "50ms"

        [[source]]
        uid = "numbers"
        type = "generator"
        count = {RECORDS}
        keys = {KEYS}
        rate = 4000
        value-bytes = 64

        [[operator]]
        uid = "count"
        component = "word-count"
        operator = "count"
        inputs = [{{ from = "numbers", key = "carried" }}]

        [[sink]]
        uid = "counts"
        type = "files"
        path = "S3://{BUCKET}/results"
        from = "count"

        [[sink]]
        uid = "passed"
        type = "files"
        path = "s3://{BUCKET}/results"
        from = "numbers"
        "#
    )
}

/// A node with a new disk.
async fn node(server: &Server, disk: &std::path::Path) -> Result<Node> {
    node_at(server, "state", disk).await
}

/// The same with its store at a path of its own.
pub(super) async fn node_at(server: &Server, path: &str, disk: &std::path::Path) -> Result<Node> {
    let store = Some(PathBuf::from(format!("s3://{BUCKET}/{path}")));
    let mut node = Node::spawn(&Launch { store, environment: server.environment(), ..Launch::new(disk) })?;
    node.answers().await?;
    Ok(node)
}

/// What a sink has published.
pub(super) async fn lines(server: &Server, job: &str, sink: &str) -> Result<Vec<String>> {
    let (clock, environment) = (Clock::system(), Environment::from_iter(server.variables()));
    let objects = open_in(&format!("s3://{BUCKET}/results/{job}/{sink}"), &clock, &environment)?;
    let found: Vec<Path> = objects.list(None).map_ok(|found| found.location).try_collect().await?;
    let mut files: BTreeMap<String, Bytes> = BTreeMap::new();
    for path in found {
        files.insert(path.to_string(), objects.get(&path).await?.bytes().await?);
    }
    published::lines_in(&files)
}

#[tokio::test]
async fn a_job_with_its_state_on_s3_survives_nodes_that_are_killed_with_their_disks() -> Result<()> {
    let server = Server::s3().await?;
    let disk = tempfile::tempdir()?;
    let first = node(&server, disk.path()).await?;
    first.upload("word-count", guests::WORD_COUNT.as_ref()).await?;
    let submitted = first.deploy(&job()).await?;
    let id = submitted["id"].as_str().context("an id")?.to_owned();
    first.completes(&id, 3, MAX).await?;
    first.kill()?;
    for _ in 0..2 {
        let disk = tempfile::tempdir()?;
        let next = node(&server, disk.path()).await?;
        next.completes(&id, 2, MAX).await?;
        next.kill()?;
    }
    let disk = tempfile::tempdir()?;
    let last = node(&server, disk.path()).await?;
    let status = last.get(&format!("/api/v1/jobs/{id}")).await?;
    ensure!(status["state"] != "FAILED", "{status}");
    last.reaches(&id, "FINISHED", MAX).await?;
    let counts = published::by_key(&lines(&server, &id, "counts").await?)?;
    ensure!(oracle::counts_go_on(&counts)? == RECORDS, "counts are lost or doubled");
    ensure!(counts.values().all(|counts| counts.len() as u64 == RECORDS / KEYS), "a key's count is not exact");
    let passed = lines(&server, &id, "passed").await?;
    ensure!(oracle::numbers_go_on(&passed, KEYS)? == RECORDS, "records are lost or doubled");
    Ok(())
}
