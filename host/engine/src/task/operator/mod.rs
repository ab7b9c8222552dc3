//! The loop of an operator's subtask.
//!
//! Receives records, watermarks and barriers through its gate, and due timers from its state. Guarantees that what one
//! call did becomes visible together; that timers fire before the watermark that made them due goes on; that between
//! the parts of a batch that is tried again nothing else runs; and that the state frozen for a checkpoint holds exactly
//! what came before its barrier. Does not own retrying (that is [`Attempts`]) nor what is in the state.

use std::any::Any;

use tokio::sync::watch;
use weir_operator::attempt::{Attempts, StateShare};
use weir_operator::keyed_state::KeyedState;
use weir_operator::turn::{TimeDomain, Work};
use weir_protocol::description::InputDescription;
use weir_protocol::time::{END_OF_TIME, Timestamp};
use weir_protocol::watermark::{Merged, WatermarkMerge};

use crate::clock::thread_cpu_time;
use crate::exchange::{Barrier, Element, Outputs};
use crate::state::{SubtaskState, UnkeyedStore};
use crate::step::{self, Place};

use super::gate::{Arrival, Gate};
use super::seed::Seeds;
use super::{SealedKind, Subtask, TaskError};

/// One subtask of an operator.
pub(crate) struct OperatorTask {
    pub(crate) subtask: Subtask,
    pub(crate) attempts: Attempts,
    /// The operator's declared inputs.
    pub(crate) inputs: Vec<InputDescription>,
    pub(crate) gate: Gate,
    pub(crate) watermarks: WatermarkMerge,
    pub(crate) outputs: Outputs,
    /// Lent to a turn for the length of its calls.
    pub(crate) state: Option<Box<dyn KeyedState>>,
    pub(crate) unkeyed: UnkeyedStore,
    pub(crate) seeds: Seeds,
    /// Never goes back; restored with the state.
    pub(crate) processing_time: Timestamp,
    /// What it uses of what the job's state may be.
    pub(crate) share: StateShare,
    /// When people were last told what the state holds.
    pub(crate) shown_at: Timestamp,
    /// Whether nothing was done since.
    pub(crate) is_shown: bool,
    /// The newest barrier that the job's sources were told to send.
    pub(crate) triggered: watch::Receiver<Option<Barrier>>,
    /// No event time ever reaches it, and nobody was told yet that its event-time timers never fire.
    pub(crate) is_timeless: bool,
}

/// All that can happen to an operator.
#[expect(clippy::large_enum_variant, reason = "most events are arrivals, and each is moved once")]
enum Event {
    Arrived(Arrival),
    /// Processing-time timers are due.
    TimersDue,
    /// Nothing follows on what was done, and people were not told of it for a second.
    Quiet,
}

impl OperatorTask {
    /// Runs until every channel has ended.
    pub(crate) async fn run(mut self) -> Result<(), TaskError> {
        let now = self.now();
        self.attempts.open(now, self.unkeyed.state()).await?;
        self.show_held();
        if self.watermarks.current() != END_OF_TIME {
            self.fire_event_timers().await?;
        }
        let mut has_fired = false;
        while !self.gate.has_ended() {
            let event = self.next(has_fired).await?;
            has_fired = matches!(event, Event::TimersDue);
            match event {
                Event::Arrived(Arrival::Records { channel, input, batch }) => {
                    self.watermarks.on_active(channel);
                    self.subtask.count_in(&batch);
                    self.process(Work::Batch { input, batch }).await?;
                    self.fire_event_timers().await?;
                }
                Event::Arrived(Arrival::Watermark(channel, watermark)) => {
                    let merged = self.watermarks.on_watermark(channel, watermark);
                    self.on_merged(merged).await?;
                }
                Event::Arrived(Arrival::Idle(channel)) => {
                    let merged = self.watermarks.on_idle(channel);
                    self.on_merged(merged).await?;
                }
                Event::Arrived(Arrival::Ended(channel)) => {
                    let merged = self.watermarks.on_end(channel);
                    self.on_merged(merged).await?;
                }
                Event::Arrived(Arrival::Barrier(barrier)) => self.on_barrier(barrier).await?,
                Event::TimersDue => {
                    let now = self.now();
                    self.fire_timers(TimeDomain::ProcessingTime, now).await?;
                    self.fire_event_timers().await?;
                }
                Event::Quiet => {
                    self.now();
                    self.show_held();
                }
            }
        }
        self.end().await
    }

