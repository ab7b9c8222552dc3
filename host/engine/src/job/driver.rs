//! A job's life in this process: one attempt after the other, until it ends or this process lets go of it.
//!
//! Receives how each attempt ended; guarantees that a failure which restarting can mend leads to the next attempt after
//! its back-off, from the newest entry; that one which cannot be mended is written down as the job's end; that nothing
//! is guessed where bytes do not verify; and that a job which another owner has is left alone.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use weir_protocol::Fault;
use weir_protocol::chain::EntryKind;
use weir_protocol::id::{EntryNumber, JobId};
use weir_protocol::job_spec::JobSpec;

use crate::checkpoint::BlobError;
use crate::checkpoint::chain::{self, ChainError};
use crate::checkpoint::restore::{stopped, stopped_at_entry};

use super::attempt::{self, Setting};
use super::board::Board;
use super::ended::{Ended, Failed};
use super::known::Standing;
use super::plan::Plan;
use super::restart::{Restarts, Retry};
use super::shared::Shared;
use super::sinks::publishers;
use super::status::JobState;
use super::takeover::{Aim, Hold};
use super::wish::{Wish, Wishes};

/// The wait before the chain of a job that another owner has is looked at again.
pub(super) const LOSS_DELAY: Duration = Duration::from_secs(1);

/// What is said of a failure that is not the job's.
const FAILED: &str = "the job's tasks failed";
/// And of one after which they start again, be it as what the job was before.
const AGAIN: &str = "the job's tasks failed and start again";

/// Drives one job.
pub(crate) struct Driver {
    pub(crate) shared: Shared,
    pub(crate) job: JobId,
    pub(crate) spec: Arc<JobSpec>,
    /// The `spec/` entry that attempts name.
    pub(crate) spec_number: EntryNumber,
    pub(crate) board: Board,
    pub(crate) wishes: Wishes,
    /// The wish that is performed.
    pub(crate) wanted: Wish,
    pub(crate) restarts: Restarts,
    pub(crate) hold: Hold,
    /// Told what is certain of the job.
    pub(crate) standing: watch::Sender<Standing>,
}

/// What follows from the end of an attempt.
pub(super) enum Next {
    /// Another attempt.
    Again,
    /// The job ends with this entry, once everything is published where that is asked for.
    End(EntryKind),
    /// It has ended.
    Over,
    /// This process lets go of the job, until something is asked of it anew.
    LetGo,
}

impl Driver {
    /// Runs until the job ends or this process stops.
    pub(crate) async fn run(mut self) {
        loop {
            self.wanted = self.wishes.take();
            let next = match self.wanted {
                Wish::Stop => return self.enter(JobState::Suspended),
                Wish::Cancel => Next::End(EntryKind::Cancelled { dropped: Vec::new() }),
                Wish::Run(number) => {
                    let ended = self.attempt(number).await;
                    self.after(ended).await
                }
            };
            let next = match next {
                Next::End(kind) => self.end(kind).await,
                next @ (Next::Again | Next::Over | Next::LetGo) => next,
            };
            match next {
                Next::Again | Next::End(_) => {}
                Next::Over => return,
                Next::LetGo => self.rest().await,
            }
        }
    }

    /// Leaves the job alone until something is asked anew; what others have done with it meanwhile is not known then.
    async fn rest(&mut self) {
        self.hold.let_go();
        self.restarts = Restarts::new(self.spec.restart.clone());
        self.wishes.unless_asked_anew(|| self.enter(JobState::Suspended));
        self.wishes.asked_anew().await;
        if matches!(self.wishes.now(), Wish::Run(_)) {
            self.enter(JobState::Restarting);
        }
    }

    pub(super) fn is_to_be_another(&self) -> bool {
        matches!(self.wishes.now(), Wish::Run(number) if number > self.spec_number)
    }

    async fn attempt(&mut self, number: EntryNumber) -> Ended {
        match self.try_attempt(number).await {
            Ok(ended) | Err(ended) => ended,
        }
    }

