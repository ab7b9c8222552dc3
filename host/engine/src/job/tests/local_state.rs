//! Jobs whose state is larger than its memory, on a local disk that comes to harm.

use std::path::{Path, PathBuf};
use std::time::Duration;

use weir_protocol::job_graph::{StateBackend, StateSpec};
use weir_protocol::job_spec::JobSpec;

use super::rig::{Rig, check_counts, generator_job, wait_for, wait_until};
use crate::job::JobState;

const KEYS: u64 = 3_000;

/// Counts so many keys that memory for a small part of them is all there is.
fn spilling_job(rig: &Rig, records: u64) -> JobSpec {
    let state = StateSpec { backend: StateBackend::RocksDb, memory_bytes: Some(30_000), ..StateSpec::default() };
    JobSpec { state, ..generator_job(rig, "count", records, KEYS) }
}

fn folders(disk: &Path) -> Vec<PathBuf> {
    let Ok(found) = std::fs::read_dir(disk) else { return Vec::new() };
    found.map(|entry| entry.unwrap().path()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_state_outgrows_its_memory_counts_exactly_through_crashes() {
    let rig = Rig::new();
    let disk = tempfile::tempdir().unwrap();
    let (mut job, mut used) = (None, 0);
    for life in 0..6_u64 {
        let folder = disk.path().join(life.to_string());
        let engine = rig.start_with_disk(&folder).await;
        match job {
            None => job = Some(engine.submit(spilling_job(&rig, 20_000)).await.unwrap().id),
            Some(_) => rig.clock.sleep(Duration::from_millis(90 + 40 * life)).await,
        }
        used += folders(&folder).len();
    }
    assert!(used > 0, "no state has left its memory");
    let engine = rig.start_with_disk(&disk.path().join("last")).await;
    let job = job.unwrap();
    wait_for(&engine, job, JobState::Finished).await;
    check_counts(&rig.published(job), 20_000, usize::try_from(KEYS).unwrap());
    assert!(folders(&disk.path().join("last")).is_empty(), "an ended job leaves nothing");
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_local_state_is_deleted_restarts_from_its_last_checkpoint() {
    let rig = Rig::new();
    let disk = tempfile::tempdir().unwrap();
    let folder = disk.path().join("state");
    let engine = rig.start_with_disk(&folder).await;
    let job = engine.submit(spilling_job(&rig, 40_000)).await.unwrap().id;
    wait_until(&engine, job, |_| !folders(&folder).is_empty()).await;
    folders(&folder).iter().for_each(|folder| std::fs::remove_dir_all(folder).unwrap());
    let status = wait_until(&engine, job, |status| !status.failures.is_empty()).await;
    assert!(format!("{:?}", status.failures).contains("local RocksDB"), "{:?}", status.failures);
    wait_for(&engine, job, JobState::Finished).await;
    check_counts(&rig.published(job), 40_000, usize::try_from(KEYS).unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_node_without_a_disk_for_state_says_so() {
    let rig = Rig::new();
    let engine = rig.start(&super::operators::Faults::default()).await;
    let job = engine.submit(spilling_job(&rig, 100)).await.unwrap().id;
    let status = wait_until(&engine, job, |status| !status.failures.is_empty()).await;
    assert!(format!("{:?}", status.failures).contains("no folder for local state"), "{:?}", status.failures);
}
