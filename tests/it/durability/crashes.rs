//! A process dies between any two calls to a store; the next goes on, and nothing is lost or doubled.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use weir_engine::clock::Clock;
use weir_tests::faulty_store::{FaultyStore, Outcome};

use super::counting_job::{World, assert_no_garbage, expected};

/// The two stores that outlive every process.
struct Disks {
    objects: Arc<dyn ObjectStore>,
    results: Arc<dyn ObjectStore>,
}

impl Disks {
    fn new() -> Self {
        Self { objects: Arc::new(InMemory::new()), results: Arc::new(InMemory::new()) }
    }

    /// A process whose calls to both stores go through the same faults.
    fn process(&self, faults: impl Fn(Arc<dyn ObjectStore>) -> FaultyStore, seed: u64) -> (World, FaultyStore) {
        let objects = faults(Arc::clone(&self.objects));
        let results = objects.beside(Arc::clone(&self.results));
        (World::new(Arc::new(objects.clone()), Arc::new(results), seed), objects)
    }

    /// A process two hours later, in which everything works.
    fn survivor(&self, seed: u64) -> World {
        let now = Clock::system();
        let later = Clock::starting_at(now.now() + i64::try_from(Duration::from_secs(7_200).as_millis()).unwrap());
        World::at(Arc::clone(&self.objects), Arc::clone(&self.results), seed, later)
    }

    async fn die_and_go_on(&self, calls: u64, last: Outcome) {
        let (world, store) = self.process(|inner| FaultyStore::dying(inner, calls, last), calls);
        let ended_well = tokio::select! {
            ended = world.run() => ended.is_ok(),
            () = store.died() => false,
        };
        drop(world);
        let survivor = self.survivor(calls + 1_000_000);
        let had_finished = survivor.has_finished().await;
        // After its end a run deletes what it can, and ends well even if the store has died by then.
        assert!(had_finished || !ended_well, "after {calls} calls, {last:?}: it ended without recording its end");
        survivor.run().await.unwrap_or_else(|error| panic!("after {calls} calls, {last:?}: {error:#}"));
        assert_eq!(survivor.shelf.lines().await, expected(), "after {calls} calls, {last:?}");
        // Nobody takes over a job that has finished: what its last owner did not get to delete stays with the job.
        if !had_finished {
            assert_no_garbage(&survivor).await;
        }
    }
}

async fn calls_of_a_sound_run() -> u64 {
    let disks = Disks::new();
    let (world, store) = disks.process(FaultyStore::sound, 1);
    world.run().await.unwrap();
    assert_eq!(world.shelf.lines().await, expected());
    store.calls()
}

#[tokio::test]
async fn a_crash_between_any_two_steps_leaves_a_job_that_publishes_exactly_once() {
    let calls = calls_of_a_sound_run().await;
    assert!(calls > 100, "the run has {calls} steps: every kind of step is among them");
    for last in [Outcome::Failed, Outcome::AppliedUnanswered] {
        for call in 0..calls {
            Disks::new().die_and_go_on(call, last).await;
        }
    }
}

#[tokio::test]
async fn a_second_crash_during_recovery_does_no_harm() {
    let calls = calls_of_a_sound_run().await;
    for call in (0..calls).step_by(7) {
        let disks = Disks::new();
        let (first, store) = disks.process(|inner| FaultyStore::dying(inner, call, Outcome::Failed), 1);
        tokio::select! { _ = first.run() => {}, () = store.died() => {} }
        drop(first);
        disks.die_and_go_on(call % 23, Outcome::AppliedUnanswered).await;
    }
}

#[tokio::test]
async fn a_store_that_fails_now_and_then_costs_nothing_but_time() {
    let runs = (0..16).map(async |seed| {
        let disks = Disks::new();
        let (world, _) = disks.process(|inner| FaultyStore::seeded(inner, seed, 80), seed);
        world.run_whatever_fails().await;
        assert_eq!(disks.survivor(seed).shelf.lines().await, expected(), "seed {seed}");
    });
    join_all(runs).await;
}

#[tokio::test]
async fn two_processes_that_both_run_the_job_publish_each_result_once() {
    let runs = (0..16).map(async |seed| {
        let disks = Disks::new();
        let (sound, _) = disks.process(FaultyStore::sound, seed);
        sound.run_until(12).await.unwrap();
        let (first, _) = disks.process(|inner| FaultyStore::seeded(inner, seed, 20), seed + 100);
        let (second, _) = disks.process(|inner| FaultyStore::seeded(inner, seed + 1_000, 20), seed + 200);
        futures::join!(first.run_whatever_fails(), second.run_whatever_fails());
        assert_eq!(disks.survivor(seed).shelf.lines().await, expected(), "seed {seed}");
    });
    join_all(runs).await;
}