    async fn try_attempt(&mut self, number: EntryNumber) -> Result<Ended, Ended> {
        if number > self.spec_number {
            self.adopt(number).await?;
        }
        // A later one where what was wanted was undone: to be asked for that one then changes nothing.
        self.wanted = Wish::Run(self.spec_number);
        let plan = tokio::select! {
            biased;
            wish = self.wishes.other_than(self.wanted) => return Err(Ended::Wished(wish)),
            plan = Plan::new(self.spec.as_ref().clone(), self.shared.operators.as_ref()) => plan,
        };
        let plan = plan.map_err(|error| Failed::new(error.fault(), error.to_string()))?;
        let publishers = publishers(&self.spec, self.job, &self.shared)?;
        let mut owner = self.own(Aim::Run).await?;
        let publishers = self.with_former(publishers, &owner).await?;
        let Self { shared, board, restarts, wishes, wanted, spec_number, .. } = self;
        let setting = Setting { shared, plan: &plan, board, restarts, wishes, wanted: *wanted, spec: *spec_number };
        let ended = attempt::run(setting, &mut owner, &publishers).await;
        self.hold.keep(owner);
        Ok(ended)
    }

    /// What follows from the end of an attempt, told to people where it failed.
    async fn after(&mut self, ended: Ended) -> Next {
        match self.weighed(ended).await {
            // It ended while it made way for what it shall be.
            Ended::Finished if self.is_to_be_another() => Next::Again,
            Ended::Finished => Next::End(EntryKind::Finished),
            Ended::Wished(wish) => {
                if matches!(wish, Wish::Run(_)) {
                    self.enter(JobState::Restarting);
                }
                Next::Again
            }
            Ended::Lost(message) => self.after_loss(message).await,
            Ended::Failed(failed) => self.after_failure(*failed).await,
        }
    }

    async fn after_failure(&mut self, failed: Failed) -> Next {
        if let Some(delay) = self.restarts.next_delay(failed.retry) {
            self.tell(&failed, AGAIN);
            return self.again_after(delay).await;
        }
        match self.undo(&failed).await {
            Ok(Some(next)) => {
                self.tell(&failed, AGAIN);
                return next;
            }
            Err(Ended::Lost(message)) => {
                self.tell(&failed, FAILED);
                return self.after_loss(message).await;
            }
            // Whether the job was changed is not known: that is asked again, after one more attempt.
            Err(Ended::Failed(unknown)) if unknown.fault == Fault::Unavailable => {
                self.tell(&failed, AGAIN);
                return self.again_after(LOSS_DELAY).await;
            }
            Err(Ended::Wished(_)) => {
                self.tell(&failed, FAILED);
                return Next::Again;
            }
            Ok(None) | Err(Ended::Failed(_) | Ended::Finished) => {}
        }
        let failed = match &failed.blob {
            Some(blob) if failed.fault == Fault::Corrupt => self.explain(blob, &failed).await,
            Some(_) | None => failed,
        };
        let (next, what) = match (failed.retry, failed.fault) {
            (Retry::Never, Fault::Corrupt | Fault::Request) => {
                (Next::LetGo, "the job waits until what is named is mended")
            }
            _ => (Next::End(EntryKind::Failed { reason: failed.text(), fault: failed.fault }), "the job fails"),
        };
        self.tell(&failed, what);
        next
    }

    async fn again_after(&mut self, delay: Duration) -> Next {
        self.enter(JobState::Restarting);
        self.back_off(delay).await;
        Next::Again
    }

    /// Waits, unless something else is wanted meanwhile.
    pub(super) async fn back_off(&mut self, delay: Duration) {
        let wanted = self.wishes.now();
        tokio::select! {
            biased;
            _ = self.wishes.other_than(wanted) => {}
            () = self.shared.clock.sleep(delay) => {}
        }
    }

    /// Names the newest kept entry that verifies, for the person who must act.
    async fn explain(&self, blob: &BlobError, failed: &Failed) -> Failed {
        match chain::newest(&self.shared.store, self.job).await {
            Ok(newest) => Failed::new(Fault::Corrupt, stopped(&self.shared.store, &newest, blob).await.to_string()),
            Err(_unreadable) => Failed::new(failed.fault, failed.message.clone()),
        }
    }

    pub(super) async fn explain_entry(&self, error: &ChainError) -> Failed {
        let text = match stopped_at_entry(&self.shared.store, self.job, error).await {
            Ok(stopped) => stopped.to_string(),
            Err(_unreadable) => error.to_string(),
        };
        Failed::new(Fault::Corrupt, text)
    }

    pub(super) fn enter(&self, state: JobState) {
        self.board.enter(state, self.shared.clock.now());
    }

    /// Tells people of a failure, and what follows from it.
    pub(super) fn tell(&self, failed: &Failed, what: &str) {
        tracing::warn!(job = %self.job, name = %self.spec.name, failure = %failed.text(), "{what}");
        self.board.failed(self.shared.clock.now(), failed.subtask.as_ref(), failed.fault, failed.message.clone());
    }
}
