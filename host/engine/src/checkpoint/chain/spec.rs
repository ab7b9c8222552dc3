//! A job's `spec/` chain: what is wanted of it.

use std::collections::{BTreeMap, BTreeSet};

use weir_protocol::chain::{Append, AppendStep, LookOutcome, SpecEntry, Start, Stored, Undone, Wanted};
use weir_protocol::id::{EntryNumber, JobId, Uid};
use weir_protocol::job_spec::{JobSpec, SinkConnector};
use weir_protocol::manifest::Manifest;
use weir_protocol::savepoint::Ancestor;
use weir_protocol::time::Timestamp;

use super::{ChainError, Patience, RunOwner, create};
use crate::clock::{Clock, Entropy};
use crate::step::{Place, Step};
use crate::store::{ChainName, ObjectName, Store};

/// A job's `spec/` chain. Any node appends; who loses a number reads and tries again.
#[derive(Debug, Clone)]
pub struct SpecChain {
    store: Store,
    clock: Clock,
    job: JobId,
}

impl SpecChain {
    /// The chain of a job.
    #[must_use]
    pub const fn new(store: Store, clock: Clock, job: JobId) -> Self {
        Self { store, clock, job }
    }

    /// Begins a job: `spec/` 0 exists when this returns. The job itself exists once its creator, who owns it, has
    /// [settled](RunOwner::settle) `run/` 0, which holds its start positions. After an error there is no job, and never
    /// will be.
    ///
    /// # Errors
    /// [`ChainError`].
    pub async fn begin_job(
        &self,
        entropy: &Entropy,
        accepted_at: Timestamp,
        spec: JobSpec,
        (manifest, began_from): (Manifest, Option<Ancestor>),
    ) -> Result<RunOwner, ChainError> {
        let start = self.start(entropy, EntryNumber(0), &spec);
        let wanted = Wanted::Deploy(Box::new(spec));
        let first = SpecEntry { at: accepted_at, began_from, ..self.entry_to_append(None, entropy, wanted) };
        if !self.append(&first).await? {
            return Err(ChainError::Lost { job: self.job, to: EntryNumber(0) });
        }
        RunOwner::start(self.store.clone(), self.clock, self.job, &start, manifest)
    }

    /// How an attempt at `spec`, which stands in entry `number`, begins.
    #[must_use]
    pub fn start(&self, entropy: &Entropy, number: EntryNumber, spec: &JobSpec) -> Start {
        let checkpoints_retained = spec.checkpoint.as_ref().map_or(1, |checkpoint| checkpoint.retained);
        let (nonce, at) = (entropy.nonce(), self.clock.now());
        Start { nonce, at, spec: number, checkpoints_retained, new_sources: BTreeMap::new() }
    }

    /// The newest entry.
    ///
    /// # Errors
    /// [`ChainError::NoJob`] where there is none; [`ChainError::Damaged`]; what the store says.
    pub async fn newest(&self) -> Result<Stored<SpecEntry>, ChainError> {
        let numbers = self.store.entries(&self.chain(), EntryNumber(0)).await?;
        let Some(&number) = numbers.last() else { return Err(ChainError::NoJob(self.job)) };
        self.entry(number).await
    }

    /// One entry, which must be there.
    ///
    /// # Errors
    /// [`ChainError::Missing`], [`ChainError::Damaged`]; what the store says.
    pub async fn entry(&self, number: EntryNumber) -> Result<Stored<SpecEntry>, ChainError> {
        let found = self.read(number).await?;
        found.ok_or_else(|| ChainError::Missing(ObjectName::entry(&self.chain(), number)))
    }

    /// The spec that entry `number`, or the last one before it that deploys, asks for.
    ///
    /// # Errors
    /// As [`entry`](Self::entry).
    pub async fn deployed(&self, number: EntryNumber) -> Result<JobSpec, ChainError> {
        Ok(self.deploying(number).await?.0)
    }

    /// The same, and what that entry takes back.
    ///
    /// # Errors
    /// As [`entry`](Self::entry).
    pub async fn deploying(&self, number: EntryNumber) -> Result<(JobSpec, Option<Undone>), ChainError> {
        let mut number = number;
        loop {
            let SpecEntry { wanted, undoes, .. } = self.entry(number).await?.entry;
            match (wanted, number.0.checked_sub(1)) {
                (Wanted::Deploy(spec), _) => return Ok((*spec, undoes)),
                (Wanted::Cancel, Some(before)) => number = EntryNumber(before),
                (Wanted::Cancel, None) => return Err(ChainError::NoJob(self.job)),
            }
        }
    }

