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

/// How long a node is waited for at a step that surely comes, on however slow a machine.
const UNTIL_STEP: Duration = Duration::from_secs(150);

fn given_seed() -> Option<u64> {
    let seed = std::env::var("WEIR_SEED").ok()?;
    Some(seed.parse().expect("WEIR_SEED is a number"))
}

fn scenario(test: &str, kind: Kind, lives: Vec<Life>) -> Scenario {
    let seed = given_seed().unwrap_or(1);
    let reproduce = Scenario::command(seed, test);
    Scenario { seed, kind, memory: None, creation: None, lives, until_step: UNTIL_STEP, reproduce }
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

/// A node dies on each side of each of these steps.
async fn die_at_each(test: &str, kind: Kind, memory: Option<u64>, all: &[Step]) -> Result<Totals> {
    let mut random = StdRng::seed_from_u64(given_seed().unwrap_or(1));
    let mut steps = Vec::new();
    for &step in all {
        for when in When::ALL {
            let comes_once = [Step::Takeover, Step::Restore].contains(&step);
            let nth = if comes_once { 1 } else { random.random_range(1..3) };
            steps.push(KillAt { when, step, nth });
        }
    }
    let lives = steps.iter().map(|at| Life::Dies { at: *at, slow: Duration::ZERO }).collect();
    let Played { totals, .. } = play(Scenario { memory, ..scenario(test, kind, lives) }).await?;
    for at in steps {
        ensure!(totals.kills.contains_key(&at.place()), "no node died at {at}: {totals}");
    }
    Ok(totals)
}

#[tokio::test]
async fn a_count_of_words_is_exact_whichever_step_of_a_checkpoint_the_node_dies_at() -> Result<()> {
    let test = "a_count_of_words_is_exact_whichever_step_of_a_checkpoint_the_node_dies_at";
    ensure!(die_at_each(test, Kind::Words, None, &Step::ALL).await?.killed() >= 18);
    Ok(())
}

#[tokio::test]
async fn values_lists_maps_and_timers_are_exact_whichever_step_of_a_checkpoint_the_node_dies_at() -> Result<()> {
    let test = "values_lists_maps_and_timers_are_exact_whichever_step_of_a_checkpoint_the_node_dies_at";
    ensure!(die_at_each(test, Kind::Commands, None, &Step::ALL).await?.killed() >= 18);
    Ok(())
}

/// State moves to disk all the time, and is moved there again as it is restored.
#[tokio::test]
async fn state_on_disk_is_exact_whichever_step_of_its_way_there_and_back_the_node_dies_at() -> Result<()> {
    let test = "state_on_disk_is_exact_whichever_step_of_its_way_there_and_back_the_node_dies_at";
    let steps = [Step::Eviction, Step::Restore, Step::Segment, Step::Upload, Step::Entry, Step::Deletion];
    let steps = [steps.as_slice(), &[Step::Eviction, Step::Takeover, Step::Restore]].concat();
    for (kind, memory) in [(Kind::Words, 16_000), (Kind::Commands, 500)] {
        let totals = die_at_each(test, kind, Some(memory), &steps).await?;
        // The first node, which takes the job, dies beside those.
        ensure!(totals.killed() >= 18, "fewer nodes were killed than should be: {totals}");
        ensure!(totals.on_disk >= 9, "state was seldom on disk: {totals}");
    }
    Ok(())
}

#[tokio::test]
async fn a_job_killed_at_random_moments_publishes_what_an_uninterrupted_one_does() -> Result<()> {
    let test = "a_job_killed_at_random_moments_publishes_what_an_uninterrupted_one_does";
    let kind = Kind::Count { millis: 6_000 };
    let calm = play(scenario(test, kind, Vec::new())).await?;
    let mut random = StdRng::seed_from_u64(given_seed().unwrap_or(1));
    let mut killed = |life: u32| Life::Killed {
        after: Duration::from_millis(random.random_range(0..400)),
        running: life.is_multiple_of(2),
        slow: Duration::ZERO,
    };
    for memory in [None, Some(500)] {
        let lives = (0..16).map(&mut killed).collect();
        let stormy = play(Scenario { memory, ..scenario(test, kind, lives) }).await?;
        ensure!(stormy.results == calm.results, "the results differ from those of an uninterrupted run");
        // In every other life the job runs before the node is killed; the first node, which takes the job, is one more.
        ensure!(stormy.totals.killed() >= 9, "fewer nodes were killed than should be: {}", stormy.totals);
        let is_on_disk = stormy.totals.on_disk > 0;
        ensure!(is_on_disk == memory.is_some(), "state is not where it should be: {}", stormy.totals);
    }
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
    let at = |when, step| KillAt { when, step, nth: 2 };
    let steps = [at(When::Before, Step::Upload), at(When::After, Step::Marker)];
    let mut lives = steps.map(|at| Life::Dies { at, slow }).to_vec();
    lives.push(Life::Killed { after: Duration::from_millis(300), running: true, slow });
    let Played { totals, .. } = play(scenario(test, Kind::Words, lives)).await?;
    ensure!(totals.delayed > 0, "the disk was not slow: {totals}");
    for at in steps {
        ensure!(totals.kills.contains_key(&at.place()), "no node died at {at}: {totals}");
    }
    Ok(())
}

#[tokio::test]
async fn a_node_whose_job_another_node_took_stops_by_itself_and_doubles_nothing() -> Result<()> {
    let test = "a_node_whose_job_another_node_took_stops_by_itself_and_doubles_nothing";
    let mut kinds = [Kind::Words, Kind::Commands].into_iter().cycle();
    let steps = [Step::Entry, Step::Publication, Step::Marker, Step::Deletion, Step::Acknowledgement, Step::Takeover];
    let at = |step| KillAt { when: When::Before, step, nth: 1 };
    let at_steps = steps.map(|step| Rivalry::Paused(Some(at(step))));
    let others = [Rivalry::Running, Rivalry::Race, Rivalry::Paused(None)];
    for (rivalries, pauses) in [
        (at_steps.to_vec(), steps.map(|step| at(step).place()).to_vec()),
        (others.to_vec(), vec!["any moment".to_owned()]),
    ] {
        let kind = kinds.next().expect("a cycle has no end");
        let lives: Vec<Life> = rivalries.into_iter().map(Life::Rivals).collect();
        let Played { totals, .. } = play(scenario(test, kind, lives.clone())).await?;
        ensure!(totals.takeovers == lives.len() as u64, "not every node took its job: {totals}");
        for place in pauses {
            ensure!(
                totals.pauses.get(&place) == Some(&1),
                "no node, or more than one, was paused at {place}: {totals}"
            );
        }
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
