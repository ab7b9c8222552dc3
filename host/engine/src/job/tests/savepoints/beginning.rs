//! What happens while a job begins from a savepoint.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use weir_protocol::id::JobId;
use weir_protocol::job_spec::{CheckpointSpec, JobSpec};

use super::super::operators::Faults;
use super::super::rig::{Rig, generator_job, wait_for, wait_until};
use super::{another, ask, begin, check_goes_on, counts, from, taken};
use crate::job::{Engine, JobState, SavepointAsk};
use crate::store::troubled::{Moment, Troubled};

const RECORDS: u64 = 48_000;
const KEYS: u64 = 12_000;
/// After that nobody believes in what is left behind.
const HOURS: Duration = Duration::from_secs(2 * 60 * 60);

/// A job that was stopped with a savepoint, over a store that can be troubled.
struct Stopped {
    rig: Rig,
    store: Troubled,
    engine: Engine,
    job: JobId,
    location: String,
    _target: tempfile::TempDir,
}

impl Stopped {
    async fn new() -> Self {
        let (rig, target) = (Rig::new(), tempfile::tempdir().unwrap());
        let store = Troubled::new(rig.store());
        let engine = rig.start_over(Arc::new(store.clone()), &Faults::default(), Handle::current()).await;
        let mut spec = generator_job(&rig, "count", RECORDS, KEYS);
        spec.checkpoint = Some(CheckpointSpec::every_ms(200));
        let job = engine.submit(spec).await.unwrap().id;
        wait_until(&engine, job, |status| status.checkpoints.completed >= 2).await;
        let location = taken(&engine, job, SavepointAsk { stops: true, ..ask(target.path()) }).await;
        Self { rig, store, engine, job, location, _target: target }
    }

    fn other(&self) -> JobSpec {
        another(&self.rig, &self.engine.job(self.job).unwrap().spec)
    }

    /// What is in the store for other jobs to begin with.
    async fn copies(&self) -> Vec<String> {
        let objects = self.rig.objects().await.into_iter();
        objects.filter(|name| name.contains("/data/") && !name.contains(&self.job.to_string())).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_dies_at_any_step_of_a_jobs_beginning_leaves_all_of_it_or_nothing() {
    let stopped = Stopped::new().await;
    let held = counts(&stopped.engine, &stopped.location).await;
    let spec = stopped.other();
    let begin_over = async |death: Option<(u64, bool)>| {
        let store = Troubled::new(stopped.rig.store());
        let engine = stopped.rig.start_over(Arc::new(store.clone()), &Faults::default(), Handle::current()).await;
        let before = store.calls();
        if let Some((calls, performs_last)) = death {
            store.die_after(calls, performs_last);
        }
        let begun = begin(&engine, spec.clone(), &from(&stopped.location)).await;
        (begun.map(|submitted| submitted.id), store.calls() - before)
    };
    let (begun, calls) = begin_over(None).await;
    stopped.rig.forget(begun.unwrap()).await;
    assert!(calls > 10, "only {calls}: each copy is among them");
    let (mut begun_nevertheless, mut never_began) = (0, 0);
    for death in (0..=calls).flat_map(|call| [(call, false), (call, true)]) {
        let (begun, _) = begin_over(Some(death)).await;
        stopped.rig.clock.sleep(HOURS).await;
        let survivor = stopped.rig.start(&Faults::default()).await;
        match survivor.jobs().into_iter().find(|job| job.id != stopped.job) {
            None => {
                never_began += 1;
                assert!(begun.is_err(), "{death:?}: it said that {begun:?} exists");
                assert_eq!(stopped.copies().await, Vec::<String>::new(), "{death:?}");
            }
            Some(other) => {
                begun_nevertheless += 1;
                let status = wait_for(&survivor, other.id, JobState::Finished).await;
                assert!(status.failures.is_empty(), "{death:?}: {:?}", status.failures);
                check_goes_on(&stopped.rig.published_at("of-another", other.id), held.clone());
                stopped.rig.forget(other.id).await;
            }
        }
    }
    assert!(begun_nevertheless > 1 && never_began > 10, "{begun_nevertheless}, {never_began}");
}

#[tokio::test(start_paused = true)]
async fn what_was_copied_goes_once_nobody_waits_for_the_job_to_begin() {
    let stopped = Stopped::new().await;
    let (reached, is_reached) = tokio::sync::oneshot::channel();
    stopped.store.intrude(Moment::File, async move {
        reached.send(()).unwrap();
        std::future::pending::<()>().await;
    });
    let origin = from(&stopped.location);
    tokio::select! {
        biased;
        prepared = stopped.engine.prepare(stopped.other(), &origin) => panic!("{prepared:?}"),
        () = async {
            is_reached.await.unwrap();
            stopped.rig.clock.sleep(Duration::from_secs(1)).await;
        } => assert!(!stopped.copies().await.is_empty()),
    }
    stopped.rig.clock.sleep(Duration::from_secs(1)).await;
    assert_eq!(stopped.copies().await, Vec::<String>::new());
    let prepared = stopped.engine.prepare(stopped.other(), &origin).await.unwrap();
    assert!(!stopped.copies().await.is_empty());
    drop(prepared);
    stopped.rig.clock.sleep(Duration::from_secs(1)).await;
    assert_eq!(stopped.copies().await, Vec::<String>::new());
    begin(&stopped.engine, stopped.other(), &from(&stopped.location)).await.unwrap();
    stopped.rig.clock.sleep(Duration::from_secs(1)).await;
    assert!(!stopped.copies().await.is_empty(), "a job that began keeps them");
}

#[tokio::test(start_paused = true)]
async fn what_is_on_its_way_when_nobody_waits_any_more_goes_once_it_has_come() {
    let stopped = Stopped::new().await;
    let (reached, is_reached) = tokio::sync::oneshot::channel();
    let clock = stopped.rig.clock;
    stopped.store.intrude(Moment::File, async move {
        reached.send(()).unwrap();
        clock.sleep(Duration::from_secs(1)).await;
    });
    let origin = from(&stopped.location);
    tokio::select! {
        biased;
        prepared = stopped.engine.prepare(stopped.other(), &origin) => panic!("{prepared:?}"),
        reached = is_reached => reached.unwrap(),
    }
    clock.sleep(Duration::from_secs(2)).await;
    assert_eq!(stopped.copies().await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_job_does_not_begin_whose_copies_were_taken_for_left_behind() {
    let stopped = Stopped::new().await;
    let prepared = stopped.engine.prepare(stopped.other(), &from(&stopped.location)).await.unwrap();
    stopped.rig.clock.sleep(HOURS).await;
    drop(stopped.rig.start(&Faults::default()).await);
    assert_eq!(stopped.copies().await, Vec::<String>::new());
    let error = stopped.engine.submit_prepared(prepared).await.unwrap_err();
    assert!(error.to_string().contains("is missing"), "{error}");
    assert_eq!(stopped.engine.jobs().len(), 1);
}
