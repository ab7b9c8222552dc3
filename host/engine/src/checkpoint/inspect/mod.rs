//! Looking into a job's checkpoints: what an operator holds under a key, page by page, and whether everything verifies.
//!
//! Receives what entries name; guarantees that every answer is as of one checkpoint, which it names, that a running job
//! is not disturbed (nothing but the store is read), and that what is in memory is bounded whatever the size of the
//! state. Does not own what may be asked by whom, nor the form of requests.

mod error;
mod find;
mod hold;
mod item;
mod mark;
mod page;
mod remote;
mod shown;
mod states;
mod verify;

#[cfg(test)]
mod tests;

use weir_protocol::chain::RunEntry;
use weir_protocol::id::{CheckpointId, EntryNumber, JobId};
use weir_protocol::manifest::Manifest;
use weir_protocol::savepoint::Savepoint;

use crate::clock::Clock;
use crate::spawn::Runtime;
use crate::store::Store;

pub use error::InspectError;
pub use hold::{Holds, Pin};
pub use item::{Item, Timer};
pub use mark::Mark;
pub use page::{Ask, ITEMS_MAX, Page};
pub use shown::{Shown, from_base64};
pub use verify::{Verdict, Verification};

/// Looks into the checkpoints of one job.
#[derive(Debug, Clone)]
pub struct Inspector {
    store: Store,
    /// Where components are.
    components: Store,
    clock: Clock,
    job: JobId,
    runtime: Runtime,
    holds: Holds,
    /// The only checkpoint that there is, where that is a savepoint.
    savepoint: Option<Checkpoint>,
}

/// Which checkpoint is looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The newest that was completed.
    Newest,
    /// One that is retained, or not yet collected.
    Retained(CheckpointId),
    /// The one that this entry holds, as long as it is there.
    Entry(EntryNumber),
}

/// A checkpoint that can be looked into.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// The number of the entry that holds it; of a savepoint: that held it.
    pub entry: EntryNumber,
    /// What it holds.
    pub manifest: Manifest,
}

impl Inspector {
    /// For a job; blocking work runs on `runtime`, which must have threads for it. What a listing that has more pages
    /// needs is kept from being collected, where the job's owner knows `holds`.
    #[must_use]
    pub fn new(store: Store, clock: Clock, job: JobId, runtime: Runtime, holds: Holds) -> Self {
        Self { components: store.clone(), store, clock, job, runtime, holds, savepoint: None }
    }

    /// For a savepoint of the job: nothing but its checkpoint is looked into.
    #[must_use]
    pub fn of_savepoint(mut self, savepoint: &Savepoint) -> Self {
        let Savepoint { entry, manifest, .. } = savepoint.clone();
        self.savepoint = Some(Checkpoint { entry, manifest });
        self
    }

    /// The same for a job whose components are in another store than its checkpoints.
    #[must_use]
    pub fn with_components(mut self, components: Store) -> Self {
        self.components = components;
        self
    }

    /// Where the checkpoints are.
    pub(crate) const fn store(&self) -> &Store {
        &self.store
    }

    /// Runs a look, which may wait for the store, off the async threads.
    async fn on_a_thread<T: Send + 'static>(
        &self,
        name: &str,
        look: impl FnOnce() -> Result<T, InspectError> + Send + 'static,
    ) -> Result<T, InspectError> {
        self.runtime.waiting(name, look).await.map_err(|panicked| InspectError::bug(panicked.to_string()))?
    }
}

impl Checkpoint {
    /// Its number.
    #[must_use]
    pub const fn id(&self) -> CheckpointId {
        self.manifest.checkpoint
    }
}

impl From<RunEntry> for Checkpoint {
    fn from(RunEntry { number, manifest, .. }: RunEntry) -> Self {
        Self { entry: number, manifest }
    }
}
