//! One outlet's results, one outbox after the other.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::watch;
use weir_protocol::Fault;
use weir_protocol::id::{JobId, SubtaskId};
use weir_protocol::manifest::{Outbox, Outlet};
use weir_protocol::publication::Publication;

use super::{PublishError, Shared};
use crate::checkpoint::dead_letters::publish_dead_letters;
use crate::checkpoint::read_blob;
use crate::clock::Clock;
use crate::sink::{OpenOutbox, OutboxPart, Publisher, SealedPart};
use crate::step::{Place, Step};
use crate::store::Store;

/// The wait before a failed publication is tried again; each further one is twice as long.
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// The longest such wait.
const DELAY_MAX: Duration = Duration::from_secs(10);

/// Publishes what entries name for one outlet.
pub(super) struct OutletTask {
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) job: JobId,
    pub(super) outlet: Outlet,
    pub(super) way: Way,
    pub(super) changes: watch::Receiver<u64>,
    pub(super) shared: Arc<Shared>,
    /// What was known when the attempt began: the marker must fit that, and not what was sealed since.
    pub(super) begun: Publication,
}

/// How an outlet's results become public.
pub(super) enum Way {
    /// Through the sink.
    Sink(Arc<dyn Publisher>),
    /// As objects of the job's own, which carry no marker: writing one again writes the same.
    DeadLetters,
}

impl OutletTask {
    /// Runs until something cannot be published for good.
    pub(super) async fn run(mut self) {
        let Err(failure) = self.publish_all().await;
        tracing::warn!(job = %self.job, outlet = %self.outlet, error = %failure, "results cannot be published");
        self.shared.progress().failure.get_or_insert(failure);
        self.shared.change();
    }

    async fn publish_all(&mut self) -> Result<Infallible, PublishError> {
        self.read_marker().await?;
        loop {
            self.changes.mark_unchanged();
            let due = self.shared.publication().due(&self.outlet).cloned();
            if let Some(outbox) = due {
                self.insist(&outbox).await?;
                self.shared.publication().published(&self.outlet, outbox.checkpoint);
                self.shared.change();
            } else {
                self.changes.changed().await.expect("the sender is shared, and lives as long as this");
            }
        }
    }

    /// An earlier attempt may have published what no entry confirms.
    async fn read_marker(&mut self) -> Result<(), PublishError> {
        let Way::Sink(publisher) = &self.way else { return Ok(()) };
        let mut delay = FIRST_DELAY;
        let marker = loop {
            match publisher.marker().await {
                Ok(marker) => break marker,
                Err(error) => self.bear(error.into(), &mut delay).await?,
            }
        };
        self.is_back();
        self.begun.on_marker(&self.outlet, marker)?;
        self.shared.publication().on_marker(&self.outlet, marker)?;
        self.shared.change();
        Ok(())
    }

    /// Publishes one outbox, however long the sink or the store is away.
    async fn insist(&self, outbox: &Outbox) -> Result<(), PublishError> {
        let mut delay = FIRST_DELAY;
        while let Err(error) = self.publish(outbox).await {
            self.bear(error, &mut delay).await?;
        }
        self.is_back();
        Ok(())
    }

    /// Waits before the next try, or gives back an error that no try will mend.
    async fn bear(&self, error: PublishError, delay: &mut Duration) -> Result<(), PublishError> {
        if error.fault() != Fault::Unavailable {
            return Err(error);
        }
        tracing::warn!(job = %self.job, outlet = %self.outlet, %error, "results wait to be published");
        self.shared.progress().waiting.insert(self.outlet.clone(), error.to_string());
        self.shared.change();
        self.clock.sleep(*delay).await;
        *delay = (*delay * 2).min(DELAY_MAX);
        Ok(())
    }

    fn is_back(&self) {
        self.shared.progress().waiting.remove(&self.outlet);
    }

    async fn publish(&self, outbox: &Outbox) -> Result<(), PublishError> {
        let place = Place::of_job(self.job).at(outbox.checkpoint);
        Step::Publication.before(place);
        let parts = self.read(outbox).await?;
        match &self.way {
            Way::DeadLetters => {
                let parts = parts.into_iter().map(|(subtask, sealed)| (subtask, sealed.bytes));
                publish_dead_letters(&self.store, self.job, outbox.checkpoint, parts).await?;
            }
            Way::Sink(publisher) => {
                let part = |(subtask, part): (SubtaskId, SealedPart)| OutboxPart { subtask: subtask.index, part };
                let parts = parts.into_iter().map(part).collect();
                let (checkpoint, predecessor) = (outbox.checkpoint, outbox.predecessor);
                publisher.publish(&OpenOutbox { checkpoint, predecessor, parts }).await?;
            }
        }
        Step::Publication.after(place);
        Ok(())
    }

    /// Each subtask's bytes: what it sealed at several barriers follows each other.
    async fn read(&self, outbox: &Outbox) -> Result<BTreeMap<SubtaskId, SealedPart>, PublishError> {
        let mut subtasks: BTreeMap<SubtaskId, SealedPart> = BTreeMap::new();
        for part in &outbox.parts {
            let bytes = read_blob(&self.store, self.job, &part.blob).await?;
            let empty = || SealedPart { bytes: Bytes::new(), records: 0 };
            let whole = subtasks.entry(part.subtask.clone()).or_insert_with(empty);
            whole.bytes = joined(&whole.bytes, bytes);
            whole.records += part.records;
        }
        Ok(subtasks)
    }
}

/// The two, one after the other; copies nothing where the first is empty.
fn joined(first: &Bytes, second: Bytes) -> Bytes {
    if first.is_empty() {
        return second;
    }
    let mut joined = BytesMut::with_capacity(first.len() + second.len());
    joined.extend_from_slice(first);
    joined.extend_from_slice(&second);
    joined.freeze()
}
