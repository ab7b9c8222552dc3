//! What becomes of each record of checkpoint files that are restored.
//!
//! Receives the newest record of each key, in the files' order. Guarantees that no more than the state itself has to fit
//! into memory; where a state has outgrown that, what is restored leaves for the disk meanwhile. What has to be written
//! again (values of an older version, values that had no stamp) belongs to the epoch that begins here. Does not own how
//! files are read.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use weir_operator::keyed_state::StateError;
use weir_protocol::Fault;
use weir_protocol::description::StateKind;
use weir_protocol::evolution::{Conflict, HeldState};
use weir_protocol::key_group::key_hash;
use weir_protocol::time::Timestamp;

use super::SubtaskState;
use super::bundle::Bundle;
use super::file::{FileRecord, StateRow};
use super::frozen::Naming;
use super::kept::Kept;
use super::limits::Growth;
use super::log::Part;
use super::migration::{Migration, RestoreError};
use super::outdated::Outdated;
use super::restore::Progress;
use super::stamp::{STAMP_BYTES, join, split};
use super::straight::Straight;
use super::timers::Timer;

/// After so much was restored, room is made. Tests restore little.
const ROOM_BYTES: u64 = if cfg!(test) { 64 } else { 64 << 10 };

/// A step ends after so much was taken, so that a restore that nobody waits for any more ends soon.
const STEP_BYTES: u64 = 16 << 20;

/// What becomes of the records.
#[derive(Debug)]
pub(super) struct Taking {
    pub(super) state: SubtaskState,
    /// By the row of the merged files.
    pub(super) rows: Vec<Row>,
    pub(super) migration: Migration,
    /// By the record's state: what is not rewritten yet.
    old: BTreeMap<u16, Outdated>,
    /// What counts as the time of the last write, where none is stored.
    now: Timestamp,
    /// Whether segments are closed where the epoch alone would fill the memory.
    pub(super) in_segments: bool,
    /// Once memory is full, for what need not come into it.
    straight: Option<Straight>,
    /// Bytes that were taken since the last pause.
    taken: u64,
    scratch: Vec<u8>,
}

/// What a row of the files is to the operator.
#[derive(Debug)]
pub(super) enum Row {
    Timers,
    /// Not declared any more: it stays in the files.
    Undeclared,
    /// In the form that is declared.
    Declared {
        number: u16,
        stamped: bool,
    },
    /// In an older one.
    Older {
        number: u16,
        stamped: bool,
        version: u32,
    },
    /// In one that the operator cannot take. Files name states of which they hold nothing, too.
    Unfit(Conflict),
}

impl Row {
    /// # Errors
    /// Where another kind is declared: files of both would not merge.
    pub(super) fn of(row: &StateRow, naming: &Naming, migration: &Migration) -> Result<Self, Conflict> {
        let Some(kind) = row.kind.declared() else { return Ok(Self::Timers) };
        let Some((number, declared)) = naming.declared(row) else { return Ok(Self::Undeclared) };
        let held = HeldState { name: row.name.clone(), kind, codec: row.codec.clone(), version: row.version };
        let stamped = row.stamped;
        match migration.older_version(&held, declared) {
            Ok(None) => Ok(Self::Declared { number, stamped }),
            Ok(Some(version)) => Ok(Self::Older { number, stamped, version }),
            Err(conflict @ Conflict::Kind { .. }) => Err(conflict),
            Err(conflict) => Ok(Self::Unfit(conflict)),
        }
    }
}

impl Taking {
    /// Nothing was taken yet.
    pub(super) fn new(state: SubtaskState, migration: Migration, now: Timestamp) -> Self {
        let (old, scratch) = (BTreeMap::new(), Vec::new());
        Self { state, rows: Vec::new(), migration, old, now, in_segments: true, straight: None, taken: 0, scratch }
    }

