//! The recent log lines of each job, for people.
//!
//! Receives every event that is traced with a field `job` (its id, or its name where a guest writes the line); keeps
//! the newest [`LINES_MAX`] of each job, of [`JOBS_MAX`] jobs. Guarantees that writing never waits and never fails:
//! what is too much is forgotten, the oldest first. Does not own what is written to the terminal.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard};

use serde::{Deserialize, Serialize};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use weir_engine::clock::Clock;
use weir_protocol::time::Timestamp;

/// How many lines are kept of a job.
pub const LINES_MAX: usize = 1_000;

/// Of how many jobs lines are kept.
pub const JOBS_MAX: usize = 1_000;

/// A log line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Line {
    /// When it was written.
    pub at: Timestamp,
    /// How much it matters: `trace`, `debug`, `info`, `warn`, `error`.
    pub level: String,
    /// Whether the job's own code wrote it; else Weir did.
    pub guest: bool,
    /// Which source, operator or sink it is about, and which subtask: `uid[index]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subtask: Option<String>,
    /// What it says, with its other fields as `name=value`.
    pub message: String,
}

/// A cheap handle to all jobs' lines; also a layer for `tracing`.
#[derive(Debug, Clone)]
pub struct Journal {
    clock: Clock,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    written: u64,
    jobs: BTreeMap<String, VecDeque<(u64, Line)>>,
}

impl Journal {
    /// An empty journal.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, kept: Arc::default() }
    }

    /// The newest `limit` lines about a job, oldest first, of those written under any of `keys` (its id, its name)
    /// since `since`.
    #[must_use]
    pub fn read(&self, keys: &[&str], since: Timestamp, limit: usize) -> Vec<Line> {
        let kept = self.lock();
        let lines = keys.iter().filter_map(|key| kept.jobs.get(*key)).flatten();
        let mut lines: Vec<_> = lines.filter(|(_, line)| line.at >= since).collect();
        lines.sort_by_key(|(number, _)| *number);
        lines[lines.len().saturating_sub(limit)..].iter().map(|(_, line)| line.clone()).collect()
    }

    fn write(&self, job: String, line: Line) {
        let mut kept = self.lock();
        kept.written += 1;
        let number = kept.written;
        if !kept.jobs.contains_key(&job) && kept.jobs.len() == JOBS_MAX {
            let quietest = kept.jobs.iter().min_by_key(|(_, lines)| lines.back().map(|(number, _)| *number));
            let quietest = quietest.map(|(job, _)| job.clone()).expect("there are jobs");
            kept.jobs.remove(&quietest);
        }
        let lines = kept.jobs.entry(job).or_default();
        if lines.len() == LINES_MAX {
            lines.pop_front();
        }
        lines.push_back((number, line));
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().expect("nothing panics while it holds this lock")
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let Some(job) = fields.job.take() else { return };
        let guest = event.metadata().target() == "weir::guest";
        let subtask = fields.uid.take().map(|uid| match fields.subtask.take() {
            Some(index) => format!("{uid}[{index}]"),
            None => uid,
        });
        let level = level(*event.metadata().level()).to_owned();
        let message = if guest { fields.message } else { fields.message + &fields.others };
        self.write(job, Line { at: self.clock.now(), level, guest, subtask, message });
    }
}

fn level(level: Level) -> &'static str {
    match level {
        Level::TRACE => "trace",
        Level::DEBUG => "debug",
        Level::INFO => "info",
        Level::WARN => "warn",
        Level::ERROR => "error",
    }
}

/// The fields of one event.
#[derive(Default)]
struct Fields {
    job: Option<String>,
    uid: Option<String>,
    subtask: Option<String>,
    message: String,
    others: String,
}

impl Fields {
    fn take(&mut self, field: &Field, text: String) {
        match field.name() {
            "job" => self.job = Some(text),
            "uid" => self.uid = Some(text),
            "subtask" => self.subtask = Some(text),
            "message" => self.message = text,
            name => write!(self.others, " {name}={text}").expect("a text takes what is written to it"),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, value.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    fn journal() -> (Journal, tracing::subscriber::DefaultGuard) {
        let journal = Journal::new(Clock::starting_at(1_000));
        let subscriber = tracing_subscriber::registry().with(journal.clone());
        (journal.clone(), tracing::subscriber::set_default(subscriber))
    }

    #[tokio::test]
    async fn lines_about_a_job_are_kept_under_its_id_and_its_name() {
        let (journal, _guard) = journal();
        tracing::info!(job = %"0a1b", checkpoint = 7, "checkpoint completed");
        tracing::warn!(target: "weir::guest", job = "words", uid = "count", subtask = 2, attempt = 1, "odd word");
        tracing::info!("about no job");
        let lines = journal.read(&["0a1b", "words"], 0, 10);
        assert_eq!(lines.len(), 2);
        assert_eq!((lines[0].message.as_str(), lines[0].guest), ("checkpoint completed checkpoint=7", false));
        assert_eq!((lines[1].message.as_str(), lines[1].guest), ("odd word", true));
        assert_eq!((lines[1].level.as_str(), lines[1].subtask.as_deref()), ("warn", Some("count[2]")));
        assert_eq!(journal.read(&["0a1b", "words"], 0, 1), lines[1..], "the newest are given");
        assert_eq!(journal.read(&["words"], i64::MAX, 10), [], "older lines are another job's");
    }

    #[tokio::test]
    async fn what_is_too_much_is_forgotten_the_oldest_first() {
        let (journal, _guard) = journal();
        for number in 0..=LINES_MAX {
            tracing::info!(job = "busy", "{number}");
        }
        let lines = journal.read(&["busy"], 0, usize::MAX);
        assert_eq!((lines.len(), lines[0].message.as_str()), (LINES_MAX, "1"));
        for job in 0..JOBS_MAX {
            tracing::info!(job = format!("job-{job}"), "a line");
        }
        assert_eq!(journal.read(&["busy"], 0, 10), [], "the job that was quiet longest goes");
        assert_eq!(journal.lock().jobs.len(), JOBS_MAX);
    }
}
