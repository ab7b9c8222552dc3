//! A job's chain and its publication, held by one attempt.
//!
//! Guarantees that an append without an answer is settled before anything else is sent, however long the store is away,
//! unless the driver is told to let go; that people are told what it waits for; and that nothing is published or deleted but what an entry that stands allows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use weir_protocol::Fault;
use weir_protocol::assembly::Assembly;
use weir_protocol::chain::{Confirmed, EntryKind, Next, RunEntry};
use weir_protocol::coordinator::Complete;
use weir_protocol::id::{CheckpointId, Uid};
use weir_protocol::manifest::{Manifest, Outlet};

use crate::checkpoint::chain::{ChainError, RunOwner};
use crate::checkpoint::collect::Collector;
use crate::checkpoint::publish::{Publications, UNPUBLISHED_BYTES_MAX};
use crate::sink::Publisher;

use super::board::Board;
use super::ended::Ended;
use super::shared::Shared;
use super::wish::{Wish, Wishes};

/// The wait before an entry without an answer is looked at once more, or whether somebody still looks at what may go.
const SETTLE_DELAY: Duration = Duration::from_secs(1);

/// The publishers of a job's sinks.
pub(crate) type Publishers = BTreeMap<Uid, Arc<dyn Publisher>>;

/// Settles what was begun: the newest entry stands when this returns. People are told what it waits for.
pub(crate) async fn settle(
    owner: &mut RunOwner,
    shared: &Shared,
    board: &Board,
    wishes: &mut Wishes,
) -> Result<Confirmed, Ended> {
    loop {
        match owner.settle().await {
            Ok(confirmed) => return Ok(confirmed),
            Err(error) if is_open(&error) => {
                let message = format!("{error}; it is tried again until the store has it");
                board.waits(shared.clock.now(), error.fault(), &message);
            }
            Err(error) => return Err(error.into()),
        }
        tokio::select! {
            biased;
            wish = let_go(wishes) => return Err(Ended::Wished(wish)),
            () = shared.clock.sleep(SETTLE_DELAY) => {}
        }
    }
}

async fn let_go(wishes: &mut Wishes) -> Wish {
    let mut wish = wishes.now();
    while wish != Wish::Stop {
        wish = wishes.other_than(wish).await;
    }
    wish
}

/// A chain whose newest entry stands, and the publication of what it names.
pub(crate) struct Owned<'a> {
    shared: &'a Shared,
    board: &'a Board,
    owner: &'a mut RunOwner,
    publications: Publications,
    collector: Collector,
}

impl<'a> Owned<'a> {
    /// Settles the chain and starts to publish what the newest entry names.
    ///
    /// # Errors
    /// Where another owner has the job; where the manifest names a sink that the job does not have.
    pub(crate) async fn begin(
        (shared, board): (&'a Shared, &'a Board),
        owner: &'a mut RunOwner,
        publishers: &Publishers,
        wishes: &mut Wishes,
    ) -> Result<Self, Ended> {
        let confirmed = settle(owner, shared, board, wishes).await?;
        let (store, job, control) = (&shared.store, owner.job(), shared.control.clone());
        let standing = (confirmed, newest(owner));
        let publications = Publications::begin(store, shared.clock, job, publishers, standing, control.clone())?;
        let collector = Collector::new(store.clone(), shared.clock, job, control).heeding(shared.holds.clone());
        Ok(Self { shared, board, owner, publications, collector })
    }

    /// Who the attempt is.
    pub(crate) const fn owner(&self) -> &RunOwner {
        self.owner
    }

    /// Whether the job was changed, and has taken no checkpoint since.
    pub(crate) fn is_on_trial(&self) -> bool {
        newest(self.owner).manifest_spec.is_some()
    }

    /// The newest manifest.
    pub(crate) fn manifest(&self) -> &Manifest {
        &newest(self.owner).manifest
    }

    /// The size that a checkpoint would have.
    pub(crate) fn bytes(&self, assembly: &Assembly, complete: &Complete) -> u64 {
        self.publications.assemble(assembly, complete).0.bytes()
    }

