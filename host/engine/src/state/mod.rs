//! Keyed state of one subtask, in memory: the log over which everything else is an index.
//!
//! Receives what calls wrote, whole; guarantees that reads see exactly what was committed, that [`SubtaskState::freeze`]
//! copies nothing whatever the size, and that checkpoint files written since the last base restore to the same state.
//! Does not own when a barrier comes, where files are stored, or which of them a manifest names.
//!
//! ```text
//!   call ──commit──▶ indexes ──positions──▶ log: clean chunks │ closed segments │ open segment
//!                                                   ▲ cleaner ─────┘      └──freeze──▶ checkpoint file
//! ```
//!
//! Records are updated in place within the open segment, else appended to it; a segment is closed at a barrier and
//! immutable from then on. The cleaner copies what is live out of chunks that hold little of it, so memory is bounded
//! however long a job runs. What is not in the indexes does not exist: no file needs to be asked.
//!
//! Where a state has a time to live, each value, list element and map entry is stored behind its stamp. Reads hide what
//! has expired at the time of their call; the sweeper drops what had expired by the last barrier, whether it is read or
//! not; and no file written at a barrier holds what had expired by then. Where an operator's new version declares
//! another time to live than its old one, what is stored keeps its stamps and the new declaration counts for them; what
//! was stored without a stamp counts as written at the restore, and is written again, stamped, with the next barrier;
//! where none is declared any more, what is held stays.

mod admission;
mod arriving;
mod base;
mod below;
mod bundle;
mod bundles;
mod cleaner;
mod content;
mod entries;
mod fetch;
pub mod file;
mod frozen;
mod heads;
mod held;
mod index;
mod kept;
mod limits;
mod lists;
mod log;
mod map;
mod maps;
mod migration;
mod outdated;
mod packed;
mod record;
mod restore;
mod selection;
mod size;
mod spill;
mod stamp;
mod straight;
mod sweeper;
mod taking;
mod timers;
mod unkeyed;
mod values;

#[cfg(test)]
mod contract;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use weir_operator::batch::{BytesColumn, Keys, OptionalColumn};
use weir_operator::keyed_state::{Entries, EntryRange, Fetch, Fetched, KeyedState, Read, StateError, StateId, Writes};
use weir_operator::turn::{FiredTimers, TimerChange};
use weir_protocol::Fault;
use weir_protocol::description::StateDescription;
use weir_protocol::key_group::{KeyGroupRange, MaxParallelism};
use weir_protocol::time::Timestamp;

use crate::metrics::StateSize;

pub use base::{LocalDisk, LocalDiskOptions};
pub use frozen::{Expiry, FrozenSegment};
pub use held::{Held, Holding, walk};
pub use limits::StateLimits;
pub use migration::{Migration, RestoreError};
pub use restore::{Progress, Restoring};
pub use spill::SpillTo;
pub use unkeyed::{FrozenUnkeyed, UnkeyedRow, UnkeyedStore, unkeyed_rows};

use admission::Admission;
use cleaner::Cleaner;
use frozen::Naming;
use kept::Kept;
use log::Log;
use record::STATES_MAX;
use selection::Selection;
use size::Amount;
use spill::Spill;
use sweeper::Sweeper;
use timers::Timers;

/// Keyed state and timers of one subtask.
#[derive(Debug)]
pub struct SubtaskState {
    /// By [`StateId`].
    states: Vec<Kept>,
    timers: Timers,
    log: Log,
    cleaner: Cleaner,
    sweeper: Sweeper,
    /// The states that reads refresh.
    refreshed: Vec<usize>,
    selection: Selection,
    naming: Arc<Naming>,
    limits: StateLimits,
    admission: Admission,
    /// Where the oldest records go; `None`: nowhere.
    spill: Option<Spill>,
}

/// The size of an open segment above which a job without checkpoints ends its epoch.
const FORGOTTEN_BYTES: u64 = 1 << 20;

