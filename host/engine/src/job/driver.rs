//! A job's life in this process: one attempt after the other, until it ends or this process lets go of it.
//!
//! Receives how each attempt ended; guarantees that a failure which restarting can mend leads to the next attempt after
//! its back-off, from the newest entry; that one which cannot be mended is written down as the job's end; that nothing
//! is guessed where bytes do not verify; and that a job which another owner has is left alone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use weir_protocol::Fault;
use weir_protocol::chain::{EntryKind, Owner, RunEntry};
use weir_protocol::id::{EntryNumber, JobId, Uid};
use weir_protocol::job_spec::JobSpec;
use weir_protocol::manifest::Outlet;

use crate::checkpoint::BlobError;
use crate::checkpoint::chain::{self, ChainError, Newest, RunOwner};
use crate::checkpoint::restore::{stopped, stopped_at_entry};
use crate::sink::SinkError;

use super::attempt::{self, Setting};
use super::board::Board;
use super::ended::{Ended, Failed};
use super::owned::{Owned, Publishers, settle};
use super::plan::Plan;
use super::restart::Restarts;
use super::shared::Shared;
use super::sinks::{publisher, publishers};
use super::status::JobState;
use super::wish::{Wish, Wishes};

/// The wait before the chain of a job that another owner has is looked at again.
const LOSS_DELAY: Duration = Duration::from_secs(1);

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
    /// Told once the job is known to exist.
    pub(crate) exists: watch::Sender<bool>,
}

/// The job's place in its chain, as far as this process has it.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    /// It was created just now; no attempt has used it.
    begun: Option<RunOwner>,
    /// An attempt has used it up: it is only good for the job's end.
    used: Option<RunOwner>,
    /// Who this process was in the chain last: an entry of anybody else means that the job is another's now.
    pub(super) last: Option<Owner>,
}

impl Hold {
    /// A job that was created just now.
    pub(crate) fn begun(owner: RunOwner) -> Self {
        Self { begun: Some(owner), ..Self::default() }
    }

    /// Whether the job is known to exist.
    pub(crate) const fn exists(&self) -> bool {
        self.begun.is_none()
    }
}

/// What follows from the end of an attempt.
pub(super) enum Next {
    /// Another attempt.
    Again,
    /// The job ends with this entry, once everything is published where that is asked for.
    End(EntryKind),
    /// It has ended already, with this entry of another owner.
    HasEnded(Box<RunEntry>),
    /// This process lets go of the job.
    LetGo,
}

impl Driver {
    /// Runs until the job ends or this process lets go of it.
    pub(crate) async fn run(mut self) {
        loop {
            self.wanted = self.wishes.now();
            let next = match self.wanted {
                Wish::Stop => Next::LetGo,
                Wish::Cancel => Next::End(EntryKind::Cancelled { dropped: Vec::new() }),
                Wish::Run(number) => {
                    let ended = self.attempt(number).await;
                    self.after(ended).await
                }
            };
            match next {
                Next::Again => {}
                Next::HasEnded(last) => return self.board.ended(&last),
                // Somebody has said meanwhile what it shall be instead.
                Next::LetGo if self.is_to_be_another() => self.back_off(LOSS_DELAY).await,
                Next::LetGo => return self.enter(JobState::Suspended),
                Next::End(kind) => {
                    if self.end(kind).await {
                        return;
                    }
                }
            }
        }
    }

    fn is_to_be_another(&self) -> bool {
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
        let plan = tokio::select! {
            biased;
            wish = self.wishes.other_than(self.wanted) => return Err(Ended::Wished(wish)),
            plan = Plan::new(self.spec.as_ref().clone(), self.shared.operators.as_ref()) => plan,
        };
        let plan = plan.map_err(|error| Failed::new(error.fault(), error.to_string()))?;
        let publishers = self.publishers()?;
        let begun = self.hold.begun.take();
        let mut owner = self.own(begun).await?;
        let publishers = self.with_former(publishers, &owner).await?;
        let Self { shared, board, restarts, wishes, wanted, spec_number, .. } = self;
        let setting = Setting { shared, plan: &plan, board, restarts, wishes, wanted: *wanted, spec: *spec_number };
        let ended = attempt::run(setting, &mut owner, &publishers).await;
        self.hold.used = Some(owner);
        Ok(ended)
    }

    fn publishers(&self) -> Result<Publishers, Ended> {
        let opened = publishers(&self.spec, self.job, &self.shared);
        opened.map_err(failed_sink)
    }

    /// The same, with those of sinks that the job had before and that have results which are not published.
    async fn with_former(&self, mut known: Publishers, owner: &RunOwner) -> Result<Publishers, Ended> {
        let newest = &owner.newest().expect("its first entry stands").entry;
        let unknown = newest.manifest.outboxes.iter().filter_map(|outbox| match &outbox.outlet {
            Outlet::Sink(uid) if !known.contains_key(uid) => Some(uid.clone()),
            Outlet::Sink(_) | Outlet::DeadLetters => None,
        });
        let unknown: BTreeSet<Uid> = unknown.collect();
        for (uid, connector) in self.specs().places(self.spec_number, unknown).await? {
            let opened = publisher(&connector, self.job, &uid, &self.shared);
            known.extend(opened.map_err(failed_sink)?.map(|opened| (uid, opened)));
        }
        Ok(known)
    }

