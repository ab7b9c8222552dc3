//! From checkpoint files back to state.
//!
//! Goes record by record, in the files' order, so that no more than the state itself has to fit into memory; where a
//! state has outgrown that, what is restored leaves for the disk meanwhile. What has to be written again (values of an
//! older version, values that had no stamp) belongs to the epoch that begins here, and is handed over in segments where
//! it alone would fill the memory.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use weir_operator::batch::BytesColumn;
use weir_operator::keyed_state::StateError;
use weir_protocol::Fault;
use weir_protocol::description::StateDescription;
use weir_protocol::evolution::{Conflict, HeldState};
use weir_protocol::key_group::{KeyGroup, KeyGroupRange, MaxParallelism, key_hash};
use weir_protocol::time::Timestamp;

use super::file::{FileRecord, FileSlice, Merge, RecordKind, StateRow};
use super::frozen::Naming;
use super::kept::Kept;
use super::limits::Growth;
use super::log::Part;
use super::migration::{Migration, RestoreError};
use super::stamp::{join, split};
use super::timers::Timer;
use super::{FrozenSegment, SubtaskState};

/// After so much was restored, room is made.
const ROOM_BYTES: u64 = 64 << 10;

/// How far a restore has come.
#[derive(Debug)]
pub enum Progress {
    /// There is more. What was closed meanwhile belongs to the next checkpoint.
    More(Option<FrozenSegment>),
    /// All is restored.
    Done,
}

/// State that is being restored.
#[derive(Debug)]
pub struct Restoring {
    /// `None`: there is nothing to restore.
    merge: Option<Merge>,
    taking: Taking,
}

/// What becomes of the records.
#[derive(Debug)]
struct Taking {
    state: SubtaskState,
    /// By the row of the merged files.
    rows: Vec<Row>,
    migration: Migration,
    /// By the record's state: what is not rewritten yet.
    old: BTreeMap<u16, Old>,
    /// What counts as the time of the last write, where none is stored.
    now: Timestamp,
    /// Whether segments are closed where the epoch alone would fill the memory.
    in_segments: bool,
    scratch: Vec<u8>,
}

/// What a row of the files is to the operator.
#[derive(Debug)]
enum Row {
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

/// Values of one state that wait to be rewritten.
#[derive(Debug, Default)]
struct Old {
    version: u32,
    groups: Vec<KeyGroup>,
    keys: BytesColumn,
    entries: BytesColumn,
    stamps: Vec<Option<Timestamp>>,
    values: BytesColumn,
}

impl SubtaskState {
    /// The state that these files, oldest first, hold for the key groups of this subtask. States are found by name. One
    /// that is not declared any more is left out, and stays in the files. What is stored without a stamp, but has a time
    /// to live now, counts as written at `now`: the processing time, which has not gone back since the files were written.
    /// Takes about a microsecond a record: not for a thread that must not block.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] where a file does not verify; [`Fault::Request`] where a state is declared with another kind,
    /// codec or version, or the maximum parallelism is another one.
    pub fn restore(
        states: &[StateDescription],
        max: MaxParallelism,
        key_groups: KeyGroupRange,
        files: &[FileSlice],
        now: Timestamp,
    ) -> Result<Self, StateError> {
        Self::new(states, max, key_groups)?.restored(files, now)
    }

    /// The same for a state that holds nothing yet, within the memory that it may use.
    ///
    /// # Errors
    /// As [`restore`](Self::restore); and [`Fault::Unavailable`] when the local disk failed.
    pub fn restored(self, files: &[FileSlice], now: Timestamp) -> Result<Self, StateError> {
        let restored = || {
            let mut restoring = self.restoring(files, Migration::default(), now)?;
            restoring.taking.in_segments = false;
            while let Progress::More(_) = restoring.step()? {}
            Ok(restoring.finish().0)
        };
        restored().map_err(RestoreError::into_state_error)
    }

