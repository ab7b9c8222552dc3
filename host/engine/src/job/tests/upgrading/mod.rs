//! A running job becomes another: from a checkpoint, exactly once, or not at all.

mod ending;
mod interrupted;
mod refused;
mod undone;

use std::collections::BTreeMap;

use weir_protocol::chain::Wanted;
use weir_protocol::evolution::Change;
use weir_protocol::id::{EntryNumber, JobId};
use weir_protocol::job_graph::StateBackend;
use weir_protocol::job_spec::{
    FileFormat, FileSourceSpec, JobSpec, KeySpec, PartitionSpec, SourceConnector, StartPosition,
};
use weir_protocol::upgrade::Fate;

use super::operators::Faults;
use super::rig::{
    Rig, check_counts, endless, generator, generator_job, keyed, operator, output, uid, wait_for, wait_until,
};
use crate::checkpoint::chain::SpecChain;
use crate::clock::Entropy;
use crate::job::{Engine, JobState, JobStatus, Upgrading};
use crate::store::Store;

/// The same with so many subtasks of its operator.
fn with_parallelism(spec: &JobSpec, parallelism: u32) -> JobSpec {
    let mut spec = spec.clone();
    spec.operators[0].parallelism = Some(parallelism);
    spec
}

/// The same with another operator.
fn with_operator(spec: &JobSpec, name: &str) -> JobSpec {
    let mut spec = spec.clone();
    spec.operators[0].operator = name.to_owned();
    spec
}

async fn upgrade(engine: &Engine, job: JobId, spec: JobSpec) -> EntryNumber {
    let upgraded = engine.upgrade(job, spec, Upgrading::default()).await.unwrap();
    assert!(upgraded.is_new);
    upgraded.spec
}

/// A job of which a checkpoint stands.
async fn running(engine: &Engine, spec: JobSpec) -> JobId {
    let job = engine.submit(spec).await.unwrap().id;
    wait_until(engine, job, |status| status.checkpoints.completed >= 2).await;
    job
}

/// Waits until a checkpoint stands that was taken as this entry of the `spec/` chain says.
async fn proven(engine: &Engine, job: JobId, number: EntryNumber) -> JobStatus {
    let is_proven = |status: &JobStatus| status.spec_number >= number && status.former.is_empty();
    wait_until(engine, job, is_proven).await
}

