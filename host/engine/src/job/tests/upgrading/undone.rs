//! A change that a job cannot go on with is taken back.

use std::path::Path;
use std::sync::Arc;

use futures::FutureExt;
use tokio::runtime::Handle;
use weir_protocol::chain::{EntryKind, Next, Start, Undone, Wanted};
use weir_protocol::id::{EntryNumber, JobId, Nonce};
use weir_protocol::job_spec::{
    ErrorPolicy, FileFormat, FileSinkSpec, FileSourceSpec, InputSpec, JobSpec, KeySpec, PartitionSpec, SinkConnector,
    SourceConnector, StartPosition,
};

use super::super::super::starts::resolve_starts;
use super::super::operators::Faults;
use super::super::rig::{Rig, check_counts, endless, generator, generator_job, keyed, uid, wait_for, wait_until};
use super::{proven, running, upgrade, with_operator, with_parallelism};
use crate::checkpoint::chain::{self, ChainError, RunOwner, SpecChain};
use crate::clock::Entropy;
use crate::heard::Heard;
use crate::job::{JobState, JobStatus, Upgrading};
use crate::store::Store;
use crate::store::troubled::{Moment, Troubled};

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
async fn the_log_does_not_call_it_the_jobs_failure_that_a_change_was_undone() {
    let rig = Rig::new();
    let engine = rig.start(&Faults { poison: "}", ..Faults::default() }).await;
    let spec = generator_job(&rig, "count", 20_000, 5);
    let job = running(&engine, spec.clone()).await;
    let heard = Heard::default();
    let listening = heard.listen();
    let number = upgrade(&engine, job, broken(&spec)).await;
    proven(&engine, job, number.next()).await;
    drop(listening);
    let lines = heard.lines();
    assert!(lines.iter().any(|line| line.contains("upgrade to spec 1 was undone")), "{lines:#?}");
    let why: Vec<_> = lines.iter().filter(|line| line.contains("that I cannot read")).collect();
    assert!(why.len() == 1 && why[0].contains("start again"), "{lines:#?}");
    let fails = engine.submit(JobSpec { name: "other".parse().unwrap(), ..broken(&spec) }).await.unwrap().id;
    let listening = heard.listen();
    wait_for(&engine, fails, JobState::Failed).await;
    drop(listening);
    assert!(heard.lines().iter().any(|line| line.contains("the job fails")), "{:#?}", heard.lines());
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
async fn a_job_that_went_back_runs_on_when_it_is_asked_to_be_what_it_is_and_still_becomes_another() {
    let rig = Rig::new();
    let engine = rig.start(&Faults { poison: "}", ..Faults::default() }).await;
    let spec = endless(&rig);
    let job = running(&engine, spec.clone()).await;
    let number = upgrade(&engine, job, broken(&spec)).await.next();
    let before = proven(&engine, job, number).await;
    let same = engine.upgrade(job, spec.clone(), Upgrading::default()).await.unwrap();
    assert_eq!((same.spec, same.is_new), (number, false));
    let goes_on = |status: &JobStatus| status.checkpoints.completed >= before.checkpoints.completed + 5;
    let after = wait_until(&engine, job, goes_on).await;
    assert_eq!((after.attempts, after.undone), (before.attempts, before.undone));
    let next = upgrade(&engine, job, with_parallelism(&spec, 4)).await;
    let status = proven(&engine, job, next).await;
    assert_eq!((status.spec_number, status.attempts, status.undone), (next, before.attempts + 1, None));
}

#[tokio::test(start_paused = true)]
async fn what_was_undone_is_shown_after_a_restart_whatever_was_wanted_too_late() {
    let rig = Rig::new();
    let faults = Faults { poison: "}", ..Faults::default() };
    let engine = rig.start(&faults).await;
    let spec = generator_job(&rig, "count", 10_000, 5);
    let job = running(&engine, spec.clone()).await;
    let number = upgrade(&engine, job, broken(&spec)).await;
    let undone = wait_for(&engine, job, JobState::Finished).await.undone;
    assert_eq!(undone.as_ref().map(|undone| undone.spec), Some(number));
    for wanted in [Wanted::Cancel, Wanted::Deploy(Box::new(with_parallelism(&spec, 4)))] {
        engine.stop().await;
        chain_of(&rig, job).want(&Entropy::seeded(9), &wanted).await.unwrap();
        let status = rig.start(&faults).await.job(job).unwrap();
        assert_eq!((status.state, status.undone), (JobState::Finished, undone.clone()), "{wanted:?}");
    }
}

/// Nobody drives it when it is cancelled.
#[tokio::test(start_paused = true)]
async fn what_was_undone_is_shown_of_a_job_that_was_cancelled_since() {
    let rig = Rig::new();
    let faults = Faults { poison: "}", ..Faults::default() };
    let engine = rig.start(&faults).await;
    let spec = endless(&rig);
    let job = running(&engine, spec.clone()).await;
    let number = upgrade(&engine, job, broken(&spec)).await;
    let undone = proven(&engine, job, number.next()).await.undone;
    engine.stop().await;
    chain_of(&rig, job).want(&Entropy::seeded(9), &Wanted::Cancel).await.unwrap();
    let engine = rig.start(&faults).await;
    assert_eq!(wait_for(&engine, job, JobState::Canceled).await.undone, undone);
    let shown = rig.start(&faults).await.job(job).unwrap();
    assert_eq!((shown.state, shown.undone), (JobState::Canceled, undone));
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

fn chain_of(rig: &Rig, job: JobId) -> SpecChain {
    SpecChain::new(Store::new(rig.store(), rig.clock), rig.clock, job)
}

/// A process takes a job on trial over, dies, and its next checkpoint comes late: just before the change is undone.
#[tokio::test(start_paused = true)]
async fn a_late_checkpoint_of_a_dead_process_does_not_come_between_a_failure_and_its_undoing() {
    let rig = Rig::new();
    let engine = rig.start(&Faults::default()).await;
    let spec = generator_job(&rig, "count", 20_000, 5);
    let job = running(&engine, spec.clone()).await;
    engine.stop().await;
    // It fails before it takes the job over.
    let wanted = with_operator(&spec, "unheard-of");
    chain_of(&rig, job).want(&Entropy::seeded(9), &Wanted::Deploy(Box::new(wanted))).await.unwrap();
    let store = Store::new(rig.store(), rig.clock);
    let start = Start {
        nonce: Nonce(1),
        at: 0,
        spec: EntryNumber(1),
        checkpoints_retained: 3,
        new_sources: Default::default(),
    };
    let newest = chain::newest(&store, job).await.unwrap();
    let mut dead = RunOwner::take_over(store, rig.clock, newest, &start).unwrap();
    dead.settle().await.unwrap();
    let objects = Troubled::new(rig.store());
    let late = async move {
        let newest = dead.newest().unwrap().entry.clone();
        let (mut manifest, published) = (newest.manifest, newest.published);
        manifest.checkpoint = newest.highest_checkpoint.next();
        let next = Next { nonce: Nonce(2), at: 0, kind: EntryKind::Checkpoint, manifest, published };
        let appended = dead.append(next).await;
        assert!(matches!(appended, Err(ChainError::Lost { .. })), "{appended:?}");
    };
    objects.intrude(Moment::Wish, late.boxed());
    let engine = rig.start_over(Arc::new(objects), &Faults::default(), Handle::current()).await;
    let status = proven(&engine, job, EntryNumber(2)).await;
    assert_eq!(status.undone.map(|undone| undone.spec), Some(EntryNumber(1)));
    wait_for(&engine, job, JobState::Finished).await;
    check_counts(&rig.published(job), 20_000, 5);
}

/// The same with another source, whose lines are counted as well.
fn with_lines(spec: &JobSpec, operator: &str, folder: &Path) -> JobSpec {
    let mut next = with_operator(spec, operator);
    let mut source = generator("more", None, None, 1);
    source.connector = SourceConnector::Files(FileSourceSpec {
        paths: vec![folder.to_str().unwrap().to_owned()],
        format: FileFormat::Lines,
        follow: false,
        start: StartPosition::Beginning,
    });
    next.sources.push(source);
    let lines = InputSpec { partition: PartitionSpec::Hash(KeySpec::Value), ..keyed("right", "more") };
    next.operators[0].inputs = vec![keyed("left", "numbers"), lines];
    next
}

/// The change was undone and the next one is wanted, before any checkpoint: what the first one read is still in the newest
/// entry.
#[tokio::test(start_paused = true)]
async fn positions_of_a_source_that_only_an_undone_change_had_are_not_kept_for_the_next_of_its_name() {
    let rig = Rig::new();
    let engine = rig.start(&Faults::default()).await;
    let spec = generator_job(&rig, "count", 20_000, 5);
    let job = running(&engine, spec.clone()).await;
    engine.stop().await;
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(first.path().join("lines"), "gone\n").unwrap();
    std::fs::write(second.path().join("other"), "x\nx\nx\n").unwrap();
    let (undone, next) = (with_lines(&spec, "count-two", first.path()), with_lines(&spec, "count-two", second.path()));
    let (chain, entropy) = (chain_of(&rig, job), Entropy::seeded(9));
    chain.want(&entropy, &Wanted::Deploy(Box::new(undone.clone()))).await.unwrap();
    let store = Store::new(rig.store(), rig.clock);
    let new_sources = resolve_starts(&undone, |uid| uid.as_str() == "more").await.unwrap();
    let start = Start { nonce: Nonce(1), at: 0, spec: EntryNumber(1), checkpoints_retained: 3, new_sources };
    let newest = chain::newest(&store, job).await.unwrap();
    RunOwner::take_over(store, rig.clock, newest, &start).unwrap().settle().await.unwrap();
    assert!(rig.newest_manifest(job).await.sources.contains_key(&uid("more")));
    let reason = Some(Undone { spec: EntryNumber(1), reason: "it failed".to_owned() });
    let newest = chain.newest().await.unwrap();
    chain.want_next(&newest, &entropy, Wanted::Deploy(Box::new(spec)), reason).await.unwrap().unwrap();
    chain.want(&entropy, &Wanted::Deploy(Box::new(next))).await.unwrap();
    let engine = rig.start(&Faults::default()).await;
    wait_for(&engine, job, JobState::Finished).await;
    check_counts(&rig.published(job), 20_003, 6);
}

/// Its place cannot be written to, and what one of its sources would read is not there.
#[tokio::test(start_paused = true)]
async fn a_job_on_trial_whose_new_sources_and_sinks_are_gone_can_be_cancelled() {
    let rig = Rig::new();
    let engine = rig.start(&Faults::default()).await;
    let spec = endless(&rig);
    let job = running(&engine, spec.clone()).await;
    engine.stop().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let mut next = with_lines(&spec, "count-two", &folder.path().join("gone"));
    let mut sink = next.sinks[0].clone();
    let place = folder.path().join("file").join("below");
    (sink.uid, sink.connector) =
        (uid("elsewhere"), SinkConnector::Files(FileSinkSpec { path: place.to_str().unwrap().to_owned() }));
    next.sinks.push(sink);
    let chain = chain_of(&rig, job);
    chain.want(&Entropy::seeded(9), &Wanted::Deploy(Box::new(next))).await.unwrap();
    chain.want(&Entropy::seeded(9), &Wanted::Cancel).await.unwrap();
    let engine = rig.start(&Faults::default()).await;
    wait_for(&engine, job, JobState::Canceled).await;
    let lines = rig.published(job);
    check_counts(&lines, lines.len() as u64, 5);
}
