//! One value per key.

use std::fmt;
use std::marker::PhantomData;

use super::{current, undecodable, unencodable};
use crate::bindings::exports::weir::operator::operators::StateKind;
use crate::bindings::weir::operator::types::OptionalColumn;
use crate::codec::{Codec, Plain};
use crate::column::{Column, ColumnBuilder};
use crate::describe::{Field, Spec, StateField};
use crate::error::{Error, Result};
use crate::host;
use crate::migration::VersionedField;
use crate::operator::Context;

/// One value of type `T` per key, encoded by `C`.
///
/// ```
/// use weir_sdk::harness::Harness;
/// use weir_sdk::prelude::*;
///
/// /// Tells when a key's value changes.
/// #[derive(Describe)]
/// struct Changes {
///     last: ValueState<String>,
/// }
///
/// impl Operator for Changes {
///     fn process(&mut self, record: &Record, out: &mut Output) -> Result {
///         let text = record.text()?;
///         if self.last.get()?.is_none_or(|last| last != text) {
///             self.last.set(text.to_owned());
///             out.emit(text)?;
///         }
///         Ok(())
///     }
/// }
///
/// let mut changes = Harness::<Changes>::new();
/// changes.send(("door", "open")).send(("door", "open")).send(("door", "shut"));
/// assert_eq!(changes.take_values(), ["open", "shut"]);
/// assert_eq!(changes.value(|changes| &changes.last, "door"), Some("shut".to_owned()));
/// ```
pub struct ValueState<T, C = Plain> {
    name: &'static str,
    handle: Option<host::state::ValueState>,
    /// The encoded values of the batch's keys; loaded when the first is looked at.
    loaded: Option<OptionalColumn>,
    /// The same, decoded one by one.
    slots: Vec<Slot<T>>,
    /// The keys whose slots were written.
    written: Vec<u32>,
    /// What is stored; kept for its memory.
    column: ColumnBuilder,
    codec: PhantomData<fn() -> C>,
}

/// A key's value.
struct Slot<T> {
    value: Option<T>,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Encoded,
    Decoded,
    Written,
}

/// The record form: the value of the current key.
impl<T: 'static, C: Codec<T>> ValueState<T, C> {
    /// The value, if there is one.
    ///
    /// # Errors
    /// If what the state holds cannot be decoded.
    pub fn get(&mut self) -> Result<Option<&T>> {
        Ok(self.slot()?.value.as_ref())
    }

    /// The value to change, if there is one. Counts as written.
    ///
    /// # Errors
    /// If what the state holds cannot be decoded.
    pub fn get_mut(&mut self) -> Result<Option<&mut T>> {
        let key = current::key(self.name);
        self.slot()?;
        if self.slots[key].value.is_none() {
            return Ok(None);
        }
        Ok(self.slot_to_write(key).value.as_mut())
    }

    /// The value to change, at first `T`'s default: `*self.count.or_default()? += 1`.
    ///
    /// # Errors
    /// If what the state holds cannot be decoded.
    #[inline]
    pub fn or_default(&mut self) -> Result<&mut T>
    where
        T: Default,
    {
        let key = current::key(self.name);
        self.slot()?;
        Ok(self.slot_to_write(key).value.get_or_insert_with(T::default))
    }

    /// Replaces the value by what `change` makes of it (of `T`'s default, if there is none), and returns it.
    ///
    /// # Errors
    /// If what the state holds cannot be decoded.
    #[inline]
    pub fn update(&mut self, change: impl FnOnce(T) -> T) -> Result<T>
    where
        T: Default + Clone,
    {
        let value = self.or_default()?;
        *value = change(std::mem::take(value));
        Ok(value.clone())
    }

    /// Replaces the value.
    pub fn set(&mut self, value: T) {
        self.put(Some(value));
    }

    /// Removes the value.
    pub fn clear(&mut self) {
        self.put(None);
    }

    /// Removes the value and returns it.
    ///
    /// # Errors
    /// If what the state holds cannot be decoded.
    pub fn take(&mut self) -> Result<Option<T>> {
        let key = current::key(self.name);
        if self.slot()?.value.is_none() {
            return Ok(None);
        }
        Ok(self.slot_to_write(key).value.take())
    }

    fn put(&mut self, value: Option<T>) {
        let key = current::key(self.name);
        self.make_slots();
        self.slot_to_write(key).value = value;
    }

    /// The current key's slot, decoded.
    #[inline]
    fn slot(&mut self) -> Result<&mut Slot<T>> {
        let key = current::key(self.name);
        if self.slots.get(key).is_none_or(|slot| slot.stage == Stage::Encoded) {
            self.decode(key)?;
        }
        Ok(&mut self.slots[key])
    }

    #[inline]
    fn slot_to_write(&mut self, key: usize) -> &mut Slot<T> {
        current::mark_written();
        let slot = &mut self.slots[key];
        if slot.stage != Stage::Written {
            slot.stage = Stage::Written;
            self.written.push(u32::try_from(key).expect("a key index"));
        }
        slot
    }

    fn make_slots(&mut self) {
        if self.slots.is_empty() {
            let keys = current::keys(self.name);
            self.slots.resize_with(keys, || Slot { value: None, stage: Stage::Encoded });
        }
    }

    fn decode(&mut self, key: usize) -> Result {
        self.make_slots();
        let handle = opened(self.handle.as_ref(), self.name);
        let loaded = self.loaded.get_or_insert_with(|| handle.load());
        let value = Column::of(loaded).get(key).map(C::decode).transpose();
        let value = value.map_err(|reason| undecodable(self.name, C::name(), &reason))?;
        self.slots[key] = Slot { value, stage: Stage::Decoded };
        Ok(())
    }
}

