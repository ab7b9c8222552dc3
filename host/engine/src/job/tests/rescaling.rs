//! A job that goes on with another parallelism: every kind of state is on the right subtask, exactly once.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use weir_protocol::chain::Wanted;
use weir_protocol::id::{JobId, SubtaskId};
use weir_protocol::job_graph::{StateBackend, StateSpec};
use weir_protocol::job_spec::{InputSpec, JobSpec, PartitionSpec};
use weir_protocol::key_group::MaxParallelism;
use weir_protocol::upgrade::Refusal;

use super::operators::Faults;
use super::rig::{Rig, check_counts, generator, generator_job, keyed, operator, output, uid, wait_for, wait_until};
use crate::checkpoint::chain::SpecChain;
use crate::clock::Entropy;
use crate::job::{Engine, EngineError, JobState, JobStatus, Upgrading};
use crate::store::Store;

/// How many subtasks there are of the source of records and of the operator.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parallelism {
    source: u32,
    operator: u32,
}

/// What a job is given, and its lives: each begins with another parallelism and lasts so many checkpoints, but for the
/// last, which lasts to the end.
#[derive(Debug, Clone)]
pub(super) struct History {
    records: u64,
    keys: u64,
    rules: u64,
    max_parallelism: u32,
    /// Whether nearly all keyed state is on a local disk.
    spills: bool,
    /// Whether the job goes on in another process each time; else it is changed while it runs.
    crashes: bool,
    pub(super) lives: Vec<(Parallelism, u64)>,
}

fn history() -> impl Strategy<Value = History> {
    let parallelism = (1_u32..5, 1_u32..7).prop_map(|(source, operator)| Parallelism { source, operator });
    let lives = prop::collection::vec((parallelism, 1_u64..4), 2..6);
    let max = prop_oneof![Just(6_u32), Just(7), Just(128)];
    let given = (8_000_u64..16_000, 1_u64..40, 1_u64..300);
    (given, max, any::<(bool, bool)>(), lives).prop_map(
        |((records, keys, rules), max_parallelism, (spills, crashes), lives)| History {
            records,
            keys,
            rules,
            max_parallelism,
            spills,
            crashes,
            lives,
        },
    )
}

pub(super) fn job(rig: &Rig, history: &History, parallelism: Parallelism) -> JobSpec {
    let History { records, keys, rules, max_parallelism, spills, crashes: _, lives: _ } = *history;
    let mut spec = generator_job(rig, "tally", records, keys);
    spec.max_parallelism = MaxParallelism::new(max_parallelism).unwrap();
    if spills {
        spec.state = StateSpec { backend: StateBackend::RocksDb, memory_bytes: Some(10_000), ..StateSpec::default() };
    }
    let (mut numbers, mut changes) =
        (generator("numbers", Some(records), Some(10_000), keys), generator("rules", Some(rules), Some(400), 1));
    (numbers.parallelism, changes.parallelism) = (Some(parallelism.source), Some(1));
    spec.sources = vec![numbers, changes];
    let to_all = InputSpec { input: "rules".to_owned(), from: output("rules"), partition: PartitionSpec::Broadcast };
    let mut tally = operator("count", "tally", vec![keyed("records", "numbers"), to_all]);
    tally.parallelism = Some(parallelism.operator);
    spec.operators = vec![tally];
    spec
}

/// What a node that dies before it has heeded it appends to a job's chain.
async fn want(rig: &Rig, job: JobId, spec: JobSpec) {
    let chain = SpecChain::new(Store::new(rig.store(), rig.clock), rig.clock, job);
    chain.want(&Entropy::seeded(9), &Wanted::Deploy(Box::new(spec))).await.unwrap();
}

/// What came of a history.
pub(super) struct Lived {
    pub(super) published: Vec<String>,
    /// How many subtasks the operator had last.
    operator: usize,
}

impl Lived {
    pub(super) fn of(rig: &Rig, status: &JobStatus) -> Self {
        let count = status.vertices.iter().find(|vertex| vertex.uid == uid("count")).unwrap();
        Self { published: rig.published(status.id), operator: count.parallelism as usize }
    }
}

/// Lives a history.
async fn live(history: &History) -> Lived {
    let rig = Rig::new();
    let disk = tempfile::tempdir().unwrap();
    let mut engine = rig.start_with_disk(&disk.path().join("first")).await;
    let id = engine.submit(job(&rig, history, history.lives[0].0)).await.unwrap().id;
    for (life, pair) in history.lives.windows(2).enumerate() {
        let so_far = engine.job(id).unwrap().checkpoints.completed;
        let is_over = |status: &JobStatus| {
            status.state == JobState::Finished || status.checkpoints.completed >= so_far + pair[0].1
        };
        wait_until(&engine, id, is_over).await;
        let next = job(&rig, history, pair[1].0);
        if !history.crashes {
            upgrade(&engine, id, next).await;
            continue;
        }
        drop(engine);
        want(&rig, id, next).await;
        engine = rig.start_with_disk(&disk.path().join(life.to_string())).await;
    }
    let status = wait_for(&engine, id, JobState::Finished).await;
    assert!(status.failures.is_empty() && status.dead_letters == 0, "{:?}", status.failures);
    Lived::of(&rig, &status)
}

