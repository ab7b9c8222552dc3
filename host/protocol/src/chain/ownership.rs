//! What the owner of a job's `run/` chain knows and may do.

use std::collections::BTreeMap;

use super::append::{Append, AppendStep, CreateOutcome, LookOutcome};
use super::entry::{EntryKind, Owner, Retained, RunEntry, Stored};
use super::retention::{Footprint, Kept, retain};
use super::step::{Confirmed, Next, NextError, Start, Step};
use super::{EntryHash, succession};
use crate::id::{CheckpointId, EntryNumber};
use crate::manifest::{Manifest, Outlet};

/// One attempt's hold on a job's `run/` chain.
///
/// Guarantees that it only ever creates the number after the entry that it restored from or created last, one at a
/// time; that an entry stands ([`Confirmed`]) only after a listing has shown nothing above it; and that after a loss
/// nothing more is created. To perform: do what [`Ownership::step`] says, report what came of it, until the entry
/// stands or is lost.
#[derive(Debug, Clone)]
pub struct Ownership {
    owner: Owner,
    spec: EntryNumber,
    checkpoints_retained: u32,
    newest: Option<Stored<RunEntry>>,
    kept: BTreeMap<EntryNumber, Kept>,
    dropped: BTreeMap<EntryNumber, Footprint>,
    phase: Phase,
}

#[derive(Debug, Clone)]
enum Phase {
    Appending { entry: Box<Stored<RunEntry>>, append: Append },
    Listing,
    Standing,
    Lost { to: EntryNumber },
}

impl Ownership {
    /// Begins a job with entry 0: its manifest holds every source's start positions.
    ///
    /// # Errors
    /// [`NextError::Unsound`].
    pub fn start(start: &Start, manifest: Manifest) -> Result<Self, NextError> {
        let mut ownership = Self::new(start, EntryNumber(0), None, BTreeMap::new());
        ownership.begin(start, EntryKind::Start, manifest, BTreeMap::new())?;
        Ok(ownership)
    }

    /// Begins an attempt from the newest entry, whose manifest the takeover repeats, with the positions of sources that it
    /// does not know. `retained` are the entries that it
    /// retains, as far as they could be read and have the hash that it names.
    ///
    /// # Errors
    /// [`NextError::Ended`] where the newest entry is terminal; [`NextError::Unsound`].
    pub fn take_over(
        start: &Start,
        newest: Stored<RunEntry>,
        retained: &BTreeMap<EntryNumber, Stored<RunEntry>>,
    ) -> Result<Self, NextError> {
        let number = newest.entry.number;
        if newest.entry.kind.is_terminal() {
            return Err(NextError::Ended(number));
        }
        let known = |wanted: &Retained| retained.get(&wanted.number).filter(|stored| stored.hash == wanted.hash);
        let keep = |wanted: &Retained| Kept {
            hash: wanted.hash,
            checkpoint: wanted.checkpoint,
            footprint: known(wanted).map(|stored| Footprint::of(&stored.entry.manifest)),
        };
        let kept = newest.entry.retained.iter().map(|wanted| (wanted.number, keep(wanted))).collect();
        let (mut manifest, published) = (newest.entry.manifest.clone(), newest.entry.published.clone());
        // Beyond the sources of the spec that its manifest was made under, the newest entry holds those of a change that
        // came to nothing: no record of theirs counts, and they may be others now.
        let has_been_on_trial = newest.entry.manifest_spec.is_some();
        for (uid, positions) in &start.new_sources {
            if has_been_on_trial || !manifest.sources.contains_key(uid) {
                manifest.sources.insert(uid.clone(), positions.clone());
            }
        }
        let mut ownership = Self::new(start, number.next(), Some(newest), kept);
        ownership.begin(start, EntryKind::Takeover, manifest, published)?;
        Ok(ownership)
    }

    fn new(
        start: &Start,
        number: EntryNumber,
        newest: Option<Stored<RunEntry>>,
        kept: BTreeMap<EntryNumber, Kept>,
    ) -> Self {
        Self {
            owner: Owner { number, nonce: start.nonce },
            spec: start.spec,
            checkpoints_retained: start.checkpoints_retained.max(1),
            newest,
            kept,
            dropped: BTreeMap::new(),
            phase: Phase::Standing,
        }
    }

