//! A change that comes while the job's last entry is on its way.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use weir_protocol::id::{EntryNumber, JobId};
use weir_protocol::job_spec::{CheckpointSpec, JobSpec};

use super::super::operators::Faults;
use super::super::rig::{Rig, check_counts, generator_job, wait_for, wait_until};
use super::with_parallelism;
use crate::checkpoint::chain::SpecChain;
use crate::job::{Engine, EngineError, JobState, Upgraded, Upgrading};
use crate::store::Store;
use crate::store::troubled::{Moment, Troubled};

/// What comes of a change.
type Answer = BoxFuture<'static, Result<Upgraded, EngineError>>;

async fn start_over(rig: &Rig, store: &Troubled) -> Engine {
    rig.start_over(Arc::new(store.clone()), &Faults::default(), Handle::current()).await
}

/// A job whose last checkpoint is its only one.
async fn soon_over(rig: &Rig, engine: &Engine) -> (JobId, JobSpec) {
    let mut spec = generator_job(rig, "count", 400, 5);
    spec.checkpoint = Some(CheckpointSpec::every_ms(60_000));
    let job = engine.submit(spec.clone()).await.unwrap().id;
    wait_for(engine, job, JobState::Running).await;
    (job, spec)
}

/// Asks for a change just before the last entry of such a job is created, has it written down, and then does this.
fn change_at_the_end(
    rig: &Rig,
    (engine, store): (&Engine, &Troubled),
    (job, spec): (JobId, JobSpec),
    deed: impl FnOnce() + Send + 'static,
) -> oneshot::Receiver<Answer> {
    let (begun, is_begun) = oneshot::channel();
    let (engine, end, clock) = (engine.clone(), store.clone(), rig.clock);
    let specs = SpecChain::new(Store::new(rig.store(), clock), clock, job);
    // The entry of the last checkpoint, and then the one behind it.
    store.intrude(Moment::Entry, async move {
        end.intrude(Moment::Entry, async move {
            let changing = engine.upgrade(job, with_parallelism(&spec, 3), Upgrading::default());
            while specs.newest().await.unwrap().entry.number == EntryNumber(0) {
                clock.sleep(Duration::from_millis(1)).await;
            }
            clock.sleep(Duration::from_millis(10)).await;
            deed();
            assert!(begun.send(changing.boxed()).is_ok());
        });
    });
    is_begun
}

#[tokio::test(start_paused = true)]
async fn a_change_that_comes_while_the_last_entry_is_on_its_way_is_refused_once_that_stands() {
    let rig = Rig::new();
    let store = Troubled::new(rig.store());
    let engine = start_over(&rig, &store).await;
    let (job, spec) = soon_over(&rig, &engine).await;
    let changing = change_at_the_end(&rig, (&engine, &store), (job, spec), || {}).await.unwrap();
    let refused = changing.await;
    assert!(matches!(refused, Err(EngineError::NotRunning { ended: true, .. })), "{refused:?}");
    let status = wait_for(&engine, job, JobState::Finished).await;
    assert_eq!((status.spec_number, status.former.len()), (EntryNumber(0), 0));
    let shown = start_over(&rig, &store).await.job(job).unwrap();
    assert_eq!((shown.spec_number, shown.state), (EntryNumber(0), JobState::Finished));
    check_counts(&rig.published(job), 400, 5);
}

/// Nobody knows whether it stands; it does, as the next process finds.
#[tokio::test(start_paused = true)]
async fn a_change_that_comes_while_the_last_entry_has_no_answer_is_not_accepted_when_the_engine_stops() {
    let rig = Rig::new();
    let store = Troubled::new(rig.store());
    let engine = start_over(&rig, &store).await;
    let (job, spec) = soon_over(&rig, &engine).await;
    let away = store.clone();
    let is_begun = change_at_the_end(&rig, (&engine, &store), (job, spec), move || away.set_silent(true));
    let changing = is_begun.await.unwrap();
    wait_until(&engine, job, |status| !status.failures.is_empty()).await;
    engine.stop().await;
    let unknown = changing.await.unwrap_err();
    assert!(unknown.to_string().contains("stopped while the job was ending"), "{unknown}");
    store.set_silent(false);
    let shown = start_over(&rig, &store).await.job(job).unwrap();
    assert_eq!((shown.spec_number, shown.state), (EntryNumber(0), JobState::Finished));
    check_counts(&rig.published(job), 400, 5);
}
