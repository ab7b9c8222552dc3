//! Jobs whose results are known beforehand, whatever happens on the way.
//!
//! Each makes its input, keeps a record of what must come of it, and checks what was published: at any moment (nothing
//! twice, nothing out of order, no gap) and at the end (everything). Does not own the job's life.

mod commands;
mod count;
mod words;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rand::rngs::StdRng;
use rand::{Rng, RngExt};
use weir_engine::dead_letter::DeadLetter;

use super::broken::Broken;
use crate::published;

/// A job, its input, and what must come of it.
pub(super) trait Work: Send {
    /// The component that the job runs: its name in the job, and its file.
    fn component(&self) -> (&'static str, &'static str);

    /// The job, but for the tables that [`Settings`] makes.
    fn job(&self) -> String;

    /// Its sinks.
    fn sinks(&self) -> &'static [&'static str];

    /// Whether it goes on for ever, so that there can always be more to do.
    fn is_endless(&self) -> bool;

    /// More to do; nothing for a job whose input is all there.
    fn feed(&mut self, random: &mut StdRng) -> Result<()>;

    /// No more will come: what was begun is ended.
    fn end(&mut self) -> Result<()>;

    /// Whether as much was published as must be in the end, right or wrong.
    fn is_complete(&self, seen: &Seen) -> bool;

    /// Checks what was published; `in_the_end`: there must be everything.
    fn check(&self, seen: &Seen, in_the_end: bool) -> Result<(), Broken>;
}

/// Which job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Generated records, counted by key in two subtasks, until all are there.
    Count {
        /// About how long it has work for if nothing disturbs it.
        millis: u64,
    },
    /// The words of files that grow, counted in two subtasks, with lines that cannot be read.
    Words,
    /// Values, lists, maps and timers of one key, by commands from a file that grows, some of which fail.
    Commands,
}

impl Kind {
    /// Its name, for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Count { .. } => "count",
            Self::Words => "words",
            Self::Commands => "commands",
        }
    }

    pub(super) fn begin(self, input: &Path, random: &mut StdRng) -> Result<Box<dyn Work>> {
        Ok(match self {
            Self::Count { millis } => Box::new(count::Count::new(millis, random)),
            Self::Words => Box::new(words::Words::new(input)?),
            Self::Commands => Box::new(commands::Commands::new(input)?),
        })
    }
}

/// What every job file says the same way, drawn from the seed.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    interval_ms: u64,
    concurrent: u32,
    retained: u32,
    /// Bytes of memory for each subtask's state, beyond which it goes to disk.
    memory: Option<u64>,
}

impl Settings {
    pub(super) fn draw(random: &mut impl Rng, memory: Option<u64>) -> Self {
        let interval_ms = random.random_range(20..150);
        Self { interval_ms, concurrent: random.random_range(1..3), retained: random.random_range(1..4), memory }
    }

    /// The tables of the job file.
    pub(super) fn tables(&self) -> String {
        let Self { interval_ms, concurrent, retained, memory } = self;
        let state = memory.map(|bytes| format!("[state]\nbackend = \"rocksdb\"\nmemory = {bytes}\n"));
        format!(
            "[checkpoint]\ninterval = {interval_ms}\nmax-concurrent = {concurrent}\nretained = {retained}\n\
             [restart]\nattempts = 1000\ndelay = 10\nmax-delay = 300\n{}",
            state.unwrap_or_default()
        )
    }
}

/// What a job has made public.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The lines of each sink, in order.
    pub(super) lines: BTreeMap<String, Vec<String>>,
    /// The values of the records that were given up on, as JSON.
    pub(super) letters: Vec<String>,
}

impl Seen {
    /// Reads it, as anybody may while the job runs.
    pub(super) fn read(output: &Path, store: &Path, job: &str, sinks: &[&str]) -> Result<Self> {
        let mut lines = BTreeMap::new();
        for sink in sinks {
            lines.insert((*sink).to_owned(), published::lines(&output.join(job).join(sink))?);
        }
        Ok(Self { lines, letters: letters(&store.join("jobs").join(job).join("dead-letters"))? })
    }

    pub(super) fn of(&self, sink: &str) -> &[String] {
        self.lines.get(sink).map_or(&[], Vec::as_slice)
    }

    /// Whether everything that was public before is public still, in the same order.
    pub(super) fn goes_on_from(&self, before: &Self) -> bool {
        let lines = before.lines.iter().all(|(sink, lines)| self.of(sink).starts_with(lines));
        lines && before.letters.iter().all(|letter| self.letters.contains(letter))
    }
}

/// The values of the dead letters in a folder, each as JSON.
fn letters(folder: &Path) -> Result<Vec<String>> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut paths: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "ndjson"));
    paths.sort();
    let mut letters = Vec::new();
    for path in paths {
        for line in std::fs::read_to_string(&path)?.lines() {
            let letter: DeadLetter = serde_json::from_str(line).with_context(|| path.display().to_string())?;
            letters.push(serde_json::to_string(&letter.value)?);
        }
    }
    Ok(letters)
}
