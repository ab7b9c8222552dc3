//! What a subtask contributes to a checkpoint.
//!
//! A report is cumulative: it holds whatever the subtask has sealed since the last checkpoint that it knows to be
//! recorded, each part with the barrier that it was sealed at. So a checkpoint that was aborted loses nothing, one that
//! is recorded doubles nothing, and the report of a subtask that has finished serves every later checkpoint.

use crate::manifest::{OutboxPart, Positions, SubtaskManifest};

/// What a subtask contributes to a checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Whether anything happened since the barrier before: position, state, watermark, results or dead letters.
    pub changed: bool,
    /// Whether the subtask has finished, and does nothing when it is restored.
    pub finished: bool,
    /// What it goes on from.
    pub work: Work,
    /// A sink's results, oldest first.
    pub results: Vec<OutboxPart>,
    /// Records that could not be processed, oldest first.
    pub dead_letters: Vec<OutboxPart>,
    /// Records dead-lettered or skipped since the attempt began.
    pub rejected: u64,
}

/// What a subtask goes on from.
#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    /// A source: where each of its splits stands.
    Source(Positions),
    /// An operator: its state.
    Operator(SubtaskManifest),
    /// A sink keeps nothing but what it sealed.
    Sink,
}

impl Report {
    /// A report that says nothing changed and nothing was sealed.
    #[must_use]
    pub const fn unchanged(work: Work) -> Self {
        Self { changed: false, finished: false, work, results: Vec::new(), dead_letters: Vec::new(), rejected: 0 }
    }

    /// Notes that an entry names what it holds: it serves on as the report of a subtask that does nothing more.
    pub(crate) fn recorded(&mut self) {
        self.changed = false;
        self.results.clear();
        self.dead_letters.clear();
    }
}