    /// What happens next. Timers that are always due and records that always arrive take turns.
    async fn next(&mut self, has_fired: bool) -> Result<Event, TaskError> {
        let due_at = self.state().next_processing_time();
        let is_due = due_at.is_some_and(|at| at <= self.now());
        if is_due && !has_fired {
            return Ok(Event::TimersDue);
        }
        if let Some(arrival) = self.gate.try_next()? {
            return Ok(Event::Arrived(arrival));
        }
        if is_due {
            return Ok(Event::TimersDue);
        }
        self.outputs.flush().await?;
        self.subtask.publish_letters().await?;
        while self.tidy() {
            if let Some(arrival) = self.gate.try_next()? {
                return Ok(Event::Arrived(arrival));
            }
            if due_at.is_some_and(|at| at <= self.now()) {
                return Ok(Event::TimersDue);
            }
            tokio::task::yield_now().await;
        }
        let (clock, show_at) = (self.subtask.clock, self.show_at());
        let reached = async |at: Option<Timestamp>| match at {
            Some(at) => clock.sleep_until(at).await,
            None => std::future::pending().await,
        };
        tokio::select! {
            biased;
            arrival = self.gate.next() => Ok(Event::Arrived(arrival?)),
            () = reached(due_at) => Ok(Event::TimersDue),
            () = reached(show_at) => Ok(Event::Quiet),
        }
    }

    /// A step of the clean-up of what has expired; whether more is left.
    fn tidy(&mut self) -> bool {
        let is_left = self.state_mut().tidy();
        self.note_expired();
        is_left
    }

    /// A watermark goes on behind the outputs of the timers that it made due. The end of time fires what is left, and goes
    /// on, with the end itself: until then barriers come, and what `finish` emits is not late.
    async fn on_merged(&mut self, merged: Merged) -> Result<(), TaskError> {
        match merged {
            Merged::Unchanged => Ok(()),
            Merged::Advanced(watermark) => {
                self.subtask.metrics.set_watermark(watermark);
                if watermark == END_OF_TIME {
                    return Ok(());
                }
                self.fire_event_timers().await?;
                Ok(self.outputs.broadcast(Element::Watermark(watermark)).await?)
            }
            Merged::Idle => Ok(self.outputs.broadcast(Element::Idle).await?),
        }
    }

    /// The synchronous phase of a checkpoint: everything else happens behind the barrier or in the background.
    async fn on_barrier(&mut self, barrier: Barrier) -> Result<(), TaskError> {
        let checkpoint = barrier.checkpoint;
        step::Step::Barrier.before(Place::of_subtask(&self.subtask.id).at(checkpoint));
        step::Step::Segment.before(Place::of_subtask(&self.subtask.id).at(checkpoint));
        let now = self.now();
        let started = thread_cpu_time();
        let segment = self.state_mut().freeze(now);
        let unkeyed = self.unkeyed.freeze();
        let nanos = thread_cpu_time().saturating_sub(started).as_nanos();
        self.subtask.metrics.freeze_nanos.add(u64::try_from(nanos).unwrap_or(u64::MAX));
        step::Step::Segment.after(Place::of_subtask(&self.subtask.id).at(checkpoint));
        self.outputs.broadcast(Element::Barrier(barrier)).await?;
        self.note_held();
        self.show_held();
        self.seeds.begin_epoch(checkpoint);
        let kind = SealedKind::Operator {
            segment,
            unkeyed,
            watermark: self.watermarks.current(),
            processing_time: self.processing_time,
        };
        self.subtask.seal(checkpoint, kind).await?;
        step::Step::Barrier.after(Place::of_subtask(&self.subtask.id).at(checkpoint));
        Ok(())
    }

    fn now(&mut self) -> Timestamp {
        self.processing_time = self.processing_time.max(self.subtask.clock.now());
        self.processing_time
    }

    fn state(&self) -> &SubtaskState {
        subtask_state(self.state.as_deref().expect("state is lent only for the length of a turn"))
    }

    fn state_mut(&mut self) -> &mut SubtaskState {
        subtask_state_mut(self.state.as_deref_mut().expect("state is lent only for the length of a turn"))
    }
}

fn subtask_state(state: &dyn KeyedState) -> &SubtaskState {
    let state: &dyn Any = state;
    state.downcast_ref().expect("the engine runs operators on its own state only")
}

fn subtask_state_mut(state: &mut dyn KeyedState) -> &mut SubtaskState {
    let state: &mut dyn Any = state;
    state.downcast_mut().expect("the engine runs operators on its own state only")
}

mod end;
mod held;
mod timers;
mod work;

#[cfg(test)]
mod tests;
