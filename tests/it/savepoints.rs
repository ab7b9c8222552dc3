//! Savepoints with the real binary: taken of a job whose node is killed meanwhile, looked into, begun from, deleted.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use weir_tests::crash::kill_at::KILL_AT;
use weir_tests::node::{Launch, Node, binary};
use weir_tests::{guests, oracle, published};

use crate::count_job::CountJob;

const RECORDS: u64 = 96_000;
const KEYS: usize = 12_000;
/// How long anything may take, however slow the machine.
const LONG: Duration = Duration::from_secs(120);

/// Counts by key, into a folder.
fn count(name: &str, parallelism: u32, path: &str) -> String {
    CountJob { name, records: RECORDS, keys: KEYS, rate: 16_000, interval: "500ms", parallelism, path }.file()
}

fn weir(node: &Node, folder: &Path, arguments: &[&str]) -> Result<Output> {
    Ok(Command::new(binary()?).args(arguments).args(["--server", &node.url]).current_dir(folder).output()?)
}

/// What the command printed, which must have succeeded.
fn printed(output: &Output) -> Result<String> {
    let (printed, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{printed}\n{said}");
    Ok(printed.trim_end().to_owned())
}

/// The folders of savepoints, whole or not.
fn savepoints(folder: &Path) -> Result<Vec<PathBuf>> {
    let Ok(found) = std::fs::read_dir(folder) else { return Ok(Vec::new()) };
    Ok(found.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<_>>()?)
}

fn lines(folder: &Path, path: &str, job: &str) -> Result<Vec<String>> {
    published::lines(&folder.join(path).join(job).join("out"))
}

/// The id of the job with this name.
async fn id(node: &Node, name: &str) -> Result<String> {
    let job = node.get(&format!("/api/v1/jobs/{name}")).await?;
    Ok(job["id"].as_str().with_context(|| format!("no id in {job}"))?.to_owned())
}

#[tokio::test]
async fn a_node_killed_while_it_takes_a_savepoint_leaves_none_and_another_is_begun_from_exactly() -> Result<()> {
    let data = tempfile::tempdir()?;
    let folder = data.path();
    let dies = Launch {
        program: "weir-killable",
        environment: vec![(KILL_AT, "before:copy:2".into())],
        ..Launch::new(folder)
    };
    let mut node = Node::spawn(&dies)?;
    node.answers().await?;
    node.upload("word-count", guests::WORD_COUNT.as_ref()).await?;
    node.deploy(&count("counts", 2, "output")).await?;
    let job = id(&node, "counts").await?;
    node.completes(&job, 2, LONG).await?;
    let broken_off = weir(&node, folder, &["savepoint", "counts", "kept"])?;
    ensure!(broken_off.status.code() == Some(3), "no node answers any more: {broken_off:?}");
    ensure!(node.ended()?.is_some(), "the node died");
    let left = savepoints(&folder.join("kept"))?;
    ensure!(left.len() == 1 && !left[0].join("_metadata").exists(), "{left:?}");
    drop(node);

    let node = Node::start(folder).await?;
    let half = left[0].to_string_lossy().into_owned();
    let refused = weir(&node, folder, &["checkpoint", "verify", &half])?;
    ensure!(String::from_utf8_lossy(&refused.stderr).contains("there is no savepoint"), "{refused:?}");
    node.completes(&job, 1, LONG).await?;
    let location = printed(&weir(&node, folder, &["savepoint", "counts", "kept"])?)?;
    ensure!(Path::new(&location).join("_metadata").is_file(), "{location}");
    printed(&weir(&node, folder, &["checkpoint", "verify", &location])?)?;
    let dump = printed(&weir(&node, folder, &["state", "dump", &location])?)?;
    let held: u64 = dump
        .lines()
        .map(|line| {
            let item: serde_json::Value = serde_json::from_str(line)?;
            item["value"]["json"].as_u64().context("a number")
        })
        .sum::<Result<u64>>()?;

    std::fs::write(folder.join("other.toml"), count("other", 3, "of-other"))?;
    let followed = weir(&node, folder, &["run", "other.toml", "--from", &location])?;
    ensure!(printed(&followed)?.ends_with("job other FINISHED"), "{followed:?}");
    node.reaches(&job, "FINISHED", LONG).await?;
    let found = published::by_key(&lines(folder, "output", &job)?)?;
    ensure!(oracle::counts_go_on(&found)? == RECORDS && found.len() == KEYS, "the job did not mind");
    let more = lines(folder, "of-other", &id(&node, "other").await?)?;
    ensure!(more.len() as u64 + held == RECORDS, "{held} and {} of {RECORDS}", more.len());
    let last = |lines: &std::collections::BTreeMap<String, Vec<String>>| {
        lines.iter().filter_map(|(key, counts)| Some((key.clone(), counts.last()?.clone()))).collect::<Vec<_>>()
    };
    let more = published::by_key(&more)?;
    ensure!(last(&more).iter().all(|one| last(&found).contains(one)), "each key comes to the same number");
    Ok(())
}

#[tokio::test]
async fn a_job_that_is_stopped_goes_on_in_another_cluster_and_publishes_everything_once() -> Result<()> {
    let (data, elsewhere) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let folder = data.path();
    let node = Node::start(folder).await?;
    node.upload("word-count", guests::WORD_COUNT.as_ref()).await?;
    let path = folder.join("output");
    let spec = |parallelism| count("counts", parallelism, &path.to_string_lossy());
    node.deploy(&spec(2)).await?;
    let job = id(&node, "counts").await?;
    node.completes(&job, 2, LONG).await?;
    let location = printed(&weir(&node, folder, &["stop", "counts"])?)?;
    ensure!(location.contains("store/savepoints/savepoint-"), "the node's own place: {location}");
    node.reaches(&job, "CANCELED", LONG).await?;
    // Whoever takes it elsewhere may move it.
    let moved = elsewhere.path().join("brought");
    std::fs::rename(&location, &moved)?;
    drop(node);
    drop(std::fs::remove_dir_all(folder.join("store")));

    let node = Node::start(&elsewhere.path().join("data")).await?;
    node.upload("word-count", guests::WORD_COUNT.as_ref()).await?;
    std::fs::write(elsewhere.path().join("job.toml"), spec(5))?;
    let moved = moved.to_string_lossy().into_owned();
    let followed = weir(&node, elsewhere.path(), &["run", "job.toml", "-s", &moved])?;
    ensure!(printed(&followed)?.ends_with("job counts FINISHED"), "{followed:?}");
    let both = [lines(folder, "output", &job)?, lines(folder, "output", &id(&node, "counts").await?)?].concat();
    let found = published::by_key(&both)?;
    ensure!(oracle::counts_go_on(&found)? == RECORDS && found.len() == KEYS, "something is missing, or there twice");
    let deleted = printed(&weir(&node, elsewhere.path(), &["savepoint", "-d", &moved])?)?;
    ensure!(deleted.contains("is deleted") && !Path::new(&moved).exists(), "{deleted}");
    Ok(())
}
