//! Jobs whose input has ended, and whose timers set timers.

use weir_protocol::Fault;
use weir_protocol::job_spec::JobSpec;

use super::operators::Faults;
use super::rig::{Rig, generator, generator_job, wait_for};
use crate::job::{JobState, Upgrading};

#[tokio::test(start_paused = true)]
async fn a_job_that_fires_its_last_timers_still_takes_checkpoints() {
    let rig = Rig::new();
    let engine = rig.start(&Faults::default()).await;
    // Time stands still while they fire, or anybody looks: the generator must not wait for it either.
    let sources = vec![generator("numbers", Some(100), None, 5)];
    let mut spec = JobSpec { sources, ..generator_job(&rig, "clockwork", 100, 5) };
    let job = engine.submit(spec.clone()).await.unwrap().id;
    let fired = || engine.job(job).unwrap().vertices[1].subtasks.iter().map(|one| one.timers_fired.get()).sum::<u64>();
    while fired() < 1_000 {
        tokio::task::yield_now().await;
    }
    spec.operators[0].operator = "clock-at-rest".to_owned();
    engine.upgrade(job, spec, Upgrading::default()).await.unwrap();
    let status = wait_for(&engine, job, JobState::Finished).await;
    assert!(status.failures.is_empty(), "{:?}", status.failures);
    assert!(status.checkpoints.restored.is_some(), "it went on from a checkpoint that was taken meanwhile");
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_timers_have_no_end_waits_for_a_version_that_has_one() {
    let rig = Rig::new();
    let engine = rig.start(&Faults::default()).await;
    let mut spec = generator_job(&rig, "clockwork", 100, 5);
    let job = engine.submit(spec.clone()).await.unwrap().id;
    let status = wait_for(&engine, job, JobState::Suspended).await;
    let told = &status.failures[0];
    assert!(told.message.contains("operator `count` sets event-time timers without end"), "{told:?}");
    assert_eq!(told.fault, Fault::Request);
    spec.operators[0].operator = "clock-at-rest".to_owned();
    engine.upgrade(job, spec, Upgrading::default()).await.unwrap();
    wait_for(&engine, job, JobState::Finished).await;
}
