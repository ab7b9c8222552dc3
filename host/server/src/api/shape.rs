//! The JSON of `/api/v1`, as it is written by the node and read by the command line. Times are milliseconds since the
//! Unix epoch.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use weir_engine::checkpoint::inspect::Item;
use weir_engine::component::StoredComponent;
use weir_engine::job::{CheckpointStats, CheckpointSummary, JobStatus, SavepointStatus, SinkStatus, VertexStatus};
use weir_engine::metrics::{Counter, StateMetrics, StateSize, SubtaskMetrics};
use weir_protocol::Fault;
use weir_protocol::chain::Undone;
use weir_protocol::description::OperatorDescription;
use weir_protocol::savepoint::Ancestor;
use weir_protocol::time::{NO_TIME, Timestamp};
use weir_protocol::upgrade::Changes;

use crate::job_file;

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Health {
    /// Always `weir`; how another process recognises one.
    pub service: String,
    /// Its version.
    pub version: String,
    /// Its process's id.
    pub pid: u32,
}

/// A component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Component {
    /// What people call it; none, one or several.
    pub names: Vec<String>,
    /// The SHA-256 of its bytes.
    pub hash: String,
    /// How many bytes.
    pub bytes: u64,
    /// When it was first uploaded.
    pub uploaded_at: Timestamp,
    /// Its operators: name, inputs, outputs, states.
    pub operators: Vec<OperatorDescription>,
}

/// The answer to an upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Upload {
    /// The component.
    #[serde(flatten)]
    pub component: Component,
    /// Whether anything is new (status 201); else it was all there already (200).
    pub created: bool,
}

/// The answer to a submission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Submission {
    /// The job.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether it is new (201); else a job of the name had the same spec already (200).
    pub created: bool,
    /// What whoever submitted it should know, though it was accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// The answer to an upgrade, or to the question what it would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Upgrade {
    /// The job's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The job becomes, or is, what this entry of its `spec/` chain says.
    pub spec_number: u64,
    /// Whether it becomes that (202); else nothing was changed: it was only asked, or the job is that already (200).
    pub accepted: bool,
    /// What changes.
    #[serde(flatten)]
    pub changes: Changes,
    /// What whoever asked should know, though it was accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A job, as an answer that has nothing else to say names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Named {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Job {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Flink's words: `RUNNING`, `FINISHED`, …
    pub state: String,
    /// Whether nothing follows on that.
    pub ended: bool,
    /// When it was accepted.
    pub started_at: Timestamp,
    /// When it took on its state.
    pub state_since: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How often its tasks were started by this process.
    pub attempts: u64,
    /// `exactly-once` or `at-least-once`.
    pub guarantee: String,
    /// Records given up on.
    pub dead_letters: u64,
    /// What becomes of a record that is given up on: `dead-letter`, `skip` or `fail`.
    #[serde(default)]
    pub error_policy: String,
    /// The newest first.
    pub failures: Vec<Failure>,
    /// Sources, operators and sinks in the order of the graph.
    pub vertices: Vec<Vertex>,
    /// Its checkpoints.
    pub checkpoints: Checkpoints,
    /// Its sinks.
    pub sinks: Vec<Sink>,
    /// How often it was changed: the entry of its `spec/` chain that says what it is.
    #[serde(default)]
    pub spec_number: u64,
    /// Whether it has taken no checkpoint since it was changed, so that it may go back to what it was.
    #[serde(default)]
    pub on_trial: bool,
    /// The change that was taken back last, since the job could not go on with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone: Option<Undone>,
    /// The savepoint that it began from; left out where it began anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_from: Option<Ancestor>,
    /// What it runs, in the form of a job file; left out of lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<serde_json::Value>,
}

/// A failure of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Failure {
    /// When.
    pub at: Timestamp,
    /// `uid[index]`, where one subtask failed.
    pub subtask: Option<String>,
    /// Who must act.
    pub fault: Fault,
    /// What is wrong.
    pub message: String,
}

