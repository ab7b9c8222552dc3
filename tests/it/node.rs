//! The real binary as a node: what stands in its way is named, with the mend.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use weir_tests::node::{Node, binary};

/// What a second `weir serve` says that cannot start.
fn refused(listen: &str, data: &std::path::Path) -> Result<String> {
    let output = Command::new(binary()?).args(["serve", "--listen", listen, "--data"]).arg(data).output()?;
    ensure!(!output.status.success(), "a second node started");
    Ok(String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout))
}

#[tokio::test]
async fn a_port_in_use_is_already_running_at_the_address() -> Result<()> {
    let (first, second) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let node = Node::start(first.path()).await?;
    let address = node.url.strip_prefix("http://").context("an address")?;
    let said = refused(address, second.path())?;
    ensure!(said.contains("already running") && said.contains(&node.url), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_port_in_use_by_something_else_is_named() -> Result<()> {
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let data = tempfile::tempdir()?;
    let said = refused(&address, data.path())?;
    ensure!(said.contains(&address) && !said.contains("already running"), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_data_folder_in_use_is_refused_by_its_path() -> Result<()> {
    let data = tempfile::tempdir()?;
    let _node = Node::start(data.path()).await?;
    let said = refused("127.0.0.1:0", data.path())?;
    ensure!(said.contains(&data.path().display().to_string()), "{said}");
    Ok(())
}
