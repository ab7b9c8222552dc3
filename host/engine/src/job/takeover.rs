//! A job's place in its chain, as far as this process has it; and taking over one that no attempt of this process holds.
//!
//! Receives the chain as the store has it; guarantees an owner whose first entry stands, or that the job is left to
//! whoever has it. A takeover that loses its number does not show by itself whether somebody lives there: the number may
//! have gone to the late write of a process that is dead. Two owners at once do no harm; no owner at all would.

use std::collections::BTreeMap;
use std::time::Duration;

use weir_protocol::Fault;
use weir_protocol::chain::{Owner, RunEntry, Start};
use weir_protocol::id::Uid;
use weir_protocol::manifest::Positions;

use super::driver::Driver;
use super::ended::{Ended, Failed};
use super::known::Standing;
use super::owned::settle;
use super::starts::resolve_starts;
use super::wish::Wish;
use crate::checkpoint::chain::{self, Newest, RunOwner};
use crate::step::{Place, Step};

/// The wait before a takeover that met a write of the owner it follows is tried again.
const NEXT_TRY: Duration = Duration::from_millis(20);

/// The job's place in its chain, as far as this process has it.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    /// It was created just now; no attempt has used it.
    begun: Option<RunOwner>,
    /// An attempt has used it up: what it is good for is [`Aim::Settle`].
    used: Option<RunOwner>,
    /// Who this process was in the chain last: an entry of anybody else means that the job is another's now.
    last: Option<Owner>,
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

    /// Who this process was in the chain last, if it was anybody since it let go.
    pub(super) const fn last(&self) -> Option<Owner> {
        self.last
    }

    /// An attempt of this owner's has ended.
    pub(super) fn keep(&mut self, used: RunOwner) {
        self.used = Some(used);
    }

    /// From now on the job is whoever's takes it. What was begun is not lost: nobody else can have it.
    pub(super) fn let_go(&mut self) {
        *self = Self { begun: self.begun.take(), ..Self::default() };
    }
}

/// What a job is owned for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aim {
    /// An attempt: where its sources begin that are new is looked up, and must be there.
    Run,
    /// Its end, or what it is wanted to be: nothing is read, and an owner that an attempt has used will do.
    Settle,
}

impl Driver {
    /// The owner that is at hand, else one by a takeover. Its first entry stands.
    ///
    /// # Errors
    /// [`Ended::Lost`] where another owner has the job; where what an attempt needs cannot be read.
    pub(super) async fn own(&mut self, aim: Aim) -> Result<RunOwner, Ended> {
        let used = if aim == Aim::Settle { self.hold.used.take() } else { None };
        let mut owner = match self.hold.begun.take().or(used) {
            Some(owner) => owner,
            None => self.take_over(aim).await?,
        };
        settle(&mut owner, &self.shared, &self.board, &mut self.wishes).await?;
        self.standing.send_replace(Standing::Exists);
        self.hold.last = Some(owner.owner());
        Ok(owner)
    }

    async fn take_over(&mut self, aim: Aim) -> Result<RunOwner, Ended> {
        loop {
            let newest = self.newest().await?;
            let found = newest.stored.entry.owner;
            if self.hold.last.is_some_and(|last| last != found) {
                let message = format!("another owner made entry {} of job {}", found.number.0, self.job);
                return Err(Ended::Lost(message));
            }
            match self.try_take_over(newest, aim).await {
                Err(Ended::Lost(message)) if self.hold.last.is_none() => self.look_who_won(found, message).await?,
                tried => return tried,
            }
        }
    }

    async fn try_take_over(&mut self, newest: Newest, aim: Aim) -> Result<RunOwner, Ended> {
        let new_sources = match aim {
            Aim::Run => self.new_sources(&newest.stored.entry).await?,
            Aim::Settle => BTreeMap::new(),
        };
        let start = self.specs().start(&self.shared.entropy, self.spec_number, &self.spec);
        let start = Start { new_sources, ..start };
        let leftovers = newest.leftovers.clone();
        let mut owner = RunOwner::take_over(self.shared.store.clone(), self.shared.clock, newest, &start)?;
        Step::Takeover.before(Place::of_job(self.job));
        settle(&mut owner, &self.shared, &self.board, &mut self.wishes).await?;
        Step::Takeover.after(Place::of_job(self.job));
        owner.find_dropped(&leftovers).await;
        Ok(owner)
    }

    /// Where sources begin that the job did not have when its newest manifest was made. Those that only another change had,
    /// which came to nothing, begin anew.
    async fn new_sources(&self, newest: &RunEntry) -> Result<BTreeMap<Uid, Positions>, Ended> {
        let held = &newest.manifest.sources;
        let proven = match newest.manifest_spec {
            Some(made_under) if newest.spec != self.spec_number => Some(self.specs().deployed(made_under).await?),
            Some(_) | None => None,
        };
        let is_proven =
            |uid: &Uid| proven.as_ref().is_none_or(|spec| spec.sources.iter().any(|source| source.uid == *uid));
        let resolved = resolve_starts(&self.spec, |uid| !held.contains_key(uid) || !is_proven(uid)).await;
        resolved.map_err(|error| Failed::new(error.fault, error.message).into())
    }

    /// A takeover lost its number. It is tried again where the winner is the owner that it wanted to follow, or makes no
    /// progress for a while; else the job is the winner's.
    async fn look_who_won(&mut self, followed: Owner, message: String) -> Result<(), Ended> {
        let won = self.newest().await?.stored.entry;
        if won.kind.is_terminal() {
            return Err(Ended::Lost(message));
        }
        let wait = if won.owner == followed { NEXT_TRY } else { self.time_for_progress() };
        let wanted = self.wishes.now();
        self.back_off(wait).await;
        match self.wishes.now() {
            Wish::Stop => return Err(Ended::Wished(Wish::Stop)),
            wish if wish != wanted => return Err(Ended::Wished(wish)),
            Wish::Run(_) | Wish::Cancel => {}
        }
        if won.owner == followed || self.newest().await?.stored.entry.number == won.number {
            return Ok(());
        }
        Err(Ended::Lost(message))
    }

    /// An owner that lives has appended a checkpoint by then, unless nothing changes.
    fn time_for_progress(&self) -> Duration {
        let interval = self.spec.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.interval_ms);
        Duration::from_millis(interval.saturating_mul(3)) + Duration::from_secs(1)
    }

    /// The newest entry; where it does not verify, that is explained.
    pub(super) async fn newest(&self) -> Result<Newest, Ended> {
        match chain::newest(&self.shared.store, self.job).await {
            Ok(newest) => Ok(newest),
            Err(error) if error.fault() == Fault::Corrupt => Err(self.explain_entry(&error).await.into()),
            Err(error) => Err(error.into()),
        }
    }
}