/// A source, operator or sink; counters are sums over its subtasks since they were started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Vertex {
    /// Its uid.
    pub uid: String,
    /// `source`, `operator` or `sink`.
    pub kind: String,
    /// The connector's type, or the operator's name.
    pub title: String,
    /// How many subtasks.
    pub parallelism: u32,
    /// Records received.
    pub records_in: u64,
    /// Records sent.
    pub records_out: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Records given up on.
    pub dead_letters: u64,
    /// Calls undone and tried again.
    pub retries: u64,
    /// Timers fired.
    pub timers_fired: u64,
    /// Values, list elements and map entries of state that were dropped because they had expired.
    #[serde(default)]
    pub state_expired: u64,
    /// Bytes of all its state and timers, in memory and on disk; as of the last barrier or second, as what follows.
    #[serde(default)]
    pub state_bytes: u64,
    /// Pending timers.
    #[serde(default)]
    pub timers: u64,
    /// Each of its states.
    #[serde(default)]
    pub states: Vec<State>,
    /// The lowest watermark of its subtasks; `null` before the first.
    pub watermark: Option<Timestamp>,
}

/// How much a state holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct State {
    /// Its name.
    pub name: String,
    /// Bytes: keys and values, and 16 to 24 bytes each.
    pub bytes: u64,
    /// Values, elements and entries.
    pub entries: u64,
    /// How many bytes more (or fewer) after each second.
    pub growth: i64,
    /// When its oldest entry was last written, or read where that refreshes it; `null` where it has no time to live.
    pub oldest_entry: Option<Timestamp>,
}

/// A job's checkpoints. What is counted is counted since this process runs the job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Checkpoints {
    /// How many completed.
    pub completed: u64,
    /// How many are on their way.
    pub in_progress: u64,
    /// How many failed.
    pub failed: u64,
    /// How many found nothing changed, and wrote nothing.
    pub skipped: u64,
    /// The one that the present attempt started from.
    pub restored: Option<u64>,
    /// The newest that stands, whichever process took it.
    #[serde(default)]
    pub newest: Option<StandingCheckpoint>,
    /// The newest first; lists of jobs hold the newest completed one alone.
    pub history: Vec<Checkpoint>,
}

/// The newest checkpoint of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StandingCheckpoint {
    /// Its number: each has a higher one, as long as the job lives.
    pub id: u64,
    /// When it was triggered.
    pub taken_at: Timestamp,
    /// Bytes of all that it needs, what subtasks share counted once.
    pub size: u64,
}

/// One checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Checkpoint {
    /// Its number.
    pub id: u64,
    /// `IN_PROGRESS`, `COMPLETED` or `FAILED`.
    pub state: String,
    /// When it was triggered.
    pub triggered_at: Timestamp,
    /// How long it took, in milliseconds.
    pub duration_ms: Option<u64>,
    /// Bytes that it added to the store.
    pub bytes: u64,
    /// Bytes of all that it needs, what subtasks share counted once; 0 until it is completed.
    #[serde(default)]
    pub size: u64,
    /// Why it failed; of one that is on its way, what it waits for that should not take time.
    pub failure: Option<String>,
}

/// A sink's results.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Sink {
    /// Its uid.
    pub uid: String,
    /// The newest checkpoint whose results are published.
    pub published: Option<u64>,
    /// The last records that reached it, oldest first.
    pub recent: Vec<String>,
}

impl Component {
    pub(crate) fn new(stored: StoredComponent, names: Vec<String>) -> Self {
        let StoredComponent { hash, bytes, uploaded_at, operators } = stored;
        Self { names, hash, bytes, uploaded_at, operators }
    }
}

impl Job {
    /// Everything about a job.
    #[must_use]
    pub fn whole(job: &JobStatus) -> Self {
        let history = job.checkpoints.history.iter().map(Checkpoint::new).collect();
        Self { spec: Some(job_file::to_json(&job.spec)), ..Self::new(job, history) }
    }