impl SubtaskState {
    /// No state yet, for the declared states whose index is their [`StateId`], and for the keys of these key groups.
    ///
    /// # Errors
    /// [`Fault::Request`] when two states have one name, or there are more than 1,023.
    pub fn new(
        states: &[StateDescription],
        max: MaxParallelism,
        key_groups: KeyGroupRange,
    ) -> Result<Self, StateError> {
        if states.len() > STATES_MAX {
            let message = format!("an operator declares at most {STATES_MAX} states, not {}", states.len());
            return Err(StateError { fault: Fault::Request, message });
        }
        let naming = Naming::new(states, max, key_groups)?;
        let refreshed = (0..).zip(states).filter(|(_, state)| state.ttl.is_some_and(|ttl| ttl.refresh_on_read));
        Ok(Self {
            refreshed: refreshed.map(|(state, _)| state).collect(),
            sweeper: Sweeper::default(),
            states: (1..).zip(states).map(|(number, state)| Kept::new(number, state)).collect(),
            timers: Timers::default(),
            log: Log::new(naming.counted()),
            cleaner: Cleaner::default(),
            selection: Selection::default(),
            naming: Arc::new(naming),
            limits: StateLimits::default(),
            admission: Admission::default(),
            spill: None,
        })
    }

    /// The same under other limits.
    #[must_use]
    pub const fn with_limits(mut self, limits: StateLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Closes the open segment and opens the next: everything committed since the last freeze, for one checkpoint file;
    /// `None` when nothing was. Moves pointers and copies nothing: the synchronous phase of a checkpoint. What has expired
    /// by `now`, the processing time of the barrier, is dropped bit by bit from then on; each is a change of its own.
    pub fn freeze(&mut self, now: Timestamp) -> Option<FrozenSegment> {
        self.sweep_until(now);
        let has_expired = self.spill.as_mut().is_some_and(|spill| spill.on_freeze(now));
        let chunks = self.log.freeze().or(has_expired.then(Vec::new))?;
        Some(FrozenSegment::new(chunks, Arc::clone(&self.naming), now, self.bytes_in_all()))
    }

    /// For a job without checkpoints, after each batch: ends the epoch once its segment has outgrown a bound or holds what
    /// has expired, and throws the segment away. Only what lies behind a barrier can be cleaned, so without this the log
    /// would keep growing.
    pub fn forget_changes(&mut self, now: Timestamp) {
        self.sweep_until(now);
        if self.log.open_bytes() > FORGOTTEN_BYTES || self.log.is_open_sweep_due(now) {
            drop(self.freeze(now));
        }
    }

    /// Bytes of live records: keys, values and 8 to 24 bytes each.
    #[must_use]
    pub const fn bytes_live(&self) -> u64 {
        self.log.live()
    }

    /// Bytes of all that is held, also on disk, timers included: keys, values and 16 to 24 bytes each. What has expired
    /// counts until the next barrier, or a little longer.
    #[must_use]
    pub const fn bytes_in_all(&self) -> u64 {
        self.log.sizes().total()
    }

    /// How much each state holds, also on disk, by name.
    pub fn sizes(&self) -> impl Iterator<Item = (&str, StateSize)> {
        self.naming.names().map(|(state, name)| {
            let size = self.log.sizes().of(state);
            let Amount { bytes, entries } = size.amount();
            (name, StateSize { bytes, entries, oldest: size.oldest() })
        })
    }

    /// Bytes held: the log with its garbage, and (roughly) the indexes. Frozen segments share the log's chunks; what
    /// they hold on their own, after the log gave a chunk back, is not counted.
    #[must_use]
    pub fn bytes_held(&self) -> u64 {
        let indexes = self.states.iter().map(Kept::bytes);
        self.log.held() + indexes.sum::<u64>() + self.timers.bytes() + self.spill.as_ref().map_or(0, Spill::bytes)
    }

    fn kept(&mut self, state: StateId) -> Result<(&mut Kept, &mut Log, &Selection), StateError> {
        match self.states.get_mut(state.0 as usize) {
            Some(kept) => Ok((kept, &mut self.log, &self.selection)),
            None => Err(bug(format!("state {} is not declared", state.0))),
        }
    }
}

impl KeyedState for SubtaskState {
    fn select(&mut self, keys: &Keys, now: Timestamp) -> Result<(), StateError> {
        debug_assert!(
            keys.hashes.iter().all(|&hash| self.naming.owns(hash)),
            "a key reached a subtask that does not own its key group"
        );
        self.selection.select(keys, now);
        self.admission = Admission::default();
        for &state in &self.refreshed {
            self.states[state].forget_seen();
        }
        Ok(())
    }

