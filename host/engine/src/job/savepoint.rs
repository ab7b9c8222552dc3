//! Savepoints of jobs: asked for, taken in the background, asked after; and looked into, wherever they lie.
//!
//! Receives a job and where its savepoint shall be; guarantees that what is copied is a checkpoint whose entry stands (PROTOCOL
//! 1.9), of a barrier after the request where the job runs; that nothing which it names is collected meanwhile; and that the
//! job is neither held up nor failed by it. Does not own the copying, nor what is kept of an entry.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::watch;
use weir_protocol::Fault;
use weir_protocol::id::{CheckpointId, JobId, Nonce};
use weir_protocol::savepoint::Savepoint;

use super::change::cancel;
use super::known::Job;
use super::shared::Shared;
use super::{Engine, EngineError, JobState, JobStatus};
use crate::checkpoint::chain::{self, SpecChain};
use crate::checkpoint::inspect::{Holds, Inspector};
use crate::checkpoint::savepoint::{self, Copied, Copies, SavepointError, SavepointPlace, SavepointTarget};
use crate::store::remove_emptied;

/// Requests that are remembered; of more the oldest that are done are forgotten.
const REQUESTS_MAX: usize = 200;
/// Savepoints that are taken at once, of all jobs: each has some parts of objects in memory.
const TAKEN_AT_ONCE: usize = 8;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavepointAsk {
    /// The store, or the folder of one, below which the savepoint gets a folder of its own.
    pub target: String,
    /// Who asks may give the request its name: to ask again under it asks after it.
    pub request: Option<Nonce>,
    /// Whether the job ends with it, so that the savepoint holds all that it ever published. It goes on where it turns out
    /// before that there will be none.
    pub stops: bool,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SavepointStatus {
    /// It is on its way.
    InProgress {
        /// Bytes copied.
        copied: u64,
        /// Of so many; `None`: the checkpoint does not stand yet.
        size: Option<u64>,
    },
    /// It is there.
    Completed {
        /// Where.
        location: String,
        /// Of which checkpoint it is a copy.
        checkpoint: CheckpointId,
        /// Bytes of all that it holds.
        size: u64,
    },
    /// There is none.
    Failed {
        /// Who must act.
        fault: Fault,
        /// What is wrong, and where.
        message: String,
    },
}

/// A savepoint that can be looked into.
#[derive(Debug)]
pub struct OpenSavepoint {
    /// Where it is.
    pub location: String,
    /// What it is.
    pub savepoint: Savepoint,
    /// What looks into it.
    pub inspector: Inspector,
}

/// The requests of one engine.
#[derive(Debug, Default)]
pub(super) struct Requests(Mutex<VecDeque<(Nonce, JobId, watch::Receiver<State>)>>);

/// How a request stands.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    copied: Copied,
    size: Option<u64>,
    ended: Option<Result<(String, CheckpointId), (Fault, String)>>,
}

impl Engine {
    /// Has a savepoint of a job taken, whether it runs or has ended. The answer names the request; what becomes of it says
    /// [`Engine::savepoint_status`], as long as this engine lives.
    ///
    /// # Errors
    /// [`EngineError::UnknownJob`]; the job takes no checkpoints; the target can be no place;
    /// [`EngineError::SavepointLimit`].
    pub fn savepoint(&self, id: JobId, ask: SavepointAsk) -> Result<Nonce, EngineError> {
        let job = self.inner.find(id)?;
        let SavepointAsk { target, request, stops } = ask;
        let target = SavepointTarget::new(target)?;
        let spec = job.board.copy().spec;
        if spec.checkpoint.is_none() {
            let message = "the job takes no checkpoints, so there is nothing that could be copied; give it a [checkpoint] section";
            return Err(EngineError::failed(Fault::Request, message));
        }
        let shared = self.inner.shared.of(&spec);
        let request = request.unwrap_or_else(|| shared.entropy.nonce());
        let mut requests = self.inner.savepoints.lock();
        if requests.iter().any(|(known, of, _)| (*known, *of) == (request, id)) {
            return Ok(request);
        }
        if requests.iter().filter(|(.., state)| !is_settled(state)).count() >= TAKEN_AT_ONCE {
            return Err(EngineError::SavepointLimit(TAKEN_AT_ONCE));
        }
        let (state, stands) = watch::channel(State::default());
        let taking = Taking { id, job, shared, target, stops, may_end: AtomicBool::new(false), state };
        if !self.inner.spawn(format!("savepoint of {id}"), taking.run()) {
            return Err(EngineError::failed(Fault::Unavailable, "the engine is stopping; ask again once it runs"));
        }
        requests.push_back((request, id, stands));
        if requests.len() > REQUESTS_MAX {
            let settled = requests.iter().position(|(.., state)| is_settled(state));
            settled.and_then(|oldest| requests.remove(oldest));
        }
        Ok(request)
    }

