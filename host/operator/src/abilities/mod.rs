//! What an operator can do while it is called: state, output, headers, timers, telemetry.
//!
//! Receives the operator's wishes, from a component's imports or from native code alike; guarantees that every index,
//! offset, length and name was checked, that each ability is used only where the contract allows it, that reads see
//! the call's own writes, and that what the call did stays within its limits and is staged in its
//! [`Effects`]. Does not own committing them. One file an ability, named as the contract names it.

mod headers;
mod output;
mod phase;
mod state;
mod telemetry;
mod timers;
mod violation;

pub use output::NewRecords;
pub use phase::Phase;
pub use state::{BroadcastState, ListState, Lists, MapState, OperatorState, ValueState};
pub use telemetry::Level;
pub use violation::Violation;

use std::collections::BTreeSet;
use std::sync::Arc;

use weir_protocol::description::OperatorDescription;
use weir_protocol::job_spec::LimitSpec;
use weir_protocol::time::{NO_TIME, Timestamp};

use crate::batch::{Batch, ColumnError};
use crate::keyed_state::KeyedState;
use crate::operator::OpenContext;
use crate::turn::{Effects, MetricChange, Turn, Work};
use crate::unkeyed_state::UnkeyedState;

/// What one column may hold, whatever the limits of the job are; offsets have 32 bits.
const COLUMN_BYTES_MAX: u64 = 2 << 30;

/// The abilities of one instance: what it is, and what it is doing right now.
pub struct Abilities {
    description: Arc<OperatorDescription>,
    limits: LimitSpec,
    labels: Labels,
    phase: Phase,
    call: Call,
    handles: u32,
    metric_names: BTreeSet<String>,
    /// Metrics changed in `open`; they become the first call's.
    opening_metrics: Vec<MetricChange>,
    /// `0 .. n`, kept to ask for all keys of a batch.
    all_keys: Vec<u32>,
    /// Reads of state wait for the disk themselves; else the imports did before.
    waits: bool,
}

/// Who speaks in a log line.
#[derive(Debug, Clone, Default)]
struct Labels {
    job: String,
    uid: String,
    subtask: u32,
}

/// What belongs to the call that is running.
struct Call {
    work: Arc<Work>,
    rows: u32,
    keys: u32,
    state: Option<Box<dyn KeyedState>>,
    /// What is committed for no key; there from `open` on.
    unkeyed: UnkeyedState,
    effects: Effects,
    watermark: Timestamp,
    processing_time: Timestamp,
    attempt: u32,
    emitted_bytes: u64,
    written_bytes: u64,
    log_lines: u32,
    /// By row: whether it was rejected already; empty before the first.
    rejected: Vec<bool>,
}

impl Call {
    fn none() -> Self {
        Self {
            work: Arc::new(Work::Finish),
            rows: 0,
            keys: 0,
            state: None,
            unkeyed: UnkeyedState::default(),
            effects: Effects::default(),
            watermark: NO_TIME,
            processing_time: 0,
            attempt: 0,
            emitted_bytes: 0,
            written_bytes: 0,
            log_lines: 0,
            rejected: Vec::new(),
        }
    }
}

impl Abilities {
    /// The abilities of an instance that is not opened yet.
    #[must_use]
    pub fn new(description: Arc<OperatorDescription>, context: &OpenContext) -> Self {
        let mut abilities = Self::of_nothing();
        abilities.description = description;
        abilities.limits = context.limits.clone();
        abilities.labels = Labels { job: context.job.clone(), uid: context.uid.clone(), subtask: context.subtask };
        abilities.call.processing_time = context.processing_time;
        abilities.call.unkeyed = context.unkeyed.clone();
        abilities
    }

    /// The abilities of an instance that only describes itself: none.
    pub(crate) fn of_nothing() -> Self {
        let description = OperatorDescription {
            name: String::new(),
            doc: String::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            states: Vec::new(),
            config_schema: String::new(),
            properties: Vec::new(),
        };
        Self {
            description: Arc::new(description),
            limits: LimitSpec::default(),
            labels: Labels::default(),
            phase: Phase::Start,
            call: Call::none(),
            handles: 0,
            metric_names: BTreeSet::new(),
            opening_metrics: Vec::new(),
            all_keys: Vec::new(),
            waits: false,
        }
    }

    /// The same for code that cannot be suspended: where a read of state needs the disk, its thread waits.
    pub(crate) const fn waiting(mut self) -> Self {
        self.waits = true;
        self
    }

    /// What the operator says of itself.
    #[must_use]
    pub fn description(&self) -> &OperatorDescription {
        &self.description
    }

    pub(crate) fn limits(&self) -> &LimitSpec {
        &self.limits
    }

    pub(crate) fn enter(&mut self, phase: Phase) {
        self.phase = phase;
    }

    /// Ends `open`: what it did to metrics waits for the first call.
    pub(crate) fn opened(&mut self) {
        self.phase = Phase::Start;
        self.opening_metrics = std::mem::take(&mut self.call.effects.metrics);
        self.call.log_lines = 0;
        self.call.unkeyed = UnkeyedState::default();
    }

