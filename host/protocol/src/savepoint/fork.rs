//! A job that begins from a savepoint: whether it can, and with what.

use std::collections::{BTreeMap, BTreeSet};

use super::{Refusal, Savepoint};
use crate::evolution::{HeldState, evolution};
use crate::finished::finished;
use crate::id::Uid;
use crate::job_graph::{JobGraph, Vertex, VertexKind};
use crate::job_spec::{JobSpec, SinkConnector};
use crate::manifest::Manifest;
use crate::upgrade::{self, VertexWord};

/// A job that is to begin from a savepoint. It is a job of its own: nothing that the savepoint's job sealed is ever
/// published by it, and what it publishes bears its own identity.
#[derive(Debug, Clone, Copy)]
pub struct Fork<'a> {
    /// What it begins from.
    pub savepoint: &'a Savepoint,
    /// What it shall be.
    pub to: &'a JobGraph,
    /// The states that the savepoint's files hold, by operator.
    pub held: &'a BTreeMap<Uid, Vec<HeldState>>,
    /// The operators of the new job whose components export `migration`.
    pub migrating: &'a BTreeSet<Uid>,
    /// Whether state and positions may be dropped whose operator or source is no more (Flink's
    /// `allow-non-restored-state`).
    pub drops_state: bool,
    /// Whether results may be missing outside, or come there twice.
    pub inexact: bool,
    /// The same text for the same place, however it is written.
    pub place: fn(&str) -> String,
}

impl Fork<'_> {
    /// The manifest of its first entry, but for the names of objects and for the start of sources that are new.
    ///
    /// # Errors
    /// The first [`Refusal`] that applies.
    pub fn manifest(&self) -> Result<Manifest, Refusal> {
        let held = &self.savepoint.manifest;
        if held.max_parallelism != self.to.spec().max_parallelism {
            let (running, wanted) = (held.max_parallelism.get(), self.to.spec().max_parallelism.get());
            return Err(upgrade::Refusal::MaxParallelism { running, wanted }.into());
        }
        self.to.vertices().iter().try_for_each(|vertex| self.check(vertex))?;
        if !self.drops_state {
            self.check_dropped()?;
        }
        let kept = self.kept();
        finished(self.to, &kept)?;
        if !self.inexact {
            self.check_results()?;
        }
        Ok(kept)
    }

    /// The checkpoint without what the job has no place for, and without what counts over a job's life.
    fn kept(&self) -> Manifest {
        let uids: BTreeSet<&Uid> = self.to.vertices().iter().map(|vertex| &vertex.uid).collect();
        let mut kept = Manifest { rejected: 0, ..self.savepoint.manifest.clone() };
        kept.sources.retain(|uid, _| uids.contains(uid));
        kept.operators.retain(|uid, _| uids.contains(uid));
        kept.finished.retain(|subtask| uids.contains(&subtask.uid));
        kept.parallelism.retain(|uid, _| uids.contains(uid));
        kept
    }

    fn check(&self, vertex: &Vertex) -> Result<(), upgrade::Refusal> {
        let uid = &vertex.uid;
        let wanted = upgrade::word(&vertex.kind);
        if let Some(running) = word(&self.savepoint.spec, uid).filter(|running| *running != wanted) {
            return Err(upgrade::Refusal::OtherKind { uid: uid.clone(), running, wanted });
        }
        match &vertex.kind {
            VertexKind::Source(to) => {
                let from = self.savepoint.spec.sources.iter().find(|from| from.uid == *uid);
                from.map_or(Ok(()), |from| upgrade::source(from, to, &self.savepoint.manifest).map(drop))
            }
            VertexKind::Operator { description, .. } => {
                let held = self.held.get(uid).map_or(&[][..], Vec::as_slice);
                let changes = evolution(held, &description.states, self.migrating.contains(uid));
                changes.map(drop).map_err(|conflict| upgrade::Refusal::State { uid: uid.clone(), conflict })
            }
            VertexKind::Sink(_) => Ok(()),
        }
    }

    /// What the savepoint holds and the job has no place for.
    fn check_dropped(&self) -> Result<(), upgrade::Refusal> {
        let Manifest { sources, operators, .. } = &self.savepoint.manifest;
        let is_gone = |uid: &Uid| !self.to.vertices().iter().any(|vertex| vertex.uid == *uid);
        if let Some(uid) = sources.keys().find(|uid| is_gone(uid)) {
            return Err(upgrade::Refusal::RemovedSource { uid: uid.clone() });
        }
        let with_state = operators.iter().filter(|(_, subtasks)| subtasks.iter().any(|s| s.blobs().next().is_some()));
        match with_state.map(|(uid, _)| uid).find(|uid| is_gone(uid)) {
            Some(uid) => Err(upgrade::Refusal::RemovedOperator { uid: uid.clone() }),
            None => Ok(()),
        }
    }

    /// Every result is outside once: what came before the savepoint from its job, what comes behind it from this one.
    fn check_results(&self) -> Result<(), Refusal> {
        let checkpoint = self.savepoint.manifest.checkpoint;
        if let Some(left) = self.savepoint.unpublished.last() {
            return Err(Refusal::Unpublished { outlet: left.outlet.clone(), checkpoint: left.checkpoint });
        }
        if self.savepoint.ended {
            return Ok(());
        }
        match shared_place(self.to.spec(), &self.savepoint.spec, self.place) {
            Some((uid, path)) => Err(Refusal::Repeats { uid, path, checkpoint }),
            None => Ok(()),
        }
    }
}

/// What has a uid in a job.
fn word(spec: &JobSpec, uid: &Uid) -> Option<VertexWord> {
    let sources = spec.sources.iter().map(|source| (&source.uid, VertexWord::Source));
    let operators = spec.operators.iter().map(|operator| (&operator.uid, VertexWord::Operator));
    let sinks = spec.sinks.iter().map(|sink| (&sink.uid, VertexWord::Sink));
    sources.chain(operators).chain(sinks).find(|(known, _)| *known == uid).map(|(_, word)| word)
}

/// The first sink of a job that writes where one of another's does, and where that is.
#[must_use]
pub fn shared_place(spec: &JobSpec, other: &JobSpec, place: fn(&str) -> String) -> Option<(Uid, String)> {
    let taken: BTreeSet<String> = paths(other).map(|(_, path)| place(path)).collect();
    let shared = paths(spec).find(|(_, path)| taken.contains(&place(path)));
    shared.map(|(uid, path)| (uid.clone(), path.to_owned()))
}

/// Where the sinks of a job write whose results stay.
fn paths(spec: &JobSpec) -> impl Iterator<Item = (&Uid, &str)> {
    spec.sinks.iter().filter_map(|sink| match &sink.connector {
        SinkConnector::Files(files) => Some((&sink.uid, files.path.as_str())),
        SinkConnector::Stdout(_) | SinkConnector::Blackhole => None,
    })
}
