//! The loop of a source's subtask.
//!
//! Receives batches from its source and barriers from the coordinator; guarantees that the positions noted for a
//! checkpoint lie exactly behind what was sent before its barrier. A bounded source ends with the end of time.

use std::pin::pin;
use std::time::Duration;

use futures::future::poll_immediate;
use tokio::sync::{mpsc, watch};
use weir_protocol::time::{END_OF_TIME, NO_TIME, Timestamp};

use crate::exchange::{Barrier, Element, Outputs};
use crate::source::{Polled, Source};
use crate::step::{Place, Step};

use super::{SealedKind, Subtask, TaskError};

/// How often a busy source sends its watermark; one that waits sends it before.
const WATERMARK_INTERVAL: Duration = Duration::from_millis(200);

/// Barriers that may wait for a source that is held up by those behind it.
const COMMANDS_MAX: usize = 16;

/// One subtask of a source.
pub(crate) struct SourceTask {
    pub(crate) subtask: Subtask,
    pub(crate) source: Box<dyn Source>,
    pub(crate) outputs: Outputs,
    pub(crate) orders: SourceOrders,
    pub(crate) watermarks: SentWatermark,
}

/// How the job reaches a subtask of a source.
#[derive(Debug)]
pub(crate) struct SourceCommands {
    barriers: mpsc::Sender<Barrier>,
    paused: watch::Sender<bool>,
}

/// What the job has commanded.
#[derive(Debug)]
pub(crate) struct SourceOrders {
    barriers: mpsc::Receiver<Barrier>,
    paused: watch::Receiver<bool>,
}

/// Both ends of the way to one source.
pub(crate) fn source_commands() -> (SourceCommands, SourceOrders) {
    let (barriers, barriers_receiver) = mpsc::channel(COMMANDS_MAX);
    let (paused, paused_receiver) = watch::channel(false);
    let orders = SourceOrders { barriers: barriers_receiver, paused: paused_receiver };
    (SourceCommands { barriers, paused }, orders)
}

impl SourceCommands {
    /// Has the source send a barrier. A source that has finished, or that already has more barriers before it than it
    /// gets through, passes it over; the checkpoint then ends as the coordinator sees fit.
    pub(crate) fn trigger(&self, barrier: Barrier) {
        if let Err(error) = self.barriers.try_send(barrier) {
            tracing::debug!(checkpoint = barrier.checkpoint.0, %error, "a source takes no barrier");
        }
    }

    /// Has the source read nothing, or go on. Barriers pass either way.
    pub(crate) fn pause(&self, is_paused: bool) {
        self.paused.send_if_modified(|paused| std::mem::replace(paused, is_paused) != is_paused);
    }
}

/// The watermark that downstream knows, and since when.
#[derive(Debug)]
pub(crate) struct SentWatermark {
    sent: Timestamp,
    at: Duration,
    is_idle: bool,
}

impl Default for SentWatermark {
    fn default() -> Self {
        Self { sent: NO_TIME, at: Duration::ZERO, is_idle: false }
    }
}

/// All that can happen to a source.
#[expect(clippy::large_enum_variant, reason = "most events are batches, and each is moved once")]
enum Event {
    Barrier(Barrier),
    /// It was paused, or may go on.
    Paused,
    Polled(Polled),
    /// Nothing is there, and nothing sent is held back.
    Waiting,
}

impl SourceTask {
    /// Runs until the source ends.
    pub(crate) async fn run(mut self) -> Result<(), TaskError> {
        let mut has_settled = false;
        loop {
            let event = self.next(has_settled).await?;
            has_settled = matches!(event, Event::Waiting);
            match event {
                Event::Barrier(barrier) => self.on_barrier(barrier).await?,
                Event::Paused => {}
                Event::Polled(Polled::Batch { batch, rejects }) => {
                    self.watermarks.is_idle = false;
                    self.subtask.give_up(rejects)?;
                    if batch.rows > 0 {
                        self.subtask.count_in(&batch);
                        let unplaced = self.outputs.send(0, batch).await?;
                        self.subtask.give_up(unplaced)?;
                    }
                    self.send_watermark(false).await?;
                }
                Event::Polled(Polled::Idle) => self.on_idle().await?,
                Event::Polled(Polled::End) => break,
                Event::Waiting => {
                    self.send_watermark(true).await?;
                    self.outputs.flush().await?;
                    self.subtask.publish_letters().await?;
                }
            }
        }
        self.end().await
    }

    /// What happens next. Where nothing has happened yet it says so once, and waits when asked again.
    async fn next(&mut self, has_settled: bool) -> Result<Event, TaskError> {
        let Self { source, orders: SourceOrders { barriers, paused }, .. } = self;
        let is_paused = *paused.borrow_and_update();
        let gone = || TaskError::consequence("the job's coordinator has gone");
        let mut event = pin!(async {
            tokio::select! {
                biased;
                barrier = barriers.recv() => barrier.map(Event::Barrier).ok_or_else(gone),
                changed = paused.changed() => changed.map(|()| Event::Paused).map_err(|_| gone()),
                polled = source.next(), if !is_paused => Ok(Event::Polled(polled?)),
            }
        });
        if has_settled { event.await } else { poll_immediate(event.as_mut()).await.unwrap_or(Ok(Event::Waiting)) }
    }

    async fn on_barrier(&mut self, barrier: Barrier) -> Result<(), TaskError> {
        let checkpoint = barrier.checkpoint;
        Step::Barrier.before(Place::of_subtask(&self.subtask.id).at(checkpoint));
        let positions = self.source.positions();
        self.outputs.broadcast(Element::Barrier(barrier)).await?;
        self.subtask.seal(checkpoint, SealedKind::Source(positions)).await?;
        Step::Barrier.after(Place::of_subtask(&self.subtask.id).at(checkpoint));
        Ok(())
    }

    async fn on_idle(&mut self) -> Result<(), TaskError> {
        self.send_watermark(true).await?;
        if !self.watermarks.is_idle {
            self.watermarks.is_idle = true;
            self.outputs.broadcast(Element::Idle).await?;
        }
        Ok(())
    }

    /// Sends the source's watermark where it rose: at once, or at most every [`WATERMARK_INTERVAL`].
    async fn send_watermark(&mut self, at_once: bool) -> Result<(), TaskError> {
        let Some(watermark) = self.source.watermark() else { return Ok(()) };
        let now = self.subtask.clock.elapsed();
        let is_due = at_once || now.saturating_sub(self.watermarks.at) >= WATERMARK_INTERVAL;
        if watermark <= self.watermarks.sent || !is_due {
            return Ok(());
        }
        self.watermarks.sent = watermark;
        self.watermarks.at = now;
        self.subtask.metrics.set_watermark(watermark);
        Ok(self.outputs.broadcast(Element::Watermark(watermark)).await?)
    }

    async fn end(mut self) -> Result<(), TaskError> {
        let positions = self.source.positions();
        self.subtask.metrics.set_watermark(END_OF_TIME);
        self.outputs.broadcast(Element::Watermark(END_OF_TIME)).await?;
        self.outputs.broadcast(Element::End).await?;
        self.subtask.finish(SealedKind::Source(positions)).await
    }
}
