//! An append-only list per key.

use std::fmt;
use std::marker::PhantomData;

use super::value::opened;
use super::{current, undecodable, unencodable};
use crate::bindings::exports::weir::operator::operators::StateKind;
use crate::bindings::weir::operator::types::BytesColumn;
use crate::codec::{Codec, Plain};
use crate::column::{Column, ColumnBuilder};
use crate::describe::{Field, Spec, StateField};
use crate::error::Result;
use crate::host;
use crate::migration::VersionedField;
use crate::operator::Context;

/// A list of values of type `T` per key, encoded one by one by `C`. To append does not read the list.
pub struct ListState<T, C = Plain> {
    name: &'static str,
    handle: Option<host::state::ListState>,
    /// The lists of the batch's keys that were read or replaced.
    slots: Vec<Option<Slot<T>>>,
    /// The keys whose lists were replaced as a whole.
    replaced: Vec<u32>,
    /// Values to append, and to which keys.
    appended_to: Vec<u32>,
    appended: ColumnBuilder,
    codec: PhantomData<fn() -> C>,
}

/// A key's list as the operator sees it.
struct Slot<T> {
    values: Vec<T>,
    replaced: bool,
}

/// The record form: the list of the current key.
impl<T: 'static, C: Codec<T>> ListState<T, C> {
    /// The values in the order they were appended.
    ///
    /// # Errors
    /// If what the state holds cannot be decoded.
    pub fn get(&mut self) -> Result<&[T]> {
        let key = self.make_slots();
        if self.slots[key].is_none() {
            self.load(key)?;
        }
        Ok(self.slots[key].as_ref().map_or(&[], |slot| slot.values.as_slice()))
    }

    /// Appends a value.
    ///
    /// # Errors
    /// If the value cannot be encoded.
    pub fn append(&mut self, value: T) -> Result {
        let key = self.make_slots();
        current::mark_written();
        let slot = self.slots[key].as_mut();
        if slot.as_ref().is_none_or(|slot| !slot.replaced) {
            self.appended
                .push_with(|data| C::encode(&value, data))
                .map_err(|reason| unencodable(self.name, C::name(), &reason))?;
            self.appended_to.push(u32::try_from(key).expect("a key index"));
        }
        if let Some(slot) = slot {
            slot.values.push(value);
        }
        Ok(())
    }

    /// Replaces the whole list; without values it is removed.
    pub fn set(&mut self, values: Vec<T>) {
        let key = self.make_slots();
        current::mark_written();
        if !self.slots[key].as_ref().is_some_and(|slot| slot.replaced) {
            self.replaced.push(u32::try_from(key).expect("a key index"));
        }
        self.slots[key] = Some(Slot { values, replaced: true });
    }

    /// Removes the list.
    pub fn clear(&mut self) {
        self.set(Vec::new());
    }

    /// Removes the list and returns its values.
    ///
    /// # Errors
    /// If what the state holds cannot be decoded.
    pub fn take(&mut self) -> Result<Vec<T>> {
        let key = self.make_slots();
        self.get()?;
        let values = self.slots[key].take().map(|slot| (slot.values, slot.replaced));
        let Some((values, replaced)) = values else { return Ok(Vec::new()) };
        self.slots[key] = Some(Slot { values: Vec::new(), replaced });
        self.clear();
        Ok(values)
    }

    fn make_slots(&mut self) -> usize {
        let key = current::key(self.name);
        if self.slots.is_empty() {
            self.slots.resize_with(current::keys(self.name), || None);
        }
        key
    }

    /// Reads the list from the host, with what this batch appended to it so far.
    fn load(&mut self, key: usize) -> Result {
        self.flush_appended();
        let column = opened(self.handle.as_ref(), self.name).get(u32::try_from(key).expect("a key index"));
        let values = decode::<T, C>(self.name, &column)?;
        self.slots[key] = Some(Slot { values, replaced: false });
        Ok(())
    }

    fn flush_appended(&mut self) {
        if !self.appended_to.is_empty() {
            let handle = opened(self.handle.as_ref(), self.name);
            handle.append_many(&self.appended_to, &self.appended.raw().values);
            self.appended_to.clear();
            self.appended.clear();
        }
    }
}

/// The batch form.
impl<T: 'static, C: Codec<T>> ListState<T, C> {
    /// The lists of these keys of the batch.
    ///
    /// # Errors
    /// If what the state holds cannot be decoded.
    pub fn load_some(&mut self, keys: &[u32]) -> Result<Vec<Vec<T>>> {
        let _open = current::keys(self.name);
        let lists = opened(self.handle.as_ref(), self.name).get_many(keys);
        let mut values = decode::<T, C>(self.name, &lists.values)?.into_iter();
        let mut start = 0;
        let lengths = lists.ends.iter().map(|&end| (end - std::mem::replace(&mut start, end)) as usize);
        Ok(lengths.map(|length| values.by_ref().take(length).collect()).collect())
    }

    /// Appends `values[i]` to the list of `keys[i]`.
    ///
    /// # Errors
    /// If a value cannot be encoded.
    ///
    /// # Panics
    /// If there is not one value for each of the keys.
    pub fn append_many(&mut self, keys: &[u32], values: &[T]) -> Result {
        assert_eq!(values.len(), keys.len(), "state `{}` takes one value for each key", self.name);
        for (&key, value) in keys.iter().zip(values) {
            self.appended
                .push_with(|data| C::encode(value, data))
                .map_err(|reason| unencodable(self.name, C::name(), &reason).of_key(key))?;
        }
        self.appended_to.extend_from_slice(keys);
        self.flush_appended();
        Ok(())
    }
}

fn decode<T, C: Codec<T>>(name: &str, column: &BytesColumn) -> Result<Vec<T>> {
    let values = Column::of_bytes(column).iter().map(|value| C::decode(value.unwrap_or_default()));
    values.collect::<Result<_, _>>().map_err(|reason| undecodable(name, C::name(), &reason))
}

impl<T: 'static, C: Codec<T>> StateField for ListState<T, C> {}

impl<T: 'static, C: Codec<T>> VersionedField for ListState<T, C> {
    type Value = T;
    type Codec = C;
}

impl<T: 'static, C: Codec<T>> Field for ListState<T, C> {
    fn declare(name: &'static str, spec: &mut Spec) -> Self {
        spec.state(name, StateKind::KeyedList, C::name());
        Self {
            name,
            handle: None,
            slots: Vec::new(),
            replaced: Vec::new(),
            appended_to: Vec::new(),
            appended: ColumnBuilder::new(),
            codec: PhantomData,
        }
    }

    fn open(&mut self, _context: &Context) -> Result {
        self.handle = Some(host::state::ListState::new(self.name));
        Ok(())
    }

    fn flush(&mut self) -> Result {
        self.flush_appended();
        for key in self.replaced.drain(..) {
            let slot = self.slots[key as usize].as_ref().expect("a replaced list has a slot");
            let mut column = ColumnBuilder::new();
            for value in &slot.values {
                column
                    .push_with(|data| C::encode(value, data))
                    .map_err(|reason| unencodable(self.name, C::name(), &reason).of_key(key))?;
            }
            opened(self.handle.as_ref(), self.name).set(key, &column.raw().values);
        }
        self.slots.clear();
        Ok(())
    }
}

impl<T, C> ListState<T, C> {
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }
}

impl<T, C> fmt::Debug for ListState<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListState").field("name", &self.name).finish_non_exhaustive()
    }
}
