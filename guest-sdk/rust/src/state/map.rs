//! A map per key, ordered by the bytes of its entries' keys.

use std::convert::Infallible;
use std::fmt;
use std::marker::PhantomData;

use super::pages::Pages;
use super::slots::Slots;
use super::value::opened;
use super::{current, undecodable, unencodable};
use crate::bindings::exports::weir::operator::operators::StateKind;
use crate::codec::{Codec, EntryKey, Plain};
use crate::column::{Column, ColumnBuilder};
use crate::describe::{Field, Spec, StateField};
use crate::error::Result;
use crate::host;
use crate::migration::VersionedField;
use crate::operator::Context;

/// A map from `K` to `V` per key. In the record form, entries are read one by one when they are first looked at, and what
/// was written goes back by one call at the end of the batch.
pub struct MapState<K, V, C = Plain> {
    name: &'static str,
    handle: Option<host::state::MapState>,
    /// The entries that were read or written in this batch.
    slots: Slots<V>,
    /// The key of the entry in hand; kept for its memory.
    entry: Vec<u8>,
    codec: PhantomData<fn(K) -> C>,
}

/// The record form: the map of the current key.
impl<K: EntryKey, V: 'static, C: Codec<V>> MapState<K, V, C> {
    /// The entry's value, if there is one.
    ///
    /// # Errors
    /// If what the state holds cannot be decoded.
    pub fn get(&mut self, entry: &K) -> Result<Option<&V>> {
        let at = self.slot(entry)?;
        Ok(self.slots.value(at))
    }

    /// The entry's value to change, at first `V`'s default.
    ///
    /// # Errors
    /// If what the state holds cannot be decoded.
    pub fn or_default(&mut self, entry: &K) -> Result<&mut V>
    where
        V: Default,
    {
        current::mark_written();
        let at = self.slot(entry)?;
        Ok(self.slots.write(at).get_or_insert_with(V::default))
    }

    /// Sets the entry's value.
    pub fn put(&mut self, entry: &K, value: V) {
        self.write(entry, Some(value));
    }

    /// Removes the entry.
    pub fn remove(&mut self, entry: &K) {
        self.write(entry, None);
    }

    /// Removes all entries.
    pub fn clear(&mut self) {
        let key = self.key();
        current::mark_written();
        self.slots.forget(key);
        opened(self.handle.as_ref(), self.name).clear(key);
    }

    /// Whether there is no entry.
    ///
    /// # Errors
    /// If a value written in this batch cannot be encoded.
    pub fn is_empty(&mut self) -> Result<bool> {
        let key = self.key();
        self.write_back()?;
        Ok(opened(self.handle.as_ref(), self.name).is_empty(key))
    }

    /// The entries in the order of their keys' bytes, from `start` (included) to `end` (excluded), read a page at a
    /// time.
    ///
    /// # Errors
    /// If a value written in this batch cannot be encoded.
    pub fn entries(&mut self, start: Option<&K>, end: Option<&K>) -> Result<Entries<'_, K, V, C>> {
        let key = self.key();
        self.write_back()?;
        Ok(Entries { state: self, key, pages: Pages::between(start, end) })
    }

    /// Where the entry's value is; the host is asked the first time.
    fn slot(&mut self, entry: &K) -> Result<usize> {
        let key = self.key();
        self.entry.clear();
        entry.encode_key(&mut self.entry);
        if let Some(at) = self.slots.find(key, &self.entry) {
            return Ok(at);
        }
        let bytes = opened(self.handle.as_ref(), self.name).get(key, &self.entry);
        let value = bytes.as_deref().map(C::decode).transpose();
        let value = value.map_err(|reason| undecodable(self.name, C::name(), &reason))?;
        Ok(self.slots.insert(key, &self.entry, value))
    }

    fn write(&mut self, entry: &K, value: Option<V>) {
        let key = self.key();
        current::mark_written();
        self.entry.clear();
        entry.encode_key(&mut self.entry);
        let at = self.slots.find(key, &self.entry);
        let at = at.unwrap_or_else(|| self.slots.insert(key, &self.entry, None));
        *self.slots.write(at) = value;
    }

    fn key(&self) -> u32 {
        u32::try_from(current::key(self.name)).expect("a key index")
    }

    /// Gives the host what was written since the last time. What cannot be encoded stays written, and so fails the call even
    /// where an operator goes on.
    fn write_back(&mut self) -> Result {
        let (mut keys, mut entries, mut values) = (Vec::new(), ColumnBuilder::new(), ColumnBuilder::new());
        for (key, entry, value) in self.slots.written() {
            keys.push(key);
            entries.push(entry);
            push_value::<V, C>(self.name, key, value, &mut values)?;
        }
        if !keys.is_empty() {
            opened(self.handle.as_ref(), self.name).put_many(&keys, &entries.raw().values, values.raw());
            self.slots.written_back();
        }
        Ok(())
    }
}

