//! What people are told while the store does not answer.

use std::sync::Arc;

use tokio::runtime::Handle;
use weir_protocol::chain::Wanted;
use weir_protocol::job_graph::{StateBackend, StateSpec};
use weir_protocol::job_spec::{CheckpointSpec, RestartSpec};

use super::operators::Faults;
use super::rig::{Rig, check_counts, endless, generator_job, wait_for, wait_until};
use crate::checkpoint::chain::SpecChain;
use crate::clock::Entropy;
use crate::job::{CheckpointState, JobState};
use crate::store::Store;
use crate::store::troubled::Troubled;

#[tokio::test(start_paused = true)]
async fn while_an_entry_has_no_answer_the_job_and_its_checkpoint_say_so() {
    let rig = Rig::new();
    let store = Troubled::new(rig.store());
    let engine = rig.start_over(Arc::new(store.clone()), &Faults::default(), Handle::current()).await;
    let job = engine.submit(endless(&rig)).await.unwrap().id;
    wait_until(&engine, job, |status| status.checkpoints.completed >= 1).await;
    store.set_silent(true);
    let status = wait_until(&engine, job, |status| !status.failures.is_empty()).await;
    assert_eq!((status.state, status.failures.len()), (JobState::Running, 1));
    let told = &status.failures[0].message;
    assert!(told.contains("no answer") && told.contains("tried again until the store has it"), "{told}");
    let waits = &status.checkpoints.history[0];
    assert_eq!((waits.state, waits.failure.as_ref()), (CheckpointState::InProgress, Some(told)));
    rig.clock.sleep(std::time::Duration::from_secs(30)).await;
    let status = engine.job(job).unwrap();
    assert!(status.failures.len() <= 2, "it is told once: {:?}", status.failures);
    store.set_silent(false);
    let completed = status.checkpoints.completed;
    let status = wait_until(&engine, job, |status| status.checkpoints.completed > completed + 1).await;
    assert_eq!(status.attempts, 1, "nothing was given up");
    let latest = status.checkpoints.latest_completed.unwrap();
    assert_eq!(latest.failure, None);
    engine.cancel(job).await.unwrap();
    wait_for(&engine, job, JobState::Canceled).await;
    let lines = rig.published(job);
    check_counts(&lines, lines.len() as u64, 5);
}

/// State that outgrows its memory leaves within an epoch, and its operator waits for that.
#[tokio::test(start_paused = true)]
async fn a_checkpoint_that_waits_for_what_cannot_be_saved_fails_with_the_cause() {
    let rig = Rig::new();
    let (store, disk) = (Troubled::new(rig.store()), tempfile::tempdir().unwrap());
    let engine = rig.start_with_disk_over(Arc::new(store.clone()), disk.path()).await;
    let mut spec = generator_job(&rig, "count", 120_000, 20_000);
    spec.state = StateSpec { backend: StateBackend::RocksDb, memory_bytes: Some(400_000), ..StateSpec::default() };
    spec.checkpoint = Some(CheckpointSpec::every_ms(500));
    let job = engine.submit(spec).await.unwrap().id;
    wait_until(&engine, job, |status| status.checkpoints.completed >= 1).await;
    store.set_full(true);
    let status = wait_until(&engine, job, |status| status.checkpoints.failed >= 1).await;
    let why = status.checkpoints.latest_failed.and_then(|failed| failed.failure).unwrap();
    assert!(why.contains("declined by count[") && why.contains("No space left on device"), "{why}");
    store.set_full(false);
    wait_for(&engine, job, JobState::Finished).await;
    check_counts(&rig.published(job), 120_000, 20_000);
}

/// Cancelled while no process drove it; the next one finds the wish, and then nothing.
#[tokio::test(start_paused = true)]
async fn the_longer_the_store_is_away_the_more_rarely_a_job_tries_to_end() {
    let rig = Rig::new();
    let engine = rig.start(&Faults::default()).await;
    let mut spec = endless(&rig);
    spec.restart = RestartSpec { attempts_max: 3, delay_ms: 100, delay_ms_max: 10_000 };
    let job = engine.submit(spec).await.unwrap().id;
    wait_until(&engine, job, |status| status.checkpoints.completed >= 1).await;
    engine.stop().await;
    let specs = SpecChain::new(Store::new(rig.store(), rig.clock), rig.clock, job);
    specs.want(&Entropy::seeded(9), &Wanted::Cancel).await.unwrap();
    let store = Troubled::new(rig.store());
    let engine = rig.start_over(Arc::new(store.clone()), &Faults::default(), Handle::current()).await;
    store.set_silent(true);
    let status = wait_until(&engine, job, |status| status.failures.len() >= 8).await;
    let times: Vec<_> = status.failures.iter().rev().map(|failure| failure.at).collect();
    let waits: Vec<_> = times.windows(2).map(|times| times[1] - times[0]).collect();
    assert!(waits[0] < 1_000 && waits[6] >= 6_400, "each is twice the one before, beside what a try takes: {waits:?}");
    store.set_silent(false);
    wait_for(&engine, job, JobState::Canceled).await;
}
