//! A job that begins from a savepoint.
//!
//! Receives what it shall be and where the savepoint is; guarantees that whatever can be known to be wrong with that is found
//! before anything is written, that each object is verified, and that the job owns copies of all that it begins from before
//! its first entry names them (PROTOCOL 1.9): the savepoint may go at any time afterwards. Does not own what fits what
//! ([`Fork`]).

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use tokio::sync::oneshot;
use weir_protocol::Fault;
use weir_protocol::id::JobId;
use weir_protocol::job_spec::JobSpec;
use weir_protocol::manifest::Manifest;
use weir_protocol::savepoint::{Ancestor, Fork, Refusal, shared_place};

use super::bound::exceeded;
use super::engine::Inner;
use super::plan::Plan;
use super::savepoint::OpenSavepoint;
use super::shared::Shared;
use super::sinks::try_out;
use super::starts::resolve_starts;
use super::{Engine, EngineError, JobStatus, Submitted};
use crate::checkpoint::savepoint::{Copied, Copies};
use crate::store::{Store, canonical};

/// What a job begins from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The savepoint's folder.
    pub location: String,
    /// Whether state and positions may be dropped that the job has no place for.
    pub drops_state: bool,
    /// Whether results may be missing outside, or come there twice.
    pub inexact: bool,
}

/// A job that has all that it begins from, and does not exist yet. Where it never begins, what was copied for it goes.
#[derive(Debug)]
pub struct Prepared {
    id: JobId,
    spec: JobSpec,
    manifest: Manifest,
    from: Ancestor,
    inexact: bool,
    copies: Belongings,
}

impl Engine {
    /// Checks whether a job can begin from a savepoint, and copies what it needs of that; [`Engine::submit_prepared`] begins
    /// it.
    ///
    /// # Errors
    /// What is wrong with the job, as for [`Engine::submit`]; [`EngineError::Unrestorable`]; what of the savepoint is
    /// missing or damaged, by name.
    pub async fn prepare(&self, spec: JobSpec, origin: &Origin) -> Result<Prepared, EngineError> {
        if let Some(taken) = self.inner.taken(&spec) {
            return Err(taken);
        }
        let shared = self.inner.shared.of(&spec);
        let id = shared.entropy.job_id();
        let plan = Plan::new(spec.clone(), shared.operators.as_ref()).await?;
        let OpenSavepoint { location, savepoint, inspector } = shared.open_savepoint(&origin.location).await?;
        if let Some(message) = exceeded(spec.state.storage, || savepoint.manifest.bytes()) {
            return Err(EngineError::failed(
                Fault::Request,
                format!("the job cannot begin from that checkpoint: {message}"),
            ));
        }
        let mut held = BTreeMap::new();
        for (uid, subtasks) in &savepoint.manifest.operators {
            held.insert(uid.clone(), inspector.states(subtasks).await?);
        }
        let fork = Fork {
            savepoint: &savepoint,
            to: &plan.graph,
            held: &held,
            migrating: &plan.migrating(),
            drops_state: origin.drops_state,
            inexact: origin.inexact,
            place: canonical,
        };
        let mut manifest = fork.manifest().map_err(EngineError::Unrestorable)?;
        if let Some(again) = self.inner.again(&spec, savepoint.job).filter(|_| !origin.inexact) {
            return Err(EngineError::Unrestorable(again));
        }
        try_out(&spec, id, &shared).await?;
        let starts = resolve_starts(&spec, |uid| !manifest.sources.contains_key(uid)).await?;
        manifest.sources.extend(starts);
        let copies = Copies::inherited(&manifest, (savepoint.job, id))?;
        let manifest = copies.named_in(manifest);
        let copies = Belongings::copied(copies, (inspector.store(), &shared.store), &self.inner).await?;
        tracing::info!(job = %id, name = %spec.name, location, "what a job begins from is copied from a savepoint");
        let from = Ancestor { location, job: savepoint.job, checkpoint: manifest.checkpoint };
        Ok(Prepared { id, spec, manifest, from, inexact: origin.inexact, copies })
    }

