//! What a task hands over to its background.

use weir_protocol::id::CheckpointId;
use weir_protocol::manifest::Positions;

use crate::data::Outcome;
use crate::operator::Sealed;

/// What a task hands over. Without a checkpoint: its last.
#[derive(Debug)]
pub(crate) struct Handed {
    pub(super) checkpoint: Option<CheckpointId>,
    pub(super) work: HandedWork,
}

#[derive(Debug)]
pub(super) enum HandedWork {
    Source(Positions),
    Operator(Sealed),
    Sink(Vec<Outcome>),
}

impl Handed {
    pub(crate) const fn source(checkpoint: Option<CheckpointId>, positions: Positions) -> Self {
        Self { checkpoint, work: HandedWork::Source(positions) }
    }

    pub(crate) const fn operator(sealed: Sealed) -> Self {
        Self { checkpoint: sealed.checkpoint, work: HandedWork::Operator(sealed) }
    }

    pub(crate) const fn sink(checkpoint: Option<CheckpointId>, part: Vec<Outcome>) -> Self {
        Self { checkpoint, work: HandedWork::Sink(part) }
    }
}
