//! What people are told while the store does not answer.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::operators::Faults;
use super::rig::{Rig, check_counts, endless, wait_for, wait_until};
use crate::job::{CheckpointState, JobState};
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