    /// Appends a checkpoint; has published what it names, and what it drops deleted.
    pub(crate) async fn record(
        &mut self,
        assembly: &Assembly,
        complete: &Complete,
        wishes: &mut Wishes,
    ) -> Result<(), Ended> {
        let (manifest, published) = self.publications.assemble(assembly, complete);
        let confirmed = self.append(EntryKind::Checkpoint, manifest, published, wishes).await?;
        self.publications.stands(confirmed, newest(self.owner))?;
        self.collector.collect(self.owner, confirmed);
        Ok(())
    }

    /// Appends the job's end, which counts so many records `given_up` on; what is not published stays named.
    pub(crate) async fn end(
        &mut self,
        kind: EntryKind,
        given_up: u64,
        wishes: &mut Wishes,
    ) -> Result<Confirmed, Ended> {
        let published = self.publications.published();
        let mut manifest = Manifest { rejected: given_up, ..self.manifest().clone() };
        manifest.outboxes.retain(|outbox| published.get(&outbox.outlet) < Some(&outbox.checkpoint));
        self.append(kind, manifest, published, wishes).await
    }

    /// Deletes what the job's `last` entry drops, once nobody looks at it any more: nobody will after this owner. It is left
    /// where this process stops meanwhile. Has the end shown when nothing is left, or as soon as it is known that somebody
    /// looks: that may take long.
    pub(crate) async fn clear(mut self, last: Confirmed, wishes: &mut Wishes, show: impl FnOnce()) {
        self.collector.finish(self.owner).await;
        let mut show = Some(show);
        while !self.collector.collect(self.owner, last) {
            if let Some(show) = show.take() {
                show();
            }
            tokio::select! {
                biased;
                _stop = let_go(wishes) => return,
                () = self.shared.clock.sleep(SETTLE_DELAY) => {}
            }
        }
        self.collector.finish(self.owner).await;
        if let Some(show) = show {
            show();
        }
    }

    async fn append(
        &mut self,
        kind: EntryKind,
        manifest: Manifest,
        published: BTreeMap<Outlet, CheckpointId>,
        wishes: &mut Wishes,
    ) -> Result<Confirmed, Ended> {
        let (nonce, at) = (self.shared.entropy.nonce(), self.shared.clock.now());
        match self.owner.append(Next { nonce, at, kind, manifest, published }).await {
            Ok(confirmed) => Ok(confirmed),
            Err(error) if is_open(&error) => settle(self.owner, self.shared, self.board, wishes).await,
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until more is published; fails where an outlet will publish no more. Cancel-safe.
    pub(crate) async fn published(&mut self) -> Result<(), Ended> {
        self.publications.changed().await;
        match self.publications.progress().failure {
            Some(failure) => Err(failure.into()),
            None => Ok(()),
        }
    }

    /// Waits until everything is published. Cancel-safe.
    pub(crate) async fn drained(&mut self) -> Result<(), Ended> {
        Ok(self.publications.drained().await?)
    }

    /// Whether so much is sealed and not public that the sources should pause.
    pub(crate) fn is_congested(&self) -> bool {
        self.publications.unpublished_bytes() >= UNPUBLISHED_BYTES_MAX
    }

    /// For each sink its newest outbox that is public.
    pub(crate) fn sinks_published(&self) -> BTreeMap<Uid, CheckpointId> {
        let of_sink = |(outlet, checkpoint)| match outlet {
            Outlet::Sink(uid) => Some((uid, checkpoint)),
            Outlet::DeadLetters => None,
        };
        self.publications.published().into_iter().filter_map(of_sink).collect()
    }
}

fn newest(owner: &RunOwner) -> &RunEntry {
    &owner.newest().expect("an entry stands").entry
}

/// Whether an append may yet succeed: the store was away.
fn is_open(error: &ChainError) -> bool {
    !matches!(error, ChainError::Lost { .. }) && error.fault() == Fault::Unavailable
}
