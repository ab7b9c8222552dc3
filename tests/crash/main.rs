//! The real process, killed for real: what it publishes is what an uninterrupted run publishes.
//!
//! Each test prints what it did to its nodes. `WEIR_SEED` chooses another seed than 1.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use weir_engine::step::{Step, When};
use weir_tests::crash::kill_at::KillAt;
use weir_tests::crash::{Kind, Life, Played, Rivalry, Scenario, Totals};

/// Scenarios of seeds, where no seed is given.
const SCENARIOS: u64 = 3;

fn given_seed() -> Option<u64> {
    let seed = std::env::var("WEIR_SEED").ok()?;
    Some(seed.parse().expect("WEIR_SEED is a number"))
}

fn scenario(test: &str, kind: Kind, lives: Vec<Life>) -> Scenario {
    let seed = given_seed().unwrap_or(1);
    let reproduce = format!("WEIR_SEED={seed} cargo test --workspace --test crash {test}");
    Scenario { seed, kind, creation: None, lives, reproduce }
}

async fn play(scenario: Scenario) -> Result<Played> {
    match scenario.play().await {
        Ok(played) => {
            eprintln!("{}", played.totals);
            Ok(played)
        }
        Err(failure) => bail!("{failure}\n{}", failure.trace),
    }
}

/// A node dies on each side of each step.
async fn die_at_every_step(test: &str, kind: Kind) -> Result<Totals> {
    let mut random = StdRng::seed_from_u64(given_seed().unwrap_or(1));
    let mut lives = Vec::new();
    for step in Step::ALL {
        for when in When::ALL {
            let nth = if step == Step::Takeover { 1 } else { random.random_range(1..3) };
            lives.push(Life::Dies { at: KillAt { when, step, nth }, slow: Duration::ZERO });
        }
    }
    let Played { totals, .. } = play(scenario(test, kind, lives)).await?;
    for step in Step::ALL {
        for when in When::ALL {
            let place = format!("{}:{}", when.name(), step.name());
            ensure!(totals.kills.contains_key(&place), "no node died at {place}");
        }
    }
    Ok(totals)
}

#[tokio::test]
async fn a_count_of_words_is_exact_whichever_step_of_a_checkpoint_the_node_dies_at() -> Result<()> {
    let test = "a_count_of_words_is_exact_whichever_step_of_a_checkpoint_the_node_dies_at";
    ensure!(die_at_every_step(test, Kind::Words).await?.killed() >= 18);
    Ok(())
}

#[tokio::test]
async fn values_lists_maps_and_timers_are_exact_whichever_step_of_a_checkpoint_the_node_dies_at() -> Result<()> {
    let test = "values_lists_maps_and_timers_are_exact_whichever_step_of_a_checkpoint_the_node_dies_at";
    ensure!(die_at_every_step(test, Kind::Commands).await?.killed() >= 18);
    Ok(())
}

#[tokio::test]
async fn a_job_killed_at_random_moments_publishes_what_an_uninterrupted_one_does() -> Result<()> {
    let test = "a_job_killed_at_random_moments_publishes_what_an_uninterrupted_one_does";
    let kind = Kind::Count { millis: 4_000 };
    let calm = play(scenario(test, kind, Vec::new())).await?;
    let mut random = StdRng::seed_from_u64(given_seed().unwrap_or(1));
    let killed = |random: &mut StdRng| Life::Killed {
        after: Duration::from_millis(random.random_range(0..400)),
        answering: random.random(),
        slow: Duration::ZERO,
    };
    let stormy = play(scenario(test, kind, (0..16).map(|_| killed(&mut random)).collect())).await?;
    ensure!(stormy.results == calm.results, "the results differ from those of an uninterrupted run");
    ensure!(stormy.totals.killed() >= 16, "fewer nodes were killed than should be: {}", stormy.totals);
    Ok(())
}

#[tokio::test]
async fn a_job_whose_disk_is_full_goes_on_by_itself_and_loses_nothing() -> Result<()> {
    let test = "a_job_whose_disk_is_full_goes_on_by_itself_and_loses_nothing";
    for kind in [Kind::Words, Kind::Count { millis: 3_000 }, Kind::Commands] {
        let lives = vec![Life::Full { recovers: true }, Life::Full { recovers: false }];
        let Played { totals, .. } = play(scenario(test, kind, lives)).await?;
        ensure!(totals.refused > 0 && totals.recoveries > 0, "the disk was not full: {totals}");
        ensure!(totals.killed() >= 3, "fewer nodes were killed than should be: {totals}");
    }
    Ok(())
}

#[tokio::test]
async fn a_slow_disk_makes_checkpoints_late_and_nothing_else() -> Result<()> {
    let test = "a_slow_disk_makes_checkpoints_late_and_nothing_else";
    let slow = Duration::from_millis(15);
    let at = |when, step| Life::Dies { at: KillAt { when, step, nth: 2 }, slow };
    let lives = vec![
        at(When::Before, Step::Upload),
        at(When::After, Step::Marker),
        Life::Killed { after: Duration::from_millis(300), answering: true, slow },
    ];
    let Played { totals, .. } = play(scenario(test, Kind::Words, lives)).await?;
    ensure!(totals.delayed > 0, "the disk was not slow: {totals}");
    Ok(())
}

#[tokio::test]
async fn a_node_whose_job_another_node_took_stops_by_itself_and_doubles_nothing() -> Result<()> {
    let test = "a_node_whose_job_another_node_took_stops_by_itself_and_doubles_nothing";
    let mut kinds = [Kind::Words, Kind::Commands].into_iter().cycle();
    let steps = [Step::Entry, Step::Publication, Step::Marker, Step::Deletion, Step::Acknowledgement, Step::Takeover];
    let at = |step| KillAt { when: When::Before, step, nth: 1 };
    let paused = steps.map(|step| Life::Rivals(Rivalry::Paused(Some(at(step)))));
    let others = [Rivalry::Running, Rivalry::Race, Rivalry::Paused(None)].map(Life::Rivals);
    for lives in [paused.to_vec(), others.to_vec()] {
        let kind = kinds.next().expect("a cycle has no end");
        let Played { totals, .. } = play(scenario(test, kind, lives.clone())).await?;
        ensure!(totals.takeovers == lives.len() as u64, "not every node took its job: {totals}");
    }
    Ok(())
}

#[tokio::test]
async fn any_scenario() -> Result<()> {
    let seeds = given_seed().map_or(1..=SCENARIOS, |seed| seed..=seed);
    for seed in seeds {
        play(Scenario::of_seed(seed)).await?;
    }
    Ok(())
}
