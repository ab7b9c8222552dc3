//! How far a topic has come, in a file, so that a second run goes on where the first stopped.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use weir_simulator::failure::Failure;

use crate::say;
use crate::topic::{Counts, Topic};

/// How far a topic has come.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// The seed that comes next; all before it were tried.
    pub(crate) next: u64,
    /// How long it took so far.
    pub(crate) milliseconds: u64,
    /// What was done.
    pub(crate) counts: Counts,
    /// One line each.
    pub(crate) violations: Vec<String>,
    /// The length and the time of change of the program that began.
    #[serde(default)]
    build: String,
    #[serde(skip)]
    path: PathBuf,
}

impl Progress {
    /// The topic's progress, or its beginning.
    pub(crate) fn open(folder: &Path, topic: &dyn Topic, fresh: bool) -> Self {
        let path = folder.join(format!("{}.json", topic.name()));
        let kept = std::fs::read(&path).ok().filter(|_| !fresh);
        let kept = kept.and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok());
        let Some(mut kept) = kept else {
            let (next, counts) = (topic.first_seed(), Counts::default());
            return Self { next, milliseconds: 0, counts, violations: Vec::new(), build: build(), path };
        };
        if kept.build != build() {
            say(&format!("{}: goes on with what another build began; --fresh starts again", topic.name()));
        }
        kept.path = path;
        kept
    }

    /// Keeps it. What is on disk is whole at any time.
    pub(crate) fn keep(&self) {
        let bytes = serde_json::to_vec_pretty(self).expect("progress is plain data");
        let beside = self.path.with_extension("new");
        let kept = std::fs::write(&beside, bytes).and_then(|()| std::fs::rename(&beside, &self.path));
        if let Err(error) = kept {
            say(&format!("progress cannot be kept in {}: {error}", self.path.display()));
        }
    }

    /// Notes a broken promise, and keeps what led there in a file.
    pub(crate) fn violated(&mut self, failure: &Failure) {
        let trace = self.path.with_extension(format!("seed-{}.trace", failure.seed));
        let line = format!("{failure}; trace: {}", trace.display());
        if let Err(error) = std::fs::write(&trace, format!("{failure}\n\n{}", failure.trace)) {
            say(&format!("the trace cannot be kept in {}: {error}", trace.display()));
        }
        say(&line);
        self.violations.push(line);
    }
}

/// What tells one build from another.
fn build() -> String {
    let program = std::env::current_exe().and_then(|path| path.metadata());
    let told = program.and_then(|program| Ok((program.len(), program.modified()?)));
    told.map_or_else(|_| String::new(), |(length, changed)| format!("{length} bytes, {changed:?}"))
}
