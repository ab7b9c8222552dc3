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
use weir_protocol::id::{EntryNumber, JobId};
use weir_protocol::job_spec::JobSpec;
use weir_protocol::manifest::Manifest;
use weir_protocol::savepoint::Ancestor;
use weir_protocol::time::Timestamp;

use crate::checkpoint::chain::SpecChain;
use crate::checkpoint::dead_letters::read_dead_letters;
use crate::checkpoint::inspect::{Holds, Inspector};
use crate::clock::{Clock, Entropy};
use crate::dead_letter::DeadLetter;
use crate::sink::LineWriter;
use crate::spawn::{Panicked, Runtime, TaskGroup};
use crate::state::LocalDisk;
use crate::store::{Places, Prefix, Store};

use super::board::Board;
use super::driver::Driver;
use super::known::{Job, Standing};
use super::plan::Plan;
use super::restart::Restarts;
use super::savepoint::Requests;
use super::shared::Shared;
use super::sinks::try_out;
use super::starts::resolve_starts;
use super::takeover::Hold;
use super::wish::{Wish, wishes};
use super::{EngineError, JobState, JobStatus, Operators};

/// How long jobs that are to stop are waited for; longer than it takes to give up on a task that holds its thread.
const STOP_WAIT: Duration = Duration::from_secs(10);

/// How many looks into jobs may wait for the store at once: however many are asked for, restores and merges go on.
const LOOKS_MAX: usize = 16;

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
    /// Whose threads wait for state on disk. They wait for nothing else, so that few of them are enough.
    pub disk_threads: Runtime,
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
    jobs: Mutex<BTreeMap<JobId, Arc<Job>>>,
    pub(super) savepoints: Requests,
    /// Locked by whoever adds a job, from looking at the names to adding it; false once the engine stops.
    pub(super) accepts: tokio::sync::Mutex<bool>,
    /// The drivers of jobs, and what is being changed; `None` once the engine stops.
    tasks: Mutex<Option<TaskGroup<()>>>,
}

/// What became of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Submitted {
    /// The job.
    pub id: JobId,
    /// Whether it is new; else a job of this name had the same spec already, and nothing was changed.
    pub created: bool,
}