    /// Begins the same, where values of older versions are rewritten.
    ///
    /// # Errors
    /// As [`restored`](Self::restored).
    pub fn restoring(
        self,
        files: &[FileSlice],
        migration: Migration,
        now: Timestamp,
    ) -> Result<Restoring, RestoreError> {
        let (old, scratch) = (BTreeMap::new(), Vec::new());
        let mut taking = Taking { state: self, rows: Vec::new(), migration, old, now, in_segments: true, scratch };
        if files.is_empty() {
            return Ok(Restoring { merge: None, taking });
        }
        let naming = &taking.state.naming;
        let mut merge = Merge::open(files, naming.header().key_groups)?;
        check_max(merge.header().max, naming.header().max)?;
        let rows = merge.header().rows.iter().map(|row| Row::of(row, naming, &taking.migration));
        taking.rows = rows.collect::<Result<_, _>>()?;
        merge.begin(None)?;
        Ok(Restoring { merge: Some(merge), taking })
    }
}

fn check_max(held: MaxParallelism, wanted: MaxParallelism) -> Result<(), StateError> {
    if held == wanted {
        return Ok(());
    }
    let message = format!(
        "the checkpoint was taken with maximum parallelism {}, the job has {}; it cannot be changed",
        held.get(),
        wanted.get()
    );
    Err(StateError { fault: Fault::Request, message })
}

impl Restoring {
    /// Goes on until user code has rewritten some values, until a segment was closed, or until all is restored: about a
    /// microsecond a record.
    ///
    /// # Errors
    /// [`RestoreError`]; then the state is worth nothing.
    pub fn step(&mut self) -> Result<Progress, RestoreError> {
        let Self { merge, taking } = self;
        if let Some(merging) = merge {
            if merging.go_on(true, |record| taking.take(&record))?.is_break() {
                return Ok(taking.pause());
            }
            *merge = None;
        }
        if let Some((&number, _)) = taking.old.first_key_value() {
            taking.rewrite(number)?;
            return Ok(taking.pause());
        }
        taking.state.make_room_here()?;
        Ok(Progress::Done)
    }

