//! What the coordinator of an attempt decides, performed: one action at a time, in order.

use weir_protocol::coordinator::{self, AbortReason, Action, Complete};

use super::attempt::{Attempt, Setting};
use super::bound;
use super::ended::{Ended, Failed};
use super::status::StandingCheckpoint;

impl Attempt<'_> {
    /// Tells the coordinator what happened, and performs what it decides until it wants nothing more.
    pub(super) async fn coordinate(&mut self, event: coordinator::Event) -> Result<(), Ended> {
        let mut happened = vec![event];
        while let Some(event) = happened.pop() {
            let now = self.setting.shared.clock.now();
            let Some(coordinator) = &mut self.coordinator else { return Ok(()) };
            coordinator.set_room(self.unsaved.has_room());
            for action in coordinator.on(event, now) {
                if let Some(followed) = self.perform(action).await? {
                    happened.push(followed);
                }
            }
        }
        Ok(())
    }

    /// Performs one action; what followed at once from it.
    async fn perform(&mut self, action: Action) -> Result<Option<coordinator::Event>, Ended> {
        let (board, now) = (self.setting.board, self.setting.shared.clock.now());
        match action {
            Action::Trigger(barrier) => {
                let subtasks = self.setting.plan.graph.subtasks().count();
                board.checkpoint_triggered(barrier.checkpoint, false, u32::try_from(subtasks).unwrap_or(u32::MAX), now);
                self.sources.iter().for_each(|source| source.trigger(barrier));
                self.triggered.send_replace(Some(barrier));
            }
            Action::Record(complete) => return self.record(complete).await.map(Some),
            Action::Skip { checkpoint } => {
                board.checkpoint_skipped(checkpoint);
                self.leave()?;
            }
            Action::Abort { checkpoint, reason } => {
                board.checkpoint_failed(checkpoint, reason.to_string(), now);
                if !matches!(reason, AbortReason::Subsumed { .. }) {
                    self.leave()?;
                }
            }
            Action::FailJob { checkpoint, reason } => return Err(Failed::of_checkpoint(checkpoint, &reason).into()),
        }
        Ok(None)
    }

    /// The checkpoint exists once its entry does; only then is anything published or deleted.
    async fn record(&mut self, complete: Complete) -> Result<coordinator::Event, Ended> {
        let Setting { shared, plan, board, restarts, wishes, wanted: _, spec } = &mut self.setting;
        let checkpoint = complete.checkpoint;
        if complete.last {
            board.checkpoint_triggered(
                checkpoint,
                true,
                u32::try_from(complete.reports.len()).unwrap_or(u32::MAX),
                complete.at,
            );
        }
        let storage = plan.graph.spec().state.storage;
        if let Some(reason) = bound::exceeded(storage, || self.owned.bytes(&self.assembly, &complete)) {
            if complete.last {
                return Err(Failed::of_checkpoint(checkpoint, &AbortReason::RecordFailed { reason }).into());
            }
            return Ok(coordinator::Event::RecordFailed { checkpoint, reason });
        }
        self.owned.record(&self.assembly, &complete, wishes).await?;
        let unconfirmed = !self.owned.manifest().outboxes.is_empty();
        self.assembly.recorded(checkpoint);
        self.recorded.send_replace(checkpoint);
        restarts.progressed();
        let standing = StandingCheckpoint::of(self.owned.manifest()).expect("a checkpoint was recorded just now");
        board.checkpoint_completed(standing, shared.clock.now());
        board.proven(*spec);
        self.pace_sources();
        if complete.last {
            return Err(Ended::Finished);
        }
        self.leave()?;
        Ok(coordinator::Event::Recorded { checkpoint, unconfirmed })
    }
}
