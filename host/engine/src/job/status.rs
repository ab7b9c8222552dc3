//! What the engine tells people about a job: plain data, copied out of the running job.

use std::sync::Arc;

use serde::Serialize;
use weir_protocol::Fault;
use weir_protocol::chain::{EntryKind, RunEntry, Undone};
use weir_protocol::id::{CheckpointId, EntryNumber, JobId, Name, Uid};
use weir_protocol::job_spec::JobSpec;
use weir_protocol::manifest::{Manifest, Outlet};
use weir_protocol::savepoint::Ancestor;
use weir_protocol::time::Timestamp;

use crate::metrics::SubtaskMetrics;

use super::plan::vertices_of;

/// A job as it stands.
#[derive(Debug, Clone)]
pub struct JobStatus {
    /// Its identity.
    pub id: JobId,
    /// What people call it.
    pub name: Name,
    /// What it is doing.
    pub state: JobState,
    /// What it is wanted to be, and runs unless it is just becoming that.
    pub spec: Arc<JobSpec>,
    /// The entry of its `spec/` chain that says so; each change has a higher number.
    pub spec_number: EntryNumber,
    /// What it was before, as long as it may go back to that: it has taken no checkpoint since.
    pub former: Vec<Arc<JobSpec>>,
    /// What somebody wants it to become, as long as that is being decided.
    pub considered: Vec<Arc<JobSpec>>,
    /// The change that was taken back last, if none was made since.
    pub undone: Option<Undone>,
    /// The savepoint that it began from; `None`: it began anew.
    pub began_from: Option<Ancestor>,
    /// When it was accepted.
    pub started_at: Timestamp,
    /// When it ended; `None` while it has not.
    pub ended_at: Option<Timestamp>,
    /// When it took on its present state.
    pub state_since: Timestamp,
    /// How often its tasks were started in this process.
    pub attempts: u64,
    /// The newest failures first; at most [`FAILURES_MAX`].
    pub failures: Vec<Failure>,
    /// Its sources, operators and sinks, in the order of the graph: each after everything that feeds it.
    pub vertices: Vec<VertexStatus>,
    /// Its checkpoints in this process.
    pub checkpoints: CheckpointStats,
    /// Its sinks.
    pub sinks: Vec<SinkStatus>,
    /// Records given up on over the job's life, skipped ones included, as of the newest entry and what came since.
    pub dead_letters: u64,
    /// What holds for its results.
    pub guarantee: Guarantee,
}

impl JobStatus {
    /// A job of which nothing has run yet.
    pub(crate) fn new(id: JobId, spec: Arc<JobSpec>, started_at: Timestamp, state: JobState) -> Self {
        let guarantee = if spec.checkpoint.is_some() { Guarantee::ExactlyOnce } else { Guarantee::AtLeastOnce };
        Self {
            id,
            name: spec.name.clone(),
            state,
            started_at,
            ended_at: None,
            state_since: started_at,
            attempts: 0,
            failures: Vec::new(),
            vertices: vertices_of(&spec),
            checkpoints: CheckpointStats::default(),
            sinks: spec.sinks.iter().map(|sink| SinkStatus::new(&sink.uid)).collect(),
            dead_letters: 0,
            guarantee,
            spec,
            spec_number: EntryNumber::default(),
            former: Vec::new(),
            considered: Vec::new(),
            undone: None,
            began_from: None,
        }
    }

    /// The components that it needs, or may come to need, by hash; one may come several times.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        let specs = self.former.iter().chain([&self.spec]).chain(&self.considered);
        specs.flat_map(|spec| &spec.operators).map(|operator| operator.component.as_str())
    }

    /// The job as its last entry leaves it.
    pub(crate) fn ended(mut self, kind: &EntryKind, last: &RunEntry) -> Self {
        self.state = match kind {
            EntryKind::Finished => JobState::Finished,
            EntryKind::Cancelled { .. } | EntryKind::ClaimedBy { .. } => JobState::Canceled,
            EntryKind::Failed { reason, fault } => {
                let (at, message) = (last.at, reason.clone());
                self.failures.insert(0, Failure { at, subtask: None, fault: *fault, message });
                self.failures.truncate(FAILURES_MAX);
                JobState::Failed
            }
            EntryKind::Start | EntryKind::Takeover | EntryKind::Checkpoint | EntryKind::RestoredFrom { .. } => {
                self.state
            }
        };
        self.ended_at = Some(last.at);
        self.state_since = last.at;
        self.dead_letters = last.manifest.rejected;
        self.checkpoints.newest = StandingCheckpoint::of(&last.manifest);
        for sink in &mut self.sinks {
            sink.published = last.published.get(&Outlet::Sink(sink.uid.clone())).copied();
        }
        self
    }
}

/// How many failures a status shows.
pub const FAILURES_MAX: usize = 10;

/// How many checkpoints a status shows.
pub const HISTORY_MAX: usize = 100;

/// How many records of a sink a status shows.
pub const RECENT_MAX: usize = 10;

