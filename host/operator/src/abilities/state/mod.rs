//! State that the host keeps for the operator: handles, and reads that see the call's own writes.
//!
//! A handle is made in `open` from a declared name; every other ability here takes one. One file a kind of state.

mod broadcast;
mod list;
mod map;
mod operator;
mod value;

pub use list::Lists;

use weir_protocol::description::StateKind;

use super::{Abilities, Violation};
use crate::keyed_state::{Fetch, Fetched, KeyedState, Read, StateId, Writes};

/// Handles that one instance may hold at once.
const HANDLES_MAX: u32 = 1_024;

/// What a written entry costs of the limit beside its bytes.
const ENTRY_BYTES: usize = 16;

/// Values that are read between two looks at how many bytes they have, where some may be read more than once.
const READ_AT_ONCE: usize = 8;

/// A handle of a value state: one value per key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValueState(pub(crate) StateId);

/// A handle of a list state: an append-only list per key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListState(pub(crate) StateId);

/// A handle of a map state: an ordered map per key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MapState(pub(crate) StateId);

/// A handle of an operator state: a list of the subtask's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperatorState(pub(crate) StateId);

/// A handle of a broadcast state: a map that is the same on every subtask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BroadcastState(pub(crate) StateId);

impl Abilities {
    /// A handle of a declared value state.
    ///
    /// # Errors
    /// Outside `open`; an undeclared name; another kind; too many handles.
    pub fn value_state(&mut self, name: &str) -> Result<ValueState, Violation> {
        self.open_state(name, &[StateKind::KeyedValue]).map(ValueState)
    }

    /// A handle of a declared list state.
    ///
    /// # Errors
    /// Outside `open`; an undeclared name; another kind; too many handles.
    pub fn list_state(&mut self, name: &str) -> Result<ListState, Violation> {
        self.open_state(name, &[StateKind::KeyedList]).map(ListState)
    }

    /// A handle of a declared map state.
    ///
    /// # Errors
    /// Outside `open`; an undeclared name; another kind; too many handles.
    pub fn map_state(&mut self, name: &str) -> Result<MapState, Violation> {
        self.open_state(name, &[StateKind::KeyedMap]).map(MapState)
    }

    /// A handle of a declared operator state, split or union.
    ///
    /// # Errors
    /// Outside `open`; an undeclared name; another kind; too many handles.
    pub fn operator_state(&mut self, name: &str) -> Result<OperatorState, Violation> {
        self.open_state(name, &[StateKind::OperatorSplit, StateKind::OperatorUnion]).map(OperatorState)
    }

    /// A handle of a declared broadcast state.
    ///
    /// # Errors
    /// Outside `open`; an undeclared name; another kind; too many handles.
    pub fn broadcast_state(&mut self, name: &str) -> Result<BroadcastState, Violation> {
        self.open_state(name, &[StateKind::Broadcast]).map(BroadcastState)
    }

    /// A handle was dropped.
    pub(crate) fn drop_handle(&mut self) {
        self.handles = self.handles.saturating_sub(1);
    }

    fn open_state(&mut self, name: &str, kinds: &[StateKind]) -> Result<StateId, Violation> {
        self.in_open("making a state handle")?;
        let states = &self.description.states;
        let Some(index) = states.iter().position(|state| state.name == name) else {
            let declared: Vec<_> = states.iter().map(|state| format!("`{}`", state.name)).collect();
            let declared = if declared.is_empty() { "none".to_owned() } else { declared.join(", ") };
            return Err(Violation::rule(format!(
                "the state `{name}` is not declared; `describe` declares {declared}; declare it there"
            )));
        };
        let declared = states[index].kind;
        if !kinds.contains(&declared) {
            let kinds: Vec<_> = kinds.iter().copied().map(StateKind::name).collect();
            return Err(Violation::rule(format!(
                "the state `{name}` is declared as {}, not as {}",
                declared.name(),
                kinds.join(" or ")
            )));
        }
        if self.handles == HANDLES_MAX {
            return Err(Violation::Limit(format!(
                "an instance holds at most {HANDLES_MAX} state handles; make each once, in `open`"
            )));
        }
        self.handles += 1;
        Ok(StateId(u32::try_from(index).expect("admission bounds the number of states")))
    }

    /// What must come from disk before a read. `None` also where the read is not allowed: it says so itself.
    pub(crate) fn fetch(&mut self, read: &Read<'_>) -> Result<Option<Box<dyn Fetch>>, Violation> {
        let keys = match read {
            Read::Values(_, keys) => keys.unwrap_or_default(),
            Read::Lists(_, keys) | Read::Entries(_, keys, _) => keys,
            Read::Scan(_, key, _) => std::slice::from_ref(key),
        };
        if self.in_keyed("a read").is_err() || self.check_keys("a read", keys).is_err() {
            return Ok(None);
        }
        match self.call.state.as_deref_mut() {
            Some(state) => Ok(state.fetch(read)?),
            None => Ok(None),
        }
    }

    /// Hands what was fetched to the state.
    pub(crate) fn supply(&mut self, fetched: Fetched) -> Result<(), Violation> {
        match self.call.state.as_deref_mut() {
            Some(state) => Ok(state.supply(fetched)?),
            None => Ok(()),
        }
    }

    /// Brings what is about to be read into memory, unless the imports did.
    fn bring(&mut self, read: &Read<'_>) -> Result<(), Violation> {
        if self.waits
            && let Some(fetch) = self.fetch(read)?
        {
            self.supply(fetch.now())?;
        }
        Ok(())
    }

    /// What is committed, and what the call wrote.
    fn keyed(&mut self, ability: &str) -> Result<(&mut dyn KeyedState, &mut Writes), Violation> {
        self.in_keyed(ability)?;
        let Some(state) = self.call.state.as_deref_mut() else {
            return Err(Violation::rule(format!("{ability}: this operator was given no keyed state")));
        };
        Ok((state, &mut self.call.effects.writes))
    }
}
