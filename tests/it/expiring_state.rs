//! A component whose state expires: on the real binary, under the clock of the machine; and on the engine's state, at
//! times of the test's own.

use std::any::Any;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use weir_engine::clock::Clock;
use weir_engine::state::SubtaskState;
use weir_operator::contract::Trial;
use weir_protocol::job_spec::LimitSpec;
use weir_protocol::key_group::MaxParallelism;
use weir_protocol::time::Timestamp;
use weir_tests::guests;
use weir_tests::node::Node;
use weir_tests::published;

/// A wait that nothing ends before.
const LONG: Duration = Duration::from_secs(120);

const JOB: &str = r#"
name = "expiring"

[checkpoint]
interval = "200ms"

[[source]]
uid = "lines"
type = "files"
paths = ["input"]
follow = true

[[operator]]
uid = "known"
component = "expiring-state"
operator = "known"
inputs = [{ from = "lines", key = "value" }]

[[sink]]
uid = "seen"
type = "files"
path = "output"
from = "known"
"#;

/// Waits until `is_so` says so.
async fn wait_until(what: &str, mut is_so: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let clock = Clock::system();
    let start = clock.elapsed();
    while !is_so().await? {
        ensure!(clock.elapsed() - start < LONG, "never: {what}");
        clock.sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Puts a whole file where the job reads.
fn write(folder: &Path, name: &str, lines: &str) -> Result<()> {
    let (made, read) = (folder.join(name), folder.join("input").join(name));
    std::fs::write(&made, lines)?;
    Ok(std::fs::rename(made, read)?)
}

#[tokio::test]
async fn state_of_a_component_expires_and_is_cleaned_up_while_the_job_is_idle() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    std::fs::create_dir(folder.join("input"))?;
    write(folder, "1", "apple\napple\npear\n")?;
    let node = Node::start(folder).await?;
    node.upload("expiring-state", Path::new(guests::EXPIRING_STATE)).await?;
    let job = node.deploy(JOB).await?;
    let id = job["id"].as_str().unwrap_or_default().to_owned();
    let output = folder.join("output").join(&id).join("seen");
    let published = async |count: usize| Ok(published::lines(&output)?.len() >= count);
    wait_until("three results", async || published(3).await).await?;
    let mut lines = published::lines(&output)?;
    lines.sort();
    ensure!(lines == ["apple again", "apple first", "pear first"], "{lines:?}");
    wait_until("all state is dropped, though no record comes", async || {
        let status = node.get(&format!("/api/v1/jobs/{id}")).await?;
        let vertices = status["vertices"].as_array().cloned().unwrap_or_default();
        let expired = vertices.iter().filter_map(|vertex| vertex["state-expired"].as_u64()).sum::<u64>();
        ensure!(expired <= 6, "a value, an element and an entry of each of two keys expire once: {status}");
        let known = vertices.iter().find(|vertex| vertex["uid"] == "known").cloned().unwrap_or_default();
        let states = known["states"].as_array().cloned().unwrap_or_default();
        ensure!(states.len() == 3, "it has three states: {status}");
        let is_empty = |state: &serde_json::Value| state["bytes"] == 0 && state["oldest-entry"].is_null();
        Ok(expired == 6 && known["state-bytes"] == 0 && states.iter().all(is_empty))
    })
    .await?;
    write(folder, "2", "apple\n")?;
    wait_until("a fourth result", async || published(4).await).await?;
    let lines = published::lines(&output)?;
    ensure!(lines.last().is_some_and(|line| line == "apple first"), "{lines:?}");
    Ok(())
}

/// The operator `lives` on the engine's state.
async fn lives() -> Trial {
    let component = guests::load(guests::EXPIRING_STATE).unwrap();
    let lives = component.factory("lives").unwrap();
    let max = MaxParallelism::DEFAULT;
    let state = SubtaskState::new(&lives.description().states, max, max.range(0, 1)).unwrap();
    Trial::open(&lives, "", LimitSpec::default()).await.unwrap().with_state(Box::new(state))
}

/// What a record at that time does, or sees.
async fn at(lives: &mut Trial, now: Timestamp, command: &str) -> String {
    lives.processing_time = now;
    lives.keyed(&[("key", command)]).await.unwrap().concat()
}

/// A barrier, and all of the clean-up behind it.
fn clean_up(lives: &mut Trial, now: Timestamp) {
    let state: &mut dyn Any = lives.state_mut();
    let state: &mut SubtaskState = state.downcast_mut().unwrap();
    drop(state.freeze(now));
    while state.tidy() {}
}

#[tokio::test]
async fn a_component_gets_both_update_types_and_both_visibilities_of_each_kind_of_state() {
    let mut lives = lives().await;
    assert_eq!(at(&mut lives, 0, "write").await, "");
    assert_eq!(at(&mut lives, 900, "read").await, "0:written vlm, refreshed vlm, shown vlm, both vlm");
    assert_eq!(at(&mut lives, 1_000, "read").await, "0:written , refreshed vlm, shown vlm, both vlm", "not cleaned up");
    clean_up(&mut lives, 1_100);
    assert_eq!(at(&mut lives, 1_100, "read").await, "0:written , refreshed vlm, shown , both vlm", "cleaned up");
    assert_eq!(at(&mut lives, 2_100, "read").await, "0:written , refreshed , shown , both vlm", "reads revive nothing");
    clean_up(&mut lives, 2_200);
    assert_eq!(at(&mut lives, 2_200, "read").await, "0:written , refreshed , shown , both ");
}