    /// Makes this the newest wish, and gives the number of the entry that says so; where it is already, nothing is
    /// appended.
    ///
    /// # Errors
    /// As [`newest`](Self::newest).
    pub async fn want(&self, entropy: &Entropy, wanted: &Wanted) -> Result<EntryNumber, ChainError> {
        loop {
            let newest = self.newest().await?;
            if newest.entry.wanted == *wanted {
                return Ok(newest.entry.number);
            }
            if let Some(number) = self.want_next(&newest, entropy, wanted.clone(), None).await? {
                return Ok(number);
            }
        }
    }

    /// Makes this the wish that follows on `newest`, and gives the number of its entry; `None`: another one follows.
    ///
    /// # Errors
    /// [`ChainError`]; where the store was away nobody knows whether the entry exists.
    pub async fn want_next(
        &self,
        newest: &Stored<SpecEntry>,
        entropy: &Entropy,
        wanted: Wanted,
        undoes: Option<Undone>,
    ) -> Result<Option<EntryNumber>, ChainError> {
        let entry = SpecEntry { undoes, ..self.entry_to_append(Some(newest), entropy, wanted) };
        let place = Place::of_job(self.job);
        Step::Wish.before(place);
        let appended = self.append(&entry).await?;
        Step::Wish.after(place);
        Ok(appended.then_some(entry.number))
    }

    /// Where the results of these sinks went last, as far as they had a place: sought from entry `number` back.
    ///
    /// # Errors
    /// As [`entry`](Self::entry).
    pub async fn places(
        &self,
        number: EntryNumber,
        mut sought: BTreeSet<Uid>,
    ) -> Result<BTreeMap<Uid, SinkConnector>, ChainError> {
        let mut places = BTreeMap::new();
        let mut next = Some(number);
        while let Some(number) = next.filter(|_| !sought.is_empty()) {
            if let Wanted::Deploy(spec) = self.entry(number).await?.entry.wanted {
                let with_place = spec.sinks.into_iter().filter(|sink| sink.connector.has_outbox());
                let found = with_place.filter(|sink| sought.remove(&sink.uid));
                places.extend(found.map(|sink| (sink.uid, sink.connector)));
            }
            next = number.0.checked_sub(1).map(EntryNumber);
        }
        Ok(places)
    }

    fn entry_to_append(&self, newest: Option<&Stored<SpecEntry>>, entropy: &Entropy, wanted: Wanted) -> SpecEntry {
        let number = newest.map_or(EntryNumber(0), |newest| newest.entry.number.next());
        let parent = newest.map(|newest| newest.hash);
        SpecEntry {
            number,
            parent,
            nonce: entropy.nonce(),
            at: self.clock.now(),
            wanted,
            undoes: None,
            began_from: None,
        }
    }

    /// Whether the entry was appended; else its number is another's.
    async fn append(&self, entry: &SpecEntry) -> Result<bool, ChainError> {
        let mut append = Append::new(entry.number, entry.nonce, entry.encode());
        let mut patience = Patience::new(self.clock);
        loop {
            match append.step() {
                AppendStep::Create { number, bytes } => {
                    append.on_create(create(&self.store, &self.chain(), (number, bytes), &mut patience).await);
                }
                AppendStep::Look { number } => match self.read(number).await {
                    Ok(Some(found)) => append.on_look(LookOutcome::Found(found.entry.nonce)),
                    Ok(None) => {
                        patience.bear_absence(&self.chain(), number).await?;
                        append.on_look(LookOutcome::Absent);
                    }
                    Err(error) => patience.bear(error).await?,
                },
                AppendStep::Won => return Ok(true),
                AppendStep::Lost => return Ok(false),
            }
        }
    }

    async fn read(&self, number: EntryNumber) -> Result<Option<Stored<SpecEntry>>, ChainError> {
        let chain = self.chain();
        let Some(bytes) = self.store.get(&ObjectName::entry(&chain, number)).await? else { return Ok(None) };
        SpecEntry::decode(number, &bytes).map(Some).map_err(ChainError::damaged(&chain, number))
    }

    const fn chain(&self) -> ChainName {
        ChainName::Spec(self.job)
    }
}
