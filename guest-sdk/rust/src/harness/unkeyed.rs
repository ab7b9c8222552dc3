//! What a test looks at of state that belongs to no key.

use super::Harness;
use super::peek::decoded;
use crate::codec::{Codec, EntryKey};
use crate::column::ColumnBuilder;
use crate::describe::Describe;
use crate::host::simulated::Unkeyed;
use crate::state::{BroadcastState, OperatorListState, Spread};

impl<O: Describe> Harness<O> {
    /// What an operator's list holds: `harness.operator_list(|operator| &operator.recent)`.
    #[must_use]
    pub fn operator_list<S: Spread, T: 'static, C: Codec<T>>(
        &self,
        state: impl FnOnce(&O) -> &OperatorListState<S, T, C>,
    ) -> Vec<T> {
        match self.world.unkeyed.get(state(&self.prototype).name()) {
            Some(Unkeyed::List(values)) => values.iter().map(|value| decoded::<T, C>(value)).collect(),
            Some(Unkeyed::Map(_)) | None => Vec::new(),
        }
    }

    /// Replaces an operator's list and then the instance, as a change of the parallelism does.
    pub fn deal<S: Spread, T: 'static, C: Codec<T>>(
        &mut self,
        state: impl FnOnce(&O) -> &OperatorListState<S, T, C>,
        values: impl IntoIterator<Item = T>,
    ) -> &mut Self {
        let name = state(&self.prototype).name().to_owned();
        let mut column = ColumnBuilder::new();
        for value in values {
            let encoded = column.push_with(|data| C::encode(&value, data));
            encoded.unwrap_or_else(|reason| panic!("the value cannot be written as {}: {reason}", C::name()));
        }
        let dealt = column.as_column().iter().flatten().map(<[u8]>::to_vec).collect();
        self.world.unkeyed.insert(name, Unkeyed::List(dealt));
        self.replace_instance()
    }

    /// What a broadcast map holds, in the order of the entries' bytes.
    #[must_use]
    pub fn broadcast<K: EntryKey, V: 'static, C: Codec<V>>(
        &self,
        state: impl FnOnce(&O) -> &BroadcastState<K, V, C>,
    ) -> Vec<(K, V)> {
        let Some(Unkeyed::Map(entries)) = self.world.unkeyed.get(state(&self.prototype).name()) else {
            return Vec::new();
        };
        let entry = |(entry, value): (&Vec<u8>, &Vec<u8>)| {
            let entry = K::decode_key(entry).unwrap_or_else(|reason| panic!("an entry's key cannot be read: {reason}"));
            (entry, decoded::<V, C>(value))
        };
        entries.iter().map(entry).collect()
    }
}
