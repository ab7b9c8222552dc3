//! A running job becomes another.
//!
//! Receives what it shall be; guarantees that whatever can be known to be wrong with that is found before anything stops,
//! that the wish is durable when this returns, and that one which cannot be met changes nothing. Does not own how the job
//! becomes it: its driver does that, from the newest checkpoint, now or after a crash.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use weir_protocol::Fault;
use weir_protocol::chain::{RunEntry, SpecEntry, Stored, Wanted};
use weir_protocol::id::{EntryNumber, JobId, Uid};
use weir_protocol::job_spec::{JobSpec, SinkConnector};
use weir_protocol::manifest::Outlet;
use weir_protocol::upgrade::{Changes, Upgrade};

use super::engine::Inner;
use super::plan::Plan;
use super::shared::Shared;
use super::sinks::try_out;
use super::starts::resolve_starts;
use super::wish::Wish;
use super::{Engine, EngineError, JobState, JobStatus};
use crate::checkpoint::chain::{self, SpecChain};

/// How a job is upgraded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Upgrading {
    /// Only says what would change.
    pub dry_run: bool,
    /// Drops state and positions whose operator or source is no more; else that is refused.
    pub drops_state: bool,
}

/// What came of an upgrade.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgraded {
    /// The entry of the job's `spec/` chain that says what it shall be; where nothing is changed, what it is.
    pub spec: EntryNumber,
    /// Whether that entry is new to the job.
    pub is_new: bool,
    /// What changes.
    pub changes: Changes,
}

impl Engine {
    /// Has a running job become `spec`, from a checkpoint. Once this returns the wish is durable; the job's status says when
    /// it is met ([`JobStatus::former`] is empty), or that it was taken back since the job could not go on
    /// ([`JobStatus::undone`]).
    ///
    /// # Errors
    /// [`EngineError::UnknownJob`], [`EngineError::NotRunning`], [`EngineError::Unchangeable`]; what keeps the new spec from
    /// being accepted, as for [`Engine::submit`]; or what the store says. Then nothing is changed; but where the store was
    /// away while the wish was written, nobody knows: ask again.
    pub async fn upgrade(&self, id: JobId, spec: JobSpec, how: Upgrading) -> Result<Upgraded, EngineError> {
        self.inner.exists(id).await?;
        let accepts = self.inner.accepts.lock().await;
        if !*accepts {
            return Err(EngineError::failed(Fault::Unavailable, "the engine is stopping and changes no jobs"));
        }
        let status = self.job(id).ok_or(EngineError::UnknownJob(id))?;
        if status.state.is_terminal() {
            return Err(not_running(&status, true));
        }
        self.inner.upgrade(&status, spec, how).await
    }
}

fn not_running(status: &JobStatus, ended: bool) -> EngineError {
    EngineError::NotRunning { name: status.name.clone(), id: status.id, ended }
}

impl Inner {
    async fn upgrade(&self, status: &JobStatus, spec: JobSpec, how: Upgrading) -> Result<Upgraded, EngineError> {
        let shared = self.shared.of(&status.spec);
        let specs = SpecChain::new(shared.store.clone(), shared.clock, status.id);
        let plan = Plan::new(spec.clone(), shared.operators.as_ref()).await?;
        loop {
            let wanted = specs.newest().await?;
            let Wanted::Deploy(before) = &wanted.entry.wanted else { return Err(not_running(status, false)) };
            let newest = chain::newest(&shared.store, status.id).await?.stored.entry;
            if newest.kind.is_terminal() {
                return Err(not_running(status, true));
            }
            let ground = Ground { shared: &shared, specs: &specs, wanted: &wanted, newest: &newest };
            let changes = ground.changes(before, &plan, how).await?;
            try_out(&spec, status.id, &shared).await?;
            resolve_starts(&spec, |uid| !newest.manifest.sources.contains_key(uid)).await?;
            let is_wanted = **before == spec;
            if how.dry_run {
                return Ok(Upgraded { spec: wanted.entry.number, is_new: false, changes });
            }
            let number = if is_wanted {
                Some(wanted.entry.number)
            } else {
                let deploy = Wanted::Deploy(Box::new(spec.clone()));
                specs.want_next(&wanted, &shared.entropy, deploy, None).await?
            };
            if let Some(number) = number {
                self.take_up(status.id, number, spec, &shared).await?;
                // The answer to an earlier call may have been lost: it is new to the job then.
                return Ok(Upgraded { spec: number, is_new: number > status.spec_number, changes });
            }
        }
    }

    /// Has the job driven as entry `number` says: by its driver, where that does not know yet; or by a new one, where that
    /// has let go of it.
    async fn take_up(&self, id: JobId, number: EntryNumber, spec: JobSpec, shared: &Shared) -> Result<(), EngineError> {
        let state = {
            let jobs = self.jobs();
            let job = jobs.get(&id).ok_or(EngineError::UnknownJob(id))?;
            let status = job.board.copy();
            if number > status.spec_number {
                tracing::info!(job = %id, name = %status.name, "the job becomes spec {}", number.0);
                job.board.change(number, Arc::new(spec), None);
                job.wishes.send_replace(Wish::Run(number));
            }
            status.state
        };
        if state == JobState::Suspended { self.resume(id, shared).await } else { Ok(()) }
    }
}

/// What is known of a job that is to be changed.
struct Ground<'a> {
    shared: &'a Shared,
    specs: &'a SpecChain,
    /// Its newest wish.
    wanted: &'a Stored<SpecEntry>,
    newest: &'a RunEntry,
}

impl Ground<'_> {
    /// What changes. The new spec must fit whatever state it may come to go on from: that of the newest checkpoint, and
    /// that of the next, where the job has just been changed and takes one more before it is changed again.
    async fn changes(&self, before: &JobSpec, plan: &Plan, how: Upgrading) -> Result<Changes, EngineError> {
        let made_under = self.newest.made_under();
        if made_under != self.wanted.entry.number {
            let made_under = self.specs.deployed(made_under).await?;
            self.compare(&made_under, plan, how).await?;
        }
        self.compare(before, plan, how).await
    }

    async fn compare(&self, from: &JobSpec, plan: &Plan, how: Upgrading) -> Result<Changes, EngineError> {
        let from = Plan::new(from.clone(), self.shared.operators.as_ref()).await?;
        let places = self.places(from.graph.spec()).await?;
        let upgrade = Upgrade {
            from: &from.graph,
            to: &plan.graph,
            newest: self.newest,
            places: &places,
            migrating: &plan.migrating(),
            drops_state: how.drops_state,
        };
        Ok(upgrade.changes()?)
    }

    /// Where results were published, and where those of the present sinks will be.
    async fn places(&self, from: &JobSpec) -> Result<BTreeMap<Uid, SinkConnector>, EngineError> {
        let sealed = self.newest.manifest.outboxes.iter().map(|outbox| &outbox.outlet);
        let of_sinks = self.newest.published.keys().chain(sealed).filter_map(|outlet| match outlet {
            Outlet::Sink(uid) => Some(uid),
            Outlet::DeadLetters => None,
        });
        let sought: BTreeSet<Uid> = of_sinks.chain(from.sinks.iter().map(|sink| &sink.uid)).cloned().collect();
        Ok(self.specs.places(self.wanted.entry.number, sought).await?)
    }
}
