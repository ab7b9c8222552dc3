//! Taking back a change that a job cannot go on with.
//!
//! Receives why the job would end, or wait for a person; where it was changed since its newest checkpoint, guarantees that
//! it is wanted again as it was when that was taken, durably, before anything else is tried. What it was follows from the
//! chains, so that a crash in between changes nothing. Does not own which spec that is: see [`former`].

use std::sync::Arc;

use weir_protocol::chain::{EntryKind, SpecEntry, Stored, Undone, Wanted};
use weir_protocol::id::EntryNumber;
use weir_protocol::job_spec::JobSpec;
use weir_protocol::upgrade::former;

use super::driver::{Driver, Next};
use super::ended::{Ended, Failed};
use super::restart::Restarts;
use super::takeover::Aim;
use crate::checkpoint::chain::{ChainError, SpecChain};

impl Driver {
    /// From now on the job is driven as this entry of its `spec/` chain says.
    pub(super) async fn adopt(&mut self, number: EntryNumber) -> Result<(), ChainError> {
        let (spec, undone) = self.specs().deploying(number).await?;
        self.become_this(number, spec, undone);
        Ok(())
    }

    fn become_this(&mut self, number: EntryNumber, spec: JobSpec, undone: Option<Undone>) {
        self.spec = Arc::new(spec);
        self.spec_number = number;
        self.restarts = Restarts::new(self.spec.restart.clone());
        self.board.change(number, Arc::clone(&self.spec), undone);
    }

    /// What follows from a failure that would end the job, or make it wait for a person, where it is wanted otherwise by
    /// now or was changed since its newest checkpoint. `None`: there is no way back.
    pub(super) async fn undo(&mut self, failed: &Failed) -> Result<Option<Next>, Ended> {
        let wanted = self.specs().newest().await?;
        if wanted.entry.number > self.spec_number {
            return Ok(Some(self.follow(wanted)));
        }
        if former(&wanted.entry, &self.newest().await?.stored.entry).is_none() {
            return Ok(None);
        }
        // Behind an entry of this owner's: otherwise a checkpoint of one that is thought dead might yet come in between.
        let owner = self.own(Aim::Settle).await?;
        let newest = self.newest().await?.stored.entry;
        if newest.owner != owner.owner() {
            return Err(Ended::Lost(format!("another owner made entry {} of job {}", newest.owner.number.0, self.job)));
        }
        self.hold.keep(owner);
        let Some(former) = former(&wanted.entry, &newest) else { return Ok(None) };
        let spec = self.specs().deployed(former).await?;
        let undone = Undone { spec: self.spec_number, reason: failed.text() };
        let again = Wanted::Deploy(Box::new(spec.clone()));
        let number = self.specs().want_next(&wanted, &self.shared.entropy, again, Some(undone.clone())).await?;
        // Otherwise somebody else has said meanwhile what the job shall be: the next attempt fails, and then finds it.
        if let Some(number) = number {
            // Why, the driver tells of every failure.
            tracing::warn!(job = %self.job, "upgrade to spec {} was undone", undone.spec.0);
            self.become_this(number, spec, Some(undone));
        }
        Ok(Some(Next::Again))
    }

    /// A newer wish stands, which another node appended.
    fn follow(&mut self, wanted: Stored<SpecEntry>) -> Next {
        let SpecEntry { number, wanted, undoes, .. } = wanted.entry;
        match wanted {
            Wanted::Cancel => Next::End(EntryKind::Cancelled { dropped: Vec::new() }),
            Wanted::Deploy(spec) => {
                self.become_this(number, *spec, undoes);
                Next::Again
            }
        }
    }

    pub(super) fn specs(&self) -> SpecChain {
        SpecChain::new(self.shared.store.clone(), self.shared.clock, self.job)
    }
}
