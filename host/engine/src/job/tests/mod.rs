//! Jobs end to end, on native operators and a store in memory. Time is simulated and stands still while anything is
//! done, so that how busy the machine is decides nothing; but where a call holds its thread, it is real.

mod away;
mod full_disk;
mod last_timers;
mod local_state;
mod looking;
mod migrating;
mod operators;
mod places;
mod quota;
mod rescaling;
mod rig;
mod savepoints;
mod tally;
mod upgrading;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::runtime::Handle;
use weir_protocol::Fault;
use weir_protocol::chain::{EntryKind, Next, Start};
use weir_protocol::id::{EntryNumber, JobId, Nonce};
use weir_protocol::job_spec::{CheckpointSpec, ErrorPolicy, RestartSpec};

use super::{Engine, EngineError, Guarantee, JobState};
use crate::checkpoint::chain::{self, RunOwner};
use crate::clock::{Clock, Entropy};
use crate::dead_letter::Payload;
use crate::store::troubled::{Moment, Troubled};
use crate::store::{ChainName, ObjectName, Store};
use operators::Faults;
use rig::{
    Rig, check_counts, endless, following, generator, generator_job, keyed, operator, start_engine, uid, wait_for,
    wait_until,
};

#[tokio::test(start_paused = true)]
async fn a_bounded_job_counts_every_record_and_finishes_with_everything_published() {
    let rig = Rig::new();
    let engine = rig.start(&Faults::default()).await;
    let job = engine.submit(generator_job(&rig, "count", 5_000, 7)).await.unwrap();
    assert!(job.created);
    let status = wait_for(&engine, job.id, JobState::Finished).await;
    assert!(status.failures.is_empty(), "{:?}", status.failures);
    assert_eq!(status.guarantee, Guarantee::ExactlyOnce);
    check_counts(&rig.published(job.id), 5_000, 7);
    let again = rig.start(&Faults::default()).await;
    assert_eq!(again.job(job.id).unwrap().state, JobState::Finished);
}

#[tokio::test(start_paused = true)]
async fn a_job_killed_at_any_point_publishes_exactly_once() {
    let entropy = Entropy::seeded(7);
    let rig = Rig::new();
    let engine = rig.start(&Faults::default()).await;
    let job = engine.submit(generator_job(&rig, "count", 10_000, 5)).await.unwrap().id;
    drop(engine);
    for _ in 0..12 {
        let engine = rig.start(&Faults::default()).await;
        rig.clock.sleep(Duration::from_millis(entropy.bits64() % 90)).await;
        drop(engine);
    }
    let engine = rig.start(&Faults::default()).await;
    wait_for(&engine, job, JobState::Finished).await;
    check_counts(&rig.published(job), 10_000, 5);
}

#[tokio::test(start_paused = true)]
async fn a_job_was_accepted_at_the_same_instant_whichever_process_is_asked() {
    let rig = Rig::new();
    let (store, clock) = (Troubled::new(rig.store()), rig.clock);
    let engine = rig.start_over(Arc::new(store.clone()), &Faults::default(), Handle::current()).await;
    store.intrude(Moment::Wish, async move { clock.sleep(Duration::from_millis(70)).await });
    let job = engine.submit(endless(&rig)).await.unwrap().id;
    let accepted = engine.job(job).unwrap().started_at;
    drop(engine);
    assert_eq!(rig.start(&Faults::default()).await.job(job).unwrap().started_at, accepted);
}