    /// Rewrites what waits of one state. Whether anything did.
    pub(super) fn rewrite_some(&mut self) -> Result<bool, RestoreError> {
        let Some((&number, _)) = self.old.first_key_value() else { return Ok(false) };
        self.rewrite(number)?;
        Ok(true)
    }

    pub(super) fn pause(&mut self) -> Progress {
        self.taken = 0;
        Progress::More(if self.in_segments { self.state.freeze_early(self.now) } else { None })
    }

    /// Breaks off where values were rewritten, or where a segment should be closed.
    pub(super) fn take(&mut self, record: &FileRecord<'_>) -> Result<ControlFlow<()>, RestoreError> {
        let before = self.migration.rewritten();
        self.taken += (record.key.len() + record.entry.len() + record.value.len()) as u64;
        match self.rows[usize::from(record.row)] {
            Row::Undeclared => {}
            Row::Unfit(ref conflict) => return Err(conflict.clone().into()),
            Row::Timers => {
                let hash = self.state.checked_hash(0, false, record)?;
                self.state.take_in(0, Part::Clean, hash, record)?;
            }
            Row::Declared { number, stamped } => {
                // What stands before it comes before it: elements of a list are taken in in order.
                if !self.old.is_empty() {
                    self.rewrite(number)?;
                }
                self.take_declared(number, stamped, record)?;
            }
            Row::Older { number, stamped, version } => {
                // What waits is not of the file that is read when it is taken in.
                self.state.checked_hash(number, stamped, record)?;
                self.keep_old(number, stamped, version, record)?;
            }
        }
        let is_large = self.make_room(record)?;
        let is_over = is_large || self.taken > STEP_BYTES || self.migration.rewritten() > before;
        Ok(if is_over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    fn take_declared(&mut self, number: u16, stamped: bool, record: &FileRecord<'_>) -> Result<(), StateError> {
        let hash = self.state.checked_hash(number, stamped, record)?;
        let (stored, part) = match (self.state.life_of(number), stamped) {
            (Some(_), true) | (None, false) => (record.value, Part::Clean),
            (None, true) => (split(record.value).1, Part::Clean),
            // Written again, so that the next restore finds this stamp.
            (Some(_), false) => (join(self.now, record.value, &mut self.scratch), Part::Open),
        };
        let record = FileRecord { value: stored, ..*record };
        if let Some(straight) = &mut self.straight
            && straight.takes(number, record.key)
        {
            return straight.take(&mut self.state, number, &record);
        }
        self.state.take_in(number, part, hash, &record)
    }

    /// From here on, what need not come into memory does not. `last` came into it.
    fn go_straight(&mut self, last: &FileRecord<'_>) {
        let number = |row: &Row| match *row {
            Row::Declared { number, .. } | Row::Older { number, .. } => Some(number),
            Row::Timers | Row::Undeclared | Row::Unfit(_) => None,
        };
        let is_clean = |row: &&Row| matches!(**row, Row::Declared { number, stamped } if stamped || self.state.life_of(number).is_none());
        let written_again: BTreeSet<_> = self.rows.iter().filter(|row| !is_clean(row)).filter_map(number).collect();
        let all = self.rows.iter().filter_map(number);
        let states = all.filter(|number| !written_again.contains(number)).collect();
        let last_of = number(&self.rows[usize::from(last.row)]).unwrap_or(super::timers::STATE);
        self.straight = Straight::new(&mut self.state, states, (last_of, last.key.to_vec()));
    }

    /// What went past the log is the base's.
    pub(super) fn finish_straight(&mut self) -> Result<(), StateError> {
        self.straight.take().map_or(Ok(()), Straight::finish)
    }

    fn keep_old(
        &mut self,
        number: u16,
        stamped: bool,
        version: u32,
        record: &FileRecord<'_>,
    ) -> Result<(), RestoreError> {
        if self.old.get(&number).is_some_and(|old| old.version() != version) {
            self.rewrite(number)?;
        }
        let old = self.old.entry(number).or_insert_with(|| Outdated::of(version));
        old.push(record, stamped, self.state.naming.state(number).kind == StateKind::KeyedList);
        if self.migration.is_enough(old.values()) {
            self.rewrite(number)?;
        }
        Ok(())
    }

    /// Rewrites what waits of a state, and takes it in as a write of the epoch that begins.
    fn rewrite(&mut self, number: u16) -> Result<(), RestoreError> {
        let Some(old) = self.old.remove(&number) else { return Ok(()) };
        let rewritten = old.rewritten(&mut self.migration, self.state.naming.state(number))?;
        let life = self.state.life_of(number);
        old.take_all(&rewritten, life.map(|_| self.now), |record| {
            let mut growth = Growth::default();
            growth.add(record.key.len(), record.entry.len(), Some(record.value.len()))?;
            growth.check_room(&self.state.log)?;
            self.state.take_in(number, Part::Open, key_hash(record.key), record)
        })?;
        Ok(())
    }

    /// Now and then, what is restored leaves for the disk. Whether a segment should be closed first.
    fn make_room(&mut self, last: &FileRecord<'_>) -> Result<bool, StateError> {
        if self.state.log.appended() - self.state.cleaner.appended() <= ROOM_BYTES {
            return Ok(false);
        }
        if self.straight.is_none() && self.state.is_over_budget() {
            self.go_straight(last);
        }
        let state = &mut self.state;
        state.make_room_here()?;
        state.cleaner.caught_up(&state.log);
        Ok(self.in_segments && state.is_epoch_large())
    }
}

impl SubtaskState {
    /// All records were taken in.
    pub(super) fn settle_restored(&mut self) {
        self.states.iter_mut().for_each(|kept| kept.settle(&mut self.log));
    }

    /// Takes in a record that was checked, whose key has this hash.
    fn take_in(&mut self, number: u16, part: Part, hash: u64, record: &FileRecord<'_>) -> Result<(), StateError> {
        let (key, entry, stored) = (record.key, record.entry, record.value);
        let log = &mut self.log;
        match number.checked_sub(1).map(|state| &mut self.states[usize::from(state)]) {
            None => match Timer::from_record(key, entry) {
                Some(timer) => self.timers.restore(log, timer),
                None => return Err(corrupt(record, "a timer's entry is not 13 bytes that begin with 0 or 1")),
            },
            Some(Kept::Values(values)) => values.restore(log, part, hash, key, stored),
            Some(Kept::Lists(lists)) => lists.restore(log, part, hash, key, entry, stored),
            Some(Kept::Maps(maps)) => maps.restore(log, part, hash, key, entry, stored),
            Some(Kept::Elsewhere) => unreachable!("state that is not keyed has no row"),
        }
        Ok(())
    }

    /// The hash of a record's key, where the record can be what its state says; `stamped`: its value begins with a stamp.
    fn checked_hash(&self, number: u16, stamped: bool, record: &FileRecord<'_>) -> Result<u64, StateError> {
        let hash = key_hash(record.key);
        if self.naming.header().max.key_group(hash) != record.group {
            return Err(corrupt(record, "a key stands under a key group that is not its own"));
        }
        let Some(value) = record.value.get(if stamped { STAMP_BYTES } else { 0 }..) else {
            return Err(corrupt(record, "a value is shorter than its stamp"));
        };
        let state = number.checked_sub(1).map(|state| &self.states[usize::from(state)]);
        let is_sound = |bundle: Bundle| bundle.is_sound(value);
        if matches!(state, Some(Kept::Lists(_))) && !Bundle::under(record.entry).is_some_and(is_sound) {
            return Err(corrupt(record, "what stands in a list is no bundle of elements"));
        }
        Ok(hash)
    }
}

fn corrupt(record: &FileRecord<'_>, what: &str) -> StateError {
    let message = format!("checkpoint file, key group {}: {what}", record.group.0);
    StateError { fault: Fault::Corrupt, message }
}
