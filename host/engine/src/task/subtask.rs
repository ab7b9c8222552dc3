//! What every kind of subtask has: a name, counters, dead letters, and a way to hand over what it sealed.

use std::sync::Arc;

use weir_operator::batch::Batch;
use weir_protocol::id::{CheckpointId, SubtaskId};

use crate::clock::Clock;
use crate::metrics::SubtaskMetrics;
use crate::rejected::RejectedRecord;

use super::{DeadLetters, Handed, Handover, Sealed, SealedKind, TaskError};

/// The part that all kinds of subtasks share.
#[derive(Debug)]
pub(crate) struct Subtask {
    pub(crate) id: SubtaskId,
    pub(crate) clock: Clock,
    pub(crate) metrics: Arc<SubtaskMetrics>,
    pub(crate) letters: DeadLetters,
    pub(crate) handover: Handover,
    /// Whether the job takes checkpoints; else dead letters are published at once.
    pub(crate) has_checkpoints: bool,
}

impl Subtask {
    /// Counts a batch that arrived.
    pub(crate) fn count_in(&self, batch: &Batch) {
        self.metrics.batches.add(1);
        self.metrics.records_in.add(u64::from(batch.rows));
        self.metrics.bytes_in.add(u64::try_from(batch.bytes()).unwrap_or(u64::MAX));
    }

    /// Gives up on records that a source or an edge refused.
    pub(crate) fn give_up(&mut self, rejected: Vec<RejectedRecord>) -> Result<(), TaskError> {
        for record in rejected {
            let at = self.clock.now();
            self.letters.give_up(record.into_dead_letter(&self.id, at))?;
        }
        Ok(())
    }

    /// Before the subtask waits: without checkpoints nothing else would make its dead letters public.
    pub(crate) async fn publish_letters(&mut self) -> Result<(), TaskError> {
        if !self.has_checkpoints
            && let Some(letters) = self.letters.seal()
        {
            self.handover.give(Handed::Letters(letters)).await?;
        }
        Ok(())
    }

    /// Hands over the subtask's part of a checkpoint.
    pub(crate) async fn seal(&mut self, checkpoint: CheckpointId, kind: SealedKind) -> Result<(), TaskError> {
        let sealed = self.sealed(kind);
        self.handover.give(Handed::Sealed(checkpoint, sealed)).await
    }

    /// Hands over the subtask's last part.
    pub(crate) async fn finish(mut self, kind: SealedKind) -> Result<(), TaskError> {
        self.publish_letters().await?;
        let sealed = self.sealed(kind);
        self.handover.give(Handed::Finished(sealed)).await
    }

    fn sealed(&mut self, kind: SealedKind) -> Sealed {
        Sealed { kind, letters: self.letters.seal(), given_up: self.letters.given_up() }
    }
}
