//! A running job is to be another: what that changes, and whether it can go on.
//!
//! Receives what the job is, what it shall be, and its newest entry; says what becomes of each source, operator and sink,
//! or refuses with the uid and the mend. Guarantees that whatever is not refused can go on from the newest checkpoint with
//! nothing lost or doubled, as far as that can be known before it is tried; and that a change which then turns out not to
//! work is taken back ([`former`]), to what the newest checkpoint was taken under. Does not own the trying.

mod change;
mod refusal;
mod vertices;

use std::collections::{BTreeMap, BTreeSet};

use crate::chain::{RunEntry, SpecEntry, Wanted};
use crate::evolution::HeldState;
use crate::finished::finished;
use crate::id::{EntryNumber, Uid};
use crate::job_graph::JobGraph;
use crate::job_spec::{JobSpec, SinkConnector};

pub use change::{Changes, Fate, VertexChange, VertexWord};
pub use refusal::Refusal;
pub(crate) use vertices::{source, word};

/// A job that is to be another.
#[derive(Debug, Clone, Copy)]
pub struct Upgrade<'a> {
    /// What it is.
    pub from: &'a JobGraph,
    /// What it shall be.
    pub to: &'a JobGraph,
    /// Its newest entry.
    pub newest: &'a RunEntry,
    /// The places where its sinks' results are published, those of earlier sinks among them: each place's marker says how
    /// far that sink has come.
    pub places: &'a BTreeMap<Uid, SinkConnector>,
    /// What operators hold that shall be, in states which what the job is does not declare: an earlier version left it in
    /// the newest checkpoint.
    pub left: &'a BTreeMap<Uid, Vec<HeldState>>,
    /// The operators that shall be and whose components export `migration`.
    pub migrating: &'a BTreeSet<Uid>,
    /// Whether state and positions may be dropped whose operator or source is no more (Flink's
    /// `allow-non-restored-state`).
    pub drops_state: bool,
}

impl Upgrade<'_> {
    /// What changes.
    ///
    /// # Errors
    /// The first [`Refusal`] that applies.
    pub fn changes(&self) -> Result<Changes, Refusal> {
        let (from, to) = (self.from.spec(), self.to.spec());
        check_settings(from, to)?;
        if self.newest.manifest.max_parallelism != to.max_parallelism {
            let (running, wanted) = (self.newest.manifest.max_parallelism, to.max_parallelism);
            return Err(Refusal::MaxParallelism { running: running.get(), wanted: wanted.get() });
        }
        finished(self.to, &self.newest.manifest)?;
        let settings = has_other_settings(from, to);
        Ok(Changes { settings, vertices: self.vertices()? })
    }
}

/// Settings that a job keeps for its life.
fn check_settings(from: &JobSpec, to: &JobSpec) -> Result<(), Refusal> {
    if from.name != to.name {
        return Err(Refusal::Name { running: from.name.clone(), wanted: to.name.clone() });
    }
    if from.state.storage != to.state.storage {
        return Err(Refusal::Storage { running: from.state.storage, wanted: to.state.storage });
    }
    match (&from.checkpoint, &to.checkpoint) {
        (None, _) => Err(Refusal::NoCheckpoints),
        (Some(_), None) => Err(Refusal::TurnsCheckpointsOff),
        (Some(_), Some(_)) => Ok(()),
    }
}

/// Whether anything differs that is no source, operator or sink.
fn has_other_settings(from: &JobSpec, to: &JobSpec) -> bool {
    let settings = |spec: &JobSpec| {
        let (checkpoint, state, restart) = (spec.checkpoint.clone(), spec.state.clone(), spec.restart.clone());
        (checkpoint, state, restart, spec.errors.clone(), spec.limits.clone())
    };
    settings(from) != settings(to)
}

/// The `spec/` entry that a job goes back to, which cannot go on as its newest wish says: the one under which its newest
/// checkpoint was taken. `None`: there is no way back. The wish was met already, or is itself a way back.
#[must_use]
pub fn former(wanted: &SpecEntry, newest: &RunEntry) -> Option<EntryNumber> {
    let is_new = matches!(wanted.wanted, Wanted::Deploy(_)) && wanted.undoes.is_none();
    let former = newest.made_under();
    (is_new && !newest.kind.is_terminal() && former < wanted.number).then_some(former)
}