    fn begin(
        &mut self,
        start: &Start,
        kind: EntryKind,
        manifest: Manifest,
        published: BTreeMap<Outlet, CheckpointId>,
    ) -> Result<(), NextError> {
        self.send(Next { nonce: start.nonce, at: start.at, kind, manifest, published })
    }

    /// Who this attempt is. In the name of every object that it makes.
    #[must_use]
    pub const fn owner(&self) -> Owner {
        self.owner
    }

    /// The newest entry that this attempt created or restored from. `None` until entry 0 is won.
    #[must_use]
    pub fn newest(&self) -> Option<&Stored<RunEntry>> {
        self.newest.as_ref()
    }

    /// The highest checkpoint of the chain; the next has a higher number.
    #[must_use]
    pub fn highest_checkpoint(&self) -> CheckpointId {
        self.newest.as_ref().map_or(CheckpointId(0), |newest| newest.entry.highest_checkpoint)
    }

    /// The earlier entries that the newest retains.
    #[must_use]
    pub const fn kept(&self) -> &BTreeMap<EntryNumber, Kept> {
        &self.kept
    }

    /// The entries that the newest does not retain any more, and that are not known to be deleted.
    #[must_use]
    pub const fn dropped(&self) -> &BTreeMap<EntryNumber, Footprint> {
        &self.dropped
    }

    /// Makes the next entry's bytes; from here on [`Ownership::step`] says how to create it.
    ///
    /// # Errors
    /// [`NextError`]; then nothing was begun.
    pub fn append(&mut self, next: Next) -> Result<Step, NextError> {
        match &self.phase {
            Phase::Appending { entry, .. } => return Err(NextError::Undecided(entry.entry.number)),
            Phase::Listing => return Err(NextError::Undecided(self.newest_number())),
            Phase::Lost { to } => return Err(NextError::Lost(*to)),
            Phase::Standing => {}
        }
        if self.newest.as_ref().is_some_and(|newest| newest.entry.kind.is_terminal()) {
            return Err(NextError::Ended(self.newest_number()));
        }
        self.send(next)?;
        Ok(self.step())
    }

    /// What to do next.
    #[must_use]
    pub fn step(&self) -> Step {
        match &self.phase {
            Phase::Appending { append, .. } => match append.step() {
                AppendStep::Create { number, bytes } => Step::Create { number, bytes },
                AppendStep::Look { number } => Step::Look { number },
                AppendStep::Won => Step::List { from: append.number() },
                AppendStep::Lost => Step::Lost { to: append.number() },
            },
            Phase::Listing => Step::List { from: self.newest_number() },
            Phase::Standing => Step::Stands(Confirmed { number: self.newest_number(), owner: self.owner.number }),
            Phase::Lost { to } => Step::Lost { to: *to },
        }
    }

    /// Notes the answer to a create.
    ///
    /// # Panics
    /// When the next step was no create.
    pub fn on_create(&mut self, outcome: CreateOutcome) -> Step {
        self.on_append(|append| append.on_create(outcome))
    }

    /// Notes what a look showed.
    ///
    /// # Panics
    /// When the next step was no look.
    pub fn on_look(&mut self, outcome: LookOutcome) -> Step {
        self.on_append(|append| append.on_look(outcome))
    }

    /// Notes the highest number that a listing from the created entry on has shown. Where it does not show even that
    /// entry, the entry is gone or cannot be relied on: lost as well.
    ///
    /// # Panics
    /// When the next step was no listing.
    pub fn on_list(&mut self, highest: Option<EntryNumber>) -> Step {
        assert!(matches!(self.phase, Phase::Listing), "the chain was listed out of turn");
        let number = self.newest_number();
        let stands = highest == Some(number);
        self.phase = if stands { Phase::Standing } else { Phase::Lost { to: highest.unwrap_or(number) } };
        self.step()
    }

