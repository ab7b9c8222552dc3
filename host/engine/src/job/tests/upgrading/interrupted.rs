//! Who asks for a change goes away, or asks at a bad moment: the job becomes what it was accepted to become.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::{BoxFuture, pending};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use weir_protocol::chain::{EntryKind, Start};
use weir_protocol::id::{EntryNumber, JobId, Nonce};
use weir_protocol::job_graph::StateBackend;
use weir_protocol::job_spec::CheckpointSpec;

use super::super::operators::Faults;
use super::super::rig::{Rig, check_counts, endless, generator_job, wait_for, wait_until};
use super::{proven, running, upgrade, with_parallelism};
use crate::checkpoint::chain::{self, RunOwner, SpecChain};
use crate::job::{Engine, EngineError, JobState, Upgrading};
use crate::store::Store;
use crate::store::troubled::{Moment, Troubled};

async fn start_over(rig: &Rig, store: &Troubled) -> Engine {
    rig.start_over(Arc::new(store.clone()), &Faults::default(), Handle::current()).await
}

#[tokio::test(start_paused = true)]
async fn what_was_begun_is_done_though_nobody_waits_for_it_any_more() {
    for turns in 0..40 {
        let rig = Rig::new();
        let engine = rig.start(&Faults::default()).await;
        let spec = endless(&rig);
        let job = running(&engine, spec.clone()).await;
        let turns_pass = async {
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            _ = engine.upgrade(job, with_parallelism(&spec, 3), Upgrading::default()) => {}
            () = turns_pass => {}
        }
        proven(&engine, job, EntryNumber(1)).await;
        let turns_pass = async {
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            _ = engine.cancel(job) => {}
            () = turns_pass => {}
        }
        wait_for(&engine, job, JobState::Canceled).await;
    }
}

#[tokio::test(start_paused = true)]
async fn while_one_job_is_changed_others_are_taken_changed_and_cancelled() {
    let rig = Rig::new();
    let store = Troubled::new(rig.store());
    let engine = start_over(&rig, &store).await;
    let mut spec = endless(&rig);
    let job = running(&engine, spec.clone()).await;
    let (reached, is_reached) = oneshot::channel::<()>();
    store.intrude(Moment::Wish, async {
        reached.send(()).unwrap();
        pending::<()>().await;
    });
    spec.operators[0].component = "newer".to_owned();
    let others = async {
        is_reached.await.unwrap();
        let status = engine.job(job).unwrap();
        assert!(status.components().any(|component| component == "newer"), "it may become what it will use");
        let mut other = endless(&rig);
        other.name = "other".parse().unwrap();
        let id = running(&engine, other.clone()).await;
        let number = upgrade(&engine, id, with_parallelism(&other, 3)).await;
        proven(&engine, id, number).await;
        engine.cancel(id).await.unwrap();
        wait_for(&engine, id, JobState::Canceled).await;
    };
    tokio::select! {
        biased;
        changed = engine.upgrade(job, spec, Upgrading::default()) => panic!("the store does not answer: {changed:?}"),
        () = others => {}
    }
}