    /// Without what is long: for lists.
    #[must_use]
    pub fn short(job: &JobStatus) -> Self {
        Self::new(job, job.checkpoints.latest_completed.iter().map(Checkpoint::new).collect())
    }

    fn new(job: &JobStatus, history: Vec<Checkpoint>) -> Self {
        let failures = job.failures.iter().map(|failure| Failure {
            at: failure.at,
            subtask: failure.subtask.clone(),
            fault: failure.fault,
            message: failure.message.clone(),
        });
        Self {
            id: job.id.to_string(),
            name: job.name.to_string(),
            state: job.state.as_str().to_owned(),
            ended: job.state.is_terminal(),
            started_at: job.started_at,
            state_since: job.state_since,
            ended_at: job.ended_at,
            attempts: job.attempts,
            guarantee: word(job.guarantee),
            dead_letters: job.dead_letters,
            error_policy: word(job.spec.errors.policy),
            failures: failures.collect(),
            vertices: job.vertices.iter().map(Vertex::new).collect(),
            checkpoints: Checkpoints::new(&job.checkpoints, history),
            sinks: job.sinks.iter().map(Sink::new).collect(),
            spec_number: job.spec_number.0,
            on_trial: !job.former.is_empty() && !job.state.is_terminal(),
            undone: job.undone.clone(),
            began_from: job.began_from.clone(),
            spec: None,
        }
    }
}

/// The word that a unit variant is serialised as.
pub(crate) fn word(value: impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        other => unreachable!("unit variants are serialised as texts, not as {other:?}"),
    }
}

impl Vertex {
    fn new(vertex: &VertexStatus) -> Self {
        let sum = |counter: fn(&SubtaskMetrics) -> &Counter| sum(vertex, counter);
        let watermark = vertex.subtasks.iter().map(|subtask| subtask.watermark()).min();
        let held: Vec<_> = vertex.subtasks.iter().map(|subtask| subtask.state()).collect();
        Self {
            uid: vertex.uid.to_string(),
            kind: word(vertex.kind),
            title: vertex.title.clone(),
            parallelism: vertex.parallelism,
            records_in: sum(|subtask| &subtask.records_in),
            records_out: sum(|subtask| &subtask.records_out),
            bytes_in: sum(|subtask| &subtask.bytes_in),
            bytes_out: sum(|subtask| &subtask.bytes_out),
            dead_letters: sum(|subtask| &subtask.dead_letters),
            retries: sum(|subtask| &subtask.retries),
            timers_fired: sum(|subtask| &subtask.timers_fired),
            state_expired: sum(|subtask| &subtask.state_expired),
            state_bytes: held.iter().map(|held| held.bytes).sum(),
            timers: held.iter().map(|held| held.timers).sum(),
            states: State::all(&held),
            watermark: watermark.filter(|watermark| *watermark != NO_TIME),
        }
    }
}

impl State {
    /// Those of a vertex, over its subtasks.
    fn all(subtasks: &[StateMetrics]) -> Vec<Self> {
        let mut states: BTreeMap<&str, Self> = BTreeMap::new();
        for (name, metric) in subtasks.iter().flat_map(|held| &held.states) {
            let StateSize { bytes, entries, oldest } = metric.size;
            let state = states.entry(name).or_insert_with(|| Self {
                name: name.clone(),
                bytes: 0,
                entries: 0,
                growth: 0,
                oldest_entry: None,
            });
            state.bytes += bytes;
            state.entries += entries;
            state.growth += metric.growth;
            state.oldest_entry = state.oldest_entry.into_iter().chain(oldest).min();
        }
        states.into_values().collect()
    }
}

/// A counter over all subtasks of a vertex.
pub(super) fn sum(vertex: &VertexStatus, counter: fn(&SubtaskMetrics) -> &Counter) -> u64 {
    vertex.subtasks.iter().map(|subtask| counter(subtask).get()).sum()
}