/// The batch form: the values of all keys of the batch, in their order.
impl<T: 'static, C: Codec<T>> ValueState<T, C> {
    /// The values, where there are any.
    ///
    /// # Errors
    /// If what the state holds cannot be decoded.
    pub fn load(&mut self) -> Result<Vec<Option<T>>> {
        self.load_with(|value| value)
    }

    /// The values, `T`'s default where there is none.
    ///
    /// # Errors
    /// If what the state holds cannot be decoded.
    pub fn load_or_default(&mut self) -> Result<Vec<T>>
    where
        T: Default,
    {
        self.load_with(Option::unwrap_or_default)
    }

    /// Replaces the values of all keys of the batch.
    ///
    /// # Errors
    /// If a value cannot be encoded.
    ///
    /// # Panics
    /// If there is not one value for each key.
    pub fn store(&mut self, values: &[T]) -> Result {
        assert_eq!(values.len(), current::keys(self.name), "state `{}` takes one value for each key", self.name);
        self.encode(values.iter().map(Some))?;
        opened(self.handle.as_ref(), self.name).store(self.column.raw());
        Ok(())
    }

    /// Replaces the values of these keys; `None` removes one. Where few keys changed, this writes less.
    ///
    /// # Errors
    /// If a value cannot be encoded.
    ///
    /// # Panics
    /// If there is not one value for each of the keys.
    pub fn store_some(&mut self, keys: &[u32], values: &[Option<T>]) -> Result {
        assert_eq!(values.len(), keys.len(), "state `{}` takes one value for each key", self.name);
        self.encode(values.iter().map(Option::as_ref))?;
        opened(self.handle.as_ref(), self.name).store_some(keys, self.column.raw());
        Ok(())
    }

    /// Reads all, changes what `keys` name with the values beside them, and writes back what was changed.
    pub(super) fn fold<I>(
        &mut self,
        keys: &[u32],
        values: impl IntoIterator<Item = I>,
        mut change: impl FnMut(&mut Option<T>, I),
    ) -> Result<Vec<Option<T>>> {
        let mut held = self.load()?;
        let mut values = values.into_iter();
        let mut changed = vec![false; held.len()];
        for &key in keys {
            let value = values.next().unwrap_or_else(|| panic!("state `{}` takes one value for each key", self.name));
            change(&mut held[key as usize], value);
            changed[key as usize] = true;
        }
        assert!(values.next().is_none(), "state `{}` takes one value for each key", self.name);
        let changed: Vec<u32> = (0..).zip(changed).filter_map(|(key, changed)| changed.then_some(key)).collect();
        self.encode(changed.iter().map(|&key| held[key as usize].as_ref()))?;
        opened(self.handle.as_ref(), self.name).store_some(&changed, self.column.raw());
        Ok(held)
    }

    fn load_with<U>(&mut self, mut each: impl FnMut(Option<T>) -> U) -> Result<Vec<U>> {
        let _open = current::keys(self.name);
        let loaded = opened(self.handle.as_ref(), self.name).load();
        let column = Column::of(&loaded);
        let mut values = Vec::with_capacity(column.len());
        for (key, value) in column.iter().enumerate() {
            let value = value.map(C::decode).transpose();
            let value = value.map_err(|reason| of_key(undecodable(self.name, C::name(), &reason), key))?;
            values.push(each(value));
        }
        Ok(values)
    }

    fn encode<'v>(&mut self, values: impl Iterator<Item = Option<&'v T>>) -> Result
    where
        T: 'v,
    {
        self.column.clear();
        for (index, value) in values.enumerate() {
            match value {
                Some(value) => self
                    .column
                    .push_with(|data| C::encode(value, data))
                    .map_err(|reason| of_key(unencodable(self.name, C::name(), &reason), index))?,
                None => self.column.push_missing(),
            }
        }
        Ok(())
    }
}

