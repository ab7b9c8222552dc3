//! Where a job's state lives while it runs, and where its checkpoints go.

use serde::{Deserialize, Serialize};

/// What a job's author asks of its state; plain data, part of the durable spec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StateSpec {
    /// See [`StateBackend`].
    pub backend: StateBackend,
    /// See [`CheckpointStorage`].
    pub storage: CheckpointStorage,
    /// Whether a checkpoint holds only what changed since the one before; else each holds everything.
    pub incremental: bool,
    /// The local folder that spilled state goes to; `None`: one of the node's.
    pub local_dir: Option<String>,
    /// Bytes of memory that the state of each subtask may fill; `None`: the backend's default. In memory it is a limit, else
    /// what is beyond it goes to disk.
    pub memory_bytes: Option<u64>,
}

impl Default for StateSpec {
    fn default() -> Self {
        Self {
            backend: StateBackend::HashMap,
            storage: CheckpointStorage::Store,
            incremental: true,
            local_dir: None,
            memory_bytes: None,
        }
    }
}

/// Where state lives while a job runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StateBackend {
    /// In memory; a job whose state outgrows its budget fails.
    #[default]
    HashMap,
    /// In memory as far as the budget goes, the rest in a local RocksDB.
    RocksDb,
}

/// Where a job's checkpoints go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckpointStorage {
    /// The node's object store.
    #[default]
    Store,
    /// The node's memory: for trials. They are small, and lost when the node exits.
    JobManager,
}

impl CheckpointStorage {
    /// The word for it in job files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::JobManager => "jobmanager",
        }
    }
}