impl Engine {
    /// Probes the store, reads all jobs and resumes those that have not ended.
    ///
    /// # Errors
    /// When the store fails the probe or cannot be read. A single job that cannot be resumed is no error here: its
    /// status says why.
    pub async fn start(config: EngineConfig) -> Result<Self, EngineError> {
        let EngineConfig { store, clock, entropy, control, data, disk_threads, operators, places, disk } = config;
        let stdout = LineWriter::stdout();
        let store = Store::new(store, clock);
        let (memory, holds) = (Store::new(Arc::new(InMemory::new()), clock), Holds::default());
        let looks = control.with_places(LOOKS_MAX);
        let shared = Shared {
            store,
            memory,
            clock,
            entropy,
            control,
            looks,
            data,
            disk_threads,
            operators,
            places,
            disk,
            stdout,
            holds,
        };
        shared.store.probe(&shared.entropy).await?;
        let tasks = Mutex::new(Some(TaskGroup::new(shared.control.clone())));
        let (jobs, accepts) = (Mutex::default(), tokio::sync::Mutex::new(true));
        let engine = Self { inner: Arc::new(Inner { shared, jobs, savepoints: Requests::default(), accepts, tasks }) };
        for folder in engine.inner.shared.store.folders(&Prefix::jobs()).await? {
            if let Ok(job) = folder.parse() {
                engine.inner.resume(job).await?;
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
        let submitted = match self.inner.namesake(&spec) {
            Some(namesake) => namesake?,
            None => self.inner.create(spec).await?,
        };
        drop(accepts);
        self.inner.find(submitted.id)?.exists(self.inner.shared.clock).await?;
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
        let Shared { store, clock, looks, holds, .. } = self.inner.shared.of(&status.spec);
        Ok(Inspector::new(store, clock, id, looks, holds).with_components(components))
    }

    /// Stops all jobs' tasks cleanly and waits for them, though not for ever; the jobs resume at the next start.
    pub async fn stop(&self) {
        *self.inner.accepts.lock().await = false;
        for job in self.inner.jobs().values() {
            job.asker.ask(Wish::Stop);
        }
        let Some(mut tasks) = self.inner.tasks().take() else { return };
        let ended = async {
            while let Some(ended) = tasks.next().await {
                tell_panic(ended);
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
    fn namesake(&self, spec: &JobSpec) -> Option<Result<Submitted, EngineError>> {
        let jobs = self.jobs();
        let running = jobs
            .values()
            .map(|job| job.board.copy())
            .find(|status| status.name == spec.name && !status.state.is_terminal())?;
        if *running.spec == *spec {
            return Some(Ok(Submitted { id: running.id, created: false }));
        }
        let state = running.state;
        Some(Err(EngineError::Conflict { name: spec.name.clone(), running: running.id, state }))
    }

    /// That a name is taken, whatever the job that has it does.
    pub(super) fn taken(&self, spec: &JobSpec) -> Option<EngineError> {
        match self.namesake(spec)? {
            Ok(Submitted { id: running, .. }) => {
                let state = self.jobs().get(&running).map_or(JobState::Running, |job| job.board.copy().state);
                Some(EngineError::Conflict { name: spec.name.clone(), running, state })
            }
            Err(conflict) => Some(conflict),
        }
    }

    async fn create(&self, spec: JobSpec) -> Result<Submitted, EngineError> {
        let shared = self.shared.of(&spec);
        let Shared { clock, entropy, operators, .. } = &shared;
        let id = entropy.job_id();
        let plan = Plan::new(spec.clone(), operators.as_ref()).await?;
        try_out(&spec, id, &shared).await?;
        let positions = resolve_starts(&spec, |_| true).await?;
        let now = clock.now();
        let manifest = Manifest::start(plan.graph.spec().max_parallelism, now, positions);
        self.begin(id, spec, (manifest, None), now).await
    }

    /// Begins a job with this manifest, which is a savepoint's or new, accepted now, and drives it.
    ///
    /// # Errors
    /// What the store says; then there is no such job, and never will be.
    pub(super) async fn begin(
        &self,
        id: JobId,
        spec: JobSpec,
        (manifest, began_from): (Manifest, Option<Ancestor>),
        now: Timestamp,
    ) -> Result<Submitted, EngineError> {
        let Shared { store, clock, entropy, .. } = &self.shared.of(&spec);
        let specs = SpecChain::new(store.clone(), *clock, id);
        let owner = specs.begin_job(entropy, now, spec.clone(), (manifest, began_from.clone())).await?;
        let spec = Arc::new(spec);
        let status = JobStatus { began_from, ..JobStatus::new(id, Arc::clone(&spec), now, JobState::Created) };
        let board = Board::new(status);
        self.drive(id, spec, board, Wish::Run(EntryNumber(0)), Hold::begun(owner));
        Ok(Submitted { id, created: true })
    }

    pub(super) fn drive(&self, id: JobId, spec: Arc<JobSpec>, board: Board, wish: Wish, hold: Hold) {
        let (asker, wishes) = wishes(wish);
        let (standing, stands) = watch::channel(if hold.exists() { Standing::Exists } else { Standing::Begun });
        let restarts = Restarts::new(spec.restart.clone());
        let name = format!("job {}", spec.name);
        let driver = Driver {
            shared: self.shared.of(&spec),
            job: id,
            spec,
            spec_number: board.copy().spec_number,
            board: board.clone(),
            wishes,
            wanted: wish,
            restarts,
            hold,
            standing,
        };
        self.add(id, Job { board, asker, standing: stands });
        self.spawn(name, driver.run());
    }

    /// Shows a job that has ended.
    pub(super) fn show(&self, id: JobId, board: Board) {
        self.add(id, Job { board, asker: wishes(Wish::Stop).0, standing: watch::channel(Standing::Exists).1 });
    }

    fn add(&self, id: JobId, job: Job) {
        self.jobs().insert(id, Arc::new(job));
    }

    /// Starts a task of the engine's own; whether it could, or the engine is stopping.
    pub(super) fn spawn(&self, name: String, task: impl Future<Output = ()> + Send + 'static) -> bool {
        let mut tasks = self.tasks();
        let Some(tasks) = tasks.as_mut() else { return false };
        while let Some(ended) = tasks.next().now_or_never().flatten() {
            tell_panic(ended);
        }
        tasks.spawn(name, task);
        true
    }

    pub(super) fn jobs(&self) -> MutexGuard<'_, BTreeMap<JobId, Arc<Job>>> {
        self.jobs.lock().expect("nothing panics while it holds this lock")
    }

    fn tasks(&self) -> MutexGuard<'_, Option<TaskGroup<()>>> {
        self.tasks.lock().expect("nothing panics while it holds this lock")
    }
}

fn tell_panic(ended: Result<(String, ()), Panicked>) {
    if let Err(panicked) = ended {
        tracing::error!(%panicked, "a task of the engine broke an invariant");
    }
}
