//! The entrance of a task: its channels, with barriers aligned.
//!
//! Receives elements of all channels; guarantees that no record behind a barrier is let in before the barrier is on all
//! channels that still run, and that the barrier comes out once, in its place. Does not own what the task does then.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use weir_operator::batch::Batch;
use weir_protocol::alignment::{Aligning, Alignment};
use weir_protocol::id::CheckpointId;
use weir_protocol::time::Timestamp;

use crate::clock::Clock;
use crate::exchange::{Barrier, Element, InputIndex, Inputs};
use crate::metrics::SubtaskMetrics;

use super::TaskError;

/// The channels of one task, aligned.
#[derive(Debug)]
pub(crate) struct Gate {
    inputs: Inputs,
    alignment: Alignment,
    clock: Clock,
    metrics: Arc<SubtaskMetrics>,
    aligning_since: Option<Duration>,
    /// What an end let in besides itself.
    next: VecDeque<Arrival>,
}

/// What a task reacts to. Channels are numbered from 0, as the watermark's merger counts them.
#[derive(Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "most arrivals are batches, and each is moved once")]
pub(crate) enum Arrival {
    /// Records.
    Records {
        /// The channel.
        channel: usize,
        /// The declared input that it feeds.
        input: u32,
        /// The records.
        batch: Batch,
    },
    /// A channel's watermark.
    Watermark(usize, Timestamp),
    /// A channel is idle.
    Idle(usize),
    /// A barrier is on all channels: what came before belongs to its checkpoint.
    Barrier(Barrier),
    /// A channel has ended.
    Ended(usize),
}

impl Gate {
    /// Lets in what comes after checkpoint `restored` (0: the job starts anew).
    pub(crate) fn new(inputs: Inputs, restored: CheckpointId, clock: Clock, metrics: Arc<SubtaskMetrics>) -> Self {
        let alignment = Alignment::new(inputs.len(), restored);
        Self { inputs, alignment, clock, metrics, aligning_since: None, next: VecDeque::new() }
    }

    /// The number of channels.
    pub(crate) fn channels(&self) -> usize {
        self.inputs.len()
    }

    /// Whether every channel has ended, and everything was let in.
    pub(crate) fn has_ended(&self) -> bool {
        self.inputs.have_ended() && self.next.is_empty()
    }

    /// What is there already; `None`: nothing.
    pub(crate) fn try_next(&mut self) -> Result<Option<Arrival>, TaskError> {
        loop {
            if let Some(arrival) = self.next.pop_front() {
                return Ok(Some(arrival));
            }
            let Some((index, element)) = self.inputs.try_next()? else { return Ok(None) };
            self.take(index, element);
        }
    }

    /// Waits for what comes next; for ever once every channel has ended. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<Arrival, TaskError> {
        loop {
            if let Some(arrival) = self.next.pop_front() {
                return Ok(arrival);
            }
            match self.inputs.next().await? {
                Some((index, element)) => self.take(index, element),
                None => std::future::pending().await,
            }
        }
    }

    /// Whether a barrier that the coordinator triggered is to be taken: every channel has ended, and none has brought it.
    pub(crate) fn passes(&mut self, barrier: Barrier) -> bool {
        self.alignment.on_trigger(barrier)
    }

    fn take(&mut self, index: InputIndex, element: Element) {
        let channel = index.0;
        match element {
            Element::Batch(batch) => {
                let input = self.inputs.input(index);
                self.next.push_back(Arrival::Records { channel, input, batch });
            }
            Element::Watermark(watermark) => self.next.push_back(Arrival::Watermark(channel, watermark)),
            Element::Idle => self.next.push_back(Arrival::Idle(channel)),
            Element::Barrier(barrier) => self.on_barrier(index, barrier),
            Element::End => {
                if let Some(barrier) = self.alignment.on_end(channel) {
                    self.let_in(barrier);
                }
                self.next.push_back(Arrival::Ended(channel));
            }
        }
    }

    fn on_barrier(&mut self, index: InputIndex, barrier: Barrier) {
        match self.alignment.on_barrier(index.0, barrier) {
            Aligning::Aligned { barrier, gave_up: _ } => self.let_in(barrier),
            Aligning::Blocked { gave_up } => {
                if gave_up.is_some() {
                    self.inputs.unblock_all();
                    self.aligning_since = None;
                }
                self.aligning_since.get_or_insert_with(|| self.clock.elapsed());
                self.inputs.block(index);
            }
            Aligning::Stale => {}
        }
    }

    fn let_in(&mut self, barrier: Barrier) {
        self.inputs.unblock_all();
        if let Some(since) = self.aligning_since.take() {
            let nanos = self.clock.elapsed().saturating_sub(since).as_nanos();
            self.metrics.alignment_nanos.add(u64::try_from(nanos).unwrap_or(u64::MAX));
        }
        self.next.push_back(Arrival::Barrier(barrier));
    }
}

#[cfg(test)]
mod tests;