impl Checkpoints {
    fn new(stats: &CheckpointStats, history: Vec<Checkpoint>) -> Self {
        Self {
            completed: stats.completed,
            in_progress: stats.in_progress,
            failed: stats.failed,
            skipped: stats.skipped,
            restored: stats.restored.map(|id| id.0),
            newest: stats.newest.map(|newest| StandingCheckpoint {
                id: newest.id.0,
                taken_at: newest.taken_at,
                size: newest.size,
            }),
            history,
        }
    }
}

impl Checkpoint {
    fn new(checkpoint: &CheckpointSummary) -> Self {
        Self {
            id: checkpoint.id.0,
            state: word(checkpoint.state),
            triggered_at: checkpoint.triggered_at,
            duration_ms: checkpoint.duration_ms,
            bytes: checkpoint.bytes,
            size: checkpoint.size,
            failure: checkpoint.failure.clone(),
        }
    }
}

impl Sink {
    fn new(sink: &SinkStatus) -> Self {
        let recent = sink.recent.clone();
        Self { uid: sink.uid.to_string(), published: sink.published.map(|id| id.0), recent }
    }
}

/// A page of what an operator holds in a checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StatePage {
    /// The job's id.
    pub job: String,
    /// The job's name.
    pub name: String,
    /// The operator's uid.
    pub operator: String,
    /// The checkpoint as of which this is.
    pub checkpoint: HeldCheckpoint,
    /// What it holds, in the order of the checkpoint's files.
    pub items: Vec<Item>,
    /// What to give as `after` for the next page; left out where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A checkpoint in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HeldCheckpoint {
    /// Its number.
    pub id: u64,
    /// When it was triggered: everything before its barrier is in it.
    pub at: Timestamp,
    /// The number of the entry of the job's `run/` chain that holds it.
    pub entry: u64,
    /// The size of all it names, unpublished results included.
    pub bytes: u64,
    /// The uids of the operators whose state it holds.
    pub operators: Vec<String>,
}

/// The last line of a verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Verified {
    /// The checkpoint; 0 where the entry that holds it cannot be read.
    pub checkpoint: u64,
    /// How many objects were looked at.
    pub objects: u64,
    /// How many of them are damaged or missing.
    pub damaged: u64,
}

/// A request that was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Requested {
    /// What it is asked after by.
    pub request_id: String,
}

/// What became of a request for a savepoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "status", rename_all_fields = "kebab-case")]
pub enum SavepointRequest {
    /// It is on its way.
    InProgress {
        /// Bytes copied.
        copied: u64,
        /// Of so many; `null`: the checkpoint does not stand yet.
        size: Option<u64>,
    },
    /// It is there.
    Completed {
        /// Where.
        location: String,
        /// Of which checkpoint it is a copy.
        checkpoint: u64,
        /// Bytes of all that it holds.
        size: u64,
    },
    /// There is none.
    Failed {
        /// Who must act.
        fault: Fault,
        /// What is wrong, and where.
        detail: String,
    },
}

impl From<SavepointStatus> for SavepointRequest {
    fn from(status: SavepointStatus) -> Self {
        match status {
            SavepointStatus::InProgress { copied, size } => Self::InProgress { copied, size },
            SavepointStatus::Completed { location, checkpoint, size } => {
                Self::Completed { location, checkpoint: checkpoint.0, size }
            }
            SavepointStatus::Failed { fault, message } => Self::Failed { fault, detail: message },
        }
    }
}

/// A savepoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SavepointPlace {
    /// Where it is.
    pub location: String,
    /// Whose checkpoint it was.
    pub job: String,
    /// That job's name.
    pub name: String,
    /// When it was taken.
    pub at: Timestamp,
    /// Whether that job had ended with the checkpoint.
    pub ended: bool,
    /// The checkpoint.
    pub checkpoint: HeldCheckpoint,
}