/// The end of a batch in the record form.
impl<T: 'static, C: Codec<T>> ValueState<T, C> {
    fn store_written(&mut self) -> Result {
        let Self { name, slots, written, column, .. } = self;
        let handle = opened(self.handle.as_ref(), name);
        let all = written.len() == slots.len();
        if all {
            written.sort_unstable();
        }
        column.clear();
        for &key in written.iter() {
            match &slots[key as usize].value {
                Some(value) => column
                    .push_with(|data| C::encode(value, data))
                    .map_err(|reason| unencodable(name, C::name(), &reason).of_key(key))?,
                None => column.push_missing(),
            }
        }
        if all {
            handle.store(column.raw());
        } else {
            handle.store_some(written, column.raw());
        }
        Ok(())
    }
}

fn of_key(error: Error, key: usize) -> Error {
    error.of_key(u32::try_from(key).expect("a key index"))
}

pub(super) fn opened<'h, H>(handle: Option<&'h H>, name: &str) -> &'h H {
    match handle {
        Some(handle) => handle,
        None => panic!("state `{name}` was used before `open`"),
    }
}

impl<T: 'static, C: Codec<T>> StateField for ValueState<T, C> {}

impl<T: 'static, C: Codec<T>> VersionedField for ValueState<T, C> {
    type Value = T;
    type Codec = C;
}

impl<T: 'static, C: Codec<T>> Field for ValueState<T, C> {
    fn declare(name: &'static str, spec: &mut Spec) -> Self {
        spec.state(name, StateKind::KeyedValue, C::name());
        Self {
            name,
            handle: None,
            loaded: None,
            slots: Vec::new(),
            written: Vec::new(),
            column: ColumnBuilder::new(),
            codec: PhantomData,
        }
    }

    fn open(&mut self, _context: &Context) -> Result {
        self.handle = Some(host::state::ValueState::new(self.name));
        Ok(())
    }

    fn flush(&mut self) -> Result {
        self.loaded = None;
        if !self.written.is_empty() {
            self.store_written()?;
            self.written.clear();
        }
        self.slots.clear();
        Ok(())
    }
}

impl<T, C> ValueState<T, C> {
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }
}

impl<T, C> fmt::Debug for ValueState<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ValueState").field("name", &self.name).finish_non_exhaustive()
    }
}
