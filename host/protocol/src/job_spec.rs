//! What a job's author asks for, as plain data: the durable form of a `spec/` entry.
//!
//! Nothing here is checked beyond its types; [`crate::job_graph`] turns it into a graph that holds together. The forms
//! that people write (TOML, JSON over REST) are decoded into this by the server, which also names lines and nearest
//! keys.

use serde::{Deserialize, Serialize};

use crate::id::{Name, Uid};
use crate::job_graph::StateSpec;
use crate::key_group::MaxParallelism;

/// A whole job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobSpec {
    /// What people call it; one running job a name.
    pub name: Name,
    /// Key groups; fixed for the job's life.
    pub max_parallelism: MaxParallelism,
    /// The parallelism of whatever names none of its own.
    pub parallelism: u32,
    /// When and how state is made durable; `None`: checkpoints are off, as Flink's default is, and results are
    /// at-least-once.
    pub checkpoint: Option<CheckpointSpec>,
    /// Where state lives, and where checkpoints go.
    #[serde(default)]
    pub state: StateSpec,
    /// What happens after a failure that restarting can mend.
    pub restart: RestartSpec,
    /// What happens to records that an operator cannot process.
    pub errors: ErrorSpec,
    /// What guests may use up.
    pub limits: LimitSpec,
    /// Where records come from; at least one.
    pub sources: Vec<SourceSpec>,
    /// What is done with them.
    pub operators: Vec<OperatorSpec>,
    /// Where results go.
    pub sinks: Vec<SinkSpec>,
}

/// Exactly-once checkpoints (`execution.checkpointing.*` in Flink). Times in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointSpec {
    /// From one trigger to the next.
    pub interval_ms: u64,
    /// A checkpoint that takes longer is aborted. Flink's default: 10 minutes.
    pub timeout_ms: u64,
    /// The least time between the end of one and the start of the next.
    pub min_pause_ms: u64,
    /// How many may be on their way at once.
    pub max_concurrent: u32,
    /// How many of the newest are kept; default 3.
    pub retained: u32,
    /// How many failures in a row are borne before the job is restarted.
    pub tolerable_failures: u32,
}

impl CheckpointSpec {
    /// What applies to a job that gives only the interval.
    #[must_use]
    pub const fn every_ms(interval_ms: u64) -> Self {
        Self {
            interval_ms,
            timeout_ms: 600_000,
            min_pause_ms: 0,
            max_concurrent: 1,
            retained: 3,
            tolerable_failures: 0,
        }
    }
}

/// Exponential back-off between restarts (Flink's `exponential-delay`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartSpec {
    /// Attempts in a row, without a completed checkpoint between them, after which the job fails. Those that failed
    /// because something was away do not count.
    pub attempts_max: u32,
    /// The first delay.
    pub delay_ms: u64,
    /// The longest delay; each is twice the one before.
    pub delay_ms_max: u64,
}

impl Default for RestartSpec {
    fn default() -> Self {
        Self { attempts_max: 10, delay_ms: 100, delay_ms_max: 30_000 }
    }
}

/// What happens to records that cannot be processed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorSpec {
    /// See [`ErrorPolicy`].
    pub policy: ErrorPolicy,
    /// Dead-lettered (or skipped) records over the job's life beyond which it fails.
    pub budget: u64,
}

impl Default for ErrorSpec {
    fn default() -> Self {
        Self { policy: ErrorPolicy::DeadLetter, budget: 10_000 }
    }
}

/// What happens to a record that an operator cannot process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorPolicy {
    /// It goes to the job's dead letters with the reason.
    DeadLetter,
    /// The job fails.
    Fail,
    /// It is dropped and counted.
    Skip,
}

/// What guests may use up; each operator instance on its own, but for the state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitSpec {
    /// Linear memory, in bytes.
    pub memory_bytes_max: u64,
    /// CPU time of the guest's own slices in one call, in milliseconds, whatever the number of rows.
    pub call_cpu_ms_max: u64,
    /// Further CPU time for each row, in microseconds.
    pub row_cpu_us_max: u64,
    /// Bytes that one call may emit.
    pub emitted_bytes_max: u64,
    /// Bytes of state and timers of the whole job; `None`: as much as its subtasks can hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_bytes_max: Option<u64>,
}

impl Default for LimitSpec {
    fn default() -> Self {
        Self {
            memory_bytes_max: 256 << 20,
            call_cpu_ms_max: 1_000,
            row_cpu_us_max: 1_000,
            emitted_bytes_max: 64 << 20,
            state_bytes_max: None,
        }
    }
}

/// A source: what it reads, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceSpec {
    /// What its positions are recorded under.
    pub uid: Uid,
    /// Default: the job's.
    pub parallelism: Option<u32>,
    /// Where it reads.
    pub connector: SourceConnector,
}

/// Where records come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum SourceConnector {
    /// Numbered records made up on the spot; for trials and measurements.
    Generator(GeneratorSpec),
    /// Files in folders or under object-store prefixes.
    Files(FileSourceSpec),
}

