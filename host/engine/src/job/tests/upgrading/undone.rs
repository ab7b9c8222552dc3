//! A change that a job cannot go on with is taken back.

use weir_protocol::chain::{Undone, Wanted};
use weir_protocol::id::EntryNumber;
use weir_protocol::job_spec::{ErrorPolicy, JobSpec};

use super::super::operators::Faults;
use super::super::rig::{Rig, check_counts, endless, generator_job, wait_for};
use super::{proven, running, upgrade, with_operator, with_parallelism};
use crate::checkpoint::chain::SpecChain;
use crate::clock::Entropy;
use crate::job::JobState;
use crate::store::Store;

/// Every record is one that it cannot process, and the job does not bear that.
fn broken(spec: &JobSpec) -> JobSpec {
    let mut next = with_parallelism(&with_operator(spec, "faulty"), 3);
    next.errors.policy = ErrorPolicy::Fail;
    next
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_that_the_job_cannot_go_on_with_is_undone() {
    let rig = Rig::new();
    let faults = Faults { poison: "}", ..Faults::default() };
    let engine = rig.start(&faults).await;
    let spec = generator_job(&rig, "count", 20_000, 5);
    let job = running(&engine, spec.clone()).await;
    let number = upgrade(&engine, job, broken(&spec)).await;
    let status = proven(&engine, job, number.next()).await;
    assert_eq!((status.spec_number, *status.spec == spec), (EntryNumber(2), true));
    let undone = status.undone.unwrap();
    assert_eq!(undone.spec, number);
    assert!(undone.reason.contains("count[") && undone.reason.contains("that I cannot read"), "{undone:?}");
    drop(engine);
    let engine = rig.start(&faults).await;
    assert_eq!(engine.job(job).unwrap().undone, Some(undone), "also after a restart");
    let status = wait_for(&engine, job, JobState::Finished).await;
    assert!(status.failures.is_empty(), "{:?}", status.failures);
    check_counts(&rig.published(job), 20_000, 5);
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_is_undone_though_the_process_dies_at_any_moment() {
    for moment in (0..150).step_by(3) {
        let rig = Rig::new();
        let faults = Faults { poison: "}", ..Faults::default() };
        let engine = rig.start(&faults).await;
        let spec = generator_job(&rig, "count", 8_000, 5);
        let job = running(&engine, spec.clone()).await;
        upgrade(&engine, job, broken(&spec)).await;
        for _ in 0..moment {
            tokio::task::yield_now().await;
        }
        drop(engine);
        let engine = rig.start(&faults).await;
        let status = wait_for(&engine, job, JobState::Finished).await;
        assert_eq!(status.undone.map(|undone| undone.spec), Some(EntryNumber(1)), "after {moment} turns");
        check_counts(&rig.published(job), 8_000, 5);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_undone_is_not_undone_again_and_the_job_fails_as_it_would_have() {
    let rig = Rig::new();
    let faults = Faults { poison: "}", ..Faults::default() };
    let engine = rig.start(&faults).await;
    let spec = endless(&rig);
    let job = running(&engine, spec.clone()).await;
    engine.stop().await;
    let chain = SpecChain::new(Store::new(rig.store(), rig.clock), rig.clock, job);
    // Both what it is wanted to be and what it would go back to fail.
    for wanted in [broken(&spec), broken(&with_parallelism(&spec, 4))] {
        chain.want(&Entropy::seeded(9), &Wanted::Deploy(Box::new(wanted))).await.unwrap();
    }
    let undone = Undone { spec: EntryNumber(1), reason: "it failed".to_owned() };
    let newest = chain.newest().await.unwrap();
    let again = newest.entry.wanted.clone();
    chain.want_next(&newest, &Entropy::seeded(9), again, Some(undone)).await.unwrap().unwrap();
    let engine = rig.start(&faults).await;
    let status = wait_for(&engine, job, JobState::Failed).await;
    assert_eq!(status.attempts, 1);
}

#[tokio::test(start_paused = true)]
async fn a_failed_migration_changes_nothing() {
    let rig = Rig::new();
    let engine = rig.start(&Faults::default()).await;
    let spec = generator_job(&rig, "count", 20_000, 5);
    let job = running(&engine, spec.clone()).await;
    let number = upgrade(&engine, job, with_parallelism(&with_operator(&spec, "count-stubborn"), 3)).await;
    let status = proven(&engine, job, number.next()).await;
    assert_eq!((status.spec_number, *status.spec == spec), (EntryNumber(2), true));
    let undone = status.undone.unwrap();
    assert!(undone.reason.contains("I do not read old values"), "{undone:?}");
    assert_eq!(status.vertices[1].title, "count", "the other one never ran");
    wait_for(&engine, job, JobState::Finished).await;
    check_counts(&rig.published(job), 20_000, 5);
}
