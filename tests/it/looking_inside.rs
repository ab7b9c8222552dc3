//! Looking inside with the real binary: a running job's state, a dump, a verification that finds a changed bit.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use weir_engine::clock::Clock;
use weir_tests::guests::WORD_COUNT;
use weir_tests::node::{Node, binary};

/// How long anything may take before the test gives up on it; far longer than it does.
const PATIENCE: Duration = Duration::from_secs(120);

/// Counts the words of a folder, for ever or until it has read all. Its checkpoints are kept in `storage`.
fn job(follow: bool, storage: &str) -> String {
    format!(
        r#"
name = "words"
[state]
storage = "{storage}"
[checkpoint]
interval = "100ms"
[[source]]
uid = "text"
type = "files"
paths = ["input"]
format = "lines"
follow = {follow}
[[operator]]
uid = "split"
component = "word-count"
operator = "split"
inputs = [{{ from = "text" }}]
[[operator]]
uid = "count"
component = "word-count"
operator = "count"
inputs = [{{ from = "split", key = "carried" }}]
[[sink]]
uid = "out"
type = "blackhole"
from = "count"
"#
    )
}

/// A node on a folder with a few lines of text, and the job.
async fn counting(folder: &Path, follow: bool, storage: &str) -> Result<Node> {
    std::fs::create_dir_all(folder.join("input"))?;
    let lines = "to be or not to be\nthat is the question\n".repeat(3);
    std::fs::write(folder.join("input/text"), lines)?;
    let node = Node::start(folder).await?;
    node.upload("word-count", Path::new(WORD_COUNT)).await?;
    node.deploy(&job(follow, storage)).await?;
    Ok(node)
}

fn weir(node: &Node, arguments: &[&str]) -> Result<Output> {
    Ok(Command::new(binary()?).arg("--server").arg(&node.url).args(arguments).output()?)
}

fn printed(node: &Node, arguments: &[&str]) -> Result<String> {
    let output = weir(node, arguments)?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "weir {arguments:?}: {said}");
    Ok(String::from_utf8(output.stdout)?)
}

/// Asks until a checkpoint holds the count, and gives the whole answer.
async fn until_counted(node: &Node, word: &str, count: u64) -> Result<Value> {
    let clock = Clock::system();
    loop {
        let output = weir(node, &["state", "get", "words", "count", word, "--json"])?;
        if output.status.success() {
            let answer: Value = serde_json::from_slice(&output.stdout)?;
            if answer["items"][0]["value"] == json!({ "json": count }) {
                return Ok(answer);
            }
        }
        ensure!(clock.elapsed() < PATIENCE, "{}\n{}", String::from_utf8_lossy(&output.stderr), node.log());
        clock.sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn the_state_of_a_running_job_is_shown_as_of_its_newest_checkpoint() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let node = counting(folder.path(), true, "store").await?;
    let answer = until_counted(&node, "be", 6).await?;
    let wanted = json!([{ "state": "count", "kind": "keyed-value", "key": { "text": "be" }, "value": { "json": 6 } }]);
    ensure!(answer["items"] == wanted && answer["operator"] == "count" && answer["name"] == "words", "{answer}");
    ensure!(answer["checkpoint"]["id"].as_u64() > Some(0) && answer["checkpoint"]["at"].as_u64() > Some(0), "{answer}");
    let table = printed(&node, &["state", "ls", "words", "count", "--state", "count"])?;
    let mut rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    ensure!(rows.remove(0) == ["STATE", "KEY", "AT", "VALUE"], "{table}");
    rows.sort_unstable();
    let counts = [
        ("be", "6"),
        ("is", "3"),
        ("not", "3"),
        ("or", "3"),
        ("question", "3"),
        ("that", "3"),
        ("the", "3"),
        ("to", "6"),
    ];
    ensure!(rows == counts.map(|(word, count)| vec!["count", word, count]), "{table}");
    // What comes later is seen later, with the same command.
    std::fs::write(folder.path().join("input/more"), "be\n")?;
    until_counted(&node, "be", 7).await?;
    for (arguments, wanted) in [
        (&["state", "get", "words", "count", "nobody"][..], "holds nothing under the key `nobody`"),
        (&["state", "get", "words", "cuont", "be"], "no operator `cuont`; operators are: count, split"),
        (&["state", "ls", "words", "count", "--state", "sum"], "no state `sum`"),
        (&["state", "ls", "words", "count", "--checkpoint", "999999999"], "999999999 is not retained"),
        (&["state", "ls", "nothing", "count"], "no job has the id or the name `nothing`"),
    ] {
        let output = weir(&node, arguments)?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(2) && said.contains(wanted), "weir {arguments:?}: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn an_ended_job_can_be_dumped_and_a_changed_bit_in_its_store_is_named() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let node = counting(folder.path(), false, "store").await?;
    node.reaches("words", "FINISHED", PATIENCE).await?;
    let dump = printed(&node, &["state", "dump", "words"])?;
    let lines: Vec<Value> = dump.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let words = lines.iter().filter(|line| line["operator"] == "count" && line["state"] == "count");
    let sum: u64 = words.map(|line| line["value"]["json"].as_u64().unwrap_or_default()).sum();
    ensure!(lines.len() == 8 && sum == 30, "{dump}");
    let output = weir(&node, &["checkpoint", "verify", "words"])?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success() && said.contains("is whole"), "{said}");
    let printed = String::from_utf8(output.stdout)?;
    ensure!(printed.contains(".wasm  ok") && printed.contains("(inlined, state of count[0])  ok"), "{printed}");
    let entry = newest_entry(folder.path())?;
    let mut bytes = std::fs::read(&entry)?;
    let place = bytes.len() / 2;
    bytes[place] ^= 1;
    std::fs::write(&entry, bytes)?;
    let output = weir(&node, &["checkpoint", "verify", "words"])?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let name = entry.file_name().and_then(|name| name.to_str()).context("an entry has a name")?;
    ensure!(output.status.code() == Some(1) && said.contains(name), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_job_that_lives_in_the_nodes_memory_can_be_looked_into() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let node = counting(folder.path(), true, "jobmanager").await?;
    until_counted(&node, "be", 6).await?;
    let output = weir(&node, &["checkpoint", "verify", "words"])?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success() && said.contains("is whole"), "{said}");
    Ok(())
}

fn newest_entry(folder: &Path) -> Result<PathBuf> {
    let jobs = std::fs::read_dir(folder.join("store/jobs"))?.next().context("there is a job")??.path();
    let mut entries: Vec<_> =
        std::fs::read_dir(jobs.join("run"))?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    entries.sort();
    entries.pop().context("there is an entry")
}
