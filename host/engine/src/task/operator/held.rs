//! What the subtask's state holds, as people and the job's quota are told.

use weir_operator::turn::Turn;
use weir_protocol::id::SubtaskId;
use weir_protocol::time::Timestamp;

use super::{OperatorTask, subtask_state};
use crate::metrics::GROWTH_MS_MIN;

impl OperatorTask {
    /// Tells the quota what is held, while it is all here.
    pub(super) fn note_held(&mut self) {
        let bytes = self.state().bytes_in_all() + self.unkeyed.state().bytes();
        self.share.note(bytes);
    }

    /// The same while it is lent to a turn.
    pub(super) fn note_held_in(&mut self, turn: &Turn) {
        let state = turn.state.as_deref().map_or_else(|| self.state(), subtask_state);
        let bytes = state.bytes_in_all() + turn.unkeyed.bytes();
        self.share.note(bytes);
    }

    pub(super) fn note_expired(&mut self) {
        let expired = self.state_mut().take_expired();
        self.subtask.metrics.state_expired.add(expired);
    }

    /// Tells people what is held.
    pub(super) fn show_held(&mut self) {
        let (state, unkeyed) = (self.state(), &self.unkeyed);
        let bytes = state.bytes_in_all() + unkeyed.state().bytes();
        let sizes = state.sizes().chain(unkeyed.sizes());
        self.subtask.metrics.note_state(self.processing_time, bytes, state.bytes_live(), state.timer_count(), sizes);
        (self.shown_at, self.is_shown) = (self.processing_time, true);
    }

    /// Tells people of timers that the end leaves behind: of processing time, since all of event time have fired.
    pub(super) fn tell_left_timers(&self) {
        let timers = self.state().timer_count();
        if timers > 0 {
            let (job, SubtaskId { uid, index: subtask }) = (self.subtask.letters.job(), &self.subtask.id);
            tracing::info!(
                %job, %uid, subtask,
                "the input has ended; pending timers of processing time, which do not fire any more: {timers}"
            );
        }
    }

    /// The same as [`show_held`](Self::show_held), if people were not told for a second.
    pub(super) fn show_held_each_second(&mut self) {
        if self.show_at().is_some_and(|at| at <= self.processing_time) {
            self.show_held();
        }
    }

    /// When people are told next, if nothing follows; `None`: they know all.
    pub(super) fn show_at(&self) -> Option<Timestamp> {
        (!self.is_shown).then_some(self.shown_at.saturating_add(GROWTH_MS_MIN))
    }
}