    /// Notes an entry that a listing showed below the newest, though the newest does not retain it: what an earlier
    /// owner dropped and did not get to delete.
    pub fn found_dropped(&mut self, entry: &RunEntry) {
        if self.is_dropped(entry.number) {
            self.dropped.insert(entry.number, Footprint::of(&entry.manifest));
        }
    }

    /// Notes that a dropped entry, and what only it named, is deleted.
    pub fn deleted(&mut self, entry: EntryNumber) {
        self.dropped.remove(&entry);
    }

    /// Whether an entry lies below the newest and is not retained by it.
    #[must_use]
    pub fn is_dropped(&self, entry: EntryNumber) -> bool {
        let below = self.newest.as_ref().is_some_and(|newest| entry < newest.entry.number);
        below && !self.kept.contains_key(&entry)
    }

    fn newest_number(&self) -> EntryNumber {
        self.newest.as_ref().map_or(EntryNumber(0), |newest| newest.entry.number)
    }

    /// The newest entry and those it retains: all that the next may retain.
    fn restorable(&self) -> BTreeMap<EntryNumber, Kept> {
        let mut restorable = self.kept.clone();
        let newest = self.newest.as_ref().map(|newest| (newest.entry.number, Kept::of(&newest.entry, newest.hash)));
        restorable.extend(newest);
        restorable
    }

    fn send(&mut self, next: Next) -> Result<(), NextError> {
        let number = self.newest.as_ref().map_or(EntryNumber(0), |newest| newest.entry.number.next());
        let unsound = |what: String| NextError::Unsound { number, what };
        let restorable = self.restorable();
        let retained = retain(self.checkpoints_retained, &next.manifest, &restorable);
        let entry = RunEntry {
            number,
            parent: self.newest.as_ref().map(|newest| newest.hash),
            nonce: next.nonce,
            owner: self.owner,
            spec: self.spec,
            manifest_spec: self.manifest_spec(&next.kind),
            kind: next.kind,
            at: next.at,
            highest_checkpoint: self.highest_checkpoint().max(next.manifest.checkpoint),
            retained: retained.iter().map(|number| names(*number, &restorable[number])).collect(),
            published: next.published,
            manifest: next.manifest,
        };
        entry.check().map_err(unsound)?;
        self.newest.as_ref().map_or(Ok(()), |newest| succession::check(&newest.entry, &entry)).map_err(unsound)?;
        let bytes = entry.encode();
        let hash = EntryHash::of(&bytes);
        let append = Append::new(number, entry.nonce, bytes);
        self.phase = Phase::Appending { entry: Box::new(Stored { entry, hash }), append };
        Ok(())
    }

    /// Which other `spec/` entry the manifest was made under that an entry of this kind holds.
    fn manifest_spec(&self, kind: &EntryKind) -> Option<EntryNumber> {
        let repeated = self.newest.as_ref().filter(|_| !kind.makes_manifest());
        repeated.map(|newest| newest.entry.made_under()).filter(|made_under| *made_under != self.spec)
    }

    fn on_append(&mut self, note: impl FnOnce(&mut Append)) -> Step {
        let Phase::Appending { append, entry } = &mut self.phase else {
            unreachable!("a store's answer came while nothing was appended");
        };
        note(append);
        match append.step() {
            AppendStep::Won => {
                let won = entry.as_ref().clone();
                self.won(won);
            }
            AppendStep::Lost => self.phase = Phase::Lost { to: append.number() },
            AppendStep::Create { .. } | AppendStep::Look { .. } => {}
        }
        self.step()
    }

    fn won(&mut self, won: Stored<RunEntry>) {
        for (number, kept) in self.restorable() {
            if won.entry.retained.iter().any(|retained| retained.number == number) {
                self.kept.insert(number, kept);
            } else {
                self.kept.remove(&number);
                self.dropped.insert(number, kept.footprint.unwrap_or_default());
            }
        }
        self.newest = Some(won);
        self.phase = Phase::Listing;
    }
}

fn names(number: EntryNumber, kept: &Kept) -> Retained {
    Retained { number, hash: kept.hash, checkpoint: kept.checkpoint }
}