#[tokio::test(start_paused = true)]
async fn of_two_owners_at_once_one_stops_and_nothing_is_doubled() {
    let rig = Rig::new();
    let first = rig.start(&Faults::default()).await;
    let job = first.submit(generator_job(&rig, "count", 10_000, 5)).await.unwrap().id;
    wait_until(&first, job, |status| status.checkpoints.completed >= 2).await;
    let second = rig.start(&Faults::default()).await;
    wait_for(&first, job, JobState::Suspended).await;
    wait_for(&second, job, JobState::Finished).await;
    check_counts(&rig.published(job), 10_000, 5);
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_creation_has_no_answer_is_one_job_however_often_it_is_submitted() {
    let rig = Rig::new();
    let store = Troubled::new(rig.store());
    let engine = rig.start_over(Arc::new(store.clone()), &Faults::default(), Handle::current()).await;
    store.set_silent(true);
    let spec = generator_job(&rig, "count", 100, 5);
    for _ in 0..3 {
        let error = engine.submit(spec.clone()).await.unwrap_err();
        assert_eq!(error.fault(), Fault::Unavailable, "{error}");
    }
    store.set_silent(false);
    let submitted = engine.submit(spec).await.unwrap();
    assert!(!submitted.created);
    wait_for(&engine, submitted.id, JobState::Finished).await;
    drop(engine);
    let engine = rig.start(&Faults::default()).await;
    assert_eq!(engine.jobs().len(), 1);
    check_counts(&rig.published(submitted.id), 100, 5);
}

/// An engine that takes a job over after its first checkpoint, while what is given happens just before its takeover.
async fn taken_over_late(rig: &Rig, deed: impl FnOnce(RunOwner, Store) -> BoxFuture<'static, ()>) -> (Engine, JobId) {
    let first = rig.start(&Faults::default()).await;
    let job = first.submit(generator_job(rig, "count", 100_000, 5)).await.unwrap().id;
    wait_until(&first, job, |status| status.checkpoints.completed >= 1).await;
    drop(first);
    rig.clock.sleep(Duration::from_millis(1)).await;
    let (objects, store) = (Troubled::new(rig.store()), Store::new(rig.store(), rig.clock));
    let start = Start {
        nonce: Nonce(1),
        at: 0,
        spec: EntryNumber(0),
        checkpoints_retained: 3,
        new_sources: Default::default(),
    };
    let newest = chain::newest(&store, job).await.unwrap();
    let other = RunOwner::take_over(store.clone(), rig.clock, newest, &start).unwrap();
    objects.intrude(Moment::Entry, deed(other, store));
    (rig.start_over(Arc::new(objects), &Faults::default(), Handle::current()).await, job)
}

#[tokio::test(start_paused = true)]
async fn a_takeover_that_meets_the_late_one_of_a_dead_process_is_tried_again() {
    let rig = Rig::new();
    let dead = |mut other: RunOwner, _| async move { assert!(other.settle().await.is_ok()) }.boxed();
    let (engine, job) = taken_over_late(&rig, dead).await;
    wait_for(&engine, job, JobState::Finished).await;
    check_counts(&rig.published(job), 100_000, 5);
}

#[tokio::test(start_paused = true)]
async fn a_takeover_that_meets_a_living_owner_leaves_it_the_job() {
    let rig = Rig::new();
    let second = Arc::new(std::sync::OnceLock::new());
    let lives = {
        let (second, store, clock) = (Arc::clone(&second), rig.store(), rig.clock);
        move |other: RunOwner, _| {
            drop(other);
            async move {
                let engine = start_engine(store, clock).await;
                clock.sleep(Duration::from_millis(20)).await;
                second.set(engine).unwrap();
            }
            .boxed()
        }
    };
    let (engine, job) = taken_over_late(&rig, lives).await;
    wait_for(&engine, job, JobState::Suspended).await;
    wait_for(second.get().unwrap(), job, JobState::Finished).await;
    check_counts(&rig.published(job), 100_000, 5);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_the_late_write_of_a_dead_process_ends_is_shown_as_it_ended() {
    let rig = Rig::new();
    let ends = |mut other: RunOwner, _| {
        async move {
            other.settle().await.unwrap();
            let newest = other.newest().unwrap().entry.clone();
            let kind = EntryKind::Failed { reason: "elsewhere".to_owned(), fault: Fault::Bug };
            let (manifest, published) = (newest.manifest, newest.published);
            other.append(Next { nonce: Nonce(2), at: 0, kind, manifest, published }).await.unwrap();
        }
        .boxed()
    };
    let (engine, job) = taken_over_late(&rig, ends).await;
    wait_for(&engine, job, JobState::Failed).await;
}

#[tokio::test(start_paused = true)]
async fn two_inputs_are_counted_together_exactly_once() {
    let rig = Rig::new();
    let mut spec = generator_job(&rig, "count", 3_000, 5);
    spec.sources.push(generator("more", Some(4_000), Some(30_000), 5));
    spec.operators = vec![operator("count", "count-two", vec![keyed("left", "numbers"), keyed("right", "more")])];
    let engine = rig.start(&Faults::default()).await;
    let job = engine.submit(spec).await.unwrap().id;
    wait_until(&engine, job, |status| status.checkpoints.completed >= 1).await;
    drop(engine);
    let engine = rig.start(&Faults::default()).await;
    wait_for(&engine, job, JobState::Finished).await;
    check_counts(&rig.published(job), 7_000, 5);
}

#[tokio::test(start_paused = true)]
async fn subtasks_that_had_finished_stay_finished_when_the_job_resumes() {
    let rig = Rig::new();
    let mut spec = generator_job(&rig, "count", 500, 5);
    spec.sources.push(generator("more", Some(10_000), Some(20_000), 5));
    spec.operators = vec![operator("count", "count-two", vec![keyed("left", "numbers"), keyed("right", "more")])];
    let engine = rig.start(&Faults::default()).await;
    let job = engine.submit(spec).await.unwrap().id;
    for _ in 0..3 {
        let engine = rig.start(&Faults::default()).await;
        wait_until(&engine, job, |status| status.checkpoints.completed >= 2).await;
    }
    let newest = rig.newest_manifest(job).await;
    let finished: Vec<String> = newest.finished.iter().map(ToString::to_string).collect();
    assert_eq!(finished, ["numbers[0]", "numbers[1]"]);
    let engine = rig.start(&Faults::default()).await;
    wait_for(&engine, job, JobState::Finished).await;
    check_counts(&rig.published(job), 10_500, 5);
}

#[tokio::test(start_paused = true)]
async fn a_task_failure_restarts_from_the_newest_entry() {
    let rig = Rig::new();
    let faults = Faults::default();
    let engine = rig.start(&faults).await;
    let job = engine.submit(generator_job(&rig, "faulty", 10_000, 5)).await.unwrap().id;
    wait_until(&engine, job, |status| status.checkpoints.completed >= 2).await;
    faults.panics.store(1, Ordering::Relaxed);
    let status = wait_for(&engine, job, JobState::Finished).await;
    assert_eq!((status.attempts, status.failures.len()), (2, 1));
    assert!(status.failures[0].message.contains("an invariant is broken"), "{:?}", status.failures);
    check_counts(&rig.published(job), 10_000, 5);
}

#[tokio::test(start_paused = true)]
async fn a_restart_before_the_first_checkpoint_doubles_nothing() {
    let rig = Rig::new();
    let faults = Faults::default();
    faults.panics.store(2, Ordering::Relaxed);
    let engine = rig.start(&faults).await;
    let mut spec = generator_job(&rig, "faulty", 2_000, 5);
    spec.restart.delay_ms = 1;
    let job = engine.submit(spec).await.unwrap().id;
    let status = wait_for(&engine, job, JobState::Finished).await;
    assert!(status.attempts >= 2);
    check_counts(&rig.published(job), 2_000, 5);
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_restarts_are_used_up_fails_for_good() {
    let rig = Rig::new();
    let faults = Faults::default();
    faults.panics.store(100, Ordering::Relaxed);
    let engine = rig.start(&faults).await;
    let mut spec = generator_job(&rig, "faulty", 2_000, 5);
    spec.restart = RestartSpec { attempts_max: 2, delay_ms: 1, delay_ms_max: 1 };
    let job = engine.submit(spec).await.unwrap().id;
    let status = wait_for(&engine, job, JobState::Failed).await;
    assert_eq!(status.attempts, 3);
    let told = &status.failures[0];
    assert_eq!(told.fault, Fault::Bug);
    let again = rig.start(&faults).await;
    let status = again.job(job).unwrap();
    assert_eq!((status.state, status.failures[0].fault), (JobState::Failed, told.fault), "who must act is the same");
    assert!(status.failures[0].message.contains("an invariant is broken"), "{:?}", status.failures);
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_store_was_away_comes_back_with_it() {
    let rig = Rig::new();
    let folder = tempfile::tempdir().unwrap();
    let (here, aside) = (folder.path().join("store"), folder.path().join("aside"));
    std::fs::create_dir(&here).unwrap();
    let engine = rig.start_on(&here).await;
    // So many keys that state goes to objects of its own: their upload fails, and with it the attempt.
    let mut spec = generator_job(&rig, "count", 10_000, 2_000);
    spec.restart = RestartSpec { attempts_max: 1, delay_ms: 1, delay_ms_max: 10 };
    let job = engine.submit(spec).await.unwrap().id;
    wait_until(&engine, job, |status| status.checkpoints.completed >= 2).await;
    // A file in the folder's place: whatever is asked of the store fails.
    std::fs::rename(&here, &aside).unwrap();
    std::fs::write(&here, "").unwrap();
    let away = Clock::starting_at(0);
    let has_waited = || away.elapsed() > Duration::from_secs(10);
    let status = wait_until(&engine, job, |status| status.failures.len() >= 4 || has_waited()).await;
    assert!(matches!(status.state, JobState::Running | JobState::Restarting), "{status:?}");
    std::fs::remove_file(&here).unwrap();
    std::fs::rename(&aside, &here).unwrap();
    wait_for(&engine, job, JobState::Finished).await;
    check_counts(&rig.published(job), 10_000, 2_000);
}

#[tokio::test]
async fn stopping_does_not_wait_for_a_call_that_never_returns() {
    let rig = Rig::new();
    let faults = Faults::default();
    let data = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    let engine = rig.start_with_data(&faults, data.handle().clone()).await;
    let mut spec = endless(&rig);
    spec.operators[0].operator = "faulty".to_owned();
    spec.parallelism = 1;
    let job = engine.submit(spec).await.unwrap().id;
    wait_until(&engine, job, |status| status.checkpoints.completed >= 1).await;
    faults.hangs.store(true, Ordering::Relaxed);
    wait_until(&engine, job, |_| faults.is_hanging.load(Ordering::Relaxed)).await;
    let stopped = tokio::select! {
        () = engine.stop() => true,
        () = rig.clock.sleep(Duration::from_secs(30)) => false,
    };
    faults.hangs.store(false, Ordering::Relaxed);
    data.shutdown_background();
    assert!(stopped, "it waits for the call");
    assert_eq!(engine.job(job).unwrap().state, JobState::Suspended);
}

#[tokio::test(start_paused = true)]
async fn a_poisoned_record_goes_to_the_dead_letters_and_the_others_go_on() {
    let rig = Rig::new();
    let faults = Faults { poison: " 77}", ..Faults::default() };
    let engine = rig.start(&faults).await;
    let job = engine.submit(generator_job(&rig, "faulty", 2_000, 1)).await.unwrap().id;
    let status = wait_for(&engine, job, JobState::Finished).await;
    assert_eq!(status.dead_letters, 1);
    check_counts(&rig.published(job), 1_999, 1);
    let letters = engine.dead_letters(job, 10).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!((&letters[0].uid, letters[0].origin.as_str()), (&uid("count"), "input `records`"));
    assert!(letters[0].reason.contains("cannot read"), "{letters:?}");
    assert!(matches!(&letters[0].value, Some(Payload::Text(value)) if value.contains(" 77}")), "{letters:?}");
}

#[tokio::test(start_paused = true)]
async fn without_a_policy_for_bad_records_or_budget_the_job_fails() {
    for (policy, budget) in [(ErrorPolicy::Fail, 10), (ErrorPolicy::DeadLetter, 0), (ErrorPolicy::Skip, 0)] {
        let rig = Rig::new();
        let faults = Faults { poison: " 77}", ..Faults::default() };
        let engine = rig.start(&faults).await;
        let mut spec = generator_job(&rig, "faulty", 2_000, 1);
        spec.errors.policy = policy;
        spec.errors.budget = budget;
        let job = engine.submit(spec).await.unwrap().id;
        let status = wait_for(&engine, job, JobState::Failed).await;
        assert_eq!(status.attempts, 1, "what a guest did wrong is not tried again: {:?}", status.failures);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_job_publishes_what_its_entries_name_and_stays_cancelled() {
    let rig = Rig::new();
    let engine = rig.start(&Faults::default()).await;
    let job = engine.submit(endless(&rig)).await.unwrap().id;
    wait_until(&engine, job, |status| status.checkpoints.completed >= 3).await;
    engine.cancel(job).await.unwrap();
    let status = wait_for(&engine, job, JobState::Canceled).await;
    let lines = rig.published(job);
    check_counts(&lines, lines.len() as u64, 5);
    assert_eq!(status.sinks[0].published, status.checkpoints.latest_completed.map(|latest| latest.id));
    engine.cancel(job).await.unwrap();
    let again = rig.start(&Faults::default()).await;
    assert_eq!(again.job(job).unwrap().state, JobState::Canceled);
}

#[tokio::test(start_paused = true)]
async fn the_newest_checkpoint_is_shown_whichever_process_took_it() {
    let rig = Rig::new();
    let engine = rig.start(&Faults::default()).await;
    let job = engine.submit(generator_job(&rig, "count", 9_000, 700)).await.unwrap().id;
    wait_until(&engine, job, |status| status.checkpoints.completed >= 2).await;
    engine.stop().await;
    let before = engine.job(job).unwrap().checkpoints.newest.unwrap();
    let engine = rig.start(&Faults::default()).await;
    assert_eq!(engine.job(job).unwrap().checkpoints.newest, Some(before));
    let ended = wait_for(&engine, job, JobState::Finished).await.checkpoints;
    let newest = ended.newest.unwrap();
    assert!(newest.id > before.id && newest.size > 0, "{before:?}, {newest:?}");
    assert!(ended.latest_completed.unwrap().size > 0);
    let retained = engine.inspector(job).unwrap().retained().await.unwrap();
    let listed = &retained[0].manifest;
    assert_eq!((listed.checkpoint, listed.bytes()), (newest.id, newest.size), "as in a listing");
    let engine = rig.start(&Faults::default()).await;
    let again = engine.job(job).unwrap().checkpoints;
    assert_eq!((again.newest, again.completed), (Some(newest), 0));
}

#[tokio::test(start_paused = true)]
async fn a_stopped_job_resumes_at_the_next_start() {
    let rig = Rig::new();
    let engine = rig.start(&Faults::default()).await;
    let job = engine.submit(generator_job(&rig, "count", 5_000, 5)).await.unwrap().id;
    wait_until(&engine, job, |status| status.checkpoints.completed >= 1).await;
    engine.stop().await;
    assert_eq!(engine.job(job).unwrap().state, JobState::Suspended);
    assert!(engine.submit(endless(&rig)).await.is_err());
    let engine = rig.start(&Faults::default()).await;
    wait_for(&engine, job, JobState::Finished).await;
    check_counts(&rig.published(job), 5_000, 5);
}

#[tokio::test(start_paused = true)]
async fn a_name_runs_one_spec_at_a_time() {
    let rig = Rig::new();
    let engine = rig.start(&Faults::default()).await;
    let spec = endless(&rig);
    let (one, two) = tokio::join!(engine.submit(spec.clone()), engine.submit(spec.clone()));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one.id, two.id);
    assert_ne!(one.created, two.created);
    let mut other = spec.clone();
    other.operators[0].config = serde_json::json!({"other": true});
    assert!(
        matches!(engine.submit(other.clone()).await, Err(EngineError::Conflict { running, .. }) if running == one.id)
    );
    engine.cancel(one.id).await.unwrap();
    wait_for(&engine, one.id, JobState::Canceled).await;
    assert!(engine.submit(other).await.unwrap().created);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_does_not_hold_together_is_refused_by_uid_and_leaves_nothing() {
    let rig = Rig::new();
    let engine = rig.start(&Faults::default()).await;
    let mut spec = endless(&rig);
    spec.operators[0].operator = "unheard-of".to_owned();
    let error = engine.submit(spec).await.unwrap_err();
    assert_eq!(error.fault(), Fault::Request);
    assert!(error.to_string().contains("`count`"), "{error}");
    assert!(engine.jobs().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_idle_job_appends_no_entries() {
    let rig = Rig::new();
    let input = tempfile::tempdir().unwrap();
    std::fs::write(input.path().join("a"), "x\ny\nx\n").unwrap();
    let engine = rig.start(&Faults::default()).await;
    let job = engine.submit(following(&rig, input.path())).await.unwrap().id;
    wait_until(&engine, job, |status| status.checkpoints.skipped >= 3).await;
    check_counts(&rig.published(job), 3, 2);
    let entries = rig.entries(job).await;
    let skipped = engine.job(job).unwrap().checkpoints.skipped;
    wait_until(&engine, job, |status| status.checkpoints.skipped >= skipped + 5).await;
    assert_eq!(rig.entries(job).await, entries);
}

#[tokio::test(start_paused = true)]
async fn without_checkpoints_a_job_says_so_and_appends_only_its_start_and_its_end() {
    let rig = Rig::new();
    let engine = rig.start(&Faults { poison: " 77}", ..Faults::default() }).await;
    let mut spec = generator_job(&rig, "faulty", 2_000, 5);
    spec.checkpoint = None;
    let job = engine.submit(spec).await.unwrap().id;
    let status = wait_for(&engine, job, JobState::Finished).await;
    assert_eq!((status.guarantee, status.checkpoints.completed), (Guarantee::AtLeastOnce, 0));
    assert_eq!(rig.entries(job).await, [EntryNumber(1)], "the start is not needed any more");
    assert_eq!(engine.dead_letters(job, 10).await.unwrap().len(), 1);
    assert_eq!(status.dead_letters, 1);
    engine.stop().await;
    let engine = rig.start(&Faults::default()).await;
    assert_eq!(engine.job(job).unwrap().dead_letters, 1, "the count outlives the node");
}

#[tokio::test(start_paused = true)]
async fn an_ended_job_has_as_many_dead_letters_after_a_restart_as_before() {
    for ends_by_cancel in [true, false] {
        let rig = Rig::new();
        let engine = rig.start(&Faults { poison: "7}", ..Faults::default() }).await;
        let mut spec = weir_protocol::job_spec::JobSpec {
            operators: generator_job(&rig, "faulty", 1, 1).operators,
            ..endless(&rig)
        };
        spec.checkpoint = Some(CheckpointSpec::every_ms(300));
        spec.errors.budget = if ends_by_cancel { 1_000_000 } else { 300 };
        let job = engine.submit(spec).await.unwrap().id;
        let status = if ends_by_cancel {
            wait_until(&engine, job, |status| status.checkpoints.completed >= 2 && status.dead_letters > 9).await;
            engine.cancel(job).await.unwrap();
            wait_for(&engine, job, JobState::Canceled).await
        } else {
            wait_for(&engine, job, JobState::Failed).await
        };
        engine.stop().await;
        let engine = rig.start(&Faults::default()).await;
        assert_eq!(engine.job(job).unwrap().dead_letters, status.dead_letters, "cancelled: {ends_by_cancel}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_does_not_verify_stops_the_job_and_is_named() {
    let rig = Rig::new();
    let engine = rig.start(&Faults::default()).await;
    let job = engine.submit(endless(&rig)).await.unwrap().id;
    wait_until(&engine, job, |status| status.checkpoints.completed >= 3).await;
    engine.stop().await;
    let newest = *rig.entries(job).await.last().unwrap();
    let name = ObjectName::entry(&ChainName::Run(job), newest);
    let store = Store::new(rig.store(), rig.clock);
    let mut bytes = store.get(&name).await.unwrap().unwrap().to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    store.put(&name, bytes.into()).await.unwrap();
    let engine = rig.start(&Faults::default()).await;
    let status = wait_until(&engine, job, |status| !status.failures.is_empty()).await;
    assert_eq!(status.state, JobState::Suspended);
    assert!(status.failures[0].message.contains(&name.to_string()), "{:?}", status.failures);
    assert_eq!(rig.entries(job).await.last(), Some(&newest), "nothing was appended");
}

#[tokio::test(start_paused = true)]
async fn checkpoints_that_are_not_retained_are_deleted() {
    let rig = Rig::new();
    let engine = rig.start(&Faults::default()).await;
    let mut spec = endless(&rig);
    spec.checkpoint = Some(CheckpointSpec { retained: 2, ..CheckpointSpec::every_ms(10) });
    let job = engine.submit(spec).await.unwrap().id;
    wait_until(&engine, job, |status| status.checkpoints.completed >= 20).await;
    engine.cancel(job).await.unwrap();
    wait_for(&engine, job, JobState::Canceled).await;
    let entries = rig.entries(job).await;
    assert!(entries.len() < 8, "{entries:?}");
}