    /// Begins a call of `migrate`.
    pub(crate) fn begin_migration(&mut self) {
        self.phase = Phase::Migrate;
        self.call.log_lines = 0;
    }

    /// Begins a call: takes over what the turn holds, and hands out its work.
    pub(crate) fn begin(&mut self, turn: &mut Turn) -> Arc<Work> {
        let work = Arc::new(std::mem::replace(&mut turn.work, Work::Finish));
        self.phase = Phase::of(&work, &self.description);
        let key_count = work.keys().map_or(0, |keys| keys.count());
        self.call = Call {
            rows: work.rows(),
            keys: u32::try_from(key_count).expect("batches are bounded far below 2^32 keys"),
            work: Arc::clone(&work),
            state: turn.state.take(),
            unkeyed: std::mem::take(&mut turn.unkeyed),
            effects: std::mem::take(&mut turn.effects),
            watermark: turn.watermark,
            processing_time: turn.processing_time,
            attempt: turn.attempt,
            ..Call::none()
        };
        self.call.effects.metrics.append(&mut self.opening_metrics);
        work
    }

    /// Ends a call, whatever became of it: hands everything back.
    pub(crate) fn end(&mut self, turn: &mut Turn, work: Arc<Work>) {
        self.phase = Phase::Start;
        let call = std::mem::replace(&mut self.call, Call::none());
        drop(call.work);
        turn.state = call.state;
        turn.unkeyed = call.unkeyed;
        turn.effects = call.effects;
        turn.work = Arc::into_inner(work).expect("nobody but the call holds its work");
    }

    /// The batch being processed.
    fn batch(&self) -> Result<&Batch, Violation> {
        match &*self.call.work {
            Work::Batch { batch, .. } => Ok(batch),
            Work::Timers(_) | Work::Finish => Err(Violation::rule("no batch is being processed")),
        }
    }

    fn charge_emitted(&mut self, bytes: usize) -> Result<(), Violation> {
        self.call.emitted_bytes = self.call.emitted_bytes.saturating_add(bytes as u64);
        let most = self.limits.emitted_bytes_max.min(COLUMN_BYTES_MAX);
        if self.call.emitted_bytes <= most {
            return Ok(());
        }
        Err(Violation::Limit(format!(
            "the call emitted more than {most} bytes; emit less for each batch, or raise the job's `limits.emitted`"
        )))
    }

    fn charge_written(&mut self, bytes: usize) -> Result<(), Violation> {
        self.call.written_bytes = self.call.written_bytes.saturating_add(bytes as u64);
        let most = self.limits.emitted_bytes_max.min(COLUMN_BYTES_MAX);
        if self.call.written_bytes <= most {
            return Ok(());
        }
        Err(Violation::Limit(format!(
            "the call wrote more than {most} bytes to state and timers; write less for each batch, or raise the job's \
             `limits.emitted`, which bounds this too"
        )))
    }

    /// Bounds what one import gives back: all the memory that the instance may have is more than it can take.
    fn check_read(&self, ability: &str, bytes: usize) -> Result<(), Violation> {
        let most = self.limits.memory_bytes_max.min(COLUMN_BYTES_MAX);
        if bytes as u64 <= most {
            return Ok(());
        }
        Err(Violation::Limit(format!(
            "{ability}: what was asked for has more than {most} bytes, all the memory that an instance may have; ask for \
             less at once"
        )))
    }

    fn check_key(&self, ability: &str, key: u32) -> Result<(), Violation> {
        if key < self.call.keys {
            return Ok(());
        }
        Err(Violation::rule(format!(
            "{ability}: key index {key} is out of bounds; the batch has {} keys",
            self.call.keys
        )))
    }

    fn check_keys(&self, ability: &str, keys: &[u32]) -> Result<(), Violation> {
        keys.iter().try_for_each(|&key| self.check_key(ability, key))
    }

    fn check_rows(&self, ability: &str, rows: &[u32]) -> Result<(), Violation> {
        match rows.iter().find(|row| **row >= self.call.rows) {
            None => Ok(()),
            Some(row) => Err(Violation::rule(format!(
                "{ability}: row {row} is out of bounds; the batch has {} rows",
                self.call.rows
            ))),
        }
    }
}

/// Names a column that breaks the contract's rules.
fn column(ability: &str, what: &str, checked: Result<(), ColumnError>) -> Result<(), Violation> {
    checked.map_err(|error| Violation::rule(format!("{ability}: the column `{what}` is malformed: {error}")))
}

/// Checks that two columns that describe the same things have the same length.
fn same_length(
    ability: &str,
    (left, left_len): (&str, usize),
    (right, right_len): (&str, usize),
) -> Result<(), Violation> {
    if left_len == right_len {
        return Ok(());
    }
    Err(Violation::rule(format!("{ability}: `{left}` has {left_len} entries but `{right}` has {right_len}")))
}

impl std::fmt::Debug for Abilities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Abilities")
            .field("operator", &self.description.name)
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}
