//! Savepoints: taken of jobs that run, stand still or have ended, and jobs that begin from them.

mod beginning;
mod refused;
mod taking;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use weir_protocol::id::{JobId, Nonce};
use weir_protocol::job_spec::{CheckpointSpec, FileSinkSpec, JobSpec, SinkConnector};

use super::operators::Faults;
use super::rescaling;
use super::rig::{Rig, check_counts, generator_job, wait_for, wait_until};
use crate::checkpoint::inspect::{Ask, Shown, Which};
use crate::clock::Clock;
use crate::job::{Engine, EngineError, JobState, Origin, SavepointAsk, SavepointStatus, Submitted};
use crate::store::ObjectName;

const RECORDS: u64 = 48_000;
const KEYS: u64 = 12_000;

/// Counts many keys, so that what is saved is in files.
fn counting(rig: &Rig) -> JobSpec {
    let mut spec = generator_job(rig, "count", RECORDS, KEYS);
    spec.checkpoint = Some(CheckpointSpec::every_ms(200));
    spec
}

/// The same under another name, with results elsewhere.
fn another(rig: &Rig, spec: &JobSpec) -> JobSpec {
    let mut spec = spec.clone();
    spec.name = "another".parse().unwrap();
    let path = rig.results().join("of-another").to_str().unwrap().to_owned();
    spec.sinks[0].connector = SinkConnector::Files(FileSinkSpec { path });
    spec
}

fn ask(target: &Path) -> SavepointAsk {
    SavepointAsk { target: target.to_str().unwrap().to_owned(), request: None, stops: false }
}

fn from(location: &str) -> Origin {
    Origin { location: location.to_owned(), drops_state: false, inexact: false }
}

/// Waits for what becomes of a request.
async fn settled(engine: &Engine, job: JobId, request: Nonce) -> SavepointStatus {
    let clock = Clock::starting_at(0);
    loop {
        match engine.savepoint_status(job, request).unwrap() {
            SavepointStatus::InProgress { .. } => clock.sleep(Duration::from_millis(2)).await,
            settled @ (SavepointStatus::Completed { .. } | SavepointStatus::Failed { .. }) => return settled,
        }
    }
}

/// Takes a savepoint, and gives its place.
async fn taken(engine: &Engine, job: JobId, ask: SavepointAsk) -> String {
    let request = engine.savepoint(job, ask).unwrap();
    match settled(engine, job, request).await {
        SavepointStatus::Completed { location, size, .. } => {
            assert!(size > 0);
            location
        }
        other @ (SavepointStatus::InProgress { .. } | SavepointStatus::Failed { .. }) => panic!("{other:?}"),
    }
}

async fn begin(engine: &Engine, spec: JobSpec, origin: &Origin) -> Result<Submitted, EngineError> {
    engine.submit_prepared(engine.prepare(spec, origin).await?).await
}

/// What the operator `count` holds in a savepoint, by key.
async fn counts(engine: &Engine, location: &str) -> BTreeMap<String, u64> {
    let opened = engine.open_savepoint(location).await.unwrap();
    let operator = "count".parse().unwrap();
    let mut ask = Ask { operator, state: None, key: None, limit: 10_000, after: None, lives: BTreeMap::new() };
    let mut counts = BTreeMap::new();
    loop {
        let (_, page) = opened.inspector.look(Which::Newest, &ask).await.unwrap();
        counts.extend(page.items.into_iter().map(|item| {
            let Some(Shown::Json(value)) = item.value else { panic!("{item:?}") };
            (item.key.unwrap().to_string(), value.as_u64().unwrap())
        }));
        match page.next {
            Some(next) => ask.after = Some(next),
            None => return counts,
        }
    }
}