impl SourceConnector {
    /// The word for its type in job files.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Generator(_) => "generator",
            Self::Files(_) => "files",
        }
    }
}

/// The generator: record `i` has the key of `i`, a JSON value and the event time `i` milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GeneratorSpec {
    /// Records a second over all subtasks; `None`: as fast as they are taken.
    pub rate: Option<u64>,
    /// Records in all; `None`: without end.
    pub count: Option<u64>,
    /// How many different keys.
    pub keys: u64,
    /// How record numbers map to keys.
    pub distribution: KeyDistribution,
    /// The size of each value, in bytes; at least [`Self::VALUE_BYTES_MIN`].
    pub value_bytes: u32,
}

impl GeneratorSpec {
    /// The shortest value: its number and key as JSON, with room for any of both.
    pub const VALUE_BYTES_MIN: u32 = 64;
}

/// How record numbers map to keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyDistribution {
    /// Record `i` has key `i mod keys`.
    RoundRobin,
    /// A pseudo-random key, the same at each run.
    Uniform,
}

/// Files, each read from its beginning, line by line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSourceSpec {
    /// Files, folders (with all below them) or patterns with `*` and `**`; local paths or object-store URLs.
    pub paths: Vec<String>,
    /// What a line is.
    pub format: FileFormat,
    /// Whether to look for new files and new lines for ever; else the source ends with what it finds.
    pub follow: bool,
    /// What becomes of what is there already when the job is accepted.
    pub start: StartPosition,
}

/// What a line of a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileFormat {
    /// Any bytes.
    Lines,
    /// A JSON value; a line that is none goes to the dead letters. Empty lines are passed over.
    Ndjson,
}

/// Where reading starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StartPosition {
    /// With what is there already.
    Beginning,
    /// With what comes after the job is accepted.
    End,
}

/// An operator of an uploaded component.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OperatorSpec {
    /// What its state is recorded under.
    pub uid: Uid,
    /// The component, by the SHA-256 of its bytes: 64 hexadecimal digits. (People may write a name; it is resolved
    /// when the job is accepted.)
    pub component: String,
    /// Which of the component's operators.
    pub operator: String,
    /// Default: the job's.
    pub parallelism: Option<u32>,
    /// What feeds its inputs; each declared input at least once.
    pub inputs: Vec<InputSpec>,
    /// What `open` is given; JSON.
    pub config: serde_json::Value,
}

/// An edge into an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputSpec {
    /// The name of the declared input that the edge feeds.
    pub input: String,
    /// Where records come from.
    pub from: OutputRef,
    /// How they are spread over the subtasks.
    pub partition: PartitionSpec,
}

/// An output of a source or an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputRef {
    /// The source or operator.
    pub uid: Uid,
    /// The output's name; `None`: its main output.
    pub port: Option<String>,
}

/// How the records of an edge are spread over subtasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartitionSpec {
    /// By key; the only one for keyed inputs.
    Hash(KeySpec),
    /// Subtask `i` to subtask `i`; both sides have the same parallelism.
    Forward,
    /// Batches in turn.
    Rebalance,
    /// Everything to every subtask; the only one for broadcast inputs.
    Broadcast,
}

/// Where the key of a record is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeySpec {
    /// The key that the record carries already: given by its source, or by the operator that emitted it.
    Carried,
    /// The whole value.
    Value,
    /// A field of a JSON value, as a path of object keys. The key is the field's canonical JSON text.
    Field(Vec<String>),
    /// The same for all.
    Constant(String),
}

/// A sink.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SinkSpec {
    /// What its outboxes are recorded under.
    pub uid: Uid,
    /// Default: the job's.
    pub parallelism: Option<u32>,
    /// What feeds it; at least one.
    pub from: Vec<OutputRef>,
    /// Where results go.
    pub connector: SinkConnector,
}

/// Where results go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum SinkConnector {
    /// The process's standard output, one line a record, at once: at-least-once.
    Stdout(StdoutSpec),
    /// Immutable files, published after the checkpoint that holds their records: exactly once.
    Files(FileSinkSpec),
    /// Nowhere; counts what it drops.
    Blackhole,
}

impl SinkConnector {
    /// The word for its type in job files.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Stdout(_) => "stdout",
            Self::Files(_) => "files",
            Self::Blackhole => "blackhole",
        }
    }

    /// Whether its results are sealed with a checkpoint and published after it.
    #[must_use]
    pub const fn has_outbox(&self) -> bool {
        match self {
            Self::Files(_) => true,
            Self::Stdout(_) | Self::Blackhole => false,
        }
    }
}

/// Standard output.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StdoutSpec {
    /// Written before each line.
    pub prefix: String,
}

/// A folder of published files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSinkSpec {
    /// A local folder or object-store URL; files are written below it, under the job's id and the sink's uid.
    pub path: String,
}
