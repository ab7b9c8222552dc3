//! Why a running job cannot be changed as it is wanted: what is wrong, where, and the mend.

use super::VertexWord;
use crate::evolution::Conflict;
use crate::fault::Fault;
use crate::finished::Unfit;
use crate::id::{Name, Uid};
use crate::job_graph::CheckpointStorage;

/// Why a running job cannot be changed as it is wanted. Nothing was stopped or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is another job.
    #[error(
        "the job is named `{running}`, and the new one `{wanted}`; keep the name, or submit it as a job of its own"
    )]
    Name {
        /// The job's name.
        running: Name,
        /// What was given.
        wanted: Name,
    },
    /// Keys would belong to other key groups.
    #[error(
        "max-parallelism is {wanted}, but the job began with {running}, which cannot change: its state is laid out by it; \
         say max-parallelism = {running}"
    )]
    MaxParallelism {
        /// What the job began with.
        running: u16,
        /// What was given.
        wanted: u16,
    },
    /// The chains would not be where they are looked for.
    #[error(
        "the job's checkpoints are in `{}`, and the new job would have them in `{}`; keep `storage`, or cancel the job and \
         submit it anew",
        .running.as_str(), .wanted.as_str()
    )]
    Storage {
        /// Where they are.
        running: CheckpointStorage,
        /// Where they would be.
        wanted: CheckpointStorage,
    },
    /// There is nothing to go on from.
    #[error(
        "the job takes no checkpoints, so there is nothing that another version could go on from; cancel it and submit the \
         new one, with a [checkpoint] section if it should be changed while it runs"
    )]
    NoCheckpoints,
    /// From then on nothing would be exactly once.
    #[error(
        "the new job takes no checkpoints, so whatever came after the newest one would be lost or doubled by the next \
         failure; keep the [checkpoint] section, or cancel the job and submit it anew"
    )]
    TurnsCheckpointsOff,
    /// What is recorded under a uid would be taken for something else.
    #[error("`{uid}` is the uid of {} of the job, and would be that of {}; give the new one another uid", .running.with_article(), .wanted.with_article())]
    OtherKind {
        /// The uid.
        uid: Uid,
        /// What has it.
        running: VertexWord,
        /// What would.
        wanted: VertexWord,
    },
    /// Its state would be lost.
    #[error(
        "operator `{uid}` holds state, and the new job has no operator with this uid; keep the uid, or allow its state to \
         be dropped (`--allow-non-restored-state`)"
    )]
    RemovedOperator {
        /// The operator.
        uid: Uid,
    },
    /// How far it was read would be forgotten.
    #[error(
        "source `{uid}` has been read up to a position, and the new job has no source with this uid; keep the uid, or allow \
         its positions to be dropped (`--allow-non-restored-state`)"
    )]
    RemovedSource {
        /// The source.
        uid: Uid,
    },
    /// Positions of one connector mean nothing to another.
    #[error(
        "source `{uid}` is of type `{running}`, whose positions mean nothing to one of type `{wanted}`; give the new source \
         another uid, and allow the positions of this one to be dropped (`--allow-non-restored-state`)"
    )]
    SourceType {
        /// The source.
        uid: Uid,
        /// What it is.
        running: &'static str,
        /// What it would be.
        wanted: &'static str,
    },
    /// Which files it reads was settled when the job was accepted.
    #[error(
        "source `{uid}` reads the files that were there when the job was accepted, so other paths would have no effect; \
         keep them, say follow = true, or add a source with another uid for them"
    )]
    SourcePaths {
        /// The source.
        uid: Uid,
    },
    /// It will not be read any more.
    #[error(
        "source `{uid}` has ended, or some of its subtasks have, so changing it would have no effect on what they read; \
         keep it, and add a source with another uid for what is new"
    )]
    EndedSource {
        /// The source.
        uid: Uid,
    },
    /// The new place does not say how far the sink has come.
    #[error(
        "sink `{uid}` publishes to `{running}`, where it is recorded how far it has come, and would go on in `{wanted}`; \
         keep the path, or give the new sink another uid"
    )]
    SinkPlace {
        /// The sink.
        uid: Uid,
        /// Where it publishes.
        running: String,
        /// Where it would.
        wanted: String,
    },
    /// What an operator holds is nothing that its next version can go on with.
    #[error("operator `{uid}`: {conflict}")]
    State {
        /// The operator.
        uid: Uid,
        /// What is wrong.
        conflict: Conflict,
    },
    /// Its state would not fit.
    #[error(
        "operator `{uid}` holds {held} bytes of keyed state in {}, and the new job has room for {room} in the memory of \
         each subtask; raise `memory` in [state] or the parallelism, or keep state on disk with backend = \"rocksdb\"",
        fullest(*.parallelism)
    )]
    Memory {
        /// The operator.
        uid: Uid,
        /// What its fullest subtask would hold, or more.
        held: u64,
        /// How many subtasks it would have.
        parallelism: u32,
        /// What each may.
        room: u64,
    },
    /// Work that was done and work that was not cannot be told apart any more.
    #[error(transparent)]
    Unfit(#[from] Unfit),
}

impl Refusal {
    /// Who must act: always the caller.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        Fault::Request
    }
}

fn fullest(parallelism: u32) -> String {
    match parallelism {
        1 => "its one subtask".to_owned(),
        several => format!("the fullest of {several} subtasks, or more"),
    }
}
