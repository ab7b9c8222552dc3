//! How much memory the state of a subtask may fill, and where the rest goes.

use std::path::PathBuf;

use weir_protocol::Fault;
use weir_protocol::id::SubtaskId;
use weir_protocol::job_graph::{StateBackend, StateSpec};
use weir_protocol::job_spec::JobSpec;

use crate::state::{SpillTo, StateLimits};
use crate::task::TaskError;

use super::shared::Shared;

/// The most that the state of a subtask may be; `None`: there is no such bound, since the rest goes to disk.
pub(super) fn memory_limit(wanted: &StateSpec) -> Option<u64> {
    match wanted.backend {
        StateBackend::HashMap => Some(wanted.memory_bytes.unwrap_or(StateLimits::default().live_bytes_max)),
        StateBackend::RocksDb => None,
    }
}

/// What the state of a subtask may use.
///
/// # Errors
/// The rest would go to a folder that this node does not have.
pub(super) fn state_memory(
    spec: &JobSpec,
    subtask: &SubtaskId,
    shared: &Shared,
) -> Result<(StateLimits, Option<SpillTo>), TaskError> {
    let limits = StateLimits::default();
    if let Some(live_bytes_max) = memory_limit(&spec.state) {
        return Ok((StateLimits { live_bytes_max, ..limits }, None));
    }
    let Some(disk) = shared.disk.clone() else {
        let message = "the job keeps its state in RocksDB, but this node has no folder for local state";
        return Err(TaskError::new(Fault::Request, message));
    };
    let to = SpillTo {
        disk,
        runtime: shared.disk_threads.clone(),
        folder: spec.state.local_dir.as_ref().map(PathBuf::from),
        memory_bytes: spec.state.memory_bytes.unwrap_or(SpillTo::MEMORY_BYTES),
        name: format!("{}-{}-{}", spec.name, subtask.uid, subtask.index),
    };
    Ok((limits, Some(to)))
}
