//! Why a job cannot begin from a savepoint: what is wrong, where, and the mend.

use crate::fault::Fault;
use crate::finished::Unfit;
use crate::id::{CheckpointId, JobId, Uid};
use crate::manifest::Outlet;
use crate::upgrade;

/// Why a job cannot begin from a savepoint. Nothing was started or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Its state and positions do not fit.
    #[error(transparent)]
    State(#[from] upgrade::Refusal),
    /// The same records would be in one place twice.
    #[error(
        "sink `{uid}` would write to `{path}`, as the savepoint's job does, which had not ended at checkpoint {checkpoint}: \
         results that it published since would come there a second time, below the new job's id; give the sink a path of \
         its own, or begin from a savepoint of the job once it has ended, or allow that (`--allow-inexact-results`)"
    )]
    Repeats {
        /// The sink.
        uid: Uid,
        /// Where it writes.
        path: String,
        /// The savepoint's.
        checkpoint: CheckpointId,
    },
    /// Another job began from there, and wrote the same.
    #[error(
        "sink `{uid}` would write to `{path}`, where job {other} does, which began from the same job's savepoint and has \
         published what comes behind it, or yet may: that would come there a second time; give the sink a path of its own, or \
         begin from a savepoint of that job, or allow it (`--allow-inexact-results`)"
    )]
    Again {
        /// The sink.
        uid: Uid,
        /// Where it writes.
        path: String,
        /// Who does already.
        other: JobId,
    },
    /// The results of some records would be nowhere.
    #[error(
        "the savepoint's job ended without publishing what it had sealed for `{outlet}` up to checkpoint {checkpoint}, and a \
         savepoint carries no results: nobody will publish them; begin from an earlier point, or allow that \
         (`--allow-inexact-results`)"
    )]
    Unpublished {
        /// Whose results.
        outlet: Outlet,
        /// The newest of them.
        checkpoint: CheckpointId,
    },
}

impl Refusal {
    /// Who must act: always the caller.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        Fault::Request
    }
}

impl From<Unfit> for Refusal {
    fn from(unfit: Unfit) -> Self {
        Self::State(unfit.into())
    }
}
