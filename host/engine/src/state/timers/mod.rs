//! Timers: one record each, and an ordered map beside the log, so that due ones are found without scanning.
//!
//! Receives registrations and cancellations; guarantees one timer per (domain, key, time, tag), and that
//! [`due`](SubtaskState::due) costs what it returns. A timer is a record under its key, so it is checkpointed, clipped and
//! rescaled as all keyed state is.
//!
//! Where memory is short, timers leave for the base as other records do, oldest record first, but for those that fire
//! next: these would be read back at once. In the base they stand in the order in which they fire, and come back a page at
//! a time, once the first that only the base holds is due. What a call registers or cancels there is asked for before it
//! is committed, because a timer that is registered twice counts once; most are later than all that ever left, and need no
//! look. What comes out is the same, timer for timer and call for call, wherever they were.

mod disk;
mod pending;
mod timer;

use std::collections::BTreeMap;

use hashbrown::HashSet;
use weir_operator::batch::Keys;
use weir_operator::keyed_state::StateError;
use weir_operator::turn::{FiredTimers, TimeDomain, TimerChange};
use weir_protocol::key_group::key_hash;
use weir_protocol::time::Timestamp;

use super::SubtaskState;
use super::limits::Growth;
use super::log::{Log, Part, Position};
use super::record::{Flags, Parts};
use super::size::size_of;
use pending::Pending;

pub(super) use disk::{FoundTimers, WantedTimers};
pub(super) use timer::{ENTRY, Timer};

/// The state under which timers are written to the log.
pub(super) const STATE: u16 = 0;

impl SubtaskState {
    /// Registers and cancels timers, in order. Their keys are indices into `keys`, which callers have checked. What must
    /// come from disk for that was [fetched](weir_operator::keyed_state::KeyedState::fetch_overwritten), and nothing was
    /// committed since.
    ///
    /// # Errors
    /// [`Fault::Guest`](weir_protocol::Fault::Guest) when the log is full; then nothing was changed.
    pub fn apply_timers(&mut self, changes: &[TimerChange], keys: &Keys) -> Result<(), StateError> {
        self.check_timers(changes.iter().map(|change| keys.distinct.get(change.key as usize)))?;
        for change in changes {
            let key = keys.distinct.get(change.key as usize);
            let timer = Timer { domain: change.domain, at: change.at, tag: change.tag, key };
            if change.register {
                self.timers.register(&mut self.log, timer);
            } else {
                self.timers.cancel(&mut self.log, timer);
            }
        }
        self.timers.pending.iter_mut().for_each(Pending::forget_absent);
        Ok(())
    }

    /// The timers of one domain that are due at `up_to`, in order of time, then tag, then key; at most `max`, of a mebibyte
    /// together unless one alone has more, and one of each key: the answer ends before the first timer whose key stands in it already. `None` when none is due.
    /// They stay registered until [`complete`](Self::complete). What must come from disk was
    /// [fetched](Self::fetch_due).
    #[must_use]
    pub fn due(&mut self, domain: TimeDomain, up_to: Timestamp, max: usize) -> Option<FiredTimers> {
        self.timers.due(domain, up_to, max)
    }

    /// Takes timers away that were handled. Those that their own handling cancelled are gone already; those that it
    /// registered again are taken away with them, so call this before [`apply_timers`](Self::apply_timers); and before
    /// what was written is committed, since that may take timers from memory.
    ///
    /// # Errors
    /// [`Fault::Guest`](weir_protocol::Fault::Guest) when the log is full; then nothing was changed.
    pub fn complete(&mut self, fired: &FiredTimers) -> Result<(), StateError> {
        self.check_timers(fired.keys.distinct.iter())?;
        let timers = fired.keys.key_of.iter().zip(&fired.at).zip(&fired.tags);
        for ((&key, &at), &tag) in timers {
            let key = fired.keys.distinct.get(key as usize);
            self.timers.cancel(&mut self.log, Timer { domain: fired.domain, at, tag, key });
        }
        Ok(())
    }

    /// When the first processing-time timer is due. Where the first on disk was cancelled, that may be too early: then none
    /// is due, and the next is known once what must come from disk was [fetched](Self::fetch_due).
    #[must_use]
    pub fn next_processing_time(&self) -> Option<Timestamp> {
        self.timers.first(TimeDomain::ProcessingTime)
    }

    /// When the first event-time timer is due; the same holds.
    #[must_use]
    pub fn next_event_time(&self) -> Option<Timestamp> {
        self.timers.first(TimeDomain::EventTime)
    }

    /// The number of pending timers, wherever they are.
    #[must_use]
    pub fn timer_count(&self) -> u64 {
        self.log.sizes().of(STATE as usize).amount().entries
    }

    fn check_timers<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) -> Result<(), StateError> {
        let mut growth = Growth::default();
        for key in keys {
            growth.add(key.len(), ENTRY, None)?;
        }
        growth.check_room(&self.log)
    }
}

/// The pending timers of one subtask.
#[derive(Debug, Default)]
pub(super) struct Timers {
    /// By domain.
    pending: [Pending; 2],
    scratch: Vec<u8>,
}

impl Timers {
    /// The domain of a timer, and its place there.
    fn of(&mut self, timer: &Timer<'_>) -> (&mut Pending, &[u8]) {
        timer.due_order(&mut self.scratch);
        (&mut self.pending[timer.domain as usize], &self.scratch)
    }

