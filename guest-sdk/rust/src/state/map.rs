//! A map per key, ordered by the bytes of its entries' keys.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use super::value::opened;
use super::{current, undecodable, unencodable};
use crate::bindings::exports::weir::operator::operators::StateKind;
use crate::bindings::weir::operator::state::Page;
use crate::codec::{Codec, EntryKey, Plain};
use crate::column::{Column, ColumnBuilder};
use crate::describe::{Field, Spec, StateField};
use crate::error::Result;
use crate::host;
use crate::operator::Context;

/// How many entries are fetched at a time.
const PAGE_ENTRIES: u32 = 256;

/// A map from `K` to `V` per key, for the record form. Entries are read one by one when they are first looked at, and
/// what was written goes back by one call at the end of the batch.
pub struct MapState<K, V, C = Plain> {
    name: &'static str,
    handle: Option<host::state::MapState>,
    /// For each key of the batch, the entries that were read or written.
    slots: Vec<BTreeMap<Vec<u8>, Slot<V>>>,
    /// The key of the entry in hand; kept for its memory.
    entry: Vec<u8>,
    codec: PhantomData<fn(K) -> C>,
}

struct Slot<V> {
    value: Option<V>,
    written: bool,
}

impl<K: EntryKey, V: 'static, C: Codec<V>> MapState<K, V, C> {
    /// The entry's value, if there is one.
    ///
    /// # Errors
    /// If what the state holds cannot be decoded.
    pub fn get(&mut self, entry: &K) -> Result<Option<&V>> {
        Ok(self.slot(entry)?.value.as_ref())
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
        let slot = self.slot(entry)?;
        slot.written = true;
        Ok(slot.value.get_or_insert_with(V::default))
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
        let key = self.make_slots();
        current::mark_written();
        self.slots[key].clear();
        opened(self.handle.as_ref(), self.name).clear(u32::try_from(key).expect("a key index"));
    }

    /// Whether there is no entry.
    ///
    /// # Errors
    /// If a value written in this batch cannot be encoded.
    pub fn is_empty(&mut self) -> Result<bool> {
        let key = self.make_slots();
        self.write_back()?;
        Ok(opened(self.handle.as_ref(), self.name).is_empty(u32::try_from(key).expect("a key index")))
    }

    /// The entries in the order of their keys' bytes, from `start` (included) to `end` (excluded), read a page at a
    /// time.
    ///
    /// # Errors
    /// If a value written in this batch cannot be encoded.
    pub fn entries(&mut self, start: Option<&K>, end: Option<&K>) -> Result<Entries<'_, K, V, C>> {
        let key = self.make_slots();
        self.write_back()?;
        let bytes = |bound: &K| {
            let mut bytes = Vec::new();
            bound.encode_key(&mut bytes);
            bytes
        };
        let (from, end) = (Some(start.map(bytes).unwrap_or_default()), end.map(bytes));
        let key = u32::try_from(key).expect("a key index");
        Ok(Entries { state: self, key, from, end, page: empty_page(), next: 0 })
    }

    fn slot(&mut self, entry: &K) -> Result<&mut Slot<V>> {
        let key = self.make_slots();
        self.entry.clear();
        entry.encode_key(&mut self.entry);
        if !self.slots[key].contains_key(&self.entry) {
            let handle = opened(self.handle.as_ref(), self.name);
            let bytes = handle.get(u32::try_from(key).expect("a key index"), &self.entry);
            let value = bytes.as_deref().map(C::decode).transpose();
            let value = value.map_err(|reason| undecodable(self.name, C::name(), &reason))?;
            self.slots[key].insert(self.entry.clone(), Slot { value, written: false });
        }
        Ok(self.slots[key].get_mut(&self.entry).expect("inserted above"))
    }

    fn write(&mut self, entry: &K, value: Option<V>) {
        let key = self.make_slots();
        current::mark_written();
        self.entry.clear();
        entry.encode_key(&mut self.entry);
        match self.slots[key].get_mut(&self.entry) {
            Some(slot) => *slot = Slot { value, written: true },
            None => {
                self.slots[key].insert(self.entry.clone(), Slot { value, written: true });
            }
        }
    }

    fn make_slots(&mut self) -> usize {
        let key = current::key(self.name);
        if self.slots.is_empty() {
            self.slots.resize_with(current::keys(self.name), BTreeMap::new);
        }
        key
    }

    /// Gives the host what was written since the last time.
    fn write_back(&mut self) -> Result {
        let (mut keys, mut entries, mut values) = (Vec::new(), ColumnBuilder::new(), ColumnBuilder::new());
        for (key, slots) in (0..).zip(&mut self.slots) {
            for (entry, slot) in slots.iter_mut().filter(|(_, slot)| slot.written) {
                keys.push(key);
                entries.push(entry);
                match &slot.value {
                    Some(value) => values
                        .push_with(|data| C::encode(value, data))
                        .map_err(|reason| unencodable(self.name, C::name(), &reason).of_key(key))?,
                    None => values.push_missing(),
                }
                slot.written = false;
            }
        }
        if !keys.is_empty() {
            opened(self.handle.as_ref(), self.name).put_many(&keys, &entries.raw().values, values.raw());
        }
        Ok(())
    }
}

impl<K: EntryKey, V: 'static, C: Codec<V>> StateField for MapState<K, V, C> {}

impl<K: EntryKey, V: 'static, C: Codec<V>> Field for MapState<K, V, C> {
    fn declare(name: &'static str, spec: &mut Spec) -> Self {
        spec.state(name, StateKind::KeyedMap, C::name());
        Self { name, handle: None, slots: Vec::new(), entry: Vec::new(), codec: PhantomData }
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
    /// Where the next page starts; `None` where there is none.
    from: Option<Vec<u8>>,
    end: Option<Vec<u8>>,
    page: Page,
    next: usize,
}

impl<K: EntryKey, V: 'static, C: Codec<V>> Iterator for Entries<'_, K, V, C> {
    type Item = Result<(K, V)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == Column::of_bytes(&self.page.entries).len() {
            self.fetch()?;
        }
        let entry = Column::of_bytes(&self.page.entries).get(self.next)?;
        let value = Column::of_bytes(&self.page.values).get(self.next)?;
        self.next += 1;
        let name = self.state.name;
        let entry = K::decode_key(entry).map_err(|reason| undecodable(name, "entry key", &reason));
        let value = C::decode(value).map_err(|reason| undecodable(name, C::name(), &reason));
        Some(entry.and_then(|entry| Ok((entry, value?))))
    }
}

impl<K, V, C> Entries<'_, K, V, C> {
    /// The next page, if there may be one.
    fn fetch(&mut self) -> Option<()> {
        let from = self.from.take()?;
        let handle = opened(self.state.handle.as_ref(), self.state.name);
        self.page = handle.scan(self.key, Some(&from), self.end.as_deref(), PAGE_ENTRIES);
        self.next = 0;
        if self.page.more {
            let entries = Column::of_bytes(&self.page.entries);
            let mut after = entries.get(entries.len().checked_sub(1)?)?.to_vec();
            after.push(0);
            self.from = Some(after);
        }
        Some(())
    }
}

pub(super) fn empty_page() -> Page {
    Page { entries: ColumnBuilder::new().take().values, values: ColumnBuilder::new().take().values, more: false }
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