    fn values(&mut self, state: StateId, keys: &[u32], into: &mut OptionalColumn) -> Result<(), StateError> {
        match self.kept(state)? {
            (Kept::Values(values), log, selection) => {
                values.load(log, selection, keys, into);
                Ok(())
            }
            (Kept::Lists(_) | Kept::Maps(_) | Kept::Elsewhere, ..) => Err(wrong_kind(state, "values")),
        }
    }

    fn list(&mut self, state: StateId, key: u32, into: &mut BytesColumn) -> Result<(), StateError> {
        match self.kept(state)? {
            (Kept::Lists(lists), log, selection) => {
                lists.load(log, selection, key, into);
                Ok(())
            }
            (Kept::Values(_) | Kept::Maps(_) | Kept::Elsewhere, ..) => Err(wrong_kind(state, "a list")),
        }
    }

    fn entries(
        &mut self,
        state: StateId,
        keys: &[u32],
        entries: &BytesColumn,
        into: &mut OptionalColumn,
    ) -> Result<(), StateError> {
        match self.kept(state)? {
            (Kept::Maps(maps), log, selection) => {
                for (&key, entry) in keys.iter().zip(entries.iter()) {
                    into.push(maps.entry(log, selection, key, entry));
                }
                Ok(())
            }
            (Kept::Values(_) | Kept::Lists(_) | Kept::Elsewhere, ..) => Err(wrong_kind(state, "a map")),
        }
    }

    fn scan(&mut self, state: StateId, key: u32, range: EntryRange<'_>, into: &mut Entries) -> Result<(), StateError> {
        match self.kept(state)? {
            (Kept::Maps(maps), log, selection) => {
                maps.scan(log, selection, key, range, into);
                Ok(())
            }
            (Kept::Values(_) | Kept::Lists(_) | Kept::Elsewhere, ..) => Err(wrong_kind(state, "a map")),
        }
    }

    fn is_empty(&mut self, state: StateId, key: u32) -> Result<bool, StateError> {
        match self.kept(state)? {
            (Kept::Maps(maps), log, selection) => Ok(maps.is_empty(log, selection, key)),
            (Kept::Values(_) | Kept::Lists(_) | Kept::Elsewhere, ..) => Err(wrong_kind(state, "a map")),
        }
    }

    fn fetch(&mut self, read: &Read<'_>) -> Result<Option<Box<dyn Fetch>>, StateError> {
        self.fetch_from_base(read)
    }

    fn supply(&mut self, fetched: Fetched) -> Result<(), StateError> {
        self.take_fetched(fetched)
    }

    fn fetch_overwritten(
        &mut self,
        writes: &Writes,
        timers: &[TimerChange],
    ) -> Result<Option<Box<dyn Fetch>>, StateError> {
        self.fetch_for_commit(writes, timers)
    }

    fn admit(
        &mut self,
        writes: &Writes,
        timers: &[TimerChange],
        fired: Option<&FiredTimers>,
    ) -> Result<u64, StateError> {
        self.admit_call(writes, timers, fired)
    }

    fn growth(&mut self, writes: &Writes, timers: &[TimerChange], fired: Option<&FiredTimers>) -> i64 {
        self.growth_of_call(writes, timers, fired)
    }

    /// Makes everything that one call wrote visible, together. Everything that can fail is checked before the first
    /// write, if it was not [admitted](Self::admit), so after an error nothing was changed.
    fn commit(&mut self, writes: &Writes) -> Result<(), StateError> {
        self.settle(writes)?;
        let Self { states, log, selection, refreshed, .. } = self;
        for (state, writes) in writes.iter() {
            states[state.0 as usize].store(log, selection, writes);
        }
        for &state in &*refreshed {
            states[state].refresh(log, selection);
        }
        self.clean();
        Ok(())
    }
}

fn wrong_kind(state: StateId, read_as: &str) -> StateError {
    bug(format!("state {} is read as {read_as}, which it is not declared as", state.0))
}

const fn bug(message: String) -> StateError {
    StateError { fault: Fault::Bug, message }
}
