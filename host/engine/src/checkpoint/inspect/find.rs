//! Which checkpoints there are.

use std::collections::BTreeMap;

use weir_protocol::chain::{RunEntry, Stored};
use weir_protocol::id::{CheckpointId, EntryNumber};

use super::{Checkpoint, InspectError, Inspector, Which};
use crate::checkpoint::chain::{ChainError, newest, run_entry};
use crate::store::ChainName;

impl Inspector {
    /// One checkpoint.
    ///
    /// # Errors
    /// [`InspectError`]: it is not there, or cannot be read.
    pub async fn find(&self, which: Which) -> Result<Checkpoint, InspectError> {
        if let Some(savepoint) = &self.savepoint {
            return match which {
                Which::Retained(asked) if asked != savepoint.id() => {
                    Err(InspectError::NotRetained { asked, retained: vec![savepoint.id()] })
                }
                Which::Newest | Which::Retained(_) | Which::Entry(_) => Ok(savepoint.clone()),
            };
        }
        match which {
            Which::Newest => {
                let stored = newest(&self.store, self.job).await?.stored;
                if stored.entry.manifest.checkpoint == CheckpointId(0) {
                    return Err(InspectError::NoCheckpoint);
                }
                Ok(stored.entry.into())
            }
            Which::Retained(asked) => {
                let retained = self.retained().await?;
                let known = retained.iter().map(Checkpoint::id).collect();
                let is_asked = |checkpoint: &Checkpoint| checkpoint.id() == asked;
                if let Some(found) = retained.into_iter().find(is_asked) {
                    return Ok(found);
                }
                let left = self.readable().await?.into_iter().map(|stored| Checkpoint::from(stored.entry));
                left.rev().find(is_asked).ok_or(InspectError::NotRetained { asked, retained: known })
            }
            Which::Entry(number) => {
                let stored = run_entry(&self.store, self.job, number).await?.ok_or(InspectError::Gone)?;
                Ok(stored.entry.into())
            }
        }
    }

    /// All checkpoints that can be restored, the newest first, each by its newest entry. Where the newest entry does not
    /// verify, those that other entries hold.
    ///
    /// # Errors
    /// When the chain cannot be read.
    pub async fn retained(&self) -> Result<Vec<Checkpoint>, InspectError> {
        if let Some(savepoint) = &self.savepoint {
            return Ok(vec![savepoint.clone()]);
        }
        let entries = match newest(&self.store, self.job).await {
            Ok(newest) => newest.retained.into_values().chain([newest.stored]).collect(),
            Err(ChainError::Damaged { .. }) => self.readable().await?,
            Err(error) => return Err(error.into()),
        };
        let by_id: BTreeMap<CheckpointId, Stored<RunEntry>> =
            entries.into_iter().map(|stored| (stored.entry.manifest.checkpoint, stored)).collect();
        let taken = by_id.into_iter().rev().filter(|(id, _)| *id != CheckpointId(0));
        Ok(taken.map(|(_, stored)| stored.entry.into()).collect())
    }

    /// Whether a checkpoint can still be restored.
    pub(super) async fn is_retained(&self, checkpoint: &Checkpoint) -> Result<bool, InspectError> {
        Ok(self.retained().await?.iter().any(|retained| retained.id() == checkpoint.id()))
    }

    /// Whether an entry is the newest, or retained by it; so it is where the newest cannot be read.
    pub(super) async fn names(&self, number: EntryNumber) -> Result<bool, InspectError> {
        if self.savepoint.is_some() {
            return Ok(true);
        }
        match newest(&self.store, self.job).await {
            Ok(newest) => {
                let newest = newest.stored.entry;
                Ok(newest.number == number || newest.retained.iter().any(|retained| retained.number == number))
            }
            Err(ChainError::Damaged { .. }) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// All entries that are there and verify, oldest first.
    async fn readable(&self) -> Result<Vec<Stored<RunEntry>>, InspectError> {
        let numbers = self.store.entries(&ChainName::Run(self.job), EntryNumber(0)).await?;
        let mut entries = Vec::new();
        for number in numbers {
            match run_entry(&self.store, self.job, number).await {
                Ok(stored) => entries.extend(stored),
                Err(ChainError::Damaged { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(entries)
    }
}
