//! The loop of a sink's subtask.
//!
//! Receives records and barriers; guarantees that what a part of an outbox holds is exactly what came before its
//! barrier on all channels. Does not own publication.

use weir_protocol::id::CheckpointId;
use weir_protocol::watermark::{Merged, WatermarkMerge};

use crate::sink::Sink;
use crate::step::{Place, Step};

use super::gate::{Arrival, Gate};
use super::{Handed, SealedKind, Subtask, TaskError};

/// Bytes of an epoch that are kept in memory; beyond, they go to the store before the barrier comes.
const OPEN_BYTES_MAX: u64 = 64 << 20;

/// One subtask of a sink.
pub(crate) struct SinkTask {
    pub(crate) subtask: Subtask,
    pub(crate) sink: Box<dyn Sink>,
    pub(crate) gate: Gate,
    pub(crate) watermarks: WatermarkMerge,
}

impl SinkTask {
    /// Runs until every channel has ended.
    pub(crate) async fn run(mut self) -> Result<(), TaskError> {
        while !self.gate.has_ended() {
            match self.next().await? {
                Arrival::Records { channel, input: _, batch } => {
                    self.watermarks.on_active(channel);
                    self.subtask.count_in(&batch);
                    self.sink.write(batch).await?;
                    self.shed().await?;
                }
                Arrival::Watermark(channel, watermark) => {
                    let merged = self.watermarks.on_watermark(channel, watermark);
                    self.note(merged);
                }
                Arrival::Idle(channel) => {
                    let merged = self.watermarks.on_idle(channel);
                    self.note(merged);
                }
                Arrival::Ended(channel) => {
                    let merged = self.watermarks.on_end(channel);
                    self.note(merged);
                }
                Arrival::Barrier(barrier) => self.on_barrier(barrier.checkpoint).await?,
            }
        }
        self.sink.flush().await?;
        let part = self.sink.seal();
        self.subtask.finish(SealedKind::Sink(part)).await
    }

    async fn on_barrier(&mut self, checkpoint: CheckpointId) -> Result<(), TaskError> {
        Step::Barrier.before(Place::of_subtask(&self.subtask.id).at(checkpoint));
        let part = self.sink.seal();
        self.subtask.seal(checkpoint, SealedKind::Sink(part)).await?;
        Step::Barrier.after(Place::of_subtask(&self.subtask.id).at(checkpoint));
        Ok(())
    }

    /// An epoch that grows too big for memory goes to the store part by part.
    async fn shed(&mut self) -> Result<(), TaskError> {
        if self.subtask.has_checkpoints
            && self.sink.pending_bytes() >= OPEN_BYTES_MAX
            && let Some(part) = self.sink.seal()
        {
            self.subtask.handover.give(Handed::Results(part)).await?;
        }
        Ok(())
    }

    async fn next(&mut self) -> Result<Arrival, TaskError> {
        if let Some(arrival) = self.gate.try_next()? {
            return Ok(arrival);
        }
        self.sink.flush().await?;
        self.gate.next().await
    }

    fn note(&self, merged: Merged) {
        match merged {
            Merged::Advanced(watermark) => self.subtask.metrics.set_watermark(watermark),
            Merged::Unchanged | Merged::Idle => {}
        }
    }
}