    /// What became of a request; `None`: this engine knows of none.
    #[must_use]
    pub fn savepoint_status(&self, id: JobId, request: Nonce) -> Option<SavepointStatus> {
        let requests = self.inner.savepoints.lock();
        let (_, _, state) = requests.iter().find(|(known, of, _)| (*known, *of) == (request, id))?;
        let is_broken_off = state.has_changed().is_err();
        let State { copied, size, ended } = state.borrow().clone();
        Some(match ended {
            None if is_broken_off => {
                let message = "it was broken off, which the node's log explains; ask for it again".to_owned();
                SavepointStatus::Failed { fault: Fault::Bug, message }
            }
            None => SavepointStatus::InProgress { copied: copied.bytes(), size },
            Some(Ok((location, checkpoint))) => {
                SavepointStatus::Completed { location, checkpoint, size: size.unwrap_or_default() }
            }
            Some(Err((fault, message))) => SavepointStatus::Failed { fault, message },
        })
    }

    /// Opens a savepoint, of whatever job.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub async fn open_savepoint(&self, location: &str) -> Result<OpenSavepoint, EngineError> {
        self.inner.shared.open_savepoint(location).await
    }

    /// Deletes a savepoint, and nothing but that. Jobs that began from it have copies of their own.
    ///
    /// # Errors
    /// There is none, or something else lies in its folder.
    pub async fn dispose_savepoint(&self, location: &str) -> Result<(), EngineError> {
        let Shared { places, clock, .. } = &self.inner.shared;
        let place = SavepointPlace::existing(location, (places, *clock))?;
        Ok(savepoint::dispose(&place, *clock).await?)
    }
}

impl Shared {
    pub(super) async fn open_savepoint(&self, location: &str) -> Result<OpenSavepoint, EngineError> {
        let Self { store, clock, looks, places, .. } = self;
        let SavepointPlace { location, store: folder } = SavepointPlace::existing(location, (places, *clock))?;
        let savepoint = savepoint::read(&folder, &location).await?;
        let inspector = Inspector::new(folder, *clock, savepoint.job, looks.clone(), Holds::default());
        let inspector = inspector.with_components(store.clone()).of_savepoint(&savepoint);
        Ok(OpenSavepoint { location, savepoint, inspector })
    }
}

/// Whoever takes it has nothing more to say.
fn is_settled(state: &watch::Receiver<State>) -> bool {
    state.has_changed().is_err()
}

impl Requests {
    fn lock(&self) -> MutexGuard<'_, VecDeque<(Nonce, JobId, watch::Receiver<State>)>> {
        self.0.lock().expect("nothing panics while it holds this lock")
    }
}

impl From<SavepointError> for EngineError {
    fn from(SavepointError { fault, message }: SavepointError) -> Self {
        Self::failed(fault, message)
    }
}

/// A savepoint that is being taken.
struct Taking {
    id: JobId,
    job: Arc<Job>,
    shared: Shared,
    target: SavepointTarget,
    stops: bool,
    /// Somebody may know by now that the job is wanted to end.
    may_end: AtomicBool,
    state: watch::Sender<State>,
}

impl Taking {
    async fn run(self) {
        let ended = self.perform().await.map_err(|error| (error.fault(), self.explained(&error)));
        match &ended {
            Ok((location, checkpoint)) => {
                tracing::info!(job = %self.id, location, "a savepoint of checkpoint {checkpoint} was taken");
            }
            Err((_, error)) => tracing::warn!(job = %self.id, error, "no savepoint was taken"),
        }
        self.state.send_modify(|state| state.ended = Some(ended));
    }

    /// Whoever wanted the job to end learns that it does not.
    fn explained(&self, error: &EngineError) -> String {
        let lives = matches!(self.job.board.copy().state, JobState::Running | JobState::Restarting);
        match self.stops && lives && !self.may_end.load(Ordering::Relaxed) {
            true => format!("{error}; the job goes on"),
            false => error.to_string(),
        }
    }

    async fn perform(&self) -> Result<(String, CheckpointId), EngineError> {
        self.job.exists(self.shared.clock).await?;
        let Shared { clock, places, entropy, .. } = &self.shared;
        let names = (self.id, entropy.nonce());
        let place = SavepointPlace::new(&self.target, names, (places, *clock)).await?;
        let taken = self.take(&place).await;
        if taken.is_err() {
            remove_emptied(&place.location, clock);
        }
        Ok((place.location, taken?))
    }

