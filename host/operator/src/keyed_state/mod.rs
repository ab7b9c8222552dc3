//! The state that the host keeps for an operator, as the operator's side sees it.
//!
//! [`KeyedState`] is what a state backend supplies: the engine's log, the plain map of a test tool, later Flink's own
//! backends. It only ever sees committed state: what a call wrote is staged in its [`Writes`] (which the import layer
//! overlays on reads) and handed over whole with [`KeyedState::commit`] once the call has returned ok.

use weir_protocol::Fault;
use weir_protocol::time::Timestamp;

use crate::batch::{BytesColumn, Keys, OptionalColumn};
use crate::turn::{FiredTimers, TimerChange};

mod entry_writes;
mod fetch;
mod key_writes;
mod plain;
pub mod short;
mod writes;

pub use entry_writes::EntryWrites;
pub use fetch::{Fetch, Fetched, Read};
pub use key_writes::KeyWrites;
pub use plain::PlainState;
pub use writes::{Inline, ListWrite, MapWrite, StateWrites, ValueWrites, Writes};

/// Which of an operator's declared states: the index into `states` of its description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateId(pub u32);

/// Keyed state of one subtask.
///
/// All key indices point into the [`Keys`] given to the last [`select`](Self::select); callers check them. Reads append
/// to what they are given, in the order asked for. A read sees everything committed and nothing else.
///
/// Where a state has a time to live, all reads since the last `select`, and the `commit` behind them, mean the time that
/// was given to it: reads leave out what had expired (or may still see it, as declared); what is committed, and what was
/// read where that refreshes it, is stamped with it. Reads that no commit follows refresh nothing.
pub trait KeyedState: std::any::Any + Send {
    /// Makes a batch's keys the ones that indices mean, and `now` the processing time of the call. It never goes back.
    ///
    /// # Errors
    /// [`StateError`]; then nothing is selected.
    fn select(&mut self, keys: &Keys, now: Timestamp) -> Result<(), StateError>;

    /// Appends the value of each of `keys`, missing where there is none.
    ///
    /// # Errors
    /// [`StateError`]; what was appended is to be thrown away.
    fn values(&mut self, state: StateId, keys: &[u32], into: &mut OptionalColumn) -> Result<(), StateError>;

    /// Appends the list of `key`, oldest first.
    ///
    /// # Errors
    /// [`StateError`]; what was appended is to be thrown away.
    fn list(&mut self, state: StateId, key: u32, into: &mut BytesColumn) -> Result<(), StateError>;

    /// Appends the value of entry `entries[i]` of the map of `keys[i]`, missing where there is none.
    ///
    /// # Errors
    /// [`StateError`]; what was appended is to be thrown away.
    fn entries(
        &mut self,
        state: StateId,
        keys: &[u32],
        entries: &BytesColumn,
        into: &mut OptionalColumn,
    ) -> Result<(), StateError>;

    /// Appends up to `limit` entries of the map of `key`, in byte order of the entries' keys.
    ///
    /// # Errors
    /// [`StateError`]; what was appended is to be thrown away.
    fn scan(&mut self, state: StateId, key: u32, range: EntryRange<'_>, into: &mut Entries) -> Result<(), StateError>;

    /// Whether the map of `key` has no entry. It is announced as a [`Read::Scan`] of one entry.
    ///
    /// # Errors
    /// [`StateError`].
    fn is_empty(&mut self, state: StateId, key: u32) -> Result<bool, StateError> {
        let mut first = Entries::default();
        self.scan(state, key, EntryRange { start: None, end: None, limit: 1 }, &mut first)?;
        Ok(first.entries.is_empty())
    }

    /// What must come from disk before this read, if anything must. Without asking, a read of what is not in memory finds
    /// nothing.
    ///
    /// # Errors
    /// [`StateError`].
    fn fetch(&mut self, _read: &Read<'_>) -> Result<Option<Box<dyn Fetch>>, StateError> {
        Ok(None)
    }

    /// Takes in what a fetch of this state found; no other keys were selected meanwhile, and nothing was committed.
    ///
    /// # Errors
    /// What kept the fetch from reading.
    fn supply(&mut self, _fetched: Fetched) -> Result<(), StateError> {
        Ok(())
    }

    /// What must come from disk before what a call did can be committed: the sizes of what it writes over, and which of its
    /// timers are registered already. Without asking, what is written over unread stays in the count of what is held.
    ///
    /// # Errors
    /// [`StateError`].
    fn fetch_overwritten(
        &mut self,
        _writes: &Writes,
        _timers: &[TimerChange],
    ) -> Result<Option<Box<dyn Fetch>>, StateError> {
        Ok(None)
    }

    /// Whether what a call did may be committed as far as the subtask is concerned; and by how many bytes it makes what is
    /// held larger, at most. `fired` are the timers that it was called for.
    ///
    /// # Errors
    /// [`StateError`]; with [`Fault::Guest`] it is too much, and the call is to be undone.
    fn admit(
        &mut self,
        _writes: &Writes,
        _timers: &[TimerChange],
        _fired: Option<&FiredTimers>,
    ) -> Result<u64, StateError> {
        Ok(0)
    }

    /// By how many bytes what a call did makes what is held larger (or smaller), exactly. Costs a look at each key that was written.
    fn growth(&mut self, _writes: &Writes, _timers: &[TimerChange], _fired: Option<&FiredTimers>) -> i64 {
        0
    }

    /// Makes everything that one call wrote visible, together.
    ///
    /// # Errors
    /// [`StateError`]; then the state is unusable, and the subtask must be restored.
    fn commit(&mut self, writes: &Writes) -> Result<(), StateError>;
}

/// Which entries of a map a scan wants.
#[derive(Debug, Clone, Copy)]
pub struct EntryRange<'a> {
    /// The first, included; `None`: from the beginning.
    pub start: Option<&'a [u8]>,
    /// The last, excluded; `None`: to the end.
    pub end: Option<&'a [u8]>,
    /// How many at most.
    pub limit: usize,
}

/// Entries of a map, and whether the range holds more.
#[derive(
    Debug,
    Clone,
    Default,
    PartialEq,
    Eq,
    wasmtime::component::ComponentType,
    wasmtime::component::Lift,
    wasmtime::component::Lower,
)]
#[component(record)]
pub struct Entries {
    /// Their keys, in byte order.
    pub entries: BytesColumn,
    /// Their values.
    pub values: BytesColumn,
    /// Whether the range holds entries behind these.
    pub more: bool,
}

impl Entries {
    /// Makes room for so many more, and for so many bytes of their keys, and of their values.
    pub fn reserve(&mut self, entries: usize, bytes: usize) {
        for column in [&mut self.entries, &mut self.values] {
            column.offsets.reserve(entries);
            column.data.reserve(bytes);
        }
    }
}

/// Why state cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct StateError {
    /// Who must act.
    pub fault: Fault,
    /// What is wrong.
    pub message: String,
}
