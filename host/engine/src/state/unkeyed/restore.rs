//! From snapshots back to state, dealt out anew where the parallelism is another one.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use weir_operator::batch::BytesColumn;
use weir_operator::keyed_state::{StateError, StateId};
use weir_operator::unkeyed_state::UnkeyedValue;
use weir_protocol::Fault;
use weir_protocol::description::{StateDescription, StateKind};
use weir_protocol::manifest::Checksum;
use weir_protocol::redistribution::{Element, Place};

use super::{Named, Row, UnkeyedStore, corrupt, format};
use crate::state::outdated::shown;
use crate::state::{Migration, RestoreError};

/// What one list holds at most: its offsets have 32 bits.
const COLUMN_BYTES_MAX: u64 = 2 << 30;

/// One state, as the old subtasks held it.
struct Held {
    named: Named,
    /// By old subtask; `None`: nothing.
    values: Vec<Option<UnkeyedValue>>,
}

impl UnkeyedStore {
    /// What the subtask at `place` holds, from the snapshots of the old subtasks, by index; `None` where there is none,
    /// and for those that `place` does not look at. States are found by name; one that is not declared any more goes
    /// on from snapshot to snapshot. Takes time in proportion to the snapshots.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] where a snapshot does not verify, or copies of a broadcast map differ that must be equal;
    /// [`Fault::Request`] where a state is declared with another kind, codec or version.
    pub fn restore(states: &[StateDescription], place: Place, old: &[Option<Bytes>]) -> Result<Self, StateError> {
        let migration = &mut Migration::default();
        Self::restore_migrated(states, place, old, migration).map_err(RestoreError::into_state_error)
    }

    /// The same, where values of older versions are rewritten.
    ///
    /// # Errors
    /// As [`restore`](Self::restore).
    pub fn restore_migrated(
        states: &[StateDescription],
        place: Place,
        old: &[Option<Bytes>],
        migration: &mut Migration,
    ) -> Result<Self, RestoreError> {
        let mut store = Self::new(states);
        // What is dealt out anew is in no snapshot of the subtask's own yet.
        store.has_changed = place.parallelism as usize != old.len() && old.iter().any(Option::is_some);
        for (name, held) in held(old)? {
            let value = held.dealt(place)?;
            let Some(index) = states.iter().position(|state| state.name == name) else {
                store.undeclared.push(Row { named: held.named, value });
                continue;
            };
            let declared = &states[index];
            let value = match migration.older_version(&held.named.as_held(), declared)? {
                None => value,
                Some(version) => {
                    store.has_changed = true;
                    rewritten(migration, declared, version, &value)?
                }
            };
            let state = u32::try_from(index).expect("admission bounds the number of states");
            store.state.put(StateId(state), value);
        }
        Ok(store)
    }
}

/// All states that any of the snapshots holds, by name.
fn held(old: &[Option<Bytes>]) -> Result<BTreeMap<String, Held>, StateError> {
    let mut states: BTreeMap<String, Held> = BTreeMap::new();
    for (subtask, snapshot) in old.iter().enumerate() {
        let Some(snapshot) = snapshot else { continue };
        for Row { named, value } in format::decode(snapshot)? {
            let name = named.name.clone();
            let held =
                states.entry(name).or_insert_with(|| Held { named: named.clone(), values: vec![None; old.len()] });
            if held.named != named {
                return Err(corrupt(format_args!(
                    "the old subtasks hold state `{}` as different kinds, codecs or versions",
                    named.name
                )));
            }
            held.values[subtask] = Some(value);
        }
    }
    Ok(states)
}

/// The same elements, or the same entries, with other values.
fn rewritten(
    migration: &mut Migration,
    declared: &StateDescription,
    version: u32,
    value: &UnkeyedValue,
) -> Result<UnkeyedValue, RestoreError> {
    Ok(match value {
        UnkeyedValue::List(list) => {
            let place = |index: usize| format!("element {index}");
            UnkeyedValue::List(Arc::new(migration.rewrite_all(declared, version, list.iter(), place)?))
        }
        UnkeyedValue::Map(map) => {
            let place = |index: usize| {
                let key = map.keys().nth(index).map(|key| shown(key)).unwrap_or_default();
                format!("entry `{key}`")
            };
            let values = migration.rewrite_all(declared, version, map.values().map(|value| &**value), place)?;
            let entries = map.keys().cloned().zip(values.iter().map(Arc::from));
            UnkeyedValue::Map(Arc::new(entries.collect()))
        }
    })
}

impl Held {
    /// What the subtask at `place` gets of it.
    fn dealt(&self, place: Place) -> Result<UnkeyedValue, StateError> {
        match self.named.kind {
            StateKind::OperatorSplit => self.listed(&place.split(&self.lengths())),
            StateKind::OperatorUnion => self.listed(&place.union(&self.lengths())),
            StateKind::Broadcast => self.copy(place),
            StateKind::KeyedValue | StateKind::KeyedList | StateKind::KeyedMap => {
                unreachable!("no snapshot holds keyed state")
            }
        }
    }

    fn list(&self, subtask: usize) -> Option<&BytesColumn> {
        match &self.values[subtask] {
            Some(UnkeyedValue::List(list)) => Some(list),
            Some(UnkeyedValue::Map(_)) | None => None,
        }
    }

    fn lengths(&self) -> Vec<usize> {
        (0..self.values.len()).map(|subtask| self.list(subtask).map_or(0, BytesColumn::len)).collect()
    }

    fn listed(&self, elements: &[Element]) -> Result<UnkeyedValue, StateError> {
        let element = |element: &Element| {
            self.list(element.subtask).expect("only a list with elements was said to have any").get(element.at)
        };
        let bytes: u64 = elements.iter().map(|at| element(at).len() as u64).sum();
        if bytes > COLUMN_BYTES_MAX {
            let message = format!(
                "state `{}` of all old subtasks together has {bytes} bytes, more than one list can hold; restore with the \
                 old parallelism, and keep less in it",
                self.named.name
            );
            return Err(StateError { fault: Fault::Request, message });
        }
        Ok(UnkeyedValue::List(Arc::new(elements.iter().map(element).collect())))
    }

    fn copy(&self, place: Place) -> Result<UnkeyedValue, StateError> {
        let empty = UnkeyedValue::Map(Arc::default());
        let checksum = |value: &Option<UnkeyedValue>| {
            let mut bytes = Vec::new();
            format::put_items(&mut bytes, value.as_ref().unwrap_or(&empty));
            Checksum::of(&bytes)
        };
        let copies: Vec<_> = self.values.iter().map(checksum).collect();
        let from = place.broadcast(&copies).map_err(|diverged| StateError {
            fault: diverged.fault(),
            message: format!("broadcast state `{}`: {diverged}", self.named.name),
        })?;
        Ok(from.and_then(|from| self.values[from].clone()).unwrap_or(empty))
    }
}
