//! A map that every parallel instance has alike.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use super::pages::Pages;
use super::value::opened;
use super::{current, undecodable, unencodable};
use crate::bindings::exports::weir::operator::operators::StateKind;
use crate::codec::{Codec, EntryKey, Plain};
use crate::describe::{Field, Spec};
use crate::error::Result;
use crate::host;
use crate::migration::VersionedField;
use crate::operator::Context;

/// A map from `K` to `V` that is the same on every instance: rules, rates, thresholds. It is read anywhere, and written
/// only for records of a broadcast input, which every instance is given. They do not come to all instances in the same
/// order, so what is written must not depend on their order.
///
/// ```
/// use weir_sdk::harness::{Harness, Incoming};
/// use weir_sdk::prelude::*;
///
/// /// Passes on amounts above the limit of their key.
/// #[derive(Describe)]
/// #[input(amounts: keyed)]
/// #[input(limits: broadcast)]
/// struct Above {
///     limits: BroadcastState<String, u64>,
/// }
///
/// impl Operator for Above {
///     fn process(&mut self, record: &Record, out: &mut Output) -> Result {
///         if record.input() == "limits" {
///             let (key, limit) = record.text()?.split_once('=').or_reject("no limit")?;
///             return self.limits.put(&key.to_owned(), limit.parse().or_reject("no number")?);
///         }
///         let limit = self.limits.get_or(&record.key_text()?.to_owned(), 100)?;
///         if record.json::<u64>()? > limit {
///             out.emit(record.text()?)?;
///         }
///         Ok(())
///     }
/// }
///
/// let mut above = Harness::<Above>::new();
/// above.send(Incoming::value("a=7").input("limits"));
/// above.send(("a", "8")).send(("a", "7")).send(("b", "8")).send(("b", "101"));
/// assert_eq!(above.take_values(), ["8", "101"]);
/// assert_eq!(above.broadcast(|above| &above.limits), [("a".to_owned(), 7)]);
/// ```
pub struct BroadcastState<K, V, C = Plain> {
    name: &'static str,
    handle: Option<host::state::BroadcastState>,
    /// The entries that this call has looked at.
    seen: BTreeMap<Vec<u8>, Option<V>>,
    /// The key of the entry in hand; kept for its memory.
    entry: Vec<u8>,
    codec: PhantomData<fn(K) -> C>,
}

impl<K: EntryKey, V: 'static, C: Codec<V>> BroadcastState<K, V, C> {
    /// The entry's value, if there is one.
    ///
    /// # Errors
    /// If what the state holds cannot be decoded.
    pub fn get(&mut self, entry: &K) -> Result<Option<&V>> {
        self.take_entry(entry);
        if !self.seen.contains_key(&self.entry) {
            let bytes = opened(self.handle.as_ref(), self.name).get(&self.entry);
            let value = bytes.as_deref().map(C::decode).transpose();
            let value = value.map_err(|reason| undecodable(self.name, C::name(), &reason))?;
            self.seen.insert(self.entry.clone(), value);
        }
        Ok(self.seen.get(&self.entry).and_then(Option::as_ref))
    }

    /// The entry's value, or `default` where there is none.
    ///
    /// # Errors
    /// If what the state holds cannot be decoded.
    pub fn get_or(&mut self, entry: &K, default: V) -> Result<V>
    where
        V: Clone,
    {
        Ok(self.get(entry)?.cloned().unwrap_or(default))
    }

    /// Sets the entry's value, at once.
    ///
    /// # Errors
    /// If the value cannot be encoded.
    ///
    /// # Panics
    /// Anywhere but for a record of a broadcast input.
    pub fn put(&mut self, entry: &K, value: V) -> Result {
        self.take_entry(entry);
        let mut bytes = Vec::new();
        C::encode(&value, &mut bytes).map_err(|reason| unencodable(self.name, C::name(), &reason))?;
        current::mark_written();
        opened(self.handle.as_ref(), self.name).put(&self.entry, &bytes);
        self.seen.insert(self.entry.clone(), Some(value));
        Ok(())
    }

    /// Removes the entry, at once.
    ///
    /// # Panics
    /// Anywhere but for a record of a broadcast input.
    pub fn remove(&mut self, entry: &K) {
        self.take_entry(entry);
        current::mark_written();
        opened(self.handle.as_ref(), self.name).remove(&self.entry);
        self.seen.insert(self.entry.clone(), None);
    }

    /// The entries in the order of their keys' bytes, from `start` (included) to `end` (excluded), read a page at a
    /// time.
    pub fn entries(&self, start: Option<&K>, end: Option<&K>) -> BroadcastEntries<'_, K, V, C> {
        BroadcastEntries { state: self, pages: Pages::between(start, end) }
    }

    fn take_entry(&mut self, entry: &K) {
        self.entry.clear();
        entry.encode_key(&mut self.entry);
    }
}

impl<K: EntryKey, V: 'static, C: Codec<V>> VersionedField for BroadcastState<K, V, C> {
    type Value = V;
    type Codec = C;
}

impl<K: EntryKey, V: 'static, C: Codec<V>> Field for BroadcastState<K, V, C> {
    fn declare(name: &'static str, spec: &mut Spec) -> Self {
        spec.state(name, StateKind::Broadcast, C::name());
        Self { name, handle: None, seen: BTreeMap::new(), entry: Vec::new(), codec: PhantomData }
    }

    fn open(&mut self, _context: &Context) -> Result {
        self.handle = Some(host::state::BroadcastState::new(self.name));
        Ok(())
    }

    fn flush(&mut self) -> Result {
        self.seen.clear();
        Ok(())
    }
}

/// The entries of a broadcast map in order; see [`BroadcastState::entries`].
pub struct BroadcastEntries<'a, K, V, C> {
    state: &'a BroadcastState<K, V, C>,
    pages: Pages,
}

impl<K: EntryKey, V: 'static, C: Codec<V>> Iterator for BroadcastEntries<'_, K, V, C> {
    type Item = Result<(K, V)>;

    fn next(&mut self) -> Option<Self::Item> {
        let handle = opened(self.state.handle.as_ref(), self.state.name);
        self.pages.next::<K, V, C>(self.state.name, |from, end, most| handle.scan(from, end, most))
    }
}

impl<K, V, C> BroadcastState<K, V, C> {
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }
}

impl<K, V, C> fmt::Debug for BroadcastState<K, V, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BroadcastState").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<K, V, C> fmt::Debug for BroadcastEntries<'_, K, V, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BroadcastEntries").field("state", &self.state.name).finish_non_exhaustive()
    }
}