    /// The owner that is at hand, else one by a takeover. Its first entry stands.
    async fn own(&mut self, at_hand: Option<RunOwner>) -> Result<RunOwner, Ended> {
        let mut owner = match at_hand {
            Some(owner) => owner,
            None => self.take_over().await?,
        };
        settle(&mut owner, &self.shared, &mut self.wishes).await?;
        self.exists.send_replace(true);
        self.hold.last = Some(owner.owner());
        Ok(owner)
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
            Ended::Lost(message) => self.after_loss(message).await.map_or(Next::LetGo, Next::HasEnded),
            Ended::Failed(failed) => self.after_failure(*failed).await,
        }
    }

    /// What looks damaged to an owner that has lost the job is what its successor did: it published, and deleted.
    async fn weighed(&self, ended: Ended) -> Ended {
        match ended {
            Ended::Failed(failed) if failed.fault == Fault::Corrupt && self.is_anothers().await => {
                Ended::Lost(format!("another owner has job {}", self.job))
            }
            Ended::Finished | Ended::Wished(_) | Ended::Lost(_) | Ended::Failed(_) => ended,
        }
    }

    async fn is_anothers(&self) -> bool {
        let Some(last) = self.hold.last else { return false };
        let newest = chain::newest(&self.shared.store, self.job).await;
        newest.is_ok_and(|newest| newest.stored.entry.owner != last)
    }

    /// Another owner has the job. Where that one has ended it, its last entry; else this process lets go.
    async fn after_loss(&mut self, message: String) -> Option<Box<RunEntry>> {
        loop {
            match chain::newest(&self.shared.store, self.job).await {
                Ok(Newest { stored, .. }) if stored.entry.kind.is_terminal() => return Some(Box::new(stored.entry)),
                Err(error) if error.fault() == Fault::Unavailable && self.wishes.now() != Wish::Stop => {
                    self.back_off(LOSS_DELAY).await;
                }
                Ok(_) | Err(_) => {
                    self.tell(&Failed::new(Fault::Unavailable, message));
                    return None;
                }
            }
        }
    }

    async fn after_failure(&mut self, failed: Failed) -> Next {
        if let Some(delay) = self.restarts.next_delay(failed.fault, failed.wears) {
            self.tell(&failed);
            return self.again_after(delay).await;
        }
        match self.undo(&failed).await {
            Ok(Some(next)) => {
                self.tell(&failed);
                return next;
            }
            // Whether the job was changed is not known: that is asked again, after one more attempt.
            Err(error) if error.fault() == Fault::Unavailable => {
                self.tell(&failed);
                return self.again_after(LOSS_DELAY).await;
            }
            Ok(None) | Err(_) => {}
        }
        let failed = match &failed.blob {
            Some(blob) if failed.fault == Fault::Corrupt => self.explain(blob, &failed).await,
            Some(_) | None => failed,
        };
        self.tell(&failed);
        match failed.fault {
            Fault::Guest | Fault::Unavailable | Fault::Bug => Next::End(EntryKind::Failed { reason: failed.text() }),
            Fault::Corrupt | Fault::Request => Next::LetGo,
        }
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

    /// Ends the job for good; whether it did, or this process let go of it. Else the driver goes on.
    async fn end(&mut self, kind: EntryKind) -> bool {
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
        let tried = match self.try_end(kind).await {
            Ok(()) => Ok(()),
            Err(ended) => Err(self.weighed(ended).await),
        };
        match tried {
            Ok(()) => {
                self.enter(ended);
                true
            }
            Err(Ended::Wished(Wish::Run(_) | Wish::Cancel) | Ended::Finished) => false,
            Err(Ended::Wished(Wish::Stop)) => self.let_go(),
            Err(Ended::Lost(message)) => match self.after_loss(message).await {
                Some(last) => {
                    self.board.ended(&last);
                    true
                }
                None => self.let_go(),
            },
            Err(Ended::Failed(failed)) => {
                self.tell(&failed);
                match self.restarts.next_delay(failed.fault, failed.wears) {
                    Some(delay) => {
                        self.back_off(delay).await;
                        false
                    }
                    None => self.let_go(),
                }
            }
        }
    }

    /// A job that finished or was cancelled has everything published before its last entry; one that failed keeps what
    /// is not, for whoever restores it.
    async fn try_end(&mut self, kind: EntryKind) -> Result<(), Ended> {
        let publishers = self.publishers()?;
        let at_hand = self.hold.begun.take().or(self.hold.used.take());
        let mut owner = self.own(at_hand).await?;
        let publishers = self.with_former(publishers, &owner).await?;
        let mut owned = Owned::begin(&self.shared, &mut owner, &publishers, &mut self.wishes).await?;
        if !matches!(kind, EntryKind::Failed { .. }) {
            let wanted = self.wishes.now();
            tokio::select! {
                biased;
                wish = self.wishes.other_than(wanted) => return Err(Ended::Wished(wish)),
                drained = owned.drained() => drained?,
            }
            self.board.published(&owned.sinks_published());
        }
        owned.end(kind, &mut self.wishes).await
    }

    fn let_go(&self) -> bool {
        self.enter(JobState::Suspended);
        true
    }

    fn enter(&self, state: JobState) {
        self.board.enter(state, self.shared.clock.now());
    }

    fn tell(&self, failed: &Failed) {
        tracing::warn!(job = %self.job, name = %self.spec.name, failure = %failed.text(), "the job fails");
        self.board.failed(self.shared.clock.now(), failed.subtask.as_ref(), failed.fault, failed.message.clone());
    }
}

fn failed_sink(error: SinkError) -> Ended {
    Failed::new(error.fault, error.message).into()
}
