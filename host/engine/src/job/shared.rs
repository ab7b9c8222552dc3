//! What all jobs of an engine share.

use std::sync::Arc;

use tokio::runtime::Handle;
use weir_protocol::job_graph::CheckpointStorage;
use weir_protocol::job_spec::JobSpec;

use crate::checkpoint::inspect::Holds;
use crate::clock::{Clock, Entropy};
use crate::sink::LineWriter;
use crate::spawn::Runtime;
use crate::state::LocalDisk;
use crate::store::{Places, Store};

use super::Operators;

/// What all jobs of an engine share; cheap to clone. What a job is given has in `store` the place of its own chains.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) store: Store,
    /// The node's memory, for jobs that want no more; gone when the process ends.
    pub(crate) memory: Store,
    pub(crate) clock: Clock,
    pub(crate) entropy: Entropy,
    pub(crate) control: Runtime,
    /// The same for looks into jobs.
    pub(crate) looks: Runtime,
    pub(crate) data: Handle,
    pub(crate) disk_threads: Runtime,
    pub(crate) operators: Arc<dyn Operators>,
    pub(crate) places: Arc<dyn Places>,
    pub(crate) disk: Option<LocalDisk>,
    pub(crate) stdout: LineWriter,
    /// The jobs that someone looks into.
    pub(crate) holds: Holds,
}

impl Shared {
    /// The same, with the chains where a job keeps its checkpoints.
    pub(crate) fn of(&self, spec: &JobSpec) -> Self {
        match spec.state.storage {
            CheckpointStorage::Store => self.clone(),
            CheckpointStorage::JobManager => Self { store: self.memory.clone(), ..self.clone() },
        }
    }
}