/// The batch form.
impl<K: EntryKey, V: 'static, C: Codec<V>> MapState<K, V, C> {
    /// The values of entry `entries[i]` of `keys[i]`, where there are any.
    ///
    /// # Errors
    /// If what the state holds cannot be decoded.
    ///
    /// # Panics
    /// If there is not one entry for each of the keys.
    pub fn load_some(&mut self, keys: &[u32], entries: &[K]) -> Result<Vec<Option<V>>> {
        let _open = current::keys(self.name);
        let entries = self.columned(keys, entries);
        let found = opened(self.handle.as_ref(), self.name).get_many(keys, &entries.raw().values);
        let values = Column::of(&found).iter().map(|value| value.map(C::decode).transpose());
        values.collect::<Result<_, _>>().map_err(|reason| undecodable(self.name, C::name(), &reason))
    }

    /// Replaces the values of entry `entries[i]` of `keys[i]`; `None` removes one.
    ///
    /// # Errors
    /// If a value cannot be encoded.
    ///
    /// # Panics
    /// If there are not one entry and one value for each of the keys.
    pub fn store_some(&mut self, keys: &[u32], entries: &[K], values: &[Option<V>]) -> Result {
        let _open = current::keys(self.name);
        assert_eq!(values.len(), keys.len(), "state `{}` takes one value for each key", self.name);
        let entries = self.columned(keys, entries);
        let mut written = ColumnBuilder::new();
        for (&key, value) in keys.iter().zip(values) {
            push_value::<V, C>(self.name, key, value.as_ref(), &mut written)?;
        }
        opened(self.handle.as_ref(), self.name).put_many(keys, &entries.raw().values, written.raw());
        Ok(())
    }

    fn columned(&self, keys: &[u32], entries: &[K]) -> ColumnBuilder {
        assert_eq!(entries.len(), keys.len(), "state `{}` takes one entry for each key", self.name);
        let mut column = ColumnBuilder::new();
        for entry in entries {
            let written: std::result::Result<(), Infallible> = column.push_with(|data| {
                entry.encode_key(data);
                Ok(())
            });
            let Ok(()) = written;
        }
        column
    }
}

fn push_value<V: 'static, C: Codec<V>>(
    name: &'static str,
    key: u32,
    value: Option<&V>,
    into: &mut ColumnBuilder,
) -> Result {
    match value {
        Some(value) => into
            .push_with(|data| C::encode(value, data))
            .map_err(|reason| unencodable(name, C::name(), &reason).of_key(key)),
        None => {
            into.push_missing();
            Ok(())
        }
    }
}

impl<K: EntryKey, V: 'static, C: Codec<V>> StateField for MapState<K, V, C> {}

impl<K: EntryKey, V: 'static, C: Codec<V>> VersionedField for MapState<K, V, C> {
    type Value = V;
    type Codec = C;
}

impl<K: EntryKey, V: 'static, C: Codec<V>> Field for MapState<K, V, C> {
    fn declare(name: &'static str, spec: &mut Spec) -> Self {
        spec.state(name, StateKind::KeyedMap, C::name());
        Self { name, handle: None, slots: Slots::new(), entry: Vec::new(), codec: PhantomData }
    }

    fn open(&mut self, _context: &Context) -> Result {
        self.handle = Some(host::state::MapState::new(self.name));
        Ok(())
    }

    fn flush(&mut self) -> Result {
        self.write_back()?;
        self.slots.clear();
        Ok(())
    }
}

/// The entries of a map in order; see [`MapState::entries`].
pub struct Entries<'a, K, V, C> {
    state: &'a mut MapState<K, V, C>,
    key: u32,
    pages: Pages,
}

impl<K: EntryKey, V: 'static, C: Codec<V>> Iterator for Entries<'_, K, V, C> {
    type Item = Result<(K, V)>;

    fn next(&mut self) -> Option<Self::Item> {
        let key = self.key;
        let handle = opened(self.state.handle.as_ref(), self.state.name);
        self.pages.next::<K, V, C>(self.state.name, |from, end, most| handle.scan(key, from, end, most))
    }
}

impl<K, V, C> MapState<K, V, C> {
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }
}

impl<K, V, C> fmt::Debug for MapState<K, V, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapState").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<K, V, C> fmt::Debug for Entries<'_, K, V, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entries").field("state", &self.state.name).finish_non_exhaustive()
    }
}
