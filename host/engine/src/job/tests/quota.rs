//! Jobs whose state comes to its limit: what needs more room is refused, and everything else goes on.

use std::collections::BTreeSet;

use weir_protocol::chain::Wanted;
use weir_protocol::id::JobId;
use weir_protocol::job_graph::{StateBackend, StateSpec};
use weir_protocol::job_spec::{ErrorPolicy, InputSpec, JobSpec, PartitionSpec};

use super::operators::Faults;
use super::rig::{
    Rig, check_counts, endless, generator, generator_job, keyed, operator, output, uid, wait_for, wait_until,
};
use crate::checkpoint::chain::SpecChain;
use crate::clock::Entropy;
use crate::job::{JobState, JobStatus};
use crate::store::Store;

/// What a count is counted with: 16 bytes, its key (two to eight bytes here) and 8 bytes of value, rounded up to 8.
const COUNT_BYTES: u64 = 32;
/// What a count takes of memory.
const RECORD_BYTES: u64 = 24;

fn limited(rig: &Rig, state: StateSpec, keys: u64, counts: u64) -> JobSpec {
    let mut spec = JobSpec { state, ..generator_job(rig, "count", 6_000, keys) };
    spec.limits.state_bytes_max = Some(counts * COUNT_BYTES + COUNT_BYTES - 1);
    spec
}

fn in_memory() -> StateSpec {
    StateSpec::default()
}

fn spilling() -> StateSpec {
    StateSpec { backend: StateBackend::RocksDb, memory_bytes: Some(10_000), ..StateSpec::default() }
}

/// Bytes of the state of the operator, as people are told.
fn shown(status: &JobStatus) -> u64 {
    let vertex = status.vertices.iter().find(|vertex| vertex.uid == uid("count")).unwrap();
    vertex.subtasks.iter().map(|subtask| subtask.state().bytes).sum()
}

fn keys_of(lines: &[String]) -> BTreeSet<&str> {
    lines.iter().map(|line| line.split_once('=').unwrap().0).collect()
}

/// Runs a job with room for so many counts through a crash; each of its keys has as many records as any other.
async fn fill(state: StateSpec, keys: u64, counts: u64) {
    let (rig, disk) = (Rig::new(), tempfile::tempdir().unwrap());
    let engine = rig.start_with_disk(&disk.path().join("first")).await;
    let job = engine.submit(limited(&rig, state, keys, counts)).await.unwrap().id;
    wait_until(&engine, job, |status| status.checkpoints.completed >= 2 && status.dead_letters > 0).await;
    drop(engine);
    let engine = rig.start_with_disk(&disk.path().join("second")).await;
    let status = wait_for(&engine, job, JobState::Finished).await;
    let lines = rig.published(job);
    let held = keys_of(&lines).len() as u64;
    assert_eq!((held, shown(&status)), (counts, counts * COUNT_BYTES));
    assert_eq!(status.dead_letters, 6_000 / keys * (keys - counts), "whose keys are held go on");
    check_counts(&lines, 6_000 - status.dead_letters, usize::try_from(held).unwrap());
    let letters = engine.dead_letters(job, 1).await.unwrap();
    assert!(letters[0].reason.contains("`limits.state`"), "{letters:?}");
}

#[tokio::test(start_paused = true)]
async fn records_for_which_the_jobs_state_has_no_room_go_to_the_dead_letters_and_the_others_go_on() {
    fill(in_memory(), 100, 31).await;
}

#[tokio::test(start_paused = true)]
async fn the_limit_of_a_jobs_state_counts_what_is_on_disk() {
    fill(spilling(), 2_000, 1_200).await;
}

