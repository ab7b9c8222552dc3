//! Jobs that are in the store when an engine starts.
//!
//! Receives a job's two chains; guarantees that one which has not ended is driven, also where its newest entry does not
//! verify: its driver says so and waits. One that never came to be is left out, and so is one of which nobody can say what
//! it is.

use std::sync::Arc;

use weir_protocol::chain::{RunEntry, SpecEntry, Wanted};
use weir_protocol::id::{EntryNumber, JobId};
use weir_protocol::recovery::{Recovery, recover};

use super::board::Board;
use super::engine::Inner;
use super::status::CheckpointStats;
use super::takeover::Hold;
use super::wish::Wish;
use super::{EngineError, JobState, JobStatus, StandingCheckpoint};
use crate::checkpoint::chain::{self, ChainError, SpecChain};
use crate::checkpoint::collect::sweep;
use crate::store::StoreError;

impl Inner {
    /// Takes a job up as the store has it: drives it, or shows how it ended.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(super) async fn resume(&self, id: JobId) -> Result<(), EngineError> {
        match self.try_resume(id).await {
            Ok(()) => Ok(()),
            Err(ChainError::NoJob(_)) => {
                sweep(&self.shared.store, id, self.shared.clock.now()).await;
                Ok(())
            }
            Err(ChainError::Store(error @ (StoreError::Unavailable { .. } | StoreError::Denied { .. }))) => {
                Err(error.into())
            }
            Err(error) => {
                tracing::error!(job = %id, %error, "the job cannot be resumed");
                Ok(())
            }
        }
    }

    async fn try_resume(&self, id: JobId) -> Result<(), ChainError> {
        let specs = SpecChain::new(self.shared.store.clone(), self.shared.clock, id);
        let run = match chain::newest(&self.shared.store, id).await {
            Ok(newest) => Some(newest.stored.entry),
            Err(error @ (ChainError::NoJob(_) | ChainError::Store(_))) => return Err(error),
            Err(_unsound) => None,
        };
        let wanted = specs.newest().await?.entry;
        // What came too late for a job that has ended is not what it was.
        let number = match &run {
            Some(run) if run.kind.is_terminal() => run.spec,
            Some(_) | None => wanted.number,
        };
        let (spec, undone) = specs.deploying(number).await?;
        let spec = Arc::new(spec);
        let SpecEntry { at: started_at, began_from, .. } = specs.entry(EntryNumber(0)).await?.entry;
        let former = match run.as_ref().map(RunEntry::made_under) {
            Some(made_under) if made_under != number => vec![Arc::new(specs.deployed(made_under).await?)],
            Some(_) | None => Vec::new(),
        };
        let newest = run.as_ref().and_then(|run| StandingCheckpoint::of(&run.manifest));
        let status = JobStatus {
            spec_number: number,
            checkpoints: CheckpointStats { newest, ..CheckpointStats::default() },
            former,
            undone,
            began_from,
            dead_letters: run.as_ref().map_or(0, |run| run.manifest.rejected),
            ..JobStatus::new(id, Arc::clone(&spec), started_at, JobState::Created)
        };
        let wish = match (&wanted.wanted, run.as_ref().map(|run| (run, recover(&wanted, Some(run))))) {
            (_, Some((_, Recovery::NeverBegan))) => return Ok(()),
            (_, Some((run, Recovery::Ended(kind)))) => {
                self.show(id, Board::new(status.ended(kind, run)));
                return Ok(());
            }
            (Wanted::Deploy(_), _) => Wish::Run(wanted.number),
            (Wanted::Cancel, _) => Wish::Cancel,
        };
        self.drive(id, spec, Board::new(status), wish, Hold::default());
        Ok(())
    }
}
