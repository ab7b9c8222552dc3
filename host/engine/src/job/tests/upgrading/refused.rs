//! What a job cannot become is said, and it stays what it is.

use std::collections::BTreeMap;

use weir_protocol::Fault;
use weir_protocol::evolution::{Change, Conflict};
use weir_protocol::id::EntryNumber;
use weir_protocol::job_graph::CheckpointStorage;
use weir_protocol::job_spec::{
    FileFormat, FileSinkSpec, FileSourceSpec, JobSpec, KeySpec, PartitionSpec, SinkConnector, SourceConnector,
    StartPosition,
};
use weir_protocol::key_group::MaxParallelism;
use weir_protocol::upgrade::Refusal;

use super::super::operators::Faults;
use super::super::rig::{Rig, check_counts, endless, generator, keyed, output, uid, wait_for, wait_until};
use super::{proven, running, upgrade, with_operator, with_parallelism};
use crate::job::{EngineError, JobState, JobStatus, Upgrading};

#[tokio::test(start_paused = true)]
async fn what_cannot_go_on_is_refused_by_name_and_the_job_runs_on() {
    let rig = Rig::new();
    let engine = rig.start(&Faults::default()).await;
    let spec = endless(&rig);
    let job = running(&engine, spec.clone()).await;
    let refused = async |change: &dyn Fn(&mut JobSpec)| {
        let mut next = spec.clone();
        change(&mut next);
        match engine.upgrade(job, next, Upgrading::default()).await {
            Err(EngineError::Unchangeable(refusal)) => refusal,
            other => panic!("{other:?}"),
        }
    };
    let refusal = refused(&|next| next.name = "another".parse().unwrap()).await;
    assert!(matches!(refusal, Refusal::Name { .. }), "{refusal}");
    let refusal = refused(&|next| next.max_parallelism = MaxParallelism::new(64).unwrap()).await;
    assert_eq!(refusal, Refusal::MaxParallelism { running: 128, wanted: 64 });
    let refusal = refused(&|next| next.state.storage = CheckpointStorage::JobManager).await;
    assert!(matches!(refusal, Refusal::Storage { .. }), "{refusal}");
    assert_eq!(refused(&|next| next.checkpoint = None).await, Refusal::TurnsCheckpointsOff);
    let removed = |next: &mut JobSpec| {
        next.operators[0].uid = uid("other");
        next.sinks[0].from = vec![output("other")];
    };
    assert_eq!(refused(&removed).await, Refusal::RemovedOperator { uid: uid("count") });
    let removed = |next: &mut JobSpec| {
        next.sources[0].uid = uid("other");
        next.operators[0].inputs = vec![keyed("records", "other")];
    };
    assert_eq!(refused(&removed).await, Refusal::RemovedSource { uid: uid("numbers") });
    let elsewhere = |next: &mut JobSpec| {
        next.sinks[0].connector = SinkConnector::Files(FileSinkSpec { path: "/elsewhere".to_owned() });
    };
    assert!(matches!(refused(&elsewhere).await, Refusal::SinkPlace { wanted, .. } if wanted == "/elsewhere"));
    let files = |next: &mut JobSpec| {
        let paths = vec!["/".to_owned()];
        let (format, start) = (FileFormat::Lines, StartPosition::End);
        next.sources[0].connector = SourceConnector::Files(FileSourceSpec { paths, format, follow: true, start });
        next.operators[0].inputs[0].partition = PartitionSpec::Hash(KeySpec::Value);
    };
    assert!(matches!(refused(&files).await, Refusal::SourceType { running: "generator", wanted: "files", .. }));
    let renamed = |next: &mut JobSpec| next.operators[0].operator = "recount".to_owned();
    let refusal = refused(&renamed).await;
    assert!(
        refusal.to_string().contains("operator `count`: state `count` is declared with the codec `text`"),
        "{refusal}"
    );
    let unheard = engine.upgrade(job, with_operator(&spec, "unheard-of"), Upgrading::default()).await.unwrap_err();
    assert!(unheard.fault() == Fault::Request && unheard.to_string().contains("`count`"), "{unheard}");
    let seen = engine.job(job).unwrap().checkpoints.completed;
    let status = wait_until(&engine, job, |status| status.checkpoints.completed > seen).await;
    assert_eq!((status.attempts, status.spec_number, status.failures.len()), (1, EntryNumber(0), 0));
}

