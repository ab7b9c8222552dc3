//! A running job goes on with a version of its component that keeps state of every kind in other forms.

use std::process::Command;
use std::time::Duration;

use crate::states_job::{PARALLELISM, RECORDS, RULES, StatesJob};
use anyhow::{Context, Result, ensure};
use weir_tests::node::{Node, binary};
use weir_tests::{guests, oracle, published};

const JOB: StatesJob = StatesJob { keys: 200, rate: 5_000, rules_rate: 100 };

#[tokio::test]
async fn a_component_s_next_version_goes_on_with_state_of_every_kind_that_it_migrates() -> Result<()> {
    let data = tempfile::tempdir()?;
    let mut node = Node::start(data.path()).await?;
    node.upload("states", guests::STATES.as_ref()).await?;
    let answer = node.deploy(&JOB.text("tally")).await?;
    let id = answer["id"].as_str().with_context(|| format!("no id in {answer}"))?.to_owned();
    node.completes(&id, 5, Duration::from_secs(120)).await?;
    let path = data.path().join("job.toml");
    std::fs::write(&path, JOB.text("tally-later"))?;
    let upgraded = Command::new(binary()?).arg("upgrade").arg(path).args(["--server", &node.url]).output()?;
    let (said, problem) = (String::from_utf8_lossy(&upgraded.stdout), String::from_utf8_lossy(&upgraded.stderr));
    ensure!(upgraded.status.success(), "{said}\n{problem}\n{}", node.log());
    for state in ["sum", "tally", "left", "seen", "last", "records", "by_instance", "rules"] {
        ensure!(said.contains(&format!("{state} migrated from version 1")), "{said}");
    }
    ensure!(said.contains("greatest kept"), "{said}");
    node.kill()?;
    node = Node::start(data.path()).await?;
    node.reaches(&id, "FINISHED", Duration::from_secs(120)).await?;
    let job = node.get(&format!("/api/v1/jobs/{id}")).await?;
    ensure!(job["dead-letters"] == 0 && job["spec-number"] == 1, "{job}");
    node.kill()?;
    let mut found = published::by_key(&published::lines(&data.path().join("output").join(&id).join("results"))?)?;
    let mut take = |name: &str| -> Result<Vec<u64>> {
        let lines = found.remove(name).with_context(|| format!("no `{name}`"))?;
        Ok(lines.iter().map(|line| line.parse()).collect::<Result<_, _>>()?)
    };
    let (records, union, rules) = (take("!records")?, take("!union")?, take("!rules")?);
    ensure!(records.iter().sum::<u64>() == RECORDS && records == union, "{records:?} and {union:?}, not {RECORDS}");
    ensure!(rules == [RULES; PARALLELISM], "every instance has every rule: {rules:?}");
    let counted = oracle::counts_go_on(&found)?;
    ensure!(counted == RECORDS, "{counted} of {RECORDS} counts");
    Ok(())
}