#[tokio::test(start_paused = true)]
async fn a_job_that_outgrows_its_state_fails_or_skips_where_its_policy_says_so() {
    for (policy, end) in [(ErrorPolicy::Fail, JobState::Failed), (ErrorPolicy::Skip, JobState::Finished)] {
        let rig = Rig::new();
        let engine = rig.start(&Faults::default()).await;
        let mut spec = limited(&rig, in_memory(), 100, 31);
        (spec.errors.policy, spec.restart.attempts_max) = (policy, 1);
        let job = engine.submit(spec).await.unwrap().id;
        let status = wait_for(&engine, job, end).await;
        assert!(engine.dead_letters(job, 9).await.unwrap().is_empty());
        if policy == ErrorPolicy::Fail {
            assert!(status.failures[0].message.contains("limit of 1023 bytes"), "{:?}", status.failures);
        } else {
            assert_eq!(status.dead_letters, 60 * 69, "they are counted");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_for_which_a_subtasks_memory_is_too_small_is_undone_and_the_policy_applies() {
    let rig = Rig::new();
    let engine = rig.start(&Faults::default()).await;
    let memory_bytes = Some(31 * RECORD_BYTES + 8);
    let mut spec = JobSpec {
        state: StateSpec { memory_bytes, ..StateSpec::default() },
        ..generator_job(&rig, "count", 2_000, 100)
    };
    spec.operators[0].parallelism = Some(1);
    let job = engine.submit(spec).await.unwrap().id;
    let status = wait_for(&engine, job, JobState::Finished).await;
    assert!(status.failures.is_empty(), "{:?}", status.failures);
    assert_eq!(status.dead_letters, 20 * 69);
    check_counts(&rig.published(job), 20 * 31, 31);
    let letters = engine.dead_letters(job, 1).await.unwrap();
    assert!(letters[0].reason.contains("keyed state of this subtask would pass its limit"), "{letters:?}");
}

async fn want(rig: &Rig, job: JobId, spec: JobSpec) {
    let chain = SpecChain::new(Store::new(rig.store(), rig.clock), rig.clock, job);
    chain.want(&Entropy::seeded(9), &Wanted::Deploy(Box::new(spec))).await.unwrap();
}

/// A job whose 50 keys are all held, then one with a lower limit, three subtasks and, from a record on, 50 more keys.
#[tokio::test(start_paused = true)]
async fn a_job_above_a_limit_that_was_lowered_goes_on_and_only_growth_is_refused() {
    let rig = Rig::new();
    let engine = rig.start(&Faults::default()).await;
    let mut spec = generator_job(&rig, "count-two", 6_000, 50);
    spec.sources.push(generator("more", Some(6_000), Some(20_000), 100));
    spec.operators = vec![operator("count", "count-two", vec![keyed("left", "numbers"), keyed("right", "more")])];
    let mut first = spec.clone();
    first.sources[1] = generator("more", Some(6_000), Some(1), 100);
    let job = engine.submit(first).await.unwrap().id;
    wait_until(&engine, job, |status| status.checkpoints.completed >= 2).await;
    drop(engine);
    let before = keys_of(&rig.published(job)).len() as u64;
    assert!((50..60).contains(&before), "{before} keys");
    spec.limits.state_bytes_max = Some(10 * COUNT_BYTES);
    spec.operators[0].parallelism = Some(3);
    want(&rig, job, spec).await;
    let engine = rig.start(&Faults::default()).await;
    let status = wait_for(&engine, job, JobState::Finished).await;
    assert!(status.failures.is_empty(), "{:?}", status.failures);
    let lines = rig.published(job);
    assert_eq!(shown(&status), keys_of(&lines).len() as u64 * COUNT_BYTES);
    assert!(status.dead_letters > 0);
    check_counts(&lines, 12_000 - status.dead_letters, keys_of(&lines).len());
    assert!(keys_of(&lines).len() < 60, "no key came after the limit was lowered");
}

/// What belongs to no key has no row to blame.
#[tokio::test(start_paused = true)]
async fn a_broadcast_record_for_which_there_is_no_room_fails_the_job() {
    let rig = Rig::new();
    let engine = rig.start(&Faults::default()).await;
    let mut spec = generator_job(&rig, "tally", 10, 1);
    spec.sources.push(generator("rules", Some(300), Some(10_000), 1));
    let to_all = InputSpec { input: "rules".to_owned(), from: output("rules"), partition: PartitionSpec::Broadcast };
    spec.operators = vec![operator("count", "tally", vec![keyed("records", "numbers"), to_all])];
    spec.limits.state_bytes_max = Some(20_000);
    spec.restart.attempts_max = 1;
    let job = engine.submit(spec).await.unwrap().id;
    let status = wait_for(&engine, job, JobState::Failed).await;
    assert!(status.failures[0].message.contains("`limits.state`"), "{:?}", status.failures);
}

#[tokio::test(start_paused = true)]
async fn how_large_each_state_is_can_be_seen_while_the_job_runs() {
    let rig = Rig::new();
    let engine = rig.start(&Faults::default()).await;
    let job = engine.submit(endless(&rig)).await.unwrap().id;
    let metrics = |status: &JobStatus| {
        let vertex = status.vertices.iter().find(|vertex| vertex.uid == uid("count")).unwrap();
        let states = vertex.subtasks.iter().filter_map(|subtask| subtask.state().states.get("count").copied());
        states.fold((0, 0, 0), |(bytes, entries, growth), state| {
            (bytes + state.size.bytes, entries + state.size.entries, growth + state.growth)
        })
    };
    wait_until(&engine, job, |status| metrics(status) == (5 * COUNT_BYTES, 5, 0)).await;
    let status = wait_until(&engine, job, |status| metrics(status).2 != 0).await;
    assert!((1..=160).contains(&metrics(&status).2), "160 bytes in a second or a little more: {:?}", metrics(&status));
    wait_until(&engine, job, |status| metrics(status) == (5 * COUNT_BYTES, 5, 0)).await;
}
