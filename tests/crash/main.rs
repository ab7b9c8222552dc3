//! The real process, killed for real: what it publishes is what an uninterrupted run publishes.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use weir_engine::clock::Clock;
use weir_tests::node::Node;
use weir_tests::{guests, oracle, published};

const KILLS: u32 = 20;
const RECORDS: u64 = 200_000;
const KEYS: u64 = 100;

/// A keyed count of generated records; `rate` slows it down so that there is something to kill.
fn job(rate: Option<u64>) -> String {
    let rate = rate.map_or_else(String::new, |rate| format!("rate = {rate}"));
    format!(
        r#"
        name = "count"
        parallelism = 2

        [checkpoint]
        interval = "50ms"

        [restart]
        attempts = 100
        delay = "10ms"

        [[source]]
        uid = "numbers"
        type = "generator"
        count = {RECORDS}
        keys = {KEYS}
        {rate}

        [[operator]]
        uid = "count"
        component = "word-count"
        operator = "count"
        inputs = [{{ from = "numbers", key = "carried" }}]

        [[sink]]
        uid = "results"
        type = "files"
        path = "output"
        from = "count"
        "#
    )
}

async fn submit(node: &Node, rate: Option<u64>) -> Result<String> {
    node.upload("word-count", guests::WORD_COUNT.as_ref()).await?;
    let answer = node.deploy(&job(rate)).await?;
    Ok(answer["id"].as_str().with_context(|| format!("no id in {answer}"))?.to_owned())
}

fn results(data: &Path, id: &str) -> Result<std::collections::BTreeMap<String, Vec<String>>> {
    published::by_key(&published::lines(&data.join("output").join(id).join("results"))?)
}

#[tokio::test]
async fn a_job_killed_at_random_moments_publishes_what_an_uninterrupted_one_does() -> Result<()> {
    let seed = std::env::var("WEIR_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    println!("seed {seed}; WEIR_SEED chooses another");
    let mut random = StdRng::seed_from_u64(seed);
    let clock = Clock::system();

    let calm = tempfile::tempdir()?;
    let node = Node::start(calm.path()).await?;
    let calm_id = submit(&node, None).await?;
    node.reaches("count", "FINISHED", Duration::from_secs(120)).await?;
    node.kill()?;
    let expected = results(calm.path(), &calm_id)?;
    oracle::counts_are_exact(&expected, RECORDS)?;

    let stormy = tempfile::tempdir()?;
    let mut node = Node::start(stormy.path()).await?;
    let id = submit(&node, Some(RECORDS / 20)).await?;
    for kill in 1..=KILLS {
        clock.sleep(Duration::from_millis(random.random_range(0..600))).await;
        let state = node.get(&format!("/api/v1/jobs/{id}")).await?["state"].clone();
        ensure!(state != "FINISHED", "the job finished before kill {kill}; slow it down");
        node.kill()?;
        node = Node::start(stormy.path()).await?;
    }
    node.reaches(&id, "FINISHED", Duration::from_secs(120)).await?;
    node.kill()?;
    let found = results(stormy.path(), &id)?;
    oracle::counts_are_exact(&found, RECORDS)?;
    ensure!(found == expected, "the results differ from those of an uninterrupted run");
    Ok(())
}
