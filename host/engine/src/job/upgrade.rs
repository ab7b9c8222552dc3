//! A running job becomes another.
//!
//! Receives what it shall be; guarantees that whatever can be known to be wrong with that is found before anything stops,
//! that the wish is durable when there is an answer, that its driver hears of it, and that one which cannot be met changes
//! nothing. Does not own how the job becomes it: its driver does that, from the newest checkpoint, now or after a crash.

use std::sync::Arc;

use weir_protocol::Fault;
use weir_protocol::chain::Wanted;
use weir_protocol::id::{EntryNumber, JobId};
use weir_protocol::job_spec::JobSpec;
use weir_protocol::upgrade::Changes;

use super::comparison::Ground;
use super::known::Job;
use super::plan::Plan;
use super::shared::Shared;
use super::sinks::try_out;
use super::starts::resolve_starts;
use super::wish::Wish;
use super::{Engine, EngineError, JobStatus};
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
    /// What whoever asked should know, though it is accepted.
    pub warnings: Vec<String>,
}

impl Engine {
    /// Has a running job become `spec`, from a checkpoint. Once there is an answer the wish is durable; the job's status says
    /// when it is met ([`JobStatus::former`] is empty), or that it was taken back since the job could not go on
    /// ([`JobStatus::undone`]). It is begun by the call and goes on though nobody waits for the answer; from the call on, the
    /// components that `spec` names count as used by the job.
    ///
    /// # Errors
    /// [`EngineError::UnknownJob`], [`EngineError::NotRunning`], [`EngineError::Unchangeable`]; what keeps the new spec from
    /// being accepted, as for [`Engine::submit`]; or what the store says. Then nothing is changed; but where the store was
    /// away while the wish was written, nobody knows: ask again.
    pub fn upgrade(
        &self,
        id: JobId,
        spec: JobSpec,
        how: Upgrading,
    ) -> impl Future<Output = Result<Upgraded, EngineError>> + Send + use<> {
        let (job, shared) = (self.inner.find(id), self.inner.shared.clone());
        let considered = job.as_ref().ok().map(|job| job.board.consider(&spec));
        self.inner.perform(format!("upgrade {id}"), async move {
            let upgraded = Change { id, job: job?, shared, spec, how }.perform().await;
            drop(considered);
            upgraded
        })
    }
}

fn not_running(status: &JobStatus, ended: bool) -> EngineError {
    EngineError::NotRunning { name: status.name.clone(), id: status.id, ended }
}

/// One that was asked for.
struct Change {
    id: JobId,
    job: Arc<Job>,
    shared: Shared,
    spec: JobSpec,
    how: Upgrading,
}

impl Change {
    async fn perform(self) -> Result<Upgraded, EngineError> {
        self.job.exists(self.shared.clock).await?;
        let status = self.job.board.copy();
        if status.state.is_terminal() {
            return Err(not_running(&status, true));
        }
        let (shared, spec) = (self.shared.of(&status.spec), &self.spec);
        let specs = SpecChain::new(shared.store.clone(), shared.clock, self.id);
        let plan = Plan::new(spec.clone(), shared.operators.as_ref()).await?;
        loop {
            let wanted = specs.newest().await?;
            let Wanted::Deploy(before) = &wanted.entry.wanted else { return Err(not_running(&status, false)) };
            let newest = chain::newest(&shared.store, self.id).await?.stored.entry;
            if newest.kind.is_terminal() {
                return Err(not_running(&status, true));
            }
            let ground = Ground { status: &status, shared: &shared, specs: &specs, wanted: &wanted, newest: &newest };
            let warnings = ground.warnings(&plan);
            let changes = match ground.changes(before, &plan, self.how).await {
                // The job took another checkpoint meanwhile, and dropped what was being read.
                Err(error) if error.fault() == Fault::Corrupt && ground.is_outdated().await? => continue,
                compared => compared?,
            };
            try_out(spec, self.id, &shared).await?;
            resolve_starts(spec, |uid| !newest.manifest.sources.contains_key(uid)).await?;
            if self.how.dry_run {
                return Ok(Upgraded { spec: wanted.entry.number, is_new: false, changes, warnings });
            }
            let number = if **before == *spec {
                Some(wanted.entry.number)
            } else {
                let deploy = Wanted::Deploy(Box::new(spec.clone()));
                specs.want_next(&wanted, &shared.entropy, deploy, None).await?
            };
            if let Some(spec) = number {
                return Ok(Upgraded { spec, is_new: self.take_up(spec).await?, changes, warnings });
            }
        }
    }

    /// Has the job driven as entry `number` says, unless it ends meanwhile. Whether that is new to it: the answer to an
    /// earlier call may have been lost.
    async fn take_up(&self, number: EntryNumber) -> Result<bool, EngineError> {
        let before = self.job.board.copy().spec_number;
        self.job.ask(Wish::Run(number), self.shared.clock.now());
        self.job.is_decided().await?;
        let status = self.job.board.copy();
        if status.state.is_terminal() {
            return Err(not_running(&status, true));
        }
        let is_new = number > before;
        if is_new {
            tracing::info!(job = %self.id, name = %status.name, "the job becomes spec {}", number.0);
            self.job.board.change(number, Arc::new(self.spec.clone()), None);
        }
        Ok(is_new)
    }
}
