//! Taking a job over that no attempt of this process holds.
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
use super::owned::settle;
use super::starts::resolve_starts;
use super::wish::Wish;
use crate::checkpoint::chain::{self, Newest, RunOwner};
use crate::step::{Place, Step};

/// The wait before a takeover that met a write of the owner it follows is tried again.
const NEXT_TRY: Duration = Duration::from_millis(20);

impl Driver {
    /// Appends a takeover.
    ///
    /// # Errors
    /// [`Ended::Lost`] where another owner has the job.
    pub(super) async fn take_over(&mut self) -> Result<RunOwner, Ended> {
        loop {
            let newest = self.newest().await?;
            let found = newest.stored.entry.owner;
            if self.hold.last.is_some_and(|last| last != found) {
                let message = format!("another owner made entry {} of job {}", found.number.0, self.job);
                return Err(Ended::Lost(message));
            }
            match self.try_take_over(newest).await {
                Err(Ended::Lost(message)) if self.hold.last.is_none() => self.look_who_won(found, message).await?,
                tried => return tried,
            }
        }
    }

    async fn try_take_over(&mut self, newest: Newest) -> Result<RunOwner, Ended> {
        let new_sources = self.new_sources(&newest.stored.entry).await?;
        let start = self.specs().start(&self.shared.entropy, self.spec_number, &self.spec);
        let start = Start { new_sources, ..start };
        let leftovers = newest.leftovers.clone();
        let mut owner = RunOwner::take_over(self.shared.store.clone(), self.shared.clock, newest, &start)?;
        Step::Takeover.before(Place::of_job(self.job));
        settle(&mut owner, &self.shared, &mut self.wishes).await?;
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

    async fn newest(&self) -> Result<Newest, Ended> {
        match chain::newest(&self.shared.store, self.job).await {
            Ok(newest) => Ok(newest),
            Err(error) if error.fault() == Fault::Corrupt => Err(self.explain_entry(&error).await.into()),
            Err(error) => Err(error.into()),
        }
    }
}