/// Flink's `JobStatus`, as far as it applies; serialised in its words (`RUNNING`, `CANCELED`, …).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum JobState {
    /// Accepted; its tasks do not run yet.
    Created,
    /// Its tasks run.
    Running,
    /// It gave up for good and is writing that down.
    Failing,
    /// It gave up for good.
    Failed,
    /// It was cancelled and is publishing what its newest entry names.
    Cancelling,
    /// It was cancelled.
    Canceled,
    /// All its inputs ended and everything is published.
    Finished,
    /// Its tasks are to start again: after the back-off where they failed, else as what the job was changed to.
    Restarting,
    /// It does not run here, though it has not ended: this process is stopping, another owner took over, or something
    /// it needs does not verify (the newest failure says what).
    Suspended,
}

impl JobState {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Created,
        Self::Running,
        Self::Failing,
        Self::Failed,
        Self::Cancelling,
        Self::Canceled,
        Self::Finished,
        Self::Restarting,
        Self::Suspended,
    ];

    /// Whether nothing follows.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Failed | Self::Canceled | Self::Finished)
    }

    /// Flink's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "CREATED",
            Self::Running => "RUNNING",
            Self::Failing => "FAILING",
            Self::Failed => "FAILED",
            Self::Cancelling => "CANCELLING",
            Self::Canceled => "CANCELED",
            Self::Finished => "FINISHED",
            Self::Restarting => "RESTARTING",
            Self::Suspended => "SUSPENDED",
        }
    }
}

/// What holds for a job's results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guarantee {
    /// State and results of sinks with an outbox.
    ExactlyOnce,
    /// Checkpoints are off: after a failure records are seen again or, where a source starts at its end, lost to state.
    AtLeastOnce,
}

/// One failure of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// When.
    pub at: Timestamp,
    /// The subtask, where one failed: `uid[index]`.
    pub subtask: Option<String>,
    /// Who must act.
    pub fault: Fault,
    /// What is wrong; for a guest with its own backtrace.
    pub message: String,
}

/// What a vertex of the graph is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum VertexKind {
    /// A source.
    Source,
    /// An operator.
    Operator,
    /// A sink.
    Sink,
}

/// A source, operator or sink as it stands.
#[derive(Debug, Clone)]
pub struct VertexStatus {
    /// Its uid.
    pub uid: Uid,
    /// What it is.
    pub kind: VertexKind,
    /// For people: the connector's type, or the operator's name in its component.
    pub title: String,
    /// How many subtasks it has.
    pub parallelism: u32,
    /// The live counters of each subtask, from the start of the present attempt.
    pub subtasks: Vec<Arc<SubtaskMetrics>>,
}

/// A job's checkpoints since this process runs it.
#[derive(Debug, Clone, Default)]
pub struct CheckpointStats {
    /// Completed: their entry exists.
    pub completed: u64,
    /// On their way.
    pub in_progress: u64,
    /// Failed, expired or aborted.
    pub failed: u64,
    /// Ones that found nothing changed, and so wrote no entry.
    pub skipped: u64,
    /// The checkpoint that the present attempt started from.
    pub restored: Option<CheckpointId>,
    /// The newest that stands, whichever process took it.
    pub newest: Option<StandingCheckpoint>,
    /// The newest that this process completed.
    pub latest_completed: Option<CheckpointSummary>,
    /// The newest failed one.
    pub latest_failed: Option<CheckpointSummary>,
    /// The newest first; at most [`HISTORY_MAX`].
    pub history: Vec<CheckpointSummary>,
}

/// A checkpoint that an entry records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StandingCheckpoint {
    /// Its number.
    pub id: CheckpointId,
    /// When it was triggered.
    pub taken_at: Timestamp,
    /// Bytes of all that it needs, what subtasks share counted once.
    pub size: u64,
}

impl StandingCheckpoint {
    /// That of a manifest; `None`: it has only start positions.
    pub(crate) fn of(manifest: &Manifest) -> Option<Self> {
        let Manifest { checkpoint: id, taken_at, .. } = *manifest;
        (id > CheckpointId(0)).then(|| Self { id, taken_at, size: manifest.bytes() })
    }
}

/// One checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointSummary {
    /// Its number.
    pub id: CheckpointId,
    /// How it stands.
    pub state: CheckpointState,
    /// Whether it is the last one of a bounded job.
    pub is_final: bool,
    /// When it was triggered.
    pub triggered_at: Timestamp,
    /// Milliseconds from there until its entry existed, or until it failed; `None` while it is on its way.
    pub duration_ms: Option<u64>,
    /// Bytes that it added to the store, its entry apart.
    pub bytes: u64,
    /// Bytes of all that it needs, what subtasks share counted once; 0 until its entry exists.
    pub size: u64,
    /// How many subtasks have acknowledged it.
    pub acknowledged: u32,
    /// How many there are.
    pub subtasks: u32,
    /// Why it failed, or what it waits for that should not take time.
    pub failure: Option<String>,
}

/// How a checkpoint stands; serialised in Flink's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CheckpointState {
    /// On its way.
    InProgress,
    /// Its entry exists.
    Completed,
    /// It never will.
    Failed,
}

/// A sink as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkStatus {
    /// Its uid.
    pub uid: Uid,
    /// The newest checkpoint whose results this process saw published, or found published when it took over.
    pub published: Option<CheckpointId>,
    /// The last records that reached it, published or not, oldest first; at most [`RECENT_MAX`], cut to 256 characters.
    pub recent: Vec<String>,
}

impl SinkStatus {
    /// A sink of which nothing is known yet.
    pub(crate) fn new(uid: &Uid) -> Self {
        Self { uid: uid.clone(), published: None, recent: Vec::new() }
    }
}
