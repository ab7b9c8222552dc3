//! Results become public.
//!
//! Receives entries that stand ([`Confirmed`] shows it); guarantees that what they name is published in the sequence
//! that [`Publication`] decides, that an outlet which is away is tried again for as long as the attempt lives, and that
//! neither holds up other outlets or the next checkpoint. Does not own how a sink makes results public once and only
//! once: that is its [`Publisher`].

mod outlet;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::watch;
use weir_protocol::Fault;
use weir_protocol::assembly::Assembly;
use weir_protocol::chain::{Confirmed, RunEntry};
use weir_protocol::coordinator::Complete;
use weir_protocol::id::{CheckpointId, JobId, Uid};
use weir_protocol::manifest::{Manifest, Outlet};
use weir_protocol::publication::{MarkerError, Publication};

use super::BlobError;
use crate::clock::Clock;
use crate::sink::{Publisher, SinkError};
use crate::spawn::{Runtime, TaskGroup};
use crate::store::{Store, StoreError};

use outlet::{OutletTask, Way};

/// Bytes of a job that are sealed and not public, beyond which its sources should pause.
pub const UNPUBLISHED_BYTES_MAX: u64 = 1 << 30;

/// Why an outbox is not public.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// A part cannot be read.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// The sink does not take it.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The store does not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The sink's marker does not fit the chain.
    #[error(transparent)]
    Marker(#[from] MarkerError),
    /// The job's sinks have no publisher for it.
    #[error("the manifest holds results for `{0}`, which is no sink of the job that publishes")]
    NoPublisher(Outlet),
}

impl PublishError {
    /// Who must act.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Blob(error) => error.fault(),
            Self::Sink(error) => error.fault,
            Self::Store(error) => error.fault(),
            Self::Marker(error) => error.fault(),
            Self::NoPublisher(_) => Fault::Bug,
        }
    }
}

/// How publication stands, for people and for whoever must stop the job.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    /// Outlets that are away for now, with the last error; they are tried again.
    pub waiting: BTreeMap<Outlet, String>,
    /// Why an outlet will publish no more.
    pub failure: Option<PublishError>,
}

/// The publication of one attempt at a job. Dropping it stops it where it stands; what was half published is published
/// again by the next attempt.
#[derive(Debug)]
pub struct Publications {
    shared: Arc<Shared>,
    changes: watch::Receiver<u64>,
    outlets: BTreeSet<Outlet>,
    _tasks: TaskGroup<()>,
}

/// What the outlets' tasks and the owner of the job share.
#[derive(Debug)]
struct Shared {
    publication: Mutex<Publication>,
    progress: Mutex<Progress>,
    /// Counts changes of the two, to wake whoever waits for one: the owner, then each outlet. One for each, since those
    /// who share one are woken in no order that anybody knows.
    changes: Vec<watch::Sender<u64>>,
}

impl Publications {
    /// Begins with the entry by which the attempt became owner, which stands. `publishers` are the job's sinks that have
    /// an outbox; each one's marker is read before anything is published.
    ///
    /// # Errors
    /// [`PublishError::NoPublisher`].
    pub fn begin(
        store: &Store,
        clock: Clock,
        job: JobId,
        publishers: &BTreeMap<Uid, Arc<dyn Publisher>>,
        (confirmed, entry): (Confirmed, &RunEntry),
        runtime: Runtime,
    ) -> Result<Self, PublishError> {
        let sinks = publishers.iter().map(|(uid, sink)| (Outlet::Sink(uid.clone()), Way::Sink(Arc::clone(sink))));
        let ways: BTreeMap<_, _> = sinks.chain([(Outlet::DeadLetters, Way::DeadLetters)]).collect();
        let outlets = ways.keys().cloned().collect();
        check_outlets(&outlets, entry)?;
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..=ways.len()).map(|_| watch::channel(0)).unzip();
        let mut receivers = receivers.into_iter();
        let mut receiver = || receivers.next().expect("the owner and each outlet have one");
        let changes = receiver();
        let begun = Publication::begin(confirmed, entry);
        let shared =
            Arc::new(Shared { publication: Mutex::new(begun.clone()), progress: Mutex::default(), changes: senders });
        let mut tasks = TaskGroup::new(runtime);
        for (outlet, way) in ways {
            let (store, shared, begun) = (store.clone(), Arc::clone(&shared), begun.clone());
            let task = OutletTask { store, clock, job, outlet, way, changes: receiver(), shared, begun };
            tasks.spawn(format!("publish {}", task.outlet), task.run());
        }
        Ok(Self { shared, changes, outlets, _tasks: tasks })
    }

    /// Takes in an entry that stands: what it names is published from now on.
    ///
    /// # Errors
    /// [`PublishError::NoPublisher`].
    pub fn stands(&self, confirmed: Confirmed, entry: &RunEntry) -> Result<(), PublishError> {
        check_outlets(&self.outlets, entry)?;
        self.shared.publication().stands(confirmed, entry);
        self.shared.change();
        Ok(())
    }

    /// The manifest of a complete checkpoint, and what its entry confirms as published: both as things stand now.
    #[must_use]
    pub fn assemble(&self, assembly: &Assembly, complete: &Complete) -> (Manifest, BTreeMap<Outlet, CheckpointId>) {
        let publication = self.shared.publication();
        (assembly.manifest(complete, &publication), publication.confirmations())
    }

    /// For each outlet the newest outbox that is public.
    #[must_use]
    pub fn published(&self) -> BTreeMap<Outlet, CheckpointId> {
        self.shared.publication().confirmations()
    }

    /// The bytes that are sealed, named by an entry and not public; to be held against [`UNPUBLISHED_BYTES_MAX`].
    #[must_use]
    pub fn unpublished_bytes(&self) -> u64 {
        self.shared.publication().outstanding_bytes()
    }

    /// How things stand.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.shared.progress().clone()
    }

    /// Waits until something was published, or something keeps it from being so. Cancel-safe.
    pub async fn changed(&mut self) {
        self.changes.changed().await.expect("the sender is shared, and lives as long as this");
    }

    /// Waits until everything that the entries name is public. Cancel-safe.
    ///
    /// # Errors
    /// When an outlet failed for good. One that is away is waited for.
    pub async fn drained(&mut self) -> Result<(), PublishError> {
        loop {
            self.changes.mark_unchanged();
            if let Some(failure) = self.progress().failure {
                return Err(failure);
            }
            if self.shared.publication().outlets_due().next().is_none() {
                return Ok(());
            }
            self.changed().await;
        }
    }
}

fn check_outlets(outlets: &BTreeSet<Outlet>, entry: &RunEntry) -> Result<(), PublishError> {
    match entry.manifest.outboxes.iter().find(|outbox| !outlets.contains(&outbox.outlet)) {
        Some(outbox) => Err(PublishError::NoPublisher(outbox.outlet.clone())),
        None => Ok(()),
    }
}

impl Shared {
    fn publication(&self) -> MutexGuard<'_, Publication> {
        self.publication.lock().expect("who panics while it holds this lock has broken the sequence")
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().expect("nothing panics while it holds this lock")
    }

    fn change(&self) {
        self.changes.iter().for_each(|waiting| waiting.send_modify(|changes| *changes += 1));
    }
}
