//! Where a job keeps its checkpoints, and where its sinks write.

use weir_protocol::Fault;
use weir_protocol::job_graph::CheckpointStorage;
use weir_protocol::job_spec::{FileSinkSpec, JobSpec, SinkConnector, SourceConnector};

use super::operators::Faults;
use super::rig::{Rig, endless, generator_job, output, wait_for};
use crate::job::JobState;

/// A bounded job with its checkpoints in the node's memory, and what it made up of values of a size.
fn in_memory(rig: &Rig, value_bytes: u32) -> JobSpec {
    let mut spec = generator_job(rig, "count", 40, 4);
    spec.state.storage = CheckpointStorage::JobManager;
    let SourceConnector::Generator(generator) = &mut spec.sources[0].connector else { unreachable!("it is one") };
    generator.value_bytes = value_bytes;
    spec.sinks[0].from = vec![output("numbers")];
    spec
}

#[tokio::test(start_paused = true)]
async fn a_job_with_its_checkpoints_in_memory_leaves_nothing_in_the_store() {
    let rig = Rig::new();
    let engine = rig.start(&Faults::default()).await;
    let job = engine.submit(in_memory(&rig, 64)).await.unwrap().id;
    wait_for(&engine, job, JobState::Finished).await;
    assert_eq!(rig.published(job).len(), 40);
    assert_eq!(rig.entries(job).await, []);
    assert!(rig.start(&Faults::default()).await.job(job).is_none(), "it was lost with the engine");
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_of_more_than_5_mib_in_memory_fails_with_the_limit_and_the_mend() {
    let rig = Rig::new();
    let engine = rig.start(&Faults::default()).await;
    let mut spec = in_memory(&rig, 200_000);
    spec.restart.attempts_max = 0;
    let job = engine.submit(spec.clone()).await.unwrap().id;
    let status = wait_for(&engine, job, JobState::Failed).await;
    let told = &status.failures[0];
    let says = |part: &str| told.message.contains(part);
    assert!(says("5 MiB at most") && says("submit it anew with storage = \"store\""), "{told:?}");
    assert_eq!(told.fault, Fault::Request, "what it was given must change, and nothing is away");
    assert_eq!(rig.published(job), Vec::<String>::new());
    spec.state.storage = CheckpointStorage::Store;
    let job = engine.submit(spec).await.unwrap().id;
    wait_for(&engine, job, JobState::Finished).await;
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_job_in_memory_ends() {
    let rig = Rig::new();
    let engine = rig.start(&Faults::default()).await;
    let spec = JobSpec { state: in_memory(&rig, 64).state, ..endless(&rig) };
    let job = engine.submit(spec).await.unwrap().id;
    wait_for(&engine, job, JobState::Running).await;
    engine.cancel(job).await.unwrap();
    wait_for(&engine, job, JobState::Canceled).await;
    assert_eq!(engine.dead_letters(job, 10).await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn a_local_folder_for_state_that_cannot_be_used_is_refused_as_what_it_is() {
    let rig = Rig::new();
    let engine = rig.start(&Faults::default()).await;
    let mut spec = generator_job(&rig, "count", 10, 2);
    spec.state.local_dir = Some("/proc/nope".to_owned());
    let error = engine.submit(spec).await.unwrap_err();
    let said = error.to_string();
    assert!(said.starts_with("the local folder for state, `/proc/nope`, cannot be used: "), "{said}");
    assert!(!said.contains("object"), "it is no object store: {said}");
    assert_eq!(error.fault(), Fault::Request, "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_sink_whose_folder_cannot_be_written_to_is_refused_at_submission() {
    let rig = Rig::new();
    let engine = rig.start(&Faults::default()).await;
    for path in ["/proc/weir", "memory://", "hdfs://namenode/out"] {
        let mut spec = generator_job(&rig, "count", 10, 2);
        spec.sinks[0].connector = SinkConnector::Files(FileSinkSpec { path: path.to_owned() });
        let error = engine.submit(spec).await.unwrap_err();
        assert_eq!(error.fault(), Fault::Request, "{error}");
        assert!(error.to_string().contains("`out`") && error.to_string().contains(path), "{error}");
    }
    assert!(engine.jobs().is_empty());
}
