//! The facade: all jobs of one process over one object store.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures::FutureExt;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use tokio::runtime::Handle;
use tokio::sync::watch;
use weir_protocol::Fault;
use weir_protocol::chain::{SpecEntry, Stored, Wanted};
use weir_protocol::id::{EntryNumber, JobId};
use weir_protocol::job_spec::JobSpec;
use weir_protocol::manifest::Manifest;
use weir_protocol::recovery::{Recovery, recover};

use crate::checkpoint::chain::{self, ChainError, SpecChain};
use crate::checkpoint::dead_letters::read_dead_letters;
use crate::checkpoint::inspect::{Holds, Inspector};
use crate::clock::{Clock, Entropy};
use crate::dead_letter::DeadLetter;
use crate::sink::LineWriter;
use crate::spawn::{Runtime, TaskGroup};
use crate::state::LocalDisk;
use crate::store::{Places, Prefix, Store, StoreError};

use super::board::Board;
use super::driver::{Driver, Hold};
use super::plan::Plan;
use super::restart::Restarts;
use super::shared::Shared;
use super::sinks::try_out;
use super::starts::resolve_starts;
use super::wish::{Wish, Wishes};
use super::{EngineError, JobState, JobStatus, Operators};

/// How long jobs that are to stop are waited for; longer than it takes to give up on a task that holds its thread.
const STOP_WAIT: Duration = Duration::from_secs(10);

/// How long whoever submits a job waits to hear that it exists.
const CREATION_WAIT: Duration = Duration::from_secs(5);

/// What an engine needs from outside.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Where all durable truth is. For a local folder: with fsync on.
    pub store: Arc<dyn ObjectStore>,
    /// The time.
    pub clock: Clock,
    /// Random numbers.
    pub entropy: Entropy,
    /// Where coordination, chains and uploads run.
    pub control: Runtime,
    /// Where records are processed; may be the same as `control`.
    pub data: Handle,
    /// Where operators come from.
    pub operators: Arc<dyn Operators>,
    /// Opens the places that sinks write to.
    pub places: Arc<dyn Places>,
    /// Where state goes that outgrows its memory; `None`: jobs that ask for it are refused.
    pub disk: Option<LocalDisk>,
}

/// All jobs of this process. A cheap handle; the jobs run until [`Engine::stop`] or until the last handle is dropped
/// (which aborts them where they stand: what a crash does).
#[derive(Debug, Clone)]
pub struct Engine {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) shared: Shared,
    jobs: Mutex<BTreeMap<JobId, Job>>,
    /// Locked by whoever adds a job, from looking at the names to adding it; false once the engine stops.
    pub(super) accepts: tokio::sync::Mutex<bool>,
    drivers: Mutex<TaskGroup<()>>,
}

/// One job of this process, driven or ended.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) board: Board,
    pub(super) wishes: watch::Sender<Wish>,
    /// Whether it is known to exist: its first entry stands. The sender lives as long as the job is driven.
    exists: watch::Receiver<bool>,
}

/// What became of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Submitted {
    /// The job.
    pub id: JobId,
    /// Whether it is new; else a job of this name ran from the same spec already, and nothing was changed.
    pub created: bool,
}

impl Engine {
    /// Probes the store, reads all jobs and resumes those that have not ended.
    ///
    /// # Errors
    /// When the store fails the probe or cannot be read. A single job that cannot be resumed is no error here: its
    /// status says why.
    pub async fn start(config: EngineConfig) -> Result<Self, EngineError> {
        let EngineConfig { store, clock, entropy, control, data, operators, places, disk } = config;
        let stdout = LineWriter::stdout();
        let store = Store::new(store, clock);
        let (memory, holds) = (Store::new(Arc::new(InMemory::new()), clock), Holds::default());
        let shared = Shared { store, memory, clock, entropy, control, data, operators, places, disk, stdout, holds };
        shared.store.probe(&shared.entropy).await?;
        let drivers = Mutex::new(TaskGroup::new(shared.control.clone()));
        let (jobs, accepts) = (Mutex::default(), tokio::sync::Mutex::new(true));
        let engine = Self { inner: Arc::new(Inner { shared, jobs, accepts, drivers }) };
        for folder in engine.inner.shared.store.folders(&Prefix::jobs()).await? {
            if let Ok(job) = folder.parse() {
                engine.inner.resume(job, &engine.inner.shared).await?;
            }
        }
        Ok(engine)
    }

    /// Accepts a job and starts it. Returns once the job exists durably. The spec names components by hash.
    ///
    /// # Errors
    /// [`EngineError::Conflict`]; or with [`Fault::Request`], naming the uid and the mend, when the spec does not hold
    /// together or names what does not exist; or what the store says. Where the store does not answer whether the job
    /// exists, it is kept asking: submitting the same spec again waits for that answer, and never makes a second job.
    pub async fn submit(&self, spec: JobSpec) -> Result<Submitted, EngineError> {
        let accepts = self.inner.accepts.lock().await;
        if !*accepts {
            return Err(EngineError::failed(Fault::Unavailable, "the engine is stopping and takes no jobs"));
        }
        let submitted = match self.inner.running(&spec) {
            Some(running) => running?,
            None => self.inner.create(spec).await?,
        };
        drop(accepts);
        self.inner.exists(submitted.id).await?;
        Ok(submitted)
    }

