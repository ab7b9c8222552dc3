//! One attempt's ownership of a job's `run/` chain.

use weir_protocol::chain::{
    Confirmed, CreateOutcome, LookOutcome, Next, Owner, Ownership, RunEntry, Start, Step, Stored,
};
use weir_protocol::id::{EntryNumber, JobId};
use weir_protocol::manifest::Manifest;

use super::read::decode;
use super::{ChainError, Newest, Patience, create, run_entry};
use crate::clock::Clock;
use crate::step::{self, Place};
use crate::store::{ChainName, ObjectName, Store};

/// The owner of a job, as far as it knows: whoever appended the newest entry. Nothing is uploaded, published or deleted
/// before [`settle`](Self::settle) has answered for the entry by which it became owner.
#[derive(Debug)]
pub struct RunOwner {
    store: Store,
    clock: Clock,
    job: JobId,
    ownership: Ownership,
}

impl RunOwner {
    /// Begins a job with entry 0, which [`settle`](Self::settle) creates. `spec/` 0 must exist.
    ///
    /// # Errors
    /// [`ChainError::Next`] where the manifest does not hold together.
    pub fn start(
        store: Store,
        clock: Clock,
        job: JobId,
        start: &Start,
        manifest: Manifest,
    ) -> Result<Self, ChainError> {
        let ownership = Ownership::start(start, manifest).map_err(|error| ChainError::next(job, error))?;
        Ok(Self { store, clock, job, ownership })
    }

    /// Begins an attempt from the newest entry with a takeover, which [`settle`](Self::settle) creates.
    ///
    /// # Errors
    /// [`ChainError::Ended`] where the job has ended.
    pub fn take_over(store: Store, clock: Clock, newest: Newest, start: &Start) -> Result<Self, ChainError> {
        let job = newest.job;
        let ownership = Ownership::take_over(start, newest.stored, &newest.retained);
        let ownership = ownership.map_err(|error| ChainError::next(job, error))?;
        Ok(Self { store, clock, job, ownership })
    }

    /// Appends an entry; it exists, and the owner still owns, when this returns.
    ///
    /// # Errors
    /// [`ChainError::Lost`]: stop. Where the store is away nobody knows whether the entry exists: call
    /// [`settle`](Self::settle) until it answers, whatever became of the checkpoint meanwhile.
    pub async fn append(&mut self, next: Next) -> Result<Confirmed, ChainError> {
        self.ownership.append(next).map_err(|error| ChainError::next(self.job, error))?;
        self.settle().await
    }

    /// Finishes what was begun: the newest entry exists and nothing is above it when this returns. Does nothing more
    /// where that is known already.
    ///
    /// # Errors
    /// [`ChainError::Lost`]: stop. Any other: it is still undecided; call this again.
    pub async fn settle(&mut self) -> Result<Confirmed, ChainError> {
        let chain = ChainName::Run(self.job);
        let mut patience = Patience::new(self.clock);
        loop {
            match self.ownership.step() {
                Step::Create { number, bytes } => {
                    step::Step::Entry.before(Place::of_job(self.job));
                    let outcome = create(&self.store, &chain, (number, bytes), &mut patience).await;
                    if outcome == CreateOutcome::Created {
                        step::Step::Entry.after(Place::of_job(self.job));
                    }
                    self.ownership.on_create(outcome);
                }
                Step::Look { number } => match self.look(&chain, number).await {
                    Ok(LookOutcome::Absent) => {
                        patience.bear_absence(&chain, number).await?;
                        self.ownership.on_look(LookOutcome::Absent);
                    }
                    Ok(outcome @ LookOutcome::Found(_)) => {
                        self.ownership.on_look(outcome);
                    }
                    Err(error) => patience.bear(error).await?,
                },
                Step::List { from } => match self.store.entries(&chain, from).await {
                    Ok(numbers) => {
                        self.ownership.on_list(numbers.last().copied());
                    }
                    Err(error) => patience.bear(error.into()).await?,
                },
                Step::Stands(confirmed) => return Ok(confirmed),
                Step::Lost { to } => return Err(ChainError::Lost { job: self.job, to }),
            }
        }
    }

    async fn look(&self, chain: &ChainName, number: EntryNumber) -> Result<LookOutcome, ChainError> {
        let Some(bytes) = self.store.get(&ObjectName::entry(chain, number)).await? else {
            return Ok(LookOutcome::Absent);
        };
        Ok(LookOutcome::Found(decode(chain, number, &bytes)?.entry.nonce))
    }

    /// Reads the entries that earlier owners dropped and did not get to delete, so that they are collected. One that
    /// cannot be read stays.
    pub async fn find_dropped(&mut self, leftovers: &[EntryNumber]) {
        for number in leftovers {
            match run_entry(&self.store, self.job, *number).await {
                Ok(Some(stored)) => self.ownership.found_dropped(&stored.entry),
                Ok(None) => {}
                Err(error) => tracing::warn!(job = %self.job, %error, "an entry that was dropped stays for now"),
            }
        }
    }

    /// The job.
    #[must_use]
    pub const fn job(&self) -> JobId {
        self.job
    }

    /// Who this attempt is: part of the name of every object that it makes.
    #[must_use]
    pub const fn owner(&self) -> Owner {
        self.ownership.owner()
    }

    /// The newest entry that this attempt created or began from; `None` until entry 0 is created.
    #[must_use]
    pub fn newest(&self) -> Option<&Stored<RunEntry>> {
        self.ownership.newest()
    }

    /// What the protocol knows of the ownership: what is kept, and what was dropped.
    #[must_use]
    pub const fn ownership(&self) -> &Ownership {
        &self.ownership
    }

    pub(in crate::checkpoint) const fn ownership_mut(&mut self) -> &mut Ownership {
        &mut self.ownership
    }
}
