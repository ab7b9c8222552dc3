//! Timers that are due, handed to the operator.

use weir_operator::keyed_state::KeyedState;
use weir_operator::turn::{TimeDomain, TimerChange, Work};
use weir_protocol::id::SubtaskId;
use weir_protocol::time::Timestamp;

use super::OperatorTask;
use crate::task::TaskError;

/// Timers handed to one call, at most.
const TIMERS_PER_CALL_MAX: usize = 1_024;

impl OperatorTask {
    /// Fires all event-time timers that are due, also those that firing makes due. Between two calls the task can be ended.
    pub(super) async fn fire_event_timers(&mut self) -> Result<(), TaskError> {
        let watermark = self.watermarks.current();
        while self.fire_timers(TimeDomain::EventTime, watermark).await? > 0 {
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Warns once where timers are set that never fire.
    pub(super) fn warn_of_timers(&mut self, changes: &[TimerChange]) {
        let never_fires = |change: &TimerChange| change.register && change.domain == TimeDomain::EventTime;
        if self.is_timeless && changes.iter().any(never_fires) {
            self.is_timeless = false;
            let (job, SubtaskId { uid, index: subtask }) = (self.subtask.letters.job(), &self.subtask.id);
            tracing::warn!(
                %job, %uid, subtask,
                "operator `{uid}` sets event-time timers, which never fire here: whatever feeds it is files, which tell no \
                 event time, and followed ones do not end either; set timers of processing time, or do not follow"
            );
        }
    }

    /// Fires timers of one call; how many there were.
    pub(super) async fn fire_timers(&mut self, domain: TimeDomain, up_to: Timestamp) -> Result<u64, TaskError> {
        while let Some(fetch) = self.state().fetch_due(domain, up_to, TIMERS_PER_CALL_MAX) {
            let found = fetch.elsewhere().await;
            self.state_mut().supply(found)?;
        }
        let Some(fired) = self.state_mut().due(domain, up_to, TIMERS_PER_CALL_MAX) else { return Ok(0) };
        let count = u64::try_from(fired.at.len()).unwrap_or(u64::MAX);
        self.subtask.metrics.timers_fired.add(count);
        self.process(Work::Timers(fired)).await?;
        Ok(count)
    }
}