    async fn take(&self, place: &SavepointPlace) -> Result<CheckpointId, EngineError> {
        let (store, copied) = (&self.shared.store, self.state.borrow().copied.clone());
        let _pin = self.shared.holds.pin(self.id);
        self.takes_a_checkpoint().await?;
        let mut savepoint = self.newest().await?;
        let mut copies = Copies::out(&savepoint)?;
        copies.make(store, &place.store, &copied).await?;
        if self.stops {
            let last = async {
                // Much may have come while so much was copied.
                self.takes_a_checkpoint().await?;
                self.stop().await?;
                self.newest().await.map_err(|error| ended(&error))
            };
            savepoint = match last.await {
                Ok(last) => last,
                Err(error) => {
                    copies.discard(&place.store).await;
                    return Err(error);
                }
            };
            let followed = copies.followed_by(Copies::out(&savepoint)?, (store, &place.store), &copied).await;
            copies = followed.map_err(|error| ended(&error.into()))?;
        }
        let written = copies.become_savepoint(&savepoint, place).await;
        written.map_err(|error| if self.stops { ended(&error.into()) } else { error.into() })?;
        Ok(savepoint.manifest.checkpoint)
    }

    /// What is kept of the newest entry.
    async fn newest(&self) -> Result<Savepoint, EngineError> {
        let Shared { store, clock, .. } = &self.shared;
        let newest = chain::newest(store, self.id).await?.stored.entry;
        let specs = SpecChain::new(store.clone(), *clock, self.id);
        let spec = specs.deployed(newest.made_under()).await?;
        let Some(savepoint) = Savepoint::of(self.id, &newest, spec, clock.now()) else {
            let message = "the job has no completed checkpoint yet, and a savepoint is a copy of one; ask again later";
            return Err(EngineError::failed(Fault::Request, message));
        };
        self.state.send_modify(|state| state.size = Some(savepoint.manifest.bytes()));
        Ok(savepoint)
    }

    /// Waits until the newest entry covers all that came before now; where the job stands still, it does.
    async fn takes_a_checkpoint(&self) -> Result<(), EngineError> {
        let (clock, board) = (self.shared.clock, &self.job.board);
        let (mut moved, since) = (board.moved(), clock.now());
        let mut asked_at = None;
        loop {
            let status = board.copy();
            if stands_still(&status) || board.fresh().covered() >= since {
                return Ok(());
            }
            // Each attempt has to be asked anew.
            if status.state == JobState::Running && asked_at.replace(status.attempts) != Some(status.attempts) {
                board.fresh().ask();
            }
            let patience = status.spec.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.timeout_ms);
            tokio::select! {
                biased;
                Ok(()) = moved.changed() => {}
                () = clock.sleep_until(since.saturating_add_unsigned(patience)) => return Err(too_late(&status, patience)),
            }
        }
    }

    /// Ends the job, and waits until everything that its entries name is published.
    async fn stop(&self) -> Result<(), EngineError> {
        let mut moved = self.job.board.moved();
        self.may_end.store(true, Ordering::Relaxed);
        cancel(self.id, &self.job, &self.shared).await?;
        loop {
            let status = self.job.board.copy();
            if status.state.is_terminal() {
                return Ok(());
            }
            if status.state == JobState::Suspended {
                let why = status.failures.first().map_or("it does not run here", |failure| &failure.message);
                let message = format!("the job is wanted to end, and waits: {why}");
                return Err(EngineError::failed(Fault::Unavailable, message));
            }
            moved.changed().await.expect("the job's board has the sender");
        }
    }
}

/// What failed when the job could not go on any more.
fn ended(error: &EngineError) -> EngineError {
    let message = format!("the job has ended, and no savepoint was taken: {error}; one can still be taken of it");
    EngineError::failed(error.fault(), message)
}

fn stands_still(status: &JobStatus) -> bool {
    status.state.is_terminal() || status.state == JobState::Suspended
}

fn too_late(status: &JobStatus, patience_ms: u64) -> EngineError {
    let failed = status.checkpoints.latest_failed.as_ref().and_then(|failed| failed.failure.as_ref());
    let why = failed.map(|failed| format!("; the last that failed: {failed}")).unwrap_or_default();
    let message = format!(
        "the job, which is {}, completed no checkpoint within {} seconds, the timeout of its checkpoints{why}",
        status.state.as_str(),
        patience_ms.div_ceil(1_000)
    );
    EngineError::failed(Fault::Unavailable, message)
}