    /// All jobs, ended ones included, the newest first.
    #[must_use]
    pub fn jobs(&self) -> Vec<JobStatus> {
        let mut jobs: Vec<JobStatus> = self.inner.jobs().values().map(|job| job.board.copy()).collect();
        jobs.sort_by_key(|job| (std::cmp::Reverse(job.started_at), job.id));
        jobs
    }

    /// One job.
    #[must_use]
    pub fn job(&self, id: JobId) -> Option<JobStatus> {
        self.inner.jobs().get(&id).map(|job| job.board.copy())
    }

    /// Asks for a job's end: once this returns the wish is durable, and the job ends by itself soon: it publishes what
    /// its newest entry names, and what came after that is dropped. For a job that has ended this does nothing.
    ///
    /// # Errors
    /// [`EngineError::UnknownJob`], or what the store says.
    pub async fn cancel(&self, id: JobId) -> Result<(), EngineError> {
        let accepts = self.inner.accepts.lock().await;
        let status = self.job(id).ok_or(EngineError::UnknownJob(id))?;
        if status.state.is_terminal() {
            return Ok(());
        }
        let shared = self.inner.shared.of(&status.spec);
        let Shared { store, clock, entropy, .. } = &shared;
        let specs = SpecChain::new(store.clone(), *clock, id);
        specs.want(entropy, &Wanted::Cancel).await?;
        if *accepts && status.state == JobState::Suspended {
            return self.inner.resume(id, &shared).await;
        }
        if let Some(job) = self.inner.jobs().get(&id) {
            job.wishes.send_replace(Wish::Cancel);
        }
        Ok(())
    }

    /// The newest `limit` dead letters of a job that are public, newest first.
    ///
    /// # Errors
    /// [`EngineError::UnknownJob`], or what the store says.
    pub async fn dead_letters(&self, id: JobId, limit: usize) -> Result<Vec<DeadLetter>, EngineError> {
        let status = self.job(id).ok_or(EngineError::UnknownJob(id))?;
        let read = read_dead_letters(&self.inner.shared.of(&status.spec).store, id, limit).await;
        read.map_err(|error| EngineError::failed(error.fault(), error.to_string()))
    }

    /// Looks into a job's checkpoints, whether it runs or has ended.
    ///
    /// # Errors
    /// [`EngineError::UnknownJob`].
    pub fn inspector(&self, id: JobId) -> Result<Inspector, EngineError> {
        let status = self.job(id).ok_or(EngineError::UnknownJob(id))?;
        let components = self.inner.shared.store.clone();
        let Shared { store, clock, control, holds, .. } = self.inner.shared.of(&status.spec);
        Ok(Inspector::new(store, clock, id, control, holds).with_components(components))
    }

    /// Stops all jobs' tasks cleanly and waits for them, though not for ever; the jobs resume at the next start.
    pub async fn stop(&self) {
        *self.inner.accepts.lock().await = false;
        for job in self.inner.jobs().values() {
            job.wishes.send_replace(Wish::Stop);
        }
        let none = TaskGroup::new(self.inner.shared.control.clone());
        let mut drivers = std::mem::replace(&mut *self.inner.drivers(), none);
        let ended = async {
            while let Some(ended) = drivers.next().await {
                if let Err(panicked) = ended {
                    tracing::error!(%panicked, "a job's driver broke an invariant");
                }
            }
        };
        tokio::select! {
            biased;
            () = ended => {}
            () = self.inner.shared.clock.sleep(STOP_WAIT) => {
                tracing::warn!("jobs that wait for the store are left where they stand, as a crash would leave them");
            }
        }
    }
}

impl Inner {
    /// A job of this name that has not ended.
    fn running(&self, spec: &JobSpec) -> Option<Result<Submitted, EngineError>> {
        let jobs = self.jobs();
        let running = jobs
            .values()
            .map(|job| job.board.copy())
            .find(|status| status.name == spec.name && !status.state.is_terminal())?;
        if *running.spec == *spec {
            return Some(Ok(Submitted { id: running.id, created: false }));
        }
        Some(Err(EngineError::Conflict { name: spec.name.clone(), running: running.id }))
    }

    async fn create(&self, spec: JobSpec) -> Result<Submitted, EngineError> {
        let shared = self.shared.of(&spec);
        let Shared { store, clock, entropy, operators, .. } = &shared;
        let id = entropy.job_id();
        let plan = Plan::new(spec.clone(), operators.as_ref()).await?;
        try_out(&spec, id, &shared).await?;
        let positions = resolve_starts(&spec, |_| true).await?;
        let manifest = Manifest::start(plan.graph.spec().max_parallelism, clock.now(), positions);
        let specs = SpecChain::new(store.clone(), *clock, id);
        let owner = specs.begin_job(entropy, spec.clone(), manifest).await?;
        let spec = Arc::new(spec);
        let board = Board::new(JobStatus::new(id, Arc::clone(&spec), clock.now(), JobState::Created));
        self.drive(id, spec, board, Wish::Run(EntryNumber(0)), Hold::begun(owner));
        Ok(Submitted { id, created: true })
    }

