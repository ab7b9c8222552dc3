//! State of every kind in an uploaded component, on a node that is killed in between.

use std::time::Duration;

use crate::states_job::{PARALLELISM, RECORDS, RULES, StatesJob};
use anyhow::{Context, Result, ensure};
use weir_tests::node::Node;
use weir_tests::{guests, oracle, published};

const JOB: StatesJob = StatesJob { keys: 20, rate: 10_000, rules_rate: 200 };
const KILLS: usize = 3;

#[tokio::test]
async fn state_of_every_kind_survives_a_killed_node_exactly_once() -> Result<()> {
    let data = tempfile::tempdir()?;
    let mut node = Node::start(data.path()).await?;
    node.upload("states", guests::STATES.as_ref()).await?;
    let answer = node.deploy(&JOB.text("tally")).await?;
    let id = answer["id"].as_str().with_context(|| format!("no id in {answer}"))?.to_owned();
    for _ in 0..KILLS {
        node.completes(&id, 2, Duration::from_secs(120)).await?;
        node.kill()?;
        node = Node::start(data.path()).await?;
    }
    node.reaches(&id, "FINISHED", Duration::from_secs(120)).await?;
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
