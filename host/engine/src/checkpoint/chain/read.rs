//! Reading a job's `run/` chain.

use std::collections::BTreeMap;

use bytes::Bytes;
use weir_protocol::chain::{Retained, RunEntry, Stored};
use weir_protocol::id::{EntryNumber, JobId};

use super::ChainError;
use crate::store::{ChainName, ObjectName, Store};

/// How often the chain is listed again because its newest entry was gone before it could be read.
const LISTINGS_MAX: u32 = 5;

/// The newest entry of a chain, with those that it retains.
#[derive(Debug, Clone)]
pub struct Newest {
    /// The job.
    pub job: JobId,
    /// The entry.
    pub stored: Stored<RunEntry>,
    /// The entries that it retains, as far as they can be read and have the hash that it names.
    pub retained: BTreeMap<EntryNumber, Stored<RunEntry>>,
    /// Entries below it that it does not retain: an earlier owner dropped them and did not get to delete them.
    pub leftovers: Vec<EntryNumber>,
}

/// Reads the newest entry of a job and those that it retains.
///
/// # Errors
/// [`ChainError::NoJob`]; [`ChainError::Damaged`] where the newest entry does not verify; what the store says.
pub async fn newest(store: &Store, job: JobId) -> Result<Newest, ChainError> {
    let chain = ChainName::Run(job);
    let mut last = None;
    for _ in 0..LISTINGS_MAX {
        let numbers = store.entries(&chain, EntryNumber(0)).await?;
        let Some(&number) = numbers.last() else { return Err(ChainError::NoJob(job)) };
        match run_entry(store, job, number).await? {
            Some(stored) => return with_retained(store, job, stored, &numbers).await,
            // Whoever owns the job has appended and collected in between.
            None => last = Some(number),
        }
    }
    let number = last.expect("every listing that gets here found an entry");
    Err(ChainError::Missing(ObjectName::entry(&chain, number)))
}

/// Reads one entry; `None`: there is none.
///
/// # Errors
/// [`ChainError::Damaged`]; what the store says.
pub async fn run_entry(store: &Store, job: JobId, number: EntryNumber) -> Result<Option<Stored<RunEntry>>, ChainError> {
    let chain = ChainName::Run(job);
    let Some(bytes) = store.get(&ObjectName::entry(&chain, number)).await? else { return Ok(None) };
    decode(&chain, number, &bytes).map(Some)
}

pub(super) fn decode(chain: &ChainName, number: EntryNumber, bytes: &Bytes) -> Result<Stored<RunEntry>, ChainError> {
    RunEntry::decode(number, bytes).map_err(ChainError::damaged(chain, number))
}

async fn with_retained(
    store: &Store,
    job: JobId,
    stored: Stored<RunEntry>,
    listed: &[EntryNumber],
) -> Result<Newest, ChainError> {
    let mut retained = BTreeMap::new();
    for wanted in &stored.entry.retained {
        if let Some(found) = retained_entry(store, job, wanted).await? {
            retained.insert(wanted.number, found);
        }
    }
    let is_known = |number: &EntryNumber| stored.entry.retained.iter().any(|retained| retained.number == *number);
    let below = listed.iter().filter(|number| **number < stored.entry.number);
    let leftovers = below.filter(|number| !is_known(number)).copied().collect();
    Ok(Newest { job, stored, retained, leftovers })
}

/// `None` where the entry is missing, damaged or another one: then it cannot be restored, and what it may name stays.
async fn retained_entry(store: &Store, job: JobId, wanted: &Retained) -> Result<Option<Stored<RunEntry>>, ChainError> {
    match run_entry(store, job, wanted.number).await {
        Ok(Some(found)) if found.hash == wanted.hash => Ok(Some(found)),
        Ok(_) => {
            tracing::warn!(%job, entry = wanted.number.0, "a retained entry is missing or not the one that was written");
            Ok(None)
        }
        Err(error @ ChainError::Damaged { .. }) => {
            tracing::warn!(%job, %error, "a retained entry cannot be restored");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