    /// Registers a timer; again is once.
    fn register(&mut self, log: &mut Log, timer: Timer<'_>) {
        let (pending, place) = self.of(&timer);
        if pending.here.get(place).is_some() {
            return;
        }
        let tombstone = pending.gone.remove(place);
        let is_new = tombstone.is_none() && !pending.is_unknown(place);
        let flags = if is_new { Flags::FRESH } else { Flags::PUT };
        let at = log.append(Part::Open, &parts(flags, &timer, &timer.entry()));
        pending.here.insert(place, at.0);
        tombstone.into_iter().for_each(|tombstone| log.supersede(Position(tombstone)));
    }

    /// Takes a timer away, if it is there; if it may be, nobody having asked, too.
    fn cancel(&mut self, log: &mut Log, timer: Timer<'_>) {
        let (pending, place) = self.of(&timer);
        let at = pending.here.remove(place).map(Position);
        if at.is_none() && !pending.is_unknown(place) {
            return;
        }
        if !at.is_some_and(|at| log.is_fresh(at)) {
            let tombstone = log.append(Part::Open, &parts(Flags::TOMBSTONE, &timer, &timer.entry()));
            if pending.may_be_in_base(place) {
                log.hold(tombstone);
                pending.gone.insert(place, tombstone.0);
            }
        }
        at.into_iter().for_each(|at| log.supersede(at));
    }

    /// The first timers of a domain, up to a time, up to the first whose key stands among them already.
    fn due(&mut self, domain: TimeDomain, up_to: Timestamp, max: usize) -> Option<FiredTimers> {
        let pending = &mut self.pending[domain as usize];
        let mut fired = FiredTimers { domain, ..FiredTimers::default() };
        let mut seen = HashSet::with_hasher(foldhash::fast::FixedState::default());
        let mut last = None;
        for place in pending.next_call(max) {
            let timer = Timer::from_due_order(domain, place);
            if timer.at > up_to || !seen.insert(timer.key) {
                break;
            }
            push(&mut fired.keys, timer.key);
            fired.at.push(timer.at);
            fired.tags.push(timer.tag);
            last = Some(place);
        }
        drop(seen);
        let last = last.cloned();
        pending.give(last);
        (!fired.at.is_empty()).then_some(fired)
    }

    /// The time of a domain's first timer.
    fn first(&self, domain: TimeDomain) -> Option<Timestamp> {
        self.pending[domain as usize].first_at(domain)
    }

    /// By how many bytes these changes (registered, else cancelled), in order, make what is held larger, once those that
    /// fired are gone.
    pub(super) fn growth<'t>(
        &self,
        fired: impl Iterator<Item = Timer<'t>>,
        changes: impl Iterator<Item = (bool, Timer<'t>)>,
    ) -> i64 {
        let mut scratch = Vec::new();
        let mut after = BTreeMap::new();
        for (is_there, timer) in fired.map(|timer| (false, timer)).chain(changes) {
            timer.due_order(&mut scratch);
            after.insert((timer.domain, scratch.clone()), (is_there, size_of(None, timer.key, ENTRY, 0).cast_signed()));
        }
        let growth = |((domain, place), (is_there, size)): ((TimeDomain, Vec<u8>), (bool, i64))| {
            let was_there = self.pending[domain as usize].here.get(&place).is_some();
            (i64::from(is_there) - i64::from(was_there)) * size
        };
        after.into_iter().map(growth).sum()
    }

    /// Whether a timer's record, or its tombstone, is this one.
    pub(super) fn is_live(&mut self, timer: Timer<'_>, is_put: bool, at: Position) -> bool {
        let (pending, place) = self.of(&timer);
        let places = if is_put { &pending.here } else { &pending.gone };
        places.get(place) == Some(at.0)
    }

    /// Points a timer, or its tombstone, to where its record was moved.
    pub(super) fn repoint(&mut self, timer: Timer<'_>, is_put: bool, new: Position) {
        let (pending, place) = self.of(&timer);
        let places = if is_put { &mut pending.here } else { &mut pending.gone };
        places.repoint(place, new.0);
    }

    /// Takes in a timer of a checkpoint file; it is not there yet.
    pub(super) fn restore(&mut self, log: &mut Log, timer: Timer<'_>) {
        let at = log.append(Part::Clean, &parts(Flags::PUT, &timer, &timer.entry()));
        let (pending, place) = self.of(&timer);
        pending.here.insert(place, at.0);
    }

    /// Roughly the bytes held beside the log.
    pub(super) fn bytes(&self) -> u64 {
        self.pending.iter().map(|pending| pending.here.bytes() + pending.gone.bytes()).sum()
    }
}

fn parts<'a>(flags: Flags, timer: &Timer<'a>, entry: &'a [u8]) -> Parts<'a> {
    Parts { flags, state: STATE, key: timer.key, entry, value: &[] }
}

fn push(keys: &mut Keys, key: &[u8]) {
    let index = u32::try_from(keys.count()).expect("callers ask for fewer than 2^32 timers");
    keys.distinct.push(key);
    keys.hashes.push(key_hash(key));
    keys.key_of.push(index);
}

#[cfg(test)]
impl Timers {
    /// How many are in memory.
    pub(super) fn in_memory(&self) -> usize {
        self.pending.iter().map(|pending| pending.here.0.len()).sum()
    }
}

/// What a timer of this key takes in memory.
#[cfg(test)]
pub(super) fn bytes_of_key(key: &[u8]) -> u64 {
    let mut place = Vec::new();
    Timer { domain: TimeDomain::EventTime, at: 0, tag: 0, key }.due_order(&mut place);
    pending::bytes_of(&place)
}
