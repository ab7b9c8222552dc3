//! What WASI's randomness is seeded with in each call.
//!
//! Follows from the job, the subtask, the attempt, the epoch and the number of the call in it, so that the same
//! instance history is given the same numbers again.

use weir_protocol::id::{CheckpointId, JobId, Nonce, SubtaskId};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The seeds of one subtask's calls.
#[derive(Debug)]
pub(crate) struct Seeds {
    subtask: u64,
    epoch: CheckpointId,
    calls: u64,
}

impl Seeds {
    /// For a subtask of the attempt that has `nonce`, from the epoch behind `restored` on.
    pub(crate) fn new(job: JobId, subtask: &SubtaskId, nonce: Nonce, restored: CheckpointId) -> Self {
        let attempt = mix(xxh3_64_with_seed(&job.0.to_le_bytes(), 0), &nonce.0.to_le_bytes());
        let uid = mix(attempt, subtask.uid.as_str().as_bytes());
        Self { subtask: mix(uid, &subtask.index.to_le_bytes()), epoch: restored, calls: 0 }
    }

    /// The seed of the subtask's instance.
    pub(crate) const fn of_instance(&self) -> u64 {
        self.subtask
    }

    /// The epoch behind a barrier begins.
    pub(crate) const fn begin_epoch(&mut self, checkpoint: CheckpointId) {
        self.epoch = checkpoint;
        self.calls = 0;
    }

    /// The seed of the next call.
    pub(crate) fn next_call(&mut self) -> u64 {
        self.calls += 1;
        mix(mix(self.subtask, &self.epoch.0.to_le_bytes()), &self.calls.to_le_bytes())
    }
}

fn mix(seed: u64, bytes: &[u8]) -> u64 {
    xxh3_64_with_seed(bytes, seed)
}
