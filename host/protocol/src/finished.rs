//! Who has nothing left to do when a job is restored, maybe with another parallelism.
//!
//! Receives the graph and the manifest that it is restored from; guarantees that a subtask is left idle only if its share
//! of the work is the one that had finished and nothing will be sent to it, and that no operator's `finish` is called
//! where it was called already. An index alone says neither: at another parallelism it stands for another share.

use std::collections::BTreeSet;

use crate::fault::Fault;
use crate::id::{CheckpointId, SubtaskId, Uid};
use crate::job_graph::{Edge, JobGraph, Vertex, VertexKind};
use crate::job_spec::PartitionSpec;
use crate::key_group::ParallelismError;
use crate::manifest::Manifest;

/// Why a job cannot be restored as it is wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// There are not as many key groups.
    #[error("`{uid}`: {error}, the maximum that the job began with, which cannot change")]
    OutOfBounds {
        /// Whose parallelism.
        uid: Uid,
        /// The bounds.
        error: ParallelismError,
    },
    /// Some of an operator's subtasks have had their `finish`, and would have to go on.
    #[error(
        "operator `{uid}`: {finished} of its {before} subtasks had finished at checkpoint {checkpoint}, so it cannot go on \
         with another parallelism or other inputs; leave both as they were until the job has ended"
    )]
    PartlyFinished {
        /// Which operator.
        uid: Uid,
        /// How many had finished.
        finished: usize,
        /// How many there were.
        before: u32,
        /// The checkpoint that is restored.
        checkpoint: CheckpointId,
    },
}

impl Unfit {
    /// Who must act: the caller.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        Fault::Request
    }
}

/// The subtasks that do nothing when the job is restored. Those of a source or a sink that had finished, and are not
/// among them, begin again and end at once, or go on with what they now get.
///
/// # Errors
/// [`Unfit`].
pub fn finished(graph: &JobGraph, manifest: &Manifest) -> Result<BTreeSet<SubtaskId>, Unfit> {
    let mut finished = BTreeSet::new();
    for (index, vertex) in graph.vertices().iter().enumerate() {
        let out_of_bounds = |error| Unfit::OutOfBounds { uid: vertex.uid.clone(), error };
        manifest.max_parallelism.check(vertex.parallelism).map_err(out_of_bounds)?;
        let past = Past::of(vertex, manifest);
        let done: Vec<_> = vertex.subtasks().filter(|subtask| past.is_done(subtask)).collect();
        let is_fed =
            |subtask: &SubtaskId| !graph.edges_into(index).all(|edge| has_ended(edge, graph, subtask, &finished));
        let (fed, idle): (Vec<_>, Vec<_>) = done.into_iter().partition(is_fed);
        if matches!(vertex.kind, VertexKind::Operator { .. }) && (past.is_divided() || !fed.is_empty()) {
            let (finished, before) = (past.finished.len(), past.parallelism);
            let (uid, checkpoint) = (vertex.uid.clone(), manifest.checkpoint);
            return Err(Unfit::PartlyFinished { uid, finished, before, checkpoint });
        }
        finished.extend(idle);
    }
    Ok(finished)
}

/// A vertex at the checkpoint.
struct Past<'a> {
    finished: BTreeSet<&'a SubtaskId>,
    parallelism: u32,
    /// Whether there are as many subtasks now.
    is_same: bool,
}

impl<'a> Past<'a> {
    fn of(vertex: &Vertex, manifest: &'a Manifest) -> Self {
        let parallelism = manifest.parallelism.get(&vertex.uid).copied().unwrap_or(vertex.parallelism);
        let finished = manifest.finished.iter().filter(|subtask| subtask.uid == vertex.uid).collect();
        Self { finished, parallelism, is_same: parallelism == vertex.parallelism }
    }

    /// Whether all of the work that is a subtask's now was done.
    fn is_done(&self, subtask: &SubtaskId) -> bool {
        if self.is_same { self.finished.contains(subtask) } else { self.had_all_finished() }
    }

    /// Whether work that was done and work that was not are dealt out anew, together.
    fn is_divided(&self) -> bool {
        !self.is_same && !self.finished.is_empty() && !self.had_all_finished()
    }

    fn had_all_finished(&self) -> bool {
        self.finished.len() == self.parallelism as usize
    }
}

/// Whether everything that could send to a subtask over an edge has finished.
fn has_ended(edge: &Edge, graph: &JobGraph, to: &SubtaskId, finished: &BTreeSet<SubtaskId>) -> bool {
    let mut senders = graph.vertices()[edge.from].subtasks();
    match edge.partition {
        PartitionSpec::Forward => senders.filter(|from| from.index == to.index).all(|from| finished.contains(&from)),
        PartitionSpec::Hash(_) | PartitionSpec::Rebalance | PartitionSpec::Broadcast => {
            senders.all(|from| finished.contains(&from))
        }
    }
}