/// Somebody takes the job over, and dies. What this process has of it is let go of.
async fn taken_away(rig: &Rig, engine: &Engine, store: &Troubled, moment: Moment) {
    let (inner, clock, engine) = (Store::new(rig.store(), rig.clock), rig.clock, engine.clone());
    store.intrude(moment, async move {
        let job = engine.jobs()[0].id;
        let start = Start {
            nonce: Nonce(1),
            at: 0,
            spec: EntryNumber(0),
            checkpoints_retained: 3,
            new_sources: Default::default(),
        };
        let newest = chain::newest(&inner, job).await.unwrap();
        RunOwner::take_over(inner, clock, newest, &start).unwrap().settle().await.unwrap();
        wait_for(&engine, job, JobState::Suspended).await;
    });
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_let_go_of_while_it_is_cancelled_is_cancelled() {
    let rig = Rig::new();
    let store = Troubled::new(rig.store());
    let engine = start_over(&rig, &store).await;
    let job = running(&engine, endless(&rig)).await;
    taken_away(&rig, &engine, &store, Moment::Wish).await;
    engine.cancel(job).await.unwrap();
    wait_for(&engine, job, JobState::Canceled).await;
    let lines = rig.published(job);
    check_counts(&lines, lines.len() as u64, 5);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_let_go_of_while_it_is_changed_is_changed() {
    let rig = Rig::new();
    let store = Troubled::new(rig.store());
    let engine = start_over(&rig, &store).await;
    let spec = generator_job(&rig, "count", 20_000, 5);
    let job = running(&engine, spec.clone()).await;
    taken_away(&rig, &engine, &store, Moment::Wish).await;
    let number = upgrade(&engine, job, with_parallelism(&spec, 3)).await;
    proven(&engine, job, number).await;
    wait_for(&engine, job, JobState::Finished).await;
    check_counts(&rig.published(job), 20_000, 5);
}

/// It is accepted while the entry of the job's last checkpoint is on its way.
#[tokio::test(start_paused = true)]
async fn a_bounded_job_that_ends_while_it_makes_way_still_becomes_what_was_accepted() {
    let rig = Rig::new();
    let store = Troubled::new(rig.store());
    let engine = start_over(&rig, &store).await;
    let mut spec = generator_job(&rig, "count", 4_000, 5);
    spec.checkpoint = Some(CheckpointSpec::every_ms(60_000));
    let job = engine.submit(spec.clone()).await.unwrap().id;
    wait_for(&engine, job, JobState::Running).await;
    let asked = engine.clone();
    store.intrude(Moment::Entry, async move {
        let upgraded = asked.upgrade(job, with_parallelism(&spec, 2), Upgrading::default()).await;
        assert!(upgraded.unwrap().is_new);
    });
    wait_for(&engine, job, JobState::Finished).await;
    let last = chain::newest(&Store::new(rig.store(), rig.clock), job).await.unwrap().stored.entry;
    assert_eq!((last.kind, last.spec), (EntryKind::Finished, EntryNumber(1)));
    check_counts(&rig.published(job), 4_000, 5);
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_stops_waits_for_what_is_being_changed() {
    let rig = Rig::new();
    let engine = rig.start(&Faults::default()).await;
    let spec = endless(&rig);
    let job = running(&engine, spec.clone()).await;
    let (changed, ()) =
        tokio::join!(engine.upgrade(job, with_parallelism(&spec, 3), Upgrading::default()), engine.stop());
    let chain = SpecChain::new(Store::new(rig.store(), rig.clock), rig.clock, job);
    assert_eq!(chain.newest().await.unwrap().entry.number, changed.unwrap().spec);
    let refused = engine.upgrade(job, spec, Upgrading::default()).await.unwrap_err();
    assert!(refused.to_string().contains("is stopping"), "{refused}");
}

/// At some moment between the entry of its last checkpoint and its end, or behind that.
#[tokio::test(start_paused = true)]
async fn a_change_that_is_accepted_while_the_job_ends_is_made_and_one_that_comes_too_late_is_refused() {
    let mut refused = 0;
    for turns in 0..80 {
        let rig = Rig::new();
        let store = Troubled::new(rig.store());
        let engine = start_over(&rig, &store).await;
        let mut spec = generator_job(&rig, "count", 400, 5);
        spec.checkpoint = Some(CheckpointSpec::every_ms(60_000));
        let job = engine.submit(spec.clone()).await.unwrap().id;
        wait_for(&engine, job, JobState::Running).await;
        let (begun, is_begun) = oneshot::channel();
        store.intrude(Moment::Entry, async move { begun.send(()).unwrap() });
        is_begun.await.unwrap();
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        let changed = engine.upgrade(job, with_parallelism(&spec, 3), Upgrading::default()).await;
        let status = wait_for(&engine, job, JobState::Finished).await;
        let last = chain::newest(&Store::new(rig.store(), rig.clock), job).await.unwrap().stored.entry;
        let became = match changed {
            Ok(changed) => changed.spec,
            Err(error) => {
                assert!(matches!(error, EngineError::NotRunning { ended: true, .. }), "after {turns} turns: {error}");
                refused += 1;
                EntryNumber(0)
            }
        };
        assert_eq!((last.spec, status.spec_number), (became, became), "after {turns} turns");
        check_counts(&rig.published(job), 400, 5);
        let shown = start_over(&rig, &store).await.job(job).unwrap();
        assert_eq!((shown.spec_number, shown.former.len()), (became, 0), "after {turns} turns");
    }
    assert!((1..80).contains(&refused), "{refused} came too late");
}

/// The folder for its local state is missing, so that it waits for a person. It is asked once more while that is found.
#[tokio::test(start_paused = true)]
async fn whoever_asks_once_more_while_the_job_is_let_go_of_is_heard() {
    let rig = Rig::new();
    let disk = tempfile::tempdir().unwrap();
    let engine = rig.start_with_disk(disk.path()).await;
    let mut spec = endless(&rig);
    spec.state.backend = StateBackend::RocksDb;
    let job = running(&engine, spec.clone()).await;
    engine.stop().await;
    let store = Troubled::new(rig.store());
    let engine = start_over(&rig, &store).await;
    let status = wait_for(&engine, job, JobState::Suspended).await;
    assert_eq!(status.failures.len(), 1);
    let (asked, again) = (engine.clone(), spec.clone());
    let ask_again = async move {
        assert!(!asked.upgrade(job, again, Upgrading::default()).await.unwrap().is_new);
    };
    once_it_is_tried(store, engine.clone(), job, ask_again.boxed());
    engine.upgrade(job, spec, Upgrading::default()).await.unwrap();
    let status = wait_until(&engine, job, |status| status.failures.len() >= 3).await;
    assert!(status.failures.iter().all(|failure| failure.message.contains("no folder")), "{:?}", status.failures);
    wait_for(&engine, job, JobState::Suspended).await;
}

/// Does this at the first listing by a job that was woken.
fn once_it_is_tried(store: Troubled, engine: Engine, job: JobId, deed: BoxFuture<'static, ()>) {
    let again = store.clone();
    store.intrude(Moment::Listing, async move {
        if engine.job(job).unwrap().state == JobState::Restarting {
            deed.await;
        } else {
            once_it_is_tried(again, engine, job, deed);
        }
    });
}
