//! A savepoint at S3: written there, begun from by a node with another store, deleted.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use futures::TryStreamExt;
use weir_engine::clock::Clock;
use weir_engine::store::{Environment, open_in};
use weir_tests::node::{Node, binary};
use weir_tests::servers::{BUCKET, Server};
use weir_tests::{guests, oracle, published};

use super::recovery::{KEYS, MAX, RECORDS, job, lines, node_at};

fn weir(node: &Node, arguments: &[&str]) -> Result<String> {
    let output = Command::new(binary()?).args(arguments).args(["--server", &node.url]).output()?;
    ensure!(output.status.success(), "{output:?}");
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}

#[tokio::test]
async fn a_job_stopped_with_a_savepoint_on_s3_goes_on_from_there_with_another_store() -> Result<()> {
    let server = Server::s3().await?;
    let (disk, place) = (tempfile::tempdir()?, format!("s3://{BUCKET}/savepoints"));
    let node = node_at(&server, "state", disk.path()).await?;
    node.upload("word-count", guests::WORD_COUNT.as_ref()).await?;
    let submitted = node.deploy(&job()).await?;
    let first = submitted["id"].as_str().context("an id")?.to_owned();
    node.completes(&first, 3, MAX).await?;
    let location = weir(&node, &["stop", "counted", &place])?;
    ensure!(location.starts_with(&format!("{place}/savepoint-{}-", &first[..6])), "{location}");
    node.kill()?;

    let disk = tempfile::tempdir()?;
    let node = node_at(&server, "of-another", disk.path()).await?;
    node.upload("word-count", guests::WORD_COUNT.as_ref()).await?;
    weir(&node, &["checkpoint", "verify", &location])?;
    let path = disk.path().join("job.toml");
    std::fs::write(&path, job())?;
    let ended = weir(&node, &["run", &path.to_string_lossy(), "--from", &location])?;
    ensure!(ended.ends_with("job counted FINISHED"), "{ended}");
    let second = node.get("/api/v1/jobs/counted").await?;
    let second = second["id"].as_str().context("an id")?;
    let counts = [lines(&server, &first, "counts").await?, lines(&server, second, "counts").await?].concat();
    let counts = published::by_key(&counts)?;
    ensure!(oracle::counts_go_on(&counts)? == RECORDS && counts.len() as u64 == KEYS, "counts are lost or doubled");
    weir(&node, &["savepoint", "--dispose", &location])?;
    let (clock, environment) = (Clock::system(), Environment::from_iter(server.variables()));
    let left: Vec<_> = open_in(&place, &clock, &environment)?.list(None).try_collect().await?;
    ensure!(left.is_empty(), "{left:?}");
    Ok(())
}
