//! `weir upgrade` on a node that is killed in between.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_engine::clock::Clock;
use weir_tests::node::{Node, binary};
use weir_tests::{guests, oracle, published};

use crate::count_job::CountJob;

const RECORDS: u64 = 60_000;
const KEYS: usize = 20;
/// How long anything may take, however slow the machine.
const LONG: Duration = Duration::from_secs(120);

/// Counts by key with so many subtasks of the operator.
fn count(parallelism: u32) -> String {
    let (name, interval, path) = ("counts", "50ms", "output");
    CountJob { name, records: RECORDS, keys: KEYS, rate: 10_000, interval, parallelism, path }.file()
}

/// Tallies in lists too; an instance that gets the lists of two finds that they do not agree, and fails.
fn tally(parallelism: u32) -> String {
    let inputs = r#"[{ input = "records", from = "numbers", key = "carried" }, { input = "rules", from = "rules" }]"#;
    let rules = "[[source]]\nuid = \"rules\"\ntype = \"generator\"\ncount = 10\nrate = 200\n";
    let job =
        count(parallelism).replace("word-count", "states").replace("operator = \"count\"", "operator = \"tally\"");
    job.replace("[{ from = \"numbers\", key = \"carried\" }]", inputs)
        .replace("[[operator]]", &format!("{rules}[[operator]]"))
}

fn upgrade(node: &Node, folder: &Path, job: &str, flags: &[&str]) -> Result<Output> {
    let path = folder.join("job.toml");
    std::fs::write(&path, job)?;
    Ok(Command::new(binary()?).arg("upgrade").arg(path).args(flags).args(["--server", &node.url]).output()?)
}

/// What the command printed, which must have succeeded.
fn printed(output: &Output) -> Result<String> {
    let (printed, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{printed}\n{said}");
    Ok(printed.into_owned())
}

async fn running(node: &Node, component: (&str, &str), job: &str) -> Result<String> {
    node.upload(component.0, component.1.as_ref()).await?;
    let answer = node.deploy(job).await?;
    let id = answer["id"].as_str().with_context(|| format!("no id in {answer}"))?.to_owned();
    checkpoints(node, &id).await?;
    Ok(id)
}

async fn checkpoints(node: &Node, id: &str) -> Result<Value> {
    node.completes(id, 2, LONG).await
}

#[tokio::test]
async fn a_running_job_changes_its_parallelism_exactly_once_though_its_node_is_killed() -> Result<()> {
    let data = tempfile::tempdir()?;
    let mut node = Node::start(data.path()).await?;
    let id = running(&node, ("word-count", guests::WORD_COUNT), &count(2)).await?;
    let clock = Clock::system();
    for (number, (parallelism, life)) in (1..).zip([(4, 0), (1, 20), (5, 60), (3, 200)]) {
        let said = printed(&upgrade(&node, data.path(), &count(parallelism), &["--no-wait"])?)?;
        ensure!(said.contains(&format!("becomes spec {number}")), "{said}");
        clock.sleep(Duration::from_millis(life)).await;
        node.kill()?;
        node = Node::start(data.path()).await?;
        let job = checkpoints(&node, &id).await?;
        ensure!((&job["spec-number"], &job["on-trial"]) == (&number.into(), &false.into()), "{job}");
        ensure!(job["vertices"][1]["parallelism"] == parallelism, "{job}");
    }
    let said = printed(&upgrade(&node, data.path(), &count(2), &[])?)?;
    ensure!(said.contains("parallelism 3 -> 2") && said.contains("as spec 5"), "{said}");
    node.reaches(&id, "FINISHED", LONG).await?;
    node.kill()?;
    let found = published::by_key(&published::lines(&data.path().join("output").join(&id).join("out"))?)?;
    ensure!(found.len() == KEYS, "{} keys", found.len());
    let counted = oracle::counts_go_on(&found)?;
    ensure!(counted == RECORDS, "{counted} of {RECORDS} counts");
    Ok(())
}

#[tokio::test]
async fn an_upgrade_that_an_operator_refuses_is_undone_and_the_job_goes_on() -> Result<()> {
    let data = tempfile::tempdir()?;
    let node = Node::start(data.path()).await?;
    let id = running(&node, ("states", guests::STATES), &tally(2)).await?;
    let said = printed(&upgrade(&node, data.path(), &tally(1), &["--dry-run"])?)?;
    ensure!(said.contains("nothing was changed") && said.contains("parallelism 2 -> 1"), "{said}");
    let undone = upgrade(&node, data.path(), &tally(1), &[])?;
    let said = String::from_utf8_lossy(&undone.stderr);
    ensure!(undone.status.code() == Some(1) && said.contains("was undone: count["), "{undone:?}");
    ensure!(said.contains("the lists do not agree"), "{said}");
    let job = node.until(&id, LONG, |job| job["on-trial"] == false).await?;
    ensure!(job["spec-number"] == 2 && job["undone"]["spec"] == 1 && job["state"] == "RUNNING", "{job}");
    node.reaches(&id, "FINISHED", LONG).await?;
    let mut found = published::by_key(&published::lines(&data.path().join("output").join(&id).join("out"))?)?;
    found.retain(|key, _| !key.starts_with('!'));
    ensure!(oracle::counts_go_on(&found)? == RECORDS, "some counts are missing");
    Ok(())
}
