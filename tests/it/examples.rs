//! The examples' READMEs are true: their commands are run as printed, and print what they say.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use weir_tests::node::{Node, binary};

/// The fenced blocks of a page, each with its language, up to a heading.
fn blocks(page: &str, until: &str) -> Vec<(String, String)> {
    let page = page.split(until).next().unwrap_or_default();
    let fenced = page.split("```").skip(1).step_by(2);
    let block = |text: &str| text.split_once('\n').map(|(language, body)| (language.to_owned(), body.to_owned()));
    fenced.filter_map(block).collect()
}

/// A folder that looks like the root of the repository, with the components' target folder shared.
fn checkout(folder: &Path) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for shared in ["guest-sdk", "wit"] {
        std::os::unix::fs::symlink(root.join(shared).canonicalize()?, folder.join(shared))?;
    }
    let copied = Command::new("cp").arg("-r").arg(root.join("examples")).arg(folder).status()?;
    ensure!(copied.success(), "the examples cannot be copied");
    let target = folder.join("examples/target");
    if target.exists() {
        std::fs::remove_dir_all(&target)?;
    }
    let guests = binary()?.ancestors().nth(2).context("the binary lies in the target folder")?.join("guests");
    std::os::unix::fs::symlink(guests, target)?;
    Ok(())
}

fn run(commands: &str, folder: &Path, node: &Node) -> Result<String> {
    let binaries = binary()?.parent().context("a binary lies in a folder")?.to_owned();
    let path = format!("{}:{}", binaries.display(), std::env::var("PATH")?);
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", commands])
        .current_dir(folder)
        .env("PATH", path)
        .env("WEIR_SERVER", &node.url)
        .env_remove("CARGO_TARGET_DIR")
        .output()?;
    let (printed, said) = (String::from_utf8(output.stdout)?, String::from_utf8_lossy(&output.stderr).into_owned());
    ensure!(output.status.success(), "{commands}\nprinted\n{printed}\n{said}");
    Ok(printed)
}

async fn is_true(example: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    checkout(folder.path())?;
    let data = folder.path().join("weir-data");
    let node = Node::start_in(folder.path(), &data).await?;
    let page = std::fs::read_to_string(folder.path().join("examples").join(example).join("README.md"))?;
    let blocks = blocks(&page, "## For ever");
    ensure!(blocks.iter().filter(|(language, _)| language == "sh").count() >= 2, "too few commands in {example}");
    let mut printed = String::new();
    let mut compared = 0;
    for (language, text) in &blocks {
        match language.as_str() {
            "sh" => printed = run(text, folder.path(), &node)?,
            "text" => {
                ensure!(printed.ends_with(text), "{example} prints\n{printed}\nwhere its README says\n{text}");
                compared += 1;
            }
            _ => {}
        }
    }
    ensure!(compared > 0, "the README of {example} shows no output");
    Ok(())
}

#[tokio::test]
async fn the_word_count_does_what_its_page_says() -> Result<()> {
    is_true("word-count").await
}

#[tokio::test]
async fn the_word_count_without_sdk_does_what_its_page_says() -> Result<()> {
    is_true("word-count-raw").await
}
