//! What an operator tells its operators: log lines at once, metrics with the call.

use super::{Abilities, Phase, Violation};
use crate::turn::MetricChange;

/// The longest log line, in bytes; what is behind is cut off.
const LINE_BYTES_MAX: usize = 8_192;
/// Log lines of one call; further ones are dropped, and the last one kept says so.
const LINES_MAX: u32 = 1_000;
/// Metric names of one instance.
const METRIC_NAMES_MAX: usize = 256;
/// The longest metric name, in bytes.
const METRIC_NAME_BYTES_MAX: usize = 128;
/// Changes to metrics in one call; adding to the counter that was added to last is no further change.
const METRIC_CHANGES_MAX: usize = 65_536;

/// How much a log line matters.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    wasmtime::component::ComponentType,
    wasmtime::component::Lift,
    wasmtime::component::Lower,
)]
#[component(enum)]
#[repr(u8)]
pub enum Level {
    /// Each step.
    #[component(name = "trace")]
    Trace,
    /// For finding faults.
    #[component(name = "debug")]
    Debug,
    /// Worth knowing.
    #[component(name = "info")]
    Info,
    /// Worth looking into.
    #[component(name = "warn")]
    Warn,
    /// Something failed.
    #[component(name = "error")]
    Error,
}

impl Abilities {
    /// Writes a log line, at once: target `weir::guest`, with job, uid, subtask and attempt.
    ///
    /// # Errors
    /// Before `open`, unless in `migrate`.
    pub fn log(&mut self, level: Level, message: &str) -> Result<(), Violation> {
        self.once_open_or_migrating("telemetry.log")?;
        self.write_line(level, message);
        Ok(())
    }

    /// The same, from wherever; a language's runtime may print before `open`. What `describe` prints is dropped.
    pub(crate) fn write_line(&mut self, level: Level, message: &str) {
        self.call.log_lines = self.call.log_lines.saturating_add(1);
        if self.call.log_lines > LINES_MAX || self.phase() == Phase::Describe {
            return;
        }
        let message = &message[..message.floor_char_boundary(LINE_BYTES_MAX)];
        let message = if self.call.log_lines == LINES_MAX { "further lines of this call are dropped" } else { message };
        let (job, uid) = (self.labels.job.as_str(), self.labels.uid.as_str());
        let (subtask, attempt) = (self.labels.subtask, self.call.attempt);
        match level {
            Level::Trace => tracing::trace!(target: "weir::guest", job, uid, subtask, attempt, "{message}"),
            Level::Debug => tracing::debug!(target: "weir::guest", job, uid, subtask, attempt, "{message}"),
            Level::Info => tracing::info!(target: "weir::guest", job, uid, subtask, attempt, "{message}"),
            Level::Warn => tracing::warn!(target: "weir::guest", job, uid, subtask, attempt, "{message}"),
            Level::Error => tracing::error!(target: "weir::guest", job, uid, subtask, attempt, "{message}"),
        }
    }

    /// Adds to a counter.
    ///
    /// # Errors
    /// Before `open`; a name too long; too many names or changes.
    pub fn counter_add(&mut self, name: &str, delta: u64) -> Result<(), Violation> {
        self.once_open("telemetry.counter-add")?;
        if let Some(MetricChange::Counter(last, sum)) = self.call.effects.metrics.last_mut()
            && last == name
        {
            *sum = sum.saturating_add(delta);
            return Ok(());
        }
        self.change_metric(name, |name| MetricChange::Counter(name, delta))
    }

    /// Sets a gauge.
    ///
    /// # Errors
    /// Before `open`; a name too long; too many names or changes.
    pub fn gauge_set(&mut self, name: &str, value: f64) -> Result<(), Violation> {
        self.once_open("telemetry.gauge-set")?;
        self.change_metric(name, |name| MetricChange::Gauge(name, value))
    }

    /// Records in a histogram.
    ///
    /// # Errors
    /// Before `open`; a name too long; too many names or changes.
    pub fn histogram_record(&mut self, name: &str, value: f64) -> Result<(), Violation> {
        self.once_open("telemetry.histogram-record")?;
        self.change_metric(name, |name| MetricChange::Histogram(name, value))
    }

    fn change_metric(&mut self, name: &str, change: impl FnOnce(String) -> MetricChange) -> Result<(), Violation> {
        if name.len() > METRIC_NAME_BYTES_MAX {
            return Err(Violation::rule(format!("a metric's name has at most {METRIC_NAME_BYTES_MAX} bytes")));
        }
        if !self.metric_names.contains(name) {
            if self.metric_names.len() == METRIC_NAMES_MAX {
                let text = format!("an instance has at most {METRIC_NAMES_MAX} metrics; `{name}` is one more");
                return Err(Violation::Limit(text));
            }
            self.metric_names.insert(name.to_owned());
        }
        if self.call.effects.metrics.len() == METRIC_CHANGES_MAX {
            let text = format!("a call changes metrics at most {METRIC_CHANGES_MAX} times; add up first");
            return Err(Violation::Limit(text));
        }
        self.call.effects.metrics.push(change(name.to_owned()));
        Ok(())
    }
}
