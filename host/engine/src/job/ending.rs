//! The end of a job: its last entry.
//!
//! Receives how it ends; guarantees that what a job that finished or was cancelled has sealed is published before its last
//! entry, and that nothing is needed for that but the places which its results wait for. Does not own why it ends.

use weir_protocol::chain::EntryKind;

use super::driver::{Driver, Next};
use super::ended::Ended;
use super::known::Standing;
use super::owned::{Owned, Publishers};
use super::status::{JobState, StandingCheckpoint};
use super::takeover::Aim;
use super::wish::Wish;

impl Driver {
    /// Ends the job for good, or says what follows instead.
    pub(super) async fn end(&mut self, kind: EntryKind) -> Next {
        let (on_the_way, ended) = match &kind {
            EntryKind::Finished => (JobState::Running, JobState::Finished),
            EntryKind::Cancelled { .. } => (JobState::Cancelling, JobState::Canceled),
            EntryKind::Failed { .. }
            | EntryKind::ClaimedBy { .. }
            | EntryKind::Start
            | EntryKind::Takeover
            | EntryKind::Checkpoint
            | EntryKind::RestoredFrom { .. } => (JobState::Failing, JobState::Failed),
        };
        self.enter(on_the_way);
        let tried = match self.try_end(kind, ended).await {
            Ok(()) => return Next::Over,
            Err(tried) => self.weighed(tried).await,
        };
        match tried {
            Ended::Wished(_) | Ended::Finished => Next::Again,
            Ended::Lost(message) => self.after_loss(message).await,
            Ended::Failed(failed) => {
                self.tell(&failed, "the end of the job is not written down yet");
                match self.restarts.next_delay(failed.retry) {
                    Some(delay) => {
                        self.back_off(delay).await;
                        Next::Again
                    }
                    None => Next::LetGo,
                }
            }
        }
    }

    /// One that failed keeps what is not published, for whoever restores it.
    async fn try_end(&mut self, kind: EntryKind, ended: JobState) -> Result<(), Ended> {
        if self.hold.last().is_none() {
            // What others have made of it meanwhile says where its results belong.
            let newest = self.specs().newest().await?.entry.number;
            if newest != self.spec_number {
                self.adopt(newest).await?;
            }
        }
        let mut owner = self.own(Aim::Settle).await?;
        let publishers = self.with_former(Publishers::new(), &owner).await?;
        let mut owned = Owned::begin((&self.shared, &self.board), &mut owner, &publishers, &mut self.wishes).await?;
        if !matches!(kind, EntryKind::Failed { .. }) {
            let wanted = self.wishes.now().max(Wish::Run(self.spec_number));
            tokio::select! {
                biased;
                wish = self.wishes.other_than(wanted) => return Err(Ended::Wished(wish)),
                drained = owned.drained() => drained?,
            }
            self.board.published(&owned.sinks_published());
        }
        // What came since the last checkpoint counts only where there are none: else whoever restores the job meets it again.
        let given_up = match self.spec.checkpoint {
            Some(_) => owned.manifest().rejected,
            None => self.board.given_up(),
        };
        // Whoever asks for a change asks first and then looks at this: either it is seen here, or they wait for what follows.
        self.standing.send_replace(Standing::Ends);
        if !matches!(kind, EntryKind::Cancelled { .. }) && self.is_to_be_another() {
            self.standing.send_replace(Standing::Exists);
            return Err(Ended::Wished(self.wishes.now()));
        }
        let last = match owned.end(kind, given_up, &mut self.wishes).await {
            Ok(last) => last,
            // Nobody knows whether it stands: what was asked meanwhile gets no answer from this process.
            Err(stopped @ Ended::Wished(_)) => return Err(stopped),
            Err(failed) => {
                self.standing.send_replace(Standing::Exists);
                return Err(failed);
            }
        };
        self.board.gave_up(given_up);
        self.board.stands(StandingCheckpoint::of(owned.manifest()));
        let (board, clock, standing) = (&self.board, self.shared.clock, &self.standing);
        let show = || {
            board.enter(ended, clock.now());
            standing.send_replace(Standing::Exists);
        };
        owned.clear(last, &mut self.wishes, show).await;
        Ok(())
    }
}
