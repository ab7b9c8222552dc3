//! How large a checkpoint may be.

use weir_protocol::job_graph::CheckpointStorage;

/// In bytes, in the node's memory: what Flink's `MemoryStateBackend` takes by default.
const IN_MEMORY_BYTES_MAX: u64 = 5 << 20;

/// Why a checkpoint of so many bytes cannot be recorded, and the mend.
pub(super) fn exceeded(storage: CheckpointStorage, bytes: impl FnOnce() -> u64) -> Option<String> {
    match storage {
        CheckpointStorage::Store => None,
        CheckpointStorage::JobManager => match bytes() {
            0..=IN_MEMORY_BYTES_MAX => None,
            bytes => Some(format!(
                "it has {bytes} bytes, and checkpoint storage `jobmanager`, the node's memory, takes {} MiB at most; \
                 where checkpoints are cannot change while a job runs: cancel it, and submit it anew with \
                 storage = \"store\" in [state]",
                IN_MEMORY_BYTES_MAX >> 20
            )),
        },
    }
}