#[tokio::test(start_paused = true)]
async fn an_upgraded_job_goes_on_from_a_checkpoint_and_loses_and_doubles_nothing() {
    let rig = Rig::new();
    let engine = rig.start(&Faults::default()).await;
    let spec = generator_job(&rig, "count", 20_000, 5);
    let job = running(&engine, spec.clone()).await;
    for parallelism in [5, 1, 3] {
        let number = upgrade(&engine, job, with_parallelism(&spec, parallelism)).await;
        let status = proven(&engine, job, number).await;
        assert_eq!((status.spec_number, status.vertices[1].parallelism), (number, parallelism));
    }
    let status = wait_for(&engine, job, JobState::Finished).await;
    assert!(status.failures.is_empty(), "{:?}", status.failures);
    check_counts(&rig.published(job), 20_000, 5);
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_waits_for_one_more_checkpoint_so_that_nothing_is_done_twice() {
    let rig = Rig::new();
    let engine = rig.start(&Faults::default()).await;
    let mut spec = endless(&rig);
    spec.checkpoint.as_mut().unwrap().interval_ms = 60_000;
    let job = engine.submit(spec.clone()).await.unwrap().id;
    wait_until(&engine, job, |status| status.vertices[0].subtasks.iter().any(|subtask| subtask.records_out.get() > 0))
        .await;
    upgrade(&engine, job, with_parallelism(&spec, 3)).await;
    let status = wait_until(&engine, job, |status| status.attempts == 2).await;
    assert_eq!((status.checkpoints.completed, status.checkpoints.restored.is_some()), (1, true));
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_says_what_changes_and_a_dry_run_changes_nothing() {
    let rig = Rig::new();
    let engine = rig.start(&Faults::default()).await;
    let spec = endless(&rig);
    let job = running(&engine, spec.clone()).await;
    let mut next = with_parallelism(&with_operator(&spec, "faulty"), 4);
    next.sources.push(generator("more", None, Some(100), 5));
    next.operators.push(operator("second", "count", vec![keyed("records", "more")]));
    let how = Upgrading { dry_run: true, ..Upgrading::default() };
    let upgraded = engine.upgrade(job, next, how).await.unwrap();
    assert_eq!((upgraded.spec, upgraded.is_new), (EntryNumber(0), false));
    let said: BTreeMap<_, _> = upgraded
        .changes
        .vertices
        .iter()
        .map(|change| (change.uid.as_str(), (change.fate, change.parallelism_before, change.parallelism)))
        .collect();
    let expected = [
        ("count", (Fate::Changed, Some(2), Some(4))),
        ("more", (Fate::Added, None, Some(2))),
        ("numbers", (Fate::Kept, Some(2), Some(2))),
        ("out", (Fate::Kept, Some(1), Some(1))),
        ("second", (Fate::Added, None, Some(2))),
    ];
    assert_eq!(said, BTreeMap::from(expected));
    let status = engine.job(job).unwrap();
    assert_eq!((status.spec_number, status.attempts, *status.spec == spec), (EntryNumber(0), 1, true));
    let same = engine.upgrade(job, spec, Upgrading::default()).await.unwrap();
    assert_eq!((same.spec, same.is_new, same.changes.any()), (EntryNumber(0), false, false));
}

#[tokio::test(start_paused = true)]
async fn state_without_an_operator_is_dropped_only_where_that_is_allowed() {
    let rig = Rig::new();
    let engine = rig.start(&Faults::default()).await;
    let spec = generator_job(&rig, "count", 20_000, 5);
    let job = running(&engine, spec.clone()).await;
    let mut next = spec;
    next.operators[0].uid = uid("other");
    next.sinks[0].from = vec![output("other")];
    let how = Upgrading { drops_state: true, ..Upgrading::default() };
    let upgraded = engine.upgrade(job, next, how).await.unwrap();
    let removed = upgraded.changes.vertices.last().unwrap();
    assert!(
        !removed.states.is_empty() && removed.states.values().all(|change| *change == Change::Dropped),
        "{removed:?}"
    );
    wait_for(&engine, job, JobState::Finished).await;
    let lines = rig.published(job);
    assert_eq!(lines.len(), 20_000, "the source goes on where it was");
    assert_eq!(lines.iter().filter(|line| line.ends_with("=1")).count(), 10, "each key is counted anew once");
}

#[tokio::test(start_paused = true)]
async fn what_a_removed_sink_has_sealed_is_published_and_the_rest_goes_to_the_next() {
    let rig = Rig::new();
    let engine = rig.start(&Faults::default()).await;
    let spec = generator_job(&rig, "count", 20_000, 5);
    let job = running(&engine, spec.clone()).await;
    let mut next = spec.clone();
    next.sinks[0].uid = uid("next");
    let number = upgrade(&engine, job, next).await;
    proven(&engine, job, number).await;
    // Back again: the marker of the first one's place is where that one stopped.
    let number = upgrade(&engine, job, spec).await;
    proven(&engine, job, number).await;
    wait_for(&engine, job, JobState::Finished).await;
    let (first, second) = (rig.published(job), rig.published_by(job, "next"));
    assert!(!second.is_empty() && second.len() < first.len(), "{} and {}", first.len(), second.len());
    let mut lines = [first, second].concat();
    lines.sort_by_key(|line| line.split_once('=').map(|(_, count)| count.parse::<u64>().unwrap()));
    check_counts(&lines, 20_000, 5);
}

#[tokio::test(start_paused = true)]
async fn a_new_source_skips_nothing_though_the_process_dies_before_its_first_checkpoint() {
    let rig = Rig::new();
    let engine = rig.start(&Faults::default()).await;
    let spec = generator_job(&rig, "count", 10_000, 5);
    let job = running(&engine, spec.clone()).await;
    let mut next = spec;
    next.sources.push(generator("more", Some(8_000), Some(20_000), 5));
    next.operators[0].operator = "count-two".to_owned();
    next.operators[0].inputs = vec![keyed("left", "numbers"), keyed("right", "more")];
    upgrade(&engine, job, next).await;
    wait_until(&engine, job, |status| status.attempts == 2).await;
    drop(engine);
    let engine = rig.start(&Faults::default()).await;
    wait_for(&engine, job, JobState::Finished).await;
    check_counts(&rig.published(job), 18_000, 5);
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_survives_the_death_of_its_process_at_any_moment() {
    for moment in (0..150).step_by(3) {
        let rig = Rig::new();
        let engine = rig.start(&Faults::default()).await;
        let spec = generator_job(&rig, "count", 8_000, 5);
        let job = running(&engine, spec.clone()).await;
        let next = with_parallelism(&spec, 5);
        upgrade(&engine, job, next.clone()).await;
        for _ in 0..moment {
            tokio::task::yield_now().await;
        }
        drop(engine);
        let engine = rig.start(&Faults::default()).await;
        let status = wait_for(&engine, job, JobState::Finished).await;
        assert_eq!((status.spec_number, status.vertices[1].parallelism), (EntryNumber(1), 5), "after {moment} turns");
        check_counts(&rig.published(job), 8_000, 5);
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_waits_for_a_person_goes_on_as_what_it_is_upgraded_to() {
    let rig = Rig::new();
    let disk = tempfile::tempdir().unwrap();
    let engine = rig.start_with_disk(disk.path()).await;
    let mut spec = generator_job(&rig, "count", 10_000, 5);
    spec.state.backend = StateBackend::RocksDb;
    let job = running(&engine, spec.clone()).await;
    engine.stop().await;
    let engine = rig.start(&Faults::default()).await;
    let status = wait_for(&engine, job, JobState::Suspended).await;
    assert!(status.failures[0].message.contains("no folder for local state"), "{:?}", status.failures);
    spec.state.backend = StateBackend::HashMap;
    let taken = engine.submit(spec.clone()).await.unwrap_err().to_string();
    assert!(taken.contains("the name `job` belongs to job") && taken.contains("is SUSPENDED; upgrade it"), "{taken}");
    upgrade(&engine, job, spec).await;
    wait_for(&engine, job, JobState::Finished).await;
    check_counts(&rig.published(job), 10_000, 5);
}

#[tokio::test(start_paused = true)]
async fn less_memory_than_the_files_of_a_job_that_waits_is_warned_of() {
    let rig = Rig::new();
    let disk = tempfile::tempdir().unwrap();
    let engine = rig.start_with_disk(disk.path()).await;
    let mut spec = endless(&rig);
    spec.sources = vec![generator("numbers", None, Some(20_000), 5_000)];
    spec.state.backend = StateBackend::RocksDb;
    let job = running(&engine, spec.clone()).await;
    let holds = |status: &JobStatus| status.checkpoints.newest.is_some_and(|newest| newest.size > 50_000);
    wait_until(&engine, job, holds).await;
    engine.stop().await;
    let engine = rig.start(&Faults::default()).await;
    wait_for(&engine, job, JobState::Suspended).await;
    spec.state.backend = StateBackend::HashMap;
    for (memory, warnings) in [(500, 1), (1 << 20, 0)] {
        spec.state.memory_bytes = Some(memory);
        let how = Upgrading { dry_run: true, ..Upgrading::default() };
        let said = engine.upgrade(job, spec.clone(), how).await.unwrap().warnings;
        assert_eq!(said.len(), warnings, "{said:?}");
        assert!(said.iter().all(|said| said.contains("`count`") && said.contains("raise `memory`")), "{said:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_job_takes_a_checkpoint_as_what_it_was_upgraded_to() {
    let rig = Rig::new();
    let input = tempfile::tempdir().unwrap();
    std::fs::write(input.path().join("a"), "x\ny\nx\n").unwrap();
    let engine = rig.start(&Faults::default()).await;
    let mut spec = endless(&rig);
    let (paths, start) = (vec![input.path().to_str().unwrap().to_owned()], StartPosition::Beginning);
    let files = FileSourceSpec { paths, format: FileFormat::Lines, follow: true, start };
    spec.sources[0].connector = SourceConnector::Files(files);
    spec.operators[0].inputs[0].partition = PartitionSpec::Hash(KeySpec::Value);
    let job = engine.submit(spec.clone()).await.unwrap().id;
    wait_until(&engine, job, |status| status.checkpoints.skipped >= 3).await;
    let number = upgrade(&engine, job, with_parallelism(&spec, 3)).await;
    let status = proven(&engine, job, number).await;
    assert_eq!(status.spec_number, number);
    check_counts(&rig.published(job), 3, 2);
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_that_nobody_heard_of_is_heard_of_when_it_is_asked_for_again() {
    let rig = Rig::new();
    let engine = rig.start(&Faults::default()).await;
    let spec = generator_job(&rig, "count", 20_000, 5);
    let job = running(&engine, spec.clone()).await;
    // What is left of a request whose answer was lost together with its connection to the store.
    let next = with_parallelism(&spec, 3);
    let chain = SpecChain::new(Store::new(rig.store(), rig.clock), rig.clock, job);
    chain.want(&Entropy::seeded(9), &Wanted::Deploy(Box::new(next.clone()))).await.unwrap();
    let upgraded = engine.upgrade(job, next, Upgrading::default()).await.unwrap();
    assert_eq!((upgraded.spec, upgraded.is_new), (EntryNumber(1), true));
    let status = proven(&engine, job, upgraded.spec).await;
    assert_eq!(status.vertices[1].parallelism, 3);
    wait_for(&engine, job, JobState::Finished).await;
    check_counts(&rig.published(job), 20_000, 5);
}

#[tokio::test(start_paused = true)]
async fn a_version_that_migrates_goes_on_with_rewritten_state() {
    let rig = Rig::new();
    let engine = rig.start(&Faults::default()).await;
    let spec = generator_job(&rig, "count", 20_000, 5);
    let job = running(&engine, spec.clone()).await;
    let next = with_parallelism(&with_operator(&spec, "count-newer"), 3);
    let upgraded = engine.upgrade(job, next, Upgrading::default()).await.unwrap();
    let states = &upgraded.changes.vertices[1].states;
    assert_eq!(states, &BTreeMap::from([("count".to_owned(), Change::Migrated { from: 1 })]));
    proven(&engine, job, upgraded.spec).await;
    let status = wait_for(&engine, job, JobState::Finished).await;
    assert!(status.failures.is_empty() && status.undone.is_none(), "{status:?}");
    check_counts(&rig.published(job), 20_000, 5);
}
