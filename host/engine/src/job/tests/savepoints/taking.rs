//! What happens while a savepoint is taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use object_store::ObjectStore;
use object_store::memory::InMemory;
use tokio::runtime::Handle;
use weir_protocol::id::JobId;

use super::super::operators::Faults;
use super::super::rig::{Rig, check_counts, following, generator_job, wait_for, wait_until};
use super::{RECORDS, another, ask, begin, check_goes_on, counting, counts, from, settled, taken};
use crate::checkpoint::savepoint;
use crate::clock::Clock;
use crate::job::{Engine, EngineError, JobState, SavepointAsk, SavepointStatus};
use crate::store::troubled::{Moment, Troubled};
use crate::store::{Everywhere, ObjectName, Places, Store, StoreError};

/// Savepoints go to this store.
#[derive(Debug)]
struct To(Troubled);

impl Places for To {
    fn open(&self, location: &str, clock: &Clock) -> Result<Arc<dyn ObjectStore>, StoreError> {
        if location.contains("savepoint-") { Ok(Arc::new(self.0.clone())) } else { Everywhere.open(location, clock) }
    }
}

/// A job that has taken some checkpoints, and a place for its savepoints that can be troubled.
struct Counting {
    rig: Rig,
    target: tempfile::TempDir,
    troubled: Troubled,
    engine: Engine,
    job: JobId,
}