#[tokio::test(start_paused = true)]
async fn a_job_without_checkpoints_cannot_be_upgraded() {
    let rig = Rig::new();
    let engine = rig.start(&Faults::default()).await;
    let spec = JobSpec { checkpoint: None, ..endless(&rig) };
    let job = engine.submit(spec.clone()).await.unwrap().id;
    let refused = engine.upgrade(job, with_parallelism(&spec, 3), Upgrading::default()).await;
    assert_eq!(refused, Err(EngineError::Unchangeable(Refusal::NoCheckpoints)));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_cancelled_or_has_ended_is_not_upgraded() {
    let rig = Rig::new();
    let engine = rig.start(&Faults::default()).await;
    let spec = endless(&rig);
    let job = running(&engine, spec.clone()).await;
    upgrade(&engine, job, with_parallelism(&spec, 3)).await;
    engine.cancel(job).await.unwrap();
    let refused = engine.upgrade(job, with_parallelism(&spec, 4), Upgrading::default()).await;
    assert!(matches!(refused, Err(EngineError::NotRunning { .. })), "{refused:?}");
    wait_for(&engine, job, JobState::Canceled).await;
    let refused = engine.upgrade(job, with_parallelism(&spec, 4), Upgrading::default()).await;
    assert!(matches!(refused, Err(EngineError::NotRunning { ended: true, .. })), "{refused:?}");
    let lines = rig.published(job);
    check_counts(&lines, lines.len() as u64, 5);
    drop(engine);
    let engine = rig.start(&Faults::default()).await;
    assert_eq!(engine.job(job).unwrap().state, JobState::Canceled);
}

/// What an earlier version left in the checkpoint's files counts, though the running one does not declare it.
#[tokio::test(start_paused = true)]
async fn state_that_is_declared_again_is_held_against_what_was_left() {
    let rig = Rig::new();
    let engine = rig.start(&Faults::default()).await;
    let spec = endless(&rig);
    let job = running(&engine, spec.clone()).await;
    let number = upgrade(&engine, job, with_operator(&spec, "forgetful")).await;
    proven(&engine, job, number).await;
    let other = with_parallelism(&with_operator(&spec, "recount"), 3);
    let refused = engine.upgrade(job, other, Upgrading::default()).await;
    assert!(
        matches!(&refused, Err(EngineError::Unchangeable(Refusal::State { conflict: Conflict::Codec { .. }, .. }))),
        "{refused:?}"
    );
    let upgraded = engine.upgrade(job, spec, Upgrading::default()).await.unwrap();
    assert_eq!(upgraded.changes.vertices[1].states, BTreeMap::from([("count".to_owned(), Change::Kept)]));
    let status = proven(&engine, job, upgraded.spec).await;
    assert_eq!((status.undone, status.spec_number), (None, upgraded.spec));
}

#[tokio::test(start_paused = true)]
async fn less_memory_than_is_held_is_refused_with_both_figures() {
    let rig = Rig::new();
    let engine = rig.start(&Faults::default()).await;
    let mut spec = endless(&rig);
    spec.sources = vec![generator("numbers", None, Some(20_000), 2_000)];
    let job = running(&engine, spec.clone()).await;
    let holds = |status: &JobStatus| status.vertices[1].subtasks.iter().all(|subtask| subtask.state().bytes > 20_000);
    wait_until(&engine, job, holds).await;
    let with_memory = |bytes, parallelism| {
        let mut next = with_parallelism(&spec, parallelism);
        next.state.memory_bytes = Some(bytes);
        next
    };
    for parallelism in [1, 2] {
        let refused = engine.upgrade(job, with_memory(20_000, parallelism), Upgrading::default()).await.unwrap_err();
        let EngineError::Unchangeable(Refusal::Memory { held, room: 20_000, .. }) = refused else {
            panic!("{refused}")
        };
        let said = refused.to_string();
        assert!(held > 20_000 && said.contains(&held.to_string()) && said.contains("20000"), "{said}");
    }
    assert_eq!(engine.job(job).unwrap().attempts, 1);
    let number = upgrade(&engine, job, with_memory(1 << 20, 2)).await;
    proven(&engine, job, number).await;
}
