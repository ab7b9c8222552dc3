//! From checkpoint files back to state.
//!
//! Goes record by record, in the files' order, in steps between which it can be left. What has to be written again is
//! handed over in segments where it alone would fill the memory. Does not own what becomes of a record
//! ([`taking`](super::taking)).

use weir_operator::keyed_state::StateError;
use weir_protocol::Fault;
use weir_protocol::description::StateDescription;
use weir_protocol::key_group::{KeyGroupRange, MaxParallelism};
use weir_protocol::time::Timestamp;

use super::file::{self, FileSlice, Merge, Reader};
use super::migration::{Migration, RestoreError};
use super::taking::{Row, Taking};
use super::{FrozenSegment, SubtaskState};

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
        self.restored_from(file::open(files)?, now)
    }

    /// The same from files that are open, which may lie elsewhere.
    ///
    /// # Errors
    /// As [`restored`](Self::restored); and [`Fault::Unavailable`] when a file cannot be read.
    pub fn restored_from(self, files: Vec<(Reader, KeyGroupRange)>, now: Timestamp) -> Result<Self, StateError> {
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
    /// As [`restored_from`](Self::restored_from).
    pub fn restoring(
        self,
        files: Vec<(Reader, KeyGroupRange)>,
        migration: Migration,
        now: Timestamp,
    ) -> Result<Restoring, RestoreError> {
        let mut taking = Taking::new(self, migration, now);
        if files.is_empty() {
            return Ok(Restoring { merge: None, taking });
        }
        let naming = &taking.state.naming;
        let mut merge = Merge::of(files, naming.header().key_groups).map_err(RestoreError::File)?;
        check_max(merge.header().max, naming.header().max)?;
        let rows = merge.header().rows.iter().map(|row| Row::of(row, naming, &taking.migration));
        taking.rows = rows.collect::<Result<_, _>>()?;
        merge.begin(None).map_err(RestoreError::File)?;
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
    /// Goes on until some mebibytes were taken, user code has rewritten some values, or a segment was closed; or until all
    /// is restored. About a microsecond a record.
    ///
    /// # Errors
    /// [`RestoreError`]; then the state is worth nothing.
    pub fn step(&mut self) -> Result<Progress, RestoreError> {
        let Self { merge, taking } = self;
        if let Some(merging) = merge {
            match merging.go_on(true, |record| taking.take(&record).map_err(Stopped::Taking)) {
                Ok(went) if went.is_break() => return Ok(taking.pause()),
                Ok(_) => {}
                Err(stopped) => return Err(stopped.at(merging)),
            }
            *merge = None;
        }
        if taking.rewrite_some()? {
            return Ok(taking.pause());
        }
        taking.state.settle_restored();
        taking.state.make_room_here()?;
        taking.finish_straight()?;
        Ok(Progress::Done)
    }

    /// What was restored, once that is done; and what rewrote values, for what else is restored.
    #[must_use]
    pub fn finish(self) -> (SubtaskState, Migration) {
        (self.taking.state, self.taking.migration)
    }
}

/// Why no further record was taken.
enum Stopped {
    /// The files.
    Reading(StateError),
    /// What they hold.
    Taking(RestoreError),
}

impl From<StateError> for Stopped {
    fn from(error: StateError) -> Self {
        Self::Reading(error)
    }
}

impl Stopped {
    /// Of a record that cannot be what it says, the file is to blame.
    fn at(self, merge: &Merge) -> RestoreError {
        match self {
            Self::Reading(error) => RestoreError::File(error),
            Self::Taking(RestoreError::State(error)) if error.fault == Fault::Corrupt => {
                RestoreError::File(merge.named(error))
            }
            Self::Taking(error) => error,
        }
    }
}
