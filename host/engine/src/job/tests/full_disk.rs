//! Jobs on disks that become full, for real: a small tmpfs each. Where this process may mount none, they are skipped, and
//! say so.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use weir_protocol::job_graph::{StateBackend, StateSpec};
use weir_protocol::job_spec::JobSpec;

use super::rig::{Rig, check_counts, generator_job, wait_for, wait_until};
use crate::job::{Failure, JobState};

const KEYS: u64 = 3_000;
const RECORDS: u64 = 30_000;

/// A disk of its own.
struct Disk(tempfile::TempDir);

impl Disk {
    /// One with room for so many KiB; `None`: it cannot be mounted here.
    fn of(kib: u64) -> Option<Self> {
        let disk = Self(tempfile::tempdir().unwrap());
        let is_there = disk.mount(&format!("size={kib}k"));
        if !is_there {
            eprintln!("skipped: no tmpfs can be mounted here, so no disk becomes full");
        }
        is_there.then_some(disk)
    }

    fn mount(&self, options: &str) -> bool {
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(self.0.path()).output();
        mounted.is_ok_and(|mounted| mounted.status.success())
    }

    fn make_room(&self) {
        assert!(self.mount("remount,size=256m"), "a disk can become larger");
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(self.0.path()).output());
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_local_disk_is_full_says_so_and_goes_on_from_its_last_checkpoint_once_there_is_room() {
    let Some(disk) = Disk::of(200) else { return };
    let rig = Rig::new();
    let engine = rig.start_with_disk(&disk.path().join("state")).await;
    let state = StateSpec { backend: StateBackend::RocksDb, memory_bytes: Some(30_000), ..StateSpec::default() };
    let spec = JobSpec { state, ..generator_job(&rig, "count", RECORDS, KEYS) };
    let job = engine.submit(spec).await.unwrap().id;
    let status = wait_until(&engine, job, |status| status.failures.len() >= 3).await;
    let told = &status.failures[0].message;
    assert!(told.contains("local RocksDB") && told.contains("No space left on device"), "{told}");
    disk.make_room();
    let status = wait_for(&engine, job, JobState::Finished).await;
    assert!(status.attempts >= 3 && status.checkpoints.restored.is_some(), "{status:?}");
    check_counts(&rig.published(job), RECORDS, usize::try_from(KEYS).unwrap());
}

/// The entry of a checkpoint is what there is no room for, sooner or later: it is written again until there is.
#[tokio::test(start_paused = true)]
async fn a_job_whose_store_is_on_a_full_disk_waits_and_loses_nothing_once_there_is_room() {
    let Some(disk) = Disk::of(400) else { return };
    let rig = Rig::new();
    let store = disk.path().join("store");
    std::fs::create_dir(&store).unwrap();
    let engine = rig.start_on(&store).await;
    let mut spec = generator_job(&rig, "count", RECORDS, KEYS);
    spec.restart.attempts_max = 1;
    let job = engine.submit(spec).await.unwrap().id;
    rig.clock.sleep(Duration::from_secs(20)).await;
    let status = engine.job(job).unwrap();
    assert!(!status.state.is_terminal(), "there is no room for all of it: {:?}", status.state);
    let says_why = |failure: &Failure| failure.message.contains("No space left on device");
    assert!(!status.failures.is_empty() && status.failures.iter().all(says_why), "{status:?}");
    disk.make_room();
    wait_for(&engine, job, JobState::Finished).await;
    check_counts(&rig.published(job), RECORDS, usize::try_from(KEYS).unwrap());
}