    /// What was restored, once that is done; and what rewrote values, for what else is restored.
    #[must_use]
    pub fn finish(self) -> (SubtaskState, Migration) {
        (self.taking.state, self.taking.migration)
    }
}

impl Row {
    /// # Errors
    /// Where another kind is declared: files of both would not merge.
    fn of(row: &StateRow, naming: &Naming, migration: &Migration) -> Result<Self, Conflict> {
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
    fn pause(&mut self) -> Progress {
        Progress::More(if self.in_segments { self.state.freeze_early(self.now) } else { None })
    }

    /// Breaks off where values were rewritten, or where a segment should be closed.
    fn take(&mut self, record: &FileRecord<'_>) -> Result<ControlFlow<()>, RestoreError> {
        let before = self.migration.rewritten();
        match self.rows[usize::from(record.row)] {
            Row::Undeclared => return Ok(ControlFlow::Continue(())),
            Row::Unfit(ref conflict) => return Err(conflict.clone().into()),
            Row::Timers => self.state.take_in(0, Part::Clean, record)?,
            Row::Declared { number, stamped } => {
                // What stands before it comes before it: elements of a list are taken in in order.
                if !self.old.is_empty() {
                    self.rewrite(number)?;
                }
                self.take_declared(number, stamped, record)?;
            }
            Row::Older { number, stamped, version } => self.keep_old(number, stamped, version, record)?,
        }
        let is_large = self.make_room()?;
        let is_over = is_large || self.migration.rewritten() > before;
        Ok(if is_over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    fn take_declared(&mut self, number: u16, stamped: bool, record: &FileRecord<'_>) -> Result<(), StateError> {
        let (stored, part) = match (self.state.life_of(number), stamped) {
            (Some(_), true) | (None, false) => (record.value, Part::Clean),
            (None, true) => (split(record.value).1, Part::Clean),
            // Written again, so that the next restore finds this stamp.
            (Some(_), false) => (join(self.now, record.value, &mut self.scratch), Part::Open),
        };
        self.state.take_in(number, part, &FileRecord { value: stored, ..*record })
    }

    fn keep_old(
        &mut self,
        number: u16,
        stamped: bool,
        version: u32,
        record: &FileRecord<'_>,
    ) -> Result<(), RestoreError> {
        if self.old.get(&number).is_some_and(|old| old.version != version) {
            self.rewrite(number)?;
        }
        let (stamp, value) = if stamped {
            let (stamp, value) = split(record.value);
            (Some(stamp), value)
        } else {
            (None, record.value)
        };
        let old = self.old.entry(number).or_insert_with(|| Old { version, ..Old::default() });
        old.groups.push(record.group);
        old.keys.push(record.key);
        old.entries.push(record.entry);
        old.stamps.push(stamp);
        old.values.push(value);
        if self.migration.is_enough(&old.values) {
            self.rewrite(number)?;
        }
        Ok(())
    }

    /// Rewrites what waits of a state, and takes it in as a write of the epoch that begins.
    fn rewrite(&mut self, number: u16) -> Result<(), RestoreError> {
        let Some(old) = self.old.remove(&number) else { return Ok(()) };
        let declared = self.state.naming.state(number);
        let rewritten = self.migration.rewrite(declared, old.version, &old.values)?;
        let life = self.state.life_of(number);
        for (index, value) in rewritten.iter().enumerate() {
            let value = match life {
                Some(_) => join(old.stamps[index].unwrap_or(self.now), value, &mut self.scratch),
                None => value,
            };
            let (group, key, entry) = (old.groups[index], old.keys.get(index), old.entries.get(index));
            let mut growth = Growth::default();
            growth.add(key.len(), entry.len(), Some(value.len()))?;
            growth.check_room(&self.state.log)?;
            let record = FileRecord { group, row: 0, kind: RecordKind::Put, key, entry, value };
            self.state.take_in(number, Part::Open, &record)?;
        }
        Ok(())
    }

    /// Now and then, what is restored leaves for the disk. Whether a segment should be closed first.
    fn make_room(&mut self) -> Result<bool, StateError> {
        let state = &mut self.state;
        if state.log.appended() - state.cleaner.appended() <= ROOM_BYTES {
            return Ok(false);
        }
        state.make_room_here()?;
        state.cleaner.caught_up(&state.log);
        Ok(self.in_segments && state.is_epoch_large())
    }
}

impl SubtaskState {
    fn take_in(&mut self, number: u16, part: Part, record: &FileRecord<'_>) -> Result<(), StateError> {
        let (key, entry, stored) = (record.key, record.entry, record.value);
        let hash = key_hash(key);
        if self.naming.header().max.key_group(hash) != record.group {
            return Err(corrupt(record, "a key stands under a key group that is not its own"));
        }
        let log = &mut self.log;
        match number.checked_sub(1).map(|state| &mut self.states[usize::from(state)]) {
            None => match Timer::from_record(key, entry) {
                Some(timer) => self.timers.restore(log, timer),
                None => return Err(corrupt(record, "a timer's entry is not 13 bytes that begin with 0 or 1")),
            },
            Some(Kept::Values(values)) => values.restore(log, part, hash, key, stored),
            Some(Kept::Lists(lists)) => {
                if !lists.restore(log, part, (hash, key, entry), stored) {
                    return Err(corrupt(record, "an element of a list stands under no position of 8 bytes"));
                }
            }
            Some(Kept::Maps(maps)) => maps.restore(log, part, hash, key, entry, stored),
            Some(Kept::Elsewhere) => unreachable!("state that is not keyed has no row"),
        }
        Ok(())
    }
}

fn corrupt(record: &FileRecord<'_>, what: &str) -> StateError {
    let message = format!("checkpoint files, key group {}: {what}", record.group.0);
    StateError { fault: Fault::Corrupt, message }
}
