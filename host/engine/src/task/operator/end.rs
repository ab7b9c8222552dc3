//! The end of an operator's subtask: the timers that are left, `finish`, and its last report.
//!
//! All inputs have ended, so barriers come from the coordinator itself: firing what is left may take as long as it likes,
//! and the job goes on taking checkpoints. It may not take for ever: timers that set timers are bounded.

use weir_operator::turn::{TimeDomain, Work};
use weir_protocol::Fault;
use weir_protocol::id::SubtaskId;
use weir_protocol::time::END_OF_TIME;

use super::OperatorTask;
use crate::exchange::Element;
use crate::task::{SealedKind, TaskError};

/// How many timers fire at the end for each that was pending, on average: those that it sets, and that these set, and so
/// on.
const FIRED_FOR_EACH_MAX: u64 = 1_000;

/// But so many in any case.
const FIRED_MAX: u64 = 100_000;

impl OperatorTask {
    /// Everything has arrived. What changed since the last barrier is part of the subtask's last report.
    pub(super) async fn end(mut self) -> Result<(), TaskError> {
        self.fire_last_timers().await?;
        self.process(Work::Finish).await?;
        self.tell_left_timers();
        self.outputs.broadcast(Element::Watermark(END_OF_TIME)).await?;
        self.outputs.broadcast(Element::End).await?;
        let now = self.now();
        let segment = if self.subtask.has_checkpoints { self.state_mut().freeze(now) } else { None };
        let unkeyed = if self.subtask.has_checkpoints { self.unkeyed.freeze() } else { None };
        self.show_held();
        let kind = SealedKind::Operator {
            segment,
            unkeyed,
            watermark: self.watermarks.current(),
            processing_time: self.processing_time,
        };
        self.subtask.finish(kind).await
    }

    /// Fires every event-time timer, also those that firing sets; between two calls barriers are taken, and the task can be
    /// ended.
    async fn fire_last_timers(&mut self) -> Result<(), TaskError> {
        let pending = self.state().timer_count();
        let most = FIRED_MAX.max(pending.saturating_mul(FIRED_FOR_EACH_MAX));
        let mut fired = 0;
        loop {
            self.take_barrier().await?;
            match self.fire_timers(TimeDomain::EventTime, END_OF_TIME).await? {
                0 => return Ok(()),
                count => fired += count,
            }
            if fired > most {
                return Err(without_end(&self.subtask.id, pending, fired));
            }
            tokio::task::yield_now().await;
        }
    }

    /// Takes the newest barrier that was triggered, unless it came with the inputs already.
    async fn take_barrier(&mut self) -> Result<(), TaskError> {
        if !self.triggered.has_changed().unwrap_or(false) {
            return Ok(());
        }
        let triggered = *self.triggered.borrow_and_update();
        match triggered.filter(|barrier| self.gate.passes(*barrier)) {
            Some(barrier) => self.on_barrier(barrier).await,
            None => Ok(()),
        }
    }
}

/// The submitter must act, so that the job waits for a version that ends, and nothing of it is lost.
fn without_end(SubtaskId { uid, .. }: &SubtaskId, pending: u64, fired: u64) -> TaskError {
    let message = format!(
        "operator `{uid}` sets event-time timers without end: its inputs have ended, {pending} timers were pending then, and \
         {fired} have fired since, because each sets another; let it set the next one only while the watermark is below \
         the end of time ({END_OF_TIME}), and change the job to that version: it goes on from its newest checkpoint"
    );
    TaskError::new(Fault::Request, message)
}
