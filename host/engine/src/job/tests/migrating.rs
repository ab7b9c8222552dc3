//! A job goes on with a version of its operator that keeps its state in another form: exactly once, or as it was.

use weir_protocol::evolution::Change;
use weir_protocol::id::{EntryNumber, JobId};
use weir_protocol::job_graph::{StateBackend, StateSpec};
use weir_protocol::job_spec::JobSpec;

use super::operators::Faults;
use super::rig::{Rig, check_counts, generator_job, wait_for, wait_until};
use crate::job::{Engine, JobState, JobStatus, Upgrading};

/// The same with another operator and so many subtasks of it.
fn with(spec: &JobSpec, operator: &str, parallelism: u32) -> JobSpec {
    let mut spec = spec.clone();
    spec.operators[0].operator = operator.to_owned();
    spec.operators[0].parallelism = Some(parallelism);
    spec
}

/// A job of which a checkpoint stands.
async fn running(engine: &Engine, spec: JobSpec) -> JobId {
    let job = engine.submit(spec).await.unwrap().id;
    wait_until(engine, job, |status| status.checkpoints.completed >= 2).await;
    job
}

async fn upgrade(engine: &Engine, job: JobId, spec: JobSpec) -> (EntryNumber, Vec<Change>) {
    let upgraded = engine.upgrade(job, spec, Upgrading::default()).await.unwrap();
    let changes = upgraded.changes.vertices.iter().flat_map(|vertex| vertex.states.values().copied());
    (upgraded.spec, changes.collect())
}

/// Waits until a checkpoint stands that was taken as this entry of the `spec/` chain says, or a later one.
async fn proven(engine: &Engine, job: JobId, number: EntryNumber) -> JobStatus {
    wait_until(engine, job, |status| status.spec_number >= number && status.former.is_empty()).await
}

/// How state is kept: in memory; on disk but for next to nothing; each checkpoint whole.
fn ways() -> [StateSpec; 3] {
    let spills = StateSpec { backend: StateBackend::RocksDb, memory_bytes: Some(10_000), ..StateSpec::default() };
    let whole = StateSpec { incremental: false, ..StateSpec::default() };
    [StateSpec::default(), spills, whole]
}

#[tokio::test(start_paused = true)]
async fn counts_go_on_where_they_were_however_state_is_kept_and_whatever_the_parallelism() {
    for state in ways() {
        let rig = Rig::new();
        let disk = tempfile::tempdir().unwrap();
        let engine = rig.start_with_disk(&disk.path().join("first")).await;
        let mut spec = generator_job(&rig, "count", 20_000, 700);
        spec.state = state;
        let job = running(&engine, spec.clone()).await;
        let (number, changes) = upgrade(&engine, job, with(&spec, "count-newer", 3)).await;
        assert_eq!(changes, [Change::Migrated { from: 1 }]);
        proven(&engine, job, number).await;
        let (number, changes) = upgrade(&engine, job, with(&spec, "count-newer", 2)).await;
        assert_eq!(changes, [Change::Kept]);
        proven(&engine, job, number).await;
        drop(engine);
        let engine = rig.start_with_disk(&disk.path().join("second")).await;
        let status = wait_for(&engine, job, JobState::Finished).await;
        assert!(status.failures.is_empty(), "{:?}", status.failures);
        check_counts(&rig.published(job), 20_000, 700);
    }
}

#[tokio::test(start_paused = true)]
async fn a_migration_survives_the_death_of_its_process_at_any_moment() {
    for moment in (0..150).step_by(5) {
        let rig = Rig::new();
        let engine = rig.start(&Faults::default()).await;
        let spec = generator_job(&rig, "count", 8_000, 50);
        let job = running(&engine, spec.clone()).await;
        upgrade(&engine, job, with(&spec, "count-newer", 3)).await;
        for _ in 0..moment {
            tokio::task::yield_now().await;
        }
        drop(engine);
        let engine = rig.start(&Faults::default()).await;
        let status = wait_for(&engine, job, JobState::Finished).await;
        assert_eq!((status.spec_number, status.undone), (EntryNumber(1), None), "after {moment} turns");
        check_counts(&rig.published(job), 8_000, 50);
    }
}

#[tokio::test(start_paused = true)]
async fn there_is_no_way_back_to_an_older_version() {
    let rig = Rig::new();
    let engine = rig.start(&Faults::default()).await;
    let spec = generator_job(&rig, "count", 20_000, 5);
    let job = running(&engine, with(&spec, "count-newer", 2)).await;
    let refused = engine.upgrade(job, spec, Upgrading::default()).await.unwrap_err().to_string();
    assert!(["`count`", "version 1", "version 2"].iter().all(|part| refused.contains(part)), "{refused}");
    wait_for(&engine, job, JobState::Finished).await;
    check_counts(&rig.published(job), 20_000, 5);
}
