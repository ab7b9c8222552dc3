//! Looking into a job that runs.

use std::collections::BTreeMap;
use std::time::Duration;

use weir_protocol::id::JobId;
use weir_protocol::job_spec::CheckpointSpec;

use super::operators::Faults;
use super::rig::{Rig, endless, uid, wait_for, wait_until};
use crate::checkpoint::inspect::{Ask, InspectError, Mark, Which};
use crate::job::{Engine, JobState};

/// A job that retains its newest checkpoint alone, and has taken some.
async fn of_few_checkpoints(rig: &Rig) -> (Engine, JobId) {
    let engine = rig.start(&Faults::default()).await;
    let mut spec = endless(rig);
    spec.checkpoint = Some(CheckpointSpec { retained: 1, ..CheckpointSpec::every_ms(10) });
    let job = engine.submit(spec).await.unwrap().id;
    wait_until(&engine, job, |status| status.checkpoints.completed >= 5).await;
    (engine, job)
}

/// The next two items.
fn ask(after: Option<Mark>) -> Ask {
    let (state, key, lives) = (None, None, BTreeMap::new());
    Ask { operator: uid("count"), state, key, limit: 2, after, lives }
}

#[tokio::test(start_paused = true)]
async fn a_listing_ends_with_the_checkpoint_that_it_began_with_however_many_the_job_takes_meanwhile() {
    let rig = Rig::new();
    let (engine, job) = of_few_checkpoints(&rig).await;
    let inspector = engine.inspector(job).unwrap();
    let (began, first) = inspector.look(Which::Newest, &ask(None)).await.unwrap();
    let (mut keys, mut next) = (first.items, first.next);
    while let Some(after) = next {
        let taken = engine.job(job).unwrap().checkpoints.completed;
        wait_until(&engine, job, |status| status.checkpoints.completed >= taken + 20).await;
        let (of, page) = inspector.look(Which::Newest, &ask(Some(after))).await.unwrap();
        assert_eq!(of.id(), began.id());
        keys.extend(page.items);
        next = page.next;
    }
    assert_eq!(keys.len(), 5, "{keys:?}");
    // Nobody looks any more: what was held goes with one of the next checkpoints.
    let gone = || async { inspector.find(Which::Entry(began.entry)).await };
    while gone().await.is_ok() {
        let taken = engine.job(job).unwrap().checkpoints.completed;
        wait_until(&engine, job, |status| status.checkpoints.completed > taken).await;
    }
    assert_eq!(gone().await.unwrap_err(), InspectError::Gone);
}

#[tokio::test(start_paused = true)]
async fn what_a_listing_needs_stays_when_the_job_ends_and_goes_when_nobody_looks_any_more() {
    let rig = Rig::new();
    let (engine, job) = of_few_checkpoints(&rig).await;
    let inspector = engine.inspector(job).unwrap();
    let (_, first) = inspector.look(Which::Newest, &ask(None)).await.unwrap();
    let taken = engine.job(job).unwrap().checkpoints.completed;
    wait_until(&engine, job, |status| status.checkpoints.completed >= taken + 20).await;
    engine.cancel(job).await.unwrap();
    let ended_at = wait_for(&engine, job, JobState::Canceled).await.ended_at;
    inspector.look(Which::Newest, &ask(first.next)).await.unwrap();
    assert!(rig.entries(job).await.len() > 20, "what came since waits too");
    for _ in 0..60 {
        rig.clock.sleep(Duration::from_secs(1)).await;
    }
    let entries = rig.entries(job).await;
    assert!(entries.len() <= 3, "nobody looks, and nobody will delete them later: {entries:?}");
    assert_eq!(engine.job(job).unwrap().ended_at, ended_at);
}
