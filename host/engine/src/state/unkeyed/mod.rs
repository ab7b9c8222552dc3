//! State of one subtask that belongs to no key: operator lists and broadcast maps, all in memory.
//!
//! Receives what calls wrote, whole; guarantees that [`UnkeyedStore::freeze`] copies nothing (a map that is frozen is
//! copied by the first write after that, its entries are not), and that a snapshot restores to the same state, or is
//! dealt out anew where the parallelism is another one. Who then gets what is decided by
//! [`weir_protocol::redistribution`]. Does not own when a barrier comes, nor where snapshots are stored.

mod format;
mod look;
mod restore;

#[cfg(test)]
mod tests;

use bytes::Bytes;
use weir_operator::keyed_state::{StateError, StateId};
use weir_operator::unkeyed_state::{UnkeyedState, UnkeyedValue, UnkeyedWrites};
use weir_protocol::Fault;
use weir_protocol::description::{StateDescription, StateKind};
use weir_protocol::evolution::HeldState;

use crate::metrics::StateSize;

pub use look::{UnkeyedRow, unkeyed_rows};

/// What one subtask holds for no key, and what a checkpoint has to know of it.
#[derive(Debug, Default)]
pub struct UnkeyedStore {
    /// By [`StateId`]: how its state stands in snapshots. `None`: it is keyed, and kept elsewhere.
    named: Vec<Option<Named>>,
    /// Lent to a turn for the length of its calls.
    state: UnkeyedState,
    /// What was restored and is not declared any more: it goes on from snapshot to snapshot.
    undeclared: Vec<Row>,
    has_changed: bool,
}

/// How a state is known in snapshots.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Named {
    name: String,
    kind: StateKind,
    /// The version of the encoding of its values.
    version: u32,
    codec: String,
}

/// One state of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    named: Named,
    value: UnkeyedValue,
}

/// All of it at one barrier: immutable, and free of the task that wrote it.
#[derive(Debug, Clone)]
pub struct FrozenUnkeyed {
    rows: Vec<Row>,
    bytes: u64,
}

impl UnkeyedStore {
    /// No state yet, for the declared states whose index is their [`StateId`].
    #[must_use]
    pub fn new(states: &[StateDescription]) -> Self {
        Self { named: states.iter().map(Named::of).collect(), ..Self::default() }
    }

    /// What is committed, to read.
    #[must_use]
    pub const fn state(&self) -> &UnkeyedState {
        &self.state
    }

    /// How much each state holds, by name.
    pub fn sizes(&self) -> impl Iterator<Item = (&str, StateSize)> {
        let named = (0..).zip(&self.named).filter_map(|(state, named)| Some((StateId(state), named.as_ref()?)));
        named.map(|(state, named)| {
            let (bytes, entries) = self.state.size(state);
            (named.name.as_str(), StateSize { bytes, entries, oldest: None })
        })
    }

    /// Hands the state to a turn, until [`take_back`](Self::take_back).
    pub fn lend(&mut self) -> UnkeyedState {
        std::mem::take(&mut self.state)
    }

    /// Takes back what was lent.
    pub fn take_back(&mut self, state: UnkeyedState) {
        self.state = state;
    }

    /// Makes visible what a call wrote, in the state that was lent.
    pub fn commit(&mut self, lent: &mut UnkeyedState, writes: UnkeyedWrites) {
        self.has_changed |= !writes.is_empty();
        lent.commit(writes);
    }

    /// All there is, for a snapshot; `None` when nothing was written since the last one.
    pub fn freeze(&mut self) -> Option<FrozenUnkeyed> {
        if !std::mem::take(&mut self.has_changed) {
            return None;
        }
        let row = |(state, value): (StateId, &UnkeyedValue)| {
            let named = self.named[state.0 as usize].clone().expect("a handle of a keyed state writes elsewhere");
            Row { named, value: value.clone() }
        };
        let rows = self.state.iter().map(row).chain(self.undeclared.iter().cloned()).collect();
        Some(FrozenUnkeyed { rows, bytes: self.state.bytes() })
    }
}

impl FrozenUnkeyed {
    /// The bytes of memory that it holds, or shares with the store.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether there is no state at all.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// As a snapshot. Takes time in proportion to its size.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        format::encode(&self.rows)
    }
}

impl Named {
    fn as_held(&self) -> HeldState {
        let Self { name, kind, version, codec } = self.clone();
        HeldState { name, kind, codec, version }
    }

    fn of(state: &StateDescription) -> Option<Self> {
        match state.kind {
            StateKind::KeyedValue | StateKind::KeyedList | StateKind::KeyedMap => None,
            StateKind::OperatorSplit | StateKind::OperatorUnion | StateKind::Broadcast => Some(Self {
                name: state.name.clone(),
                kind: state.kind,
                version: state.version,
                codec: state.codec.clone(),
            }),
        }
    }
}

fn corrupt(message: impl std::fmt::Display) -> StateError {
    StateError { fault: Fault::Corrupt, message: format!("snapshot of state that belongs to no key: {message}") }
}
