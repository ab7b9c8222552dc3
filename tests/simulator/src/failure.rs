//! A promise that was broken: one line that names it and reproduces it, and the trace that led there.

use std::fmt;

use crate::trace::Trace;

/// What a run found. [`Display`](fmt::Display) gives one line.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What was simulated: `protocol`, `engine`, `crash`.
    pub topic: &'static str,
    /// The seed that all choices followed from.
    pub seed: u64,
    /// The step, counted from 0, after which it was seen.
    pub step: u64,
    /// The promise, as a short name: `published-once`.
    pub invariant: &'static str,
    /// What was found, and what should have been.
    pub detail: String,
    /// The command that shows it again.
    pub reproduce: String,
    /// What happened until then.
    pub trace: Trace,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, seed, step, invariant, detail, reproduce, trace: _ } = self;
        let detail = detail.replace('\n', " ");
        write!(f, "{topic}: seed {seed}, step {step}: {invariant}: {detail}; again: {reproduce}")
    }
}

impl std::error::Error for Failure {}