/// Has a running job become another, and waits until it has taken a checkpoint as such.
async fn upgrade(engine: &Engine, id: JobId, spec: JobSpec) {
    match engine.upgrade(id, spec, Upgrading::default()).await {
        Ok(upgraded) => {
            let is_done = |status: &JobStatus| status.state == JobState::Finished || status.former.is_empty();
            let status = wait_until(engine, id, is_done).await;
            assert_eq!((status.spec_number, status.undone), (upgraded.spec, None));
        }
        // It has ended, or so many of its subtasks have that it cannot be changed any more.
        Err(EngineError::NotRunning { .. } | EngineError::Unchangeable(Refusal::Unfit(_))) => {}
        Err(error) => panic!("{error}"),
    }
}

/// Every record is counted once, in every kind of state.
pub(super) fn check(history: &History, Lived { published: lines, operator }: &Lived) {
    let keys = history.keys.min(history.records);
    let of = |kind: &str| lines.iter().filter_map(|line| line.strip_prefix(kind)).collect::<Vec<_>>();
    let numbers = |kind: &str| of(kind).iter().map(|number| number.parse().unwrap()).collect::<Vec<u64>>();
    let counts: Vec<String> = lines.iter().filter(|line| line.starts_with('k')).cloned().collect();
    check_counts(&counts, history.records, usize::try_from(keys).unwrap());

    let timers: Vec<(&str, u64)> = of("timer ")
        .iter()
        .map(|fired| fired.split_once(' ').map(|(timer, listed)| (timer, listed.parse().unwrap())).unwrap())
        .collect();
    let distinct: BTreeSet<_> = timers.iter().map(|(timer, _)| *timer).collect();
    assert_eq!(distinct.len(), timers.len(), "a timer fired twice");
    assert_eq!(timers.iter().map(|(_, listed)| listed).sum::<u64>(), history.records, "each record was in one list");

    assert_eq!(numbers("rows=").iter().sum::<u64>(), history.records, "each element of a split list is on one subtask");
    let batches: BTreeMap<_, _> = of("batch=").iter().map(|batch| batch.split_once(':').unwrap()).collect();
    let rows: u64 = batches.values().map(|rows| rows.parse::<u64>().unwrap()).sum();
    assert_eq!(rows, history.records, "each element of a union list is on some subtask");
    assert_eq!(numbers("rules="), vec![history.rules; *operator], "every subtask has every rule");
}

fn in_simulated_time<T>(run: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(run)
}

#[test]
fn at_any_parallelism_a_job_goes_on_with_all_of_its_state_exactly_once() {
    let mut runner = TestRunner::new(ProptestConfig { cases: 12, failure_persistence: None, ..Default::default() });
    let outcome = runner.run(&history(), |history| {
        check(&history, &in_simulated_time(live(&history)));
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

pub(super) fn lives(lives: &[(u32, u32, u64)]) -> History {
    let lives = lives.iter().map(|&(source, operator, last)| (Parallelism { source, operator }, last)).collect();
    History { records: 12_000, keys: 5, rules: 100, max_parallelism: 6, spills: false, crashes: true, lives }
}

/// Four splits on three subtasks: two of these end first. On two subtasks, what one of them has is more.
#[tokio::test(start_paused = true)]
async fn a_subtask_that_had_finished_is_not_taken_for_another_of_its_index() {
    let history = lives(&[(4, 2, 1), (3, 2, 0), (2, 2, 0)]);
    let rig = Rig::new();
    let engine = rig.start(&Faults::default()).await;
    let id = engine.submit(job(&rig, &history, history.lives[0].0)).await.unwrap().id;
    wait_until(&engine, id, |status| status.checkpoints.completed >= 1).await;
    drop(engine);
    want(&rig, id, job(&rig, &history, history.lives[1].0)).await;
    let engine = rig.start(&Faults::default()).await;
    let second = SubtaskId { uid: uid("numbers"), index: 1 };
    let mut seen = 0;
    while !rig.newest_manifest(id).await.finished.contains(&second) {
        wait_until(&engine, id, |status| status.checkpoints.completed > seen).await;
        seen = engine.job(id).unwrap().checkpoints.completed;
    }
    drop(engine);
    want(&rig, id, job(&rig, &history, history.lives[2].0)).await;
    let engine = rig.start(&Faults::default()).await;
    let status = wait_for(&engine, id, JobState::Finished).await;
    check(&history, &Lived::of(&rig, &status));
}

#[tokio::test(start_paused = true)]
async fn a_parallelism_above_the_maximum_that_the_job_began_with_is_refused_by_name() {
    let history = lives(&[(1, 2, 1)]);
    let rig = Rig::new();
    let engine = rig.start(&Faults::default()).await;
    let id = engine.submit(job(&rig, &history, history.lives[0].0)).await.unwrap().id;
    wait_until(&engine, id, |status| status.checkpoints.completed >= 1).await;
    drop(engine);
    let wider = History { max_parallelism: 128, ..history };
    want(&rig, id, job(&rig, &wider, Parallelism { source: 1, operator: 7 })).await;
    let engine = rig.start(&Faults::default()).await;
    let status = wait_until(&engine, id, |status| !status.failures.is_empty()).await;
    let failure = &status.failures[0].message;
    assert!(failure.contains("`count`: parallelism must be between 1 and 6, not 7"), "{failure}");
}