impl Counting {
    async fn after(checkpoints: u64) -> Self {
        let (rig, target) = (Rig::new(), tempfile::tempdir().unwrap());
        let troubled = Troubled::new(Arc::new(InMemory::new()));
        let engine = rig.start_with_places(Arc::new(To(troubled.clone()))).await;
        let job = engine.submit(counting(&rig)).await.unwrap().id;
        wait_until(&engine, job, |status| status.checkpoints.completed >= checkpoints).await;
        Self { rig, target, troubled, engine, job }
    }
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_is_not_collected_while_it_is_copied() {
    let Counting { rig, target, troubled, engine, job } = Counting::after(4).await;
    let (watching, first) = (engine.clone(), engine.job(job).unwrap().checkpoints.completed);
    let is_pinned = Arc::new(AtomicBool::new(false));
    let pinned = Arc::clone(&is_pinned);
    troubled.intrude(Moment::File, async move {
        wait_for(&watching, job, JobState::Finished).await;
        let shared = &watching.inner.shared;
        pinned.store(shared.holds.has(job, shared.clock.now()), Ordering::Relaxed);
        assert!(
            watching.job(job).unwrap().checkpoints.completed > first + 5,
            "others were taken and dropped meanwhile"
        );
    });
    let location = taken(&engine, job, ask(target.path())).await;
    assert!(is_pinned.load(Ordering::Relaxed), "nothing of the job is collected meanwhile");
    let is_held = || engine.inner.shared.holds.has(job, engine.inner.shared.clock.now());
    assert!(!is_held(), "and then it is");
    let store = Store::new(Arc::new(troubled), rig.clock);
    let manifest = savepoint::read(&store, &location).await.unwrap().manifest;
    assert!(manifest.objects().count() > 3, "more than are copied at once: {manifest:?}");
    assert!(manifest.checkpoint.0 < first + 5);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_dies_while_a_savepoint_is_taken_leaves_none_and_the_job_goes_on() {
    let Counting { rig, target, troubled, engine, job } = Counting::after(2).await;
    let (reached, is_reached) = tokio::sync::oneshot::channel();
    troubled.intrude(Moment::File, async move {
        reached.send(()).unwrap();
        std::future::pending::<()>().await;
    });
    engine.savepoint(job, ask(target.path())).unwrap();
    is_reached.await.unwrap();
    drop(engine);
    let store = Store::new(Arc::new(troubled), rig.clock);
    let engine = rig.start(&Faults::default()).await;
    let none = savepoint::read(&store, "there").await.unwrap_err();
    assert!(none.to_string().contains("there is no savepoint"), "{none}");
    wait_for(&engine, job, JobState::Finished).await;
    check_counts(&rig.published(job), RECORDS, usize::try_from(super::KEYS).unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_savepoint_that_cannot_be_written_fails_and_the_job_runs_on() {
    let Counting { rig: _rig, target, troubled, engine, job } = Counting::after(2).await;
    troubled.set_full(true);
    let request = engine.savepoint(job, ask(target.path())).unwrap();
    let SavepointStatus::Failed { message, .. } = settled(&engine, job, request).await else { panic!("it was taken") };
    assert!(message.contains("No space left on device"), "{message}");
    troubled.set_full(false);
    taken(&engine, job, ask(target.path())).await;
    let status = wait_for(&engine, job, JobState::Finished).await;
    assert!(status.failures.is_empty(), "{:?}", status.failures);
}

#[tokio::test(start_paused = true)]
async fn a_savepoint_of_an_idle_job_holds_all_that_came() {
    let (rig, target) = (Rig::new(), tempfile::tempdir().unwrap());
    let input = tempfile::tempdir().unwrap();
    std::fs::write(input.path().join("a"), "x\ny\nx\n").unwrap();
    let engine = rig.start(&Faults::default()).await;
    let mut spec = following(&rig, input.path());
    // Nobody waits for an interval.
    spec.checkpoint.as_mut().unwrap().interval_ms = 3_600_000;
    let job = engine.submit(spec).await.unwrap().id;
    wait_until(&engine, job, |status| status.sinks[0].recent.len() == 3).await;
    // The first checkpoint holds what came, the second that its results are published, and the third would be the same.
    for _ in 0..3 {
        let location = taken(&engine, job, ask(target.path())).await;
        let held: Vec<_> = counts(&engine, &location).await.into_iter().collect();
        assert_eq!(held, [("x".to_owned(), 2), ("y".to_owned(), 1)]);
    }
    let status = engine.job(job).unwrap();
    assert!(status.checkpoints.skipped > 0, "nothing had changed before the last: {:?}", status.checkpoints);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_made_again_is_the_same_and_one_of_an_ended_job_is_as_good() {
    let (rig, target) = (Rig::new(), tempfile::tempdir().unwrap());
    let engine = rig.start_over(rig.store(), &Faults::default(), Handle::current()).await;
    let job = engine.submit(counting(&rig)).await.unwrap().id;
    wait_until(&engine, job, |status| status.checkpoints.completed >= 2).await;
    engine.cancel(job).await.unwrap();
    wait_for(&engine, job, JobState::Canceled).await;
    let named = SavepointAsk { request: Some(weir_protocol::id::Nonce(7)), ..ask(target.path()) };
    let location = taken(&engine, job, named.clone()).await;
    assert_eq!(taken(&engine, job, named).await, location);
    assert_eq!(std::fs::read_dir(target.path()).unwrap().count(), 1);
    let held = counts(&engine, &location).await;
    let published = rig.published(job);
    assert_eq!(held.values().sum::<u64>(), published.len() as u64, "it has published all that it counted");
    let other = begin(&engine, another(&rig, &counting(&rig)), &from(&location)).await.unwrap().id;
    wait_for(&engine, other, JobState::Finished).await;
    check_goes_on(&rig.published_at("of-another", other), held);
}

#[tokio::test(start_paused = true)]
async fn what_was_copied_for_a_job_that_never_began_goes_an_hour_later() {
    let (rig, target) = (Rig::new(), tempfile::tempdir().unwrap());
    let engine = rig.start(&Faults::default()).await;
    let job = engine.submit(counting(&rig)).await.unwrap().id;
    wait_until(&engine, job, |status| status.checkpoints.completed >= 2).await;
    let location = taken(&engine, job, SavepointAsk { stops: true, ..ask(target.path()) }).await;
    let of_others = async || {
        let objects = rig.objects().await.into_iter();
        objects.filter(|name| !name.contains(&job.to_string())).collect::<Vec<_>>()
    };
    let prepared = engine.prepare(another(&rig, &counting(&rig)), &from(&location)).await.unwrap();
    drop(engine);
    drop(prepared);
    let copied = of_others().await;
    assert!(!copied.is_empty());
    drop(rig.start(&Faults::default()).await);
    assert_eq!(of_others().await, copied, "somebody may be about to begin it");
    rig.clock.sleep(std::time::Duration::from_secs(2 * 60 * 60)).await;
    drop(rig.start(&Faults::default()).await);
    assert_eq!(of_others().await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn what_is_damaged_in_the_jobs_store_is_not_copied_and_named() {
    let (rig, target) = (Rig::new(), tempfile::tempdir().unwrap());
    let engine = rig.start(&Faults::default()).await;
    let job = engine.submit(counting(&rig)).await.unwrap().id;
    wait_until(&engine, job, |status| status.checkpoints.completed >= 2).await;
    engine.cancel(job).await.unwrap();
    wait_for(&engine, job, JobState::Canceled).await;
    let manifest = rig.newest_manifest(job).await;
    let damaged = manifest.objects().next().unwrap();
    let (store, name) = (Store::new(rig.store(), rig.clock), ObjectName::of_manifest(job, &damaged.name).unwrap());
    let mut bytes = store.get(&name).await.unwrap().unwrap().to_vec();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    store.put(&name, bytes.into()).await.unwrap();
    let request = engine.savepoint(job, ask(target.path())).unwrap();
    let SavepointStatus::Failed { message, .. } = settled(&engine, job, request).await else { panic!("it was taken") };
    assert!(message.contains(&damaged.name), "{message}");
    assert_eq!(std::fs::read_dir(target.path()).unwrap().count(), 0, "nothing is left of it");
}

/// A savepoint in memory, which [`To`] opens under whatever name.
const ANYWHERE: &str = "memory://savepoint-";

#[tokio::test(start_paused = true)]
async fn a_document_that_comes_late_finds_all_that_it_names() {
    let Counting { rig: _rig, target, troubled, engine, job } = Counting::after(2).await;
    troubled.delay_documents();
    let at_a_cloud = SavepointAsk { target: "s3://bucket".to_owned(), ..ask(target.path()) };
    let request = engine.savepoint(job, at_a_cloud).unwrap();
    let SavepointStatus::Failed { message, .. } = settled(&engine, job, request).await else { panic!("it was taken") };
    assert!(message.contains("_metadata") && message.contains("may be there"), "{message}");
    troubled.come().await;
    assert_eq!(damaged(&engine).await, Vec::<String>::new());
}

/// What of the savepoint in memory does not verify.
async fn damaged(engine: &Engine) -> Vec<String> {
    let opened = engine.open_savepoint(ANYWHERE).await.unwrap();
    let mut verification = opened.inspector.verify(crate::checkpoint::inspect::Which::Newest).await.unwrap();
    let mut damaged = Vec::new();
    while let Some(verdict) = verification.next().await.unwrap() {
        damaged.extend(verdict.damage.map(|damage| format!("{}: {damage}", verdict.object)));
    }
    damaged
}

#[tokio::test(start_paused = true)]
async fn what_was_deleted_while_a_savepoint_was_taken_does_not_become_one() {
    let Counting { rig, target, troubled, engine, job } = Counting::after(2).await;
    engine.cancel(job).await.unwrap();
    wait_for(&engine, job, JobState::Canceled).await;
    let (deleting, clock) = (engine.clone(), rig.clock);
    troubled.intrude(Moment::File, async move {
        // One object takes hours, and the others look left behind meanwhile.
        clock.sleep(std::time::Duration::from_secs(2 * 60 * 60)).await;
        deleting.dispose_savepoint(ANYWHERE).await.unwrap();
    });
    let request = engine.savepoint(job, ask(target.path())).unwrap();
    let SavepointStatus::Failed { message, .. } = settled(&engine, job, request).await else { panic!("it was taken") };
    assert!(message.contains("is missing"), "{message}");
    let store = Store::new(Arc::new(troubled), rig.clock);
    savepoint::read(&store, "there").await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_job_that_waits_is_stopped_with_a_savepoint() {
    let (rig, target) = (Rig::new(), tempfile::tempdir().unwrap());
    let engine = rig.start(&Faults::default()).await;
    let stops = SavepointAsk { stops: true, ..ask(target.path()) };
    let hasty = engine.submit(generator_job(&rig, "clockwork", 100, 5)).await.unwrap().id;
    wait_for(&engine, hasty, JobState::Suspended).await;
    let request = engine.savepoint(hasty, stops.clone()).unwrap();
    let SavepointStatus::Failed { message, .. } = settled(&engine, hasty, request).await else { panic!("of what?") };
    assert!(message.contains("no completed checkpoint yet"), "{message}");
    assert_eq!(engine.job(hasty).unwrap().state, JobState::Suspended, "it is not ended for nothing");
    let mut slower = generator_job(&rig, "clockwork", 5_000, 5);
    slower.name = "slower".parse().unwrap();
    let job = engine.submit(slower).await.unwrap().id;
    wait_for(&engine, job, JobState::Suspended).await;
    taken(&engine, job, stops).await;
    assert_eq!(engine.job(job).unwrap().state, JobState::Canceled);
}

#[tokio::test(start_paused = true)]
async fn only_so_many_savepoints_are_taken_at_once_and_none_of_them_is_forgotten() {
    let (rig, target) = (Rig::new(), tempfile::tempdir().unwrap());
    let engine = rig.start(&Faults::default()).await;
    let job = engine.submit(counting(&rig)).await.unwrap().id;
    wait_until(&engine, job, |status| status.checkpoints.completed >= 2).await;
    let mut requests = Vec::new();
    let refused = loop {
        match engine.savepoint(job, ask(target.path())) {
            Ok(request) => requests.push(request),
            Err(refused) => break refused,
        }
        assert!(requests.len() < 100, "each has some parts of objects in memory");
    };
    assert!(matches!(refused, EngineError::SavepointLimit(at_once) if at_once == requests.len()), "{refused}");
    for request in requests {
        let ended = settled(&engine, job, request).await;
        assert!(matches!(ended, SavepointStatus::Completed { .. }), "{ended:?}");
    }
    taken(&engine, job, ask(target.path())).await;
}

#[tokio::test(start_paused = true)]
async fn a_job_that_cannot_be_stopped_with_a_savepoint_goes_on() {
    let Counting { rig, target, troubled, engine, job } = Counting::after(2).await;
    troubled.set_full(true);
    let request = engine.savepoint(job, SavepointAsk { stops: true, ..ask(target.path()) }).unwrap();
    let SavepointStatus::Failed { message, .. } = settled(&engine, job, request).await else { panic!("it was taken") };
    assert!(message.contains("No space left on device") && message.ends_with("; the job goes on"), "{message}");
    assert_eq!(engine.job(job).unwrap().state, JobState::Running);
    wait_for(&engine, job, JobState::Finished).await;
    check_counts(&rig.published(job), RECORDS, usize::try_from(super::KEYS).unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_savepoint_of_a_job_that_was_stopped_holds_what_it_published_and_nothing_else() {
    let Counting { rig, target, troubled, engine, job } = Counting::after(2).await;
    let first = engine.job(job).unwrap().checkpoints.completed;
    let watching = engine.clone();
    troubled.intrude(Moment::File, async move {
        // Meanwhile the job goes on.
        wait_until(&watching, job, |status| status.checkpoints.completed >= first + 4).await;
    });
    let location = taken(&engine, job, SavepointAsk { stops: true, ..ask(target.path()) }).await;
    assert_eq!(engine.job(job).unwrap().state, JobState::Canceled);
    let store = Store::new(Arc::new(troubled), rig.clock);
    let savepoint = savepoint::read(&store, &location).await.unwrap();
    assert!(savepoint.ended && savepoint.manifest.checkpoint.0 >= first + 4, "{savepoint:?}");
    assert_eq!(damaged(&engine).await, Vec::<String>::new());
    let named: std::collections::BTreeSet<_> = savepoint.manifest.objects().map(|object| object.name.clone()).collect();
    let there = store.list(&crate::store::Prefix::everything()).await.unwrap();
    assert_eq!(there.len(), named.len() + 1, "what only the first of both checkpoints named is gone");
    let held: u64 = counts(&engine, ANYWHERE).await.values().sum();
    assert_eq!(held, rig.published(job).len() as u64);
}
