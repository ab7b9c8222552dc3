//! Values of older versions, rewritten while state is restored.
//!
//! Receives what a checkpoint holds of a state in an older form; guarantees that the operator is only ever given values
//! in the form that it declares, or that nothing is restored and the reason names state, key, old, new and the mend. What
//! was rewritten is written like any other change, so the next checkpoint holds it under its new version, and until then
//! nothing durable has changed. Keys, and the keys of maps' entries, are never rewritten. Does not own which change is a
//! conflict ([`weir_protocol::evolution`]).

use std::ops::Range;

use weir_operator::batch::BytesColumn;
use weir_operator::keyed_state::StateError;
use weir_operator::migrator::Migrator;
use weir_operator::operator::CallError;
use weir_protocol::Fault;
use weir_protocol::description::StateDescription;
use weir_protocol::evolution::{Change, Conflict, HeldState};
use weir_protocol::job_spec::LimitSpec;

/// Values handed over at once, at most.
const VALUES_MAX: usize = 4_096;
/// Bytes handed over at once, unless one value has more.
const BYTES_MAX: u64 = 1 << 20;
/// What is rewritten may be so many times as long, before it passes what a call may emit.
const LONGER_MAX: u64 = 8;

/// What rewrites the values of one subtask, if anything does.
#[derive(Default)]
pub struct Migration {
    migrator: Option<Box<dyn Migrator>>,
    bytes_max: u64,
    rewritten: u64,
}

/// Why state cannot be restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// A file cannot be read, or does not verify.
    #[error(transparent)]
    File(StateError),
    /// It cannot be held.
    #[error(transparent)]
    State(#[from] StateError),
    /// It is not what the operator declares, and cannot be made that.
    #[error("{message}")]
    Migration {
        /// Who must act.
        fault: Fault,
        /// What is wrong.
        message: String,
    },
}

impl RestoreError {
    /// Where nothing is migrated, and it does not matter which it is.
    pub(super) fn into_state_error(self) -> StateError {
        match self {
            Self::File(error) | Self::State(error) => error,
            Self::Migration { fault, message } => StateError { fault, message },
        }
    }
}

impl From<Conflict> for RestoreError {
    fn from(conflict: Conflict) -> Self {
        Self::Migration { fault: conflict.fault(), message: conflict.to_string() }
    }
}

impl Migration {
    /// By the operator's migrator, where it has one.
    #[must_use]
    pub fn new(migrator: Option<Box<dyn Migrator>>, limits: &LimitSpec) -> Self {
        let bytes_max = (limits.emitted_bytes_max / LONGER_MAX).min(BYTES_MAX);
        Self { migrator, bytes_max, rewritten: 0 }
    }

    /// How many values were rewritten.
    #[must_use]
    pub const fn rewritten(&self) -> u64 {
        self.rewritten
    }

    /// The version from which values that are held like this must be rewritten; `None`: they are what is declared.
    pub(super) fn older_version(&self, held: &HeldState, declared: &StateDescription) -> Result<Option<u32>, Conflict> {
        match held.change(declared, self.migrator.is_some())? {
            Change::Migrated { from } => Ok(Some(from)),
            Change::Kept | Change::Added | Change::Dropped => Ok(None),
        }
    }

    /// Whether so many values of so many bytes are enough for a call.
    pub(super) fn is_enough(&self, values: &BytesColumn) -> bool {
        values.len() >= VALUES_MAX || values.data.len() as u64 >= self.bytes_max
    }

    /// Rewrites values, of which there are not many more than [enough](Self::is_enough); `place` says where one stands,
    /// should it be the one that cannot be rewritten.
    pub(super) fn rewrite(
        &mut self,
        state: &StateDescription,
        from_version: u32,
        values: &BytesColumn,
        place: impl Fn(usize) -> String,
    ) -> Result<BytesColumn, RestoreError> {
        let migrator = self.migrator.as_deref_mut().expect("without a migrator, an older version is a conflict");
        let error = match migrator.migrate(&state.name, from_version, values) {
            Ok(rewritten) => {
                self.rewritten += values.len() as u64;
                return Ok(rewritten);
            }
            Err(error) => error,
        };
        let (error, what) = match culprit(migrator, &state.name, from_version, values) {
            Some((index, error)) => (error, place(index)),
            None => (error, format!("{} values together, the first of {}", values.len(), place(0))),
        };
        Err(RestoreError::Migration {
            fault: error.fault(),
            message: format!(
                "state `{}` cannot be migrated from version {from_version} to version {}: {what}: {error}",
                state.name, state.version
            ),
        })
    }

    /// Rewrites any number of values that are held as such.
    pub(super) fn rewrite_all<'a>(
        &mut self,
        state: &StateDescription,
        from_version: u32,
        values: impl Iterator<Item = &'a [u8]>,
        place: impl Fn(usize) -> String,
    ) -> Result<BytesColumn, RestoreError> {
        let (mut all, mut some) = (BytesColumn::default(), BytesColumn::default());
        let mut values = values.peekable();
        while let Some(value) = values.next() {
            some.push(value);
            if values.peek().is_none() || self.is_enough(&some) {
                let place = |index: usize| place(all.len() + index);
                self.rewrite(state, from_version, &some, place)?.iter().for_each(|value| all.push(value));
                some.clear();
            }
        }
        Ok(all)
    }
}

/// The first value that cannot be rewritten on its own, and why; `None`: each can. Halves what fails, so a call that
/// failed is followed by few others.
fn culprit(
    migrator: &mut dyn Migrator,
    state: &str,
    from_version: u32,
    values: &BytesColumn,
) -> Option<(usize, CallError)> {
    let mut fails = |range: Range<usize>| {
        let some: BytesColumn = range.map(|index| values.get(index)).collect();
        migrator.migrate(state, from_version, &some).err()
    };
    let (mut start, mut end) = (0, values.len());
    while end - start > 1 {
        let middle = start + (end - start) / 2;
        if fails(start..middle).is_some() {
            end = middle;
        } else {
            start = middle;
        }
    }
    fails(start..end).map(|error| (start, error))
}

impl std::fmt::Debug for Migration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Migration").field("rewritten", &self.rewritten).finish_non_exhaustive()
    }
}
