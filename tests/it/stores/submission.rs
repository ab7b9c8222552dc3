//! What a job names is tried out when it is submitted.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, ensure};
use weir_tests::node::{Launch, Node, binary};
use weir_tests::servers::{BUCKET, Server};

fn job(path: &str) -> String {
    format!(
        r#"
        name = "numbered"

        [[source]]
        uid = "numbers"
        type = "generator"
        count = 10

        [[sink]]
        uid = "out"
        type = "files"
        path = "{path}"
        from = "numbers"
        "#
    )
}

/// What the node answers to a job that it refuses.
async fn refusal(node: &Node, job: &str) -> Result<String> {
    match node.deploy(job).await {
        Ok(answer) => anyhow::bail!("it was accepted: {answer}"),
        Err(error) => Ok(error.to_string()),
    }
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_refused_at_submission() -> Result<()> {
    let (server, disk) = (Server::s3().await?, tempfile::tempdir()?);
    let launch = Launch { environment: server.environment(), ..Launch::new(disk.path()) };
    let mut node = Node::spawn(&launch)?;
    node.answers().await?;
    for (path, words) in [
        ("s3://nowhere/out".to_owned(), "does not exist"),
        ("memory://".to_owned(), "it forgets"),
        ("hdfs://namenode/out".to_owned(), "S3 gateway"),
        ("/proc/weir".to_owned(), "/proc/weir"),
    ] {
        let text = refusal(&node, &job(&path)).await?;
        ensure!(text.starts_with("400") && text.contains("`out`") && text.contains(words), "{path}: {text}");
    }
    let local = disk.path().join("state-on-no-disk");
    std::fs::write(&local, "a file where a folder should be")?;
    let stated = format!("{}\n[state]\nbackend = \"rocksdb\"\nlocal-dir = {local:?}\n", job("out"));
    let text = refusal(&node, &stated).await?;
    ensure!(text.starts_with("400") && text.contains("local folder for state"), "{text}");
    let jobs = node.get("/api/v1/jobs").await?;
    ensure!(jobs.as_array().is_some_and(Vec::is_empty), "a refused job is there: {jobs}");
    let accepted = node.deploy(&job(&format!("s3://{BUCKET}/out"))).await?;
    node.reaches(accepted["id"].as_str().unwrap_or_default(), "FINISHED", std::time::Duration::from_secs(120)).await
}

#[tokio::test]
async fn checkpoints_in_the_nodes_memory_are_warned_of_and_lost_with_it() -> Result<()> {
    let disk = tempfile::tempdir()?;
    let node = Node::start(disk.path()).await?;
    let endless = job("out").replace("count = 10", "rate = 100");
    let stated = format!("{endless}\n[state]\nbackend = \"jobmanager\"\n[checkpoint]\ninterval = \"20ms\"\n");
    let submitted = node.deploy(&stated).await?;
    let warning = submitted["warnings"][0].as_str().unwrap_or_default();
    ensure!(warning.contains("5 MiB") && warning.contains("lost"), "{submitted}");
    let id = submitted["id"].as_str().unwrap_or_default().to_owned();
    node.reaches(&id, "RUNNING", std::time::Duration::from_secs(60)).await?;
    node.kill()?;
    let node = Node::start(disk.path()).await?;
    let jobs = node.get("/api/v1/jobs").await?;
    ensure!(jobs.as_array().is_some_and(Vec::is_empty), "the job outlived its node's memory: {jobs}");
    Ok(())
}

/// What `weir serve` says to a store that it refuses.
fn refused(store: &str) -> Result<String> {
    let data = tempfile::tempdir()?;
    let mut command = Command::new(binary()?);
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data.path()).args(["--store", store]);
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT"] {
        command.env_remove(name);
    }
    let output = command.output()?;
    ensure!(!output.status.success(), "a node started on {store}");
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_store_that_cannot_be_used_keeps_a_node_from_starting() -> Result<()> {
    for (store, words) in [
        ("hdfs://namenode:40010/weir", "S3 gateway"),
        ("az://weir/state", "AZURE_STORAGE_ACCOUNT_NAME"),
        ("ftp://host/weir", "there is no support for ftp://"),
    ] {
        let said = refused(store)?;
        ensure!(said.contains(store) && said.contains(words), "{store}: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn a_server_that_ignores_the_condition_keeps_a_node_from_starting() -> Result<()> {
    let (server, disk) = (Server::gcs().await?, tempfile::tempdir()?);
    let store = Some(PathBuf::from(format!("GS://{BUCKET}/weir")));
    let mut node = Node::spawn(&Launch { store, environment: server.environment(), ..Launch::new(disk.path()) })?;
    let error = node.answers().await.unwrap_err().to_string();
    ensure!(error.contains("gs://weir/weir") && error.contains("create-if-absent"), "{error}");
    Ok(())
}
