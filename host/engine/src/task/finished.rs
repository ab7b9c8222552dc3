//! A subtask that had finished before the checkpoint that its job was restored from.
//!
//! Everything it ever did is part of that checkpoint, so it only passes the end on.

use weir_protocol::time::END_OF_TIME;

use crate::exchange::{Element, Outputs};

use super::gate::Gate;
use super::{SealedKind, Subtask, TaskError};

/// A subtask that has nothing left to do.
pub(crate) struct FinishedTask {
    pub(crate) subtask: Subtask,
    /// What feeds it, if anything does: all of it has finished too.
    pub(crate) gate: Option<Gate>,
    /// What it feeds; a sink feeds nothing.
    pub(crate) outputs: Option<Outputs>,
    /// What it reports again.
    pub(crate) kind: SealedKind,
}

impl FinishedTask {
    /// Waits for the ends of its channels and passes its own on.
    pub(crate) async fn run(self) -> Result<(), TaskError> {
        let Self { subtask, gate, outputs, kind } = self;
        if let Some(mut gate) = gate {
            while !gate.has_ended() {
                gate.next().await?;
            }
        }
        if let Some(mut outputs) = outputs {
            outputs.broadcast(Element::Watermark(END_OF_TIME)).await?;
            outputs.broadcast(Element::End).await?;
        }
        subtask.finish(kind).await
    }
}