    /// Waits, though not for ever, until a job is known to exist.
    pub(super) async fn exists(&self, id: JobId) -> Result<(), EngineError> {
        let exists = self.jobs().get(&id).map(|job| job.exists.clone());
        let mut exists = exists.ok_or(EngineError::UnknownJob(id))?;
        tokio::select! {
            biased;
            Ok(_) = exists.wait_for(|exists| *exists) => Ok(()),
            () = self.shared.clock.sleep(CREATION_WAIT) => {
                let message = "the store does not answer whether the job was created; submit it again to wait for that";
                Err(EngineError::failed(Fault::Unavailable, message))
            }
        }
    }

    /// Takes a job up as the store has it: drives it, or shows how it ended.
    pub(super) async fn resume(&self, id: JobId, shared: &Shared) -> Result<(), EngineError> {
        let specs = SpecChain::new(shared.store.clone(), shared.clock, id);
        match self.try_resume(id, &specs, shared).await {
            Ok(()) | Err(ChainError::NoJob(_)) => Ok(()),
            Err(ChainError::Store(error @ (StoreError::Unavailable { .. } | StoreError::Denied { .. }))) => {
                Err(error.into())
            }
            Err(error) => {
                tracing::error!(job = %id, %error, "the job cannot be resumed");
                self.show_unreadable(id, &specs, &error).await;
                Ok(())
            }
        }
    }

    async fn try_resume(&self, id: JobId, specs: &SpecChain, shared: &Shared) -> Result<(), ChainError> {
        let run = chain::newest(&shared.store, id).await;
        let wanted = specs.newest().await?;
        let spec = Arc::new(specs.deployed(wanted.entry.number).await?);
        let started_at = specs.entry(Default::default()).await?.entry.at;
        let run = run?.stored.entry;
        let former = match run.made_under() {
            made_under if made_under == wanted.entry.number => Vec::new(),
            made_under => vec![Arc::new(specs.deployed(made_under).await?)],
        };
        let status = |state| JobStatus {
            spec_number: wanted.entry.number,
            former: former.clone(),
            undone: wanted.entry.undoes.clone(),
            ..JobStatus::new(id, Arc::clone(&spec), started_at, state)
        };
        let wish = match recover(&wanted.entry, Some(&run)) {
            Recovery::NeverBegan => return Ok(()),
            Recovery::Ended(kind) => {
                let status = status(JobState::Created).ended(kind, &run);
                self.add(id, Board::new(status), watch::Sender::new(Wish::Stop), watch::channel(true).1);
                return Ok(());
            }
            Recovery::Run(_) => Wish::Run(wanted.entry.number),
            Recovery::Cancel => Wish::Cancel,
        };
        let board = Board::new(JobStatus { dead_letters: run.manifest.rejected, ..status(JobState::Created) });
        self.drive(id, Arc::clone(&spec), board, wish, Hold::default());
        Ok(())
    }

    /// Shows a job whose newest entry does not verify, as far as its spec can be read.
    async fn show_unreadable(&self, id: JobId, specs: &SpecChain, error: &ChainError) {
        let newest: Result<Stored<SpecEntry>, ChainError> = specs.newest().await;
        let spec = match newest {
            Ok(newest) => specs.deployed(newest.entry.number).await.ok(),
            Err(_unreadable) => None,
        };
        let Some(spec) = spec else { return };
        let now = self.shared.clock.now();
        let board = Board::new(JobStatus::new(id, Arc::new(spec), now, JobState::Suspended));
        board.failed(now, None, error.fault(), error.to_string());
        self.add(id, board, watch::Sender::new(Wish::Stop), watch::channel(true).1);
    }

    fn drive(&self, id: JobId, spec: Arc<JobSpec>, board: Board, wish: Wish, hold: Hold) {
        let (sender, wishes) = watch::channel(wish);
        let (exists, knows) = watch::channel(hold.exists());
        let restarts = Restarts::new(spec.restart.clone());
        let name = format!("job {}", spec.name);
        let driver = Driver {
            shared: self.shared.of(&spec),
            job: id,
            spec,
            spec_number: board.copy().spec_number,
            board: board.clone(),
            wishes: Wishes::new(wishes),
            wanted: wish,
            restarts,
            hold,
            exists,
        };
        self.add(id, board, sender, knows);
        let mut drivers = self.drivers();
        while drivers.next().now_or_never().flatten().is_some() {}
        drivers.spawn(name, driver.run());
    }

    fn add(&self, id: JobId, board: Board, wishes: watch::Sender<Wish>, exists: watch::Receiver<bool>) {
        self.jobs().insert(id, Job { board, wishes, exists });
    }

    pub(super) fn jobs(&self) -> MutexGuard<'_, BTreeMap<JobId, Job>> {
        self.jobs.lock().expect("nothing panics while it holds this lock")
    }

    fn drivers(&self) -> MutexGuard<'_, TaskGroup<()>> {
        self.drivers.lock().expect("nothing panics while it holds this lock")
    }
}