/// Checks that the lines go on with each key's count where the savepoint has it, in order, to its end.
fn check_goes_on(lines: &[String], mut counts: BTreeMap<String, u64>) {
    for line in lines {
        let (key, count) = line.split_once('=').unwrap();
        let last = counts.entry(key.to_owned()).or_default();
        *last += 1;
        assert_eq!(count.parse::<u64>().unwrap(), *last, "key {key}");
    }
    assert!(counts.len() == usize::try_from(KEYS).unwrap() && counts.values().all(|count| *count == RECORDS / KEYS));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_begins_from_a_savepoint_goes_on_with_exactly_its_state_at_another_parallelism() {
    let (rig, target) = (Rig::new(), tempfile::tempdir().unwrap());
    let engine = rig.start(&Faults::default()).await;
    let job = engine.submit(counting(&rig)).await.unwrap().id;
    wait_until(&engine, job, |status| status.checkpoints.completed >= 2).await;
    let location = taken(&engine, job, ask(target.path())).await;
    let held = counts(&engine, &location).await;
    let so_far: u64 = held.values().sum();
    assert!(so_far > 0 && so_far < RECORDS, "the savepoint is of neither end: {so_far}");

    let mut spec = another(&rig, &counting(&rig));
    (spec.parallelism, spec.operators[0].parallelism) = (3, Some(5));
    let other = begin(&engine, spec, &from(&location)).await.unwrap();
    assert!(other.created && other.id != job);
    for id in [job, other.id] {
        let status = wait_for(&engine, id, JobState::Finished).await;
        assert!(status.failures.is_empty(), "{:?}", status.failures);
    }
    check_counts(&rig.published(job), RECORDS, usize::try_from(KEYS).unwrap());
    check_goes_on(&rig.published_at("of-another", other.id), held);
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_state_is_in_a_savepoint_of_a_stopped_job_and_all_results_are_there_once() {
    for (before, after) in [((2, 2), (3, 5)), ((4, 5), (1, 1)), ((1, 3), (1, 3))] {
        let (rig, target) = (Rig::new(), tempfile::tempdir().unwrap());
        let history = rescaling::lives(&[(before.0, before.1, 1), (after.0, after.1, 0)]);
        let engine = rig.start(&Faults::default()).await;
        let job = engine.submit(rescaling::job(&rig, &history, history.lives[0].0)).await.unwrap().id;
        wait_until(&engine, job, |status| status.checkpoints.completed >= 3).await;
        let location = taken(&engine, job, SavepointAsk { stops: true, ..ask(target.path()) }).await;
        assert_eq!(engine.job(job).unwrap().state, JobState::Canceled);
        // To the same place, under the same name: the job has ended, so nothing can come twice.
        let spec = rescaling::job(&rig, &history, history.lives[1].0);
        let other = begin(&engine, spec, &from(&location)).await.unwrap().id;
        let status = wait_for(&engine, other, JobState::Finished).await;
        let mut lived = rescaling::Lived::of(&rig, &status);
        lived.published.splice(..0, rig.published(job));
        rescaling::check(&history, &lived);
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_began_from_a_savepoint_needs_neither_it_nor_the_job_that_it_was_of() {
    let (rig, target) = (Rig::new(), tempfile::tempdir().unwrap());
    let engine = rig.start(&Faults::default()).await;
    let job = engine.submit(counting(&rig)).await.unwrap().id;
    wait_until(&engine, job, |status| status.checkpoints.completed >= 2).await;
    let location = taken(&engine, job, SavepointAsk { stops: true, ..ask(target.path()) }).await;
    let held = counts(&engine, &location).await;
    rig.forget(job).await;
    assert_eq!(counts(&engine, &location).await, held, "the savepoint does not need its job");
    let inherited = engine.open_savepoint(&location).await.unwrap().savepoint.manifest;
    let mut spec = another(&rig, &counting(&rig));
    spec.state.incremental = false;
    let other = begin(&engine, spec, &from(&location)).await.unwrap().id;
    let inherited: Vec<_> = inherited
        .objects()
        .map(|object| ObjectName::of_manifest(job, &object.name).unwrap().inherited_by(other).unwrap().to_string())
        .collect();
    let present = rig.objects().await;
    assert!(!inherited.is_empty() && inherited.iter().all(|name| present.contains(name)));
    engine.dispose_savepoint(&location).await.unwrap();
    assert!(!Path::new(&location).exists(), "all of it is gone");
    drop(engine);
    let engine = rig.start(&Faults::default()).await;
    wait_for(&engine, other, JobState::Finished).await;
    check_goes_on(&rig.published_at("of-another", other), held);
    let present = rig.objects().await;
    assert!(inherited.iter().all(|name| !present.contains(name)), "what no checkpoint needs any more is collected");
}