    /// Begins it. Returns once the job exists durably; it is always a new one.
    ///
    /// # Errors
    /// As [`Engine::submit`], and [`EngineError::Conflict`] though a job of the same name has the same spec.
    pub async fn submit_prepared(&self, prepared: Prepared) -> Result<Submitted, EngineError> {
        let shared = self.inner.shared.of(&prepared.spec);
        let submitted = self.begin_prepared(prepared, &shared).await?;
        self.inner.find(submitted.id)?.exists(shared.clock).await?;
        Ok(submitted)
    }

    /// After an error there is no such job, and never will be.
    async fn begin_prepared(&self, prepared: Prepared, shared: &Shared) -> Result<Submitted, EngineError> {
        let Prepared { id, spec, manifest, from, inexact, copies } = prepared;
        let accepts = self.inner.accepts.lock().await;
        if !*accepts {
            return Err(EngineError::failed(Fault::Unavailable, "the engine is stopping and takes no jobs"));
        }
        if let Some(taken) = self.inner.taken(&spec) {
            return Err(taken);
        }
        if let Some(again) = self.inner.again(&spec, from.job).filter(|_| !inexact) {
            return Err(EngineError::Unrestorable(again));
        }
        // A component may have been deleted while the savepoint was copied.
        Plan::new(spec.clone(), shared.operators.as_ref()).await?;
        copies.copies.are_there(&shared.store).await?;
        let submitted = self.inner.begin(id, spec, (manifest, Some(from)), shared.clock.now()).await?;
        copies.keep();
        Ok(submitted)
    }
}

impl Inner {
    /// Why results would come twice where a job begins from a savepoint of job `from`: another one did.
    fn again(&self, spec: &JobSpec, from: JobId) -> Option<Refusal> {
        let jobs: Vec<_> = self.jobs().values().map(|job| job.board.copy()).collect();
        let descends = |job: &JobStatus| {
            let mut above = job.began_from.as_ref();
            while let Some(Ancestor { job, .. }) = above.filter(|above| above.job != from) {
                above = jobs.iter().find(|known| known.id == *job).and_then(|known| known.began_from.as_ref());
            }
            above.is_some()
        };
        let writes =
            |job: &JobStatus| !job.state.is_terminal() || job.sinks.iter().any(|sink| sink.published.is_some());
        jobs.iter().filter(|job| writes(job) && descends(job)).find_map(|job| {
            let (uid, path) = shared_place(spec, &job.spec, canonical)?;
            Some(Refusal::Again { uid, path, other: job.id })
        })
    }
}

/// Copies for a job that does not exist yet: they go with this, unless it comes to be. Whoever waits for the job may be gone
/// at any moment.
#[derive(Debug)]
struct Belongings {
    copies: Arc<Copies>,
    copied: Copied,
    store: Store,
    /// Who makes and deletes them.
    engine: Weak<Inner>,
}

impl Belongings {
    /// Copies them, in a task of the engine's: it knows what is on its way, and deletes that, too, where whoever waits goes.
    async fn copied(copies: Copies, (from, to): (&Store, &Store), engine: &Arc<Inner>) -> Result<Self, EngineError> {
        let (copies, copied) = (Arc::new(copies), Copied::default());
        let (tell, told) = oneshot::channel();
        let copying = {
            let (copies, copied, from, to) = (Arc::clone(&copies), copied.clone(), from.clone(), to.clone());
            async move {
                // Where nobody hears it, they are given up: that deletes them.
                let _unheard = tell.send(copies.make(&from, &to, &copied).await);
            }
        };
        let belongings = Self { copies, copied, store: to.clone(), engine: Arc::downgrade(engine) };
        engine.spawn("copy what a job begins from".to_owned(), copying);
        let stopped = |_| EngineError::failed(Fault::Unavailable, "the engine stopped while a savepoint was copied");
        told.await.map_err(stopped)??;
        Ok(belongings)
    }

    /// From now on they are the job's.
    fn keep(mut self) {
        self.engine = Weak::new();
    }
}

impl Drop for Belongings {
    fn drop(&mut self) {
        if let Some(engine) = self.engine.upgrade() {
            self.copied.give_up();
            let (copies, store) = (Arc::clone(&self.copies), self.store.clone());
            engine.spawn("discard copies".to_owned(), async move { copies.discard(&store).await });
        }
    }
}
