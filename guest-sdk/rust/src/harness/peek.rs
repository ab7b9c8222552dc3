//! What a test looks at: outputs, dead letters, state, timers, logs and metrics.

use super::{DeadLetter, Harness};
use crate::bindings::exports::weir::operator::operators::StateKind;
use crate::codec::{Codec, EntryKey};
use crate::describe::Describe;
use crate::host::simulated::{Held, Stored};
use crate::state::{Aggregate, AggregatingState, ListState, MapState, Reduce, ReducingState, ValueState};
use crate::telemetry::Level;
use crate::timers::Timer;

impl<O: Describe> Harness<O> {
    /// The values that went to the main output since the last time, as text.
    pub fn take_values(&mut self) -> Vec<String> {
        let main = self.take().into_iter().filter(|record| record.port == "out");
        main.map(|record| record.value_text()).collect()
    }

    /// The records that were given up on so far.
    #[must_use]
    pub fn dead_letters(&self) -> &[DeadLetter] {
        &self.dead_letters
    }

    /// The reasons why records were given up on so far.
    #[must_use]
    pub fn reasons(&self) -> Vec<&str> {
        self.dead_letters.iter().map(|letter| letter.reason.as_str()).collect()
    }

    /// What a value state holds for a key: `harness.value(|count| &count.count, "apple")`.
    #[must_use]
    pub fn value<T, C: Codec<T>>(
        &self,
        state: impl FnOnce(&O) -> &ValueState<T, C>,
        key: impl AsRef<[u8]>,
    ) -> Option<T> {
        match self.stored(state(&self.prototype).name(), key.as_ref())? {
            Stored::Value(value) => Some(decoded::<T, C>(value.as_ref())),
            Stored::List(_) | Stored::Map(_) => None,
        }
    }

    /// What a reducing state holds for a key.
    #[must_use]
    pub fn reduced<T: 'static, R: Reduce<T>, C: Codec<T>>(
        &self,
        state: impl FnOnce(&O) -> &ReducingState<T, R, C>,
        key: impl AsRef<[u8]>,
    ) -> Option<T> {
        self.value(|operator| state(operator).value(), key)
    }

    /// The result of an aggregating state for a key.
    #[must_use]
    pub fn aggregated<A: Aggregate, C: Codec<A::Acc>>(
        &self,
        state: impl FnOnce(&O) -> &AggregatingState<A, C>,
        key: impl AsRef<[u8]>,
    ) -> Option<A::Out> {
        self.value(|operator| state(operator).value(), key).as_ref().map(A::result)
    }

    /// What a list state holds for a key.
    #[must_use]
    pub fn list<T, C: Codec<T>>(&self, state: impl FnOnce(&O) -> &ListState<T, C>, key: impl AsRef<[u8]>) -> Vec<T> {
        match self.stored(state(&self.prototype).name(), key.as_ref()) {
            Some(Stored::List(values)) => values.iter().map(|value| decoded::<T, C>(value.as_ref())).collect(),
            Some(Stored::Value(_) | Stored::Map(_)) | None => Vec::new(),
        }
    }

    /// What a map state holds for a key, in the order of the entries' bytes.
    #[must_use]
    pub fn map<K: EntryKey, V, C: Codec<V>>(
        &self,
        state: impl FnOnce(&O) -> &MapState<K, V, C>,
        key: impl AsRef<[u8]>,
    ) -> Vec<(K, V)> {
        let Some(Stored::Map(entries)) = self.stored(state(&self.prototype).name(), key.as_ref()) else {
            return Vec::new();
        };
        let entry = |(entry, value): (&Vec<u8>, &Held)| {
            let entry = K::decode_key(entry).unwrap_or_else(|reason| panic!("an entry's key cannot be read: {reason}"));
            (entry, decoded::<V, C>(value.as_ref()))
        };
        entries.iter().map(entry).collect()
    }

    /// Puts bytes into a value state behind the operator's back, as an older version of it may have written them. Where
    /// the state has a time to live, that begins now.
    ///
    /// # Panics
    /// If the operator has no such value state: of a list's element or a map's entry, [`migrated`](Self::migrated) says
    /// what becomes.
    pub fn put_bytes(&mut self, state: &str, key: impl AsRef<[u8]>, value: &[u8]) -> &mut Self {
        let mut declared = crate::instance::described::<O>().states.into_iter();
        let is_value = declared.any(|declared| declared.name == state && declared.kind == StateKind::KeyedValue);
        assert!(is_value, "the operator has no value state `{state}`; for elements and entries there is `migrated`");
        let value = Held::written(value, self.world.processing_time);
        let states = self.world.states.entry(state.to_owned()).or_default();
        states.insert(key.as_ref().to_vec(), Stored::Value(value));
        self
    }

    /// Puts a value into a value state as this version of the operator finds what an older one wrote: migrated.
    ///
    /// # Panics
    /// If it cannot be migrated; then the host would not start the job. As [`put_bytes`](Self::put_bytes).
    pub fn put_old(&mut self, state: &str, version: u32, key: impl AsRef<[u8]>, value: &[u8]) -> &mut Self {
        let migrated = Self::migrated(state, version, value);
        let migrated = migrated.unwrap_or_else(|reason| panic!("`migrate` failed: {reason}"));
        self.put_bytes(state, key, &migrated)
    }

    /// What becomes of a value (of a list's element, a map's entry) that an older version of the operator wrote.
    ///
    /// # Errors
    /// What the operator says; the host would not start the job.
    pub fn migrated(state: &str, version: u32, value: &[u8]) -> Result<Vec<u8>, String> {
        let values = super::incoming::bytes_column(&[value.to_vec()]);
        crate::instance::migrated::<O>(state, version, &values).map(|migrated| migrated.data)
    }

    /// The timers that are pending for a key.
    #[must_use]
    pub fn timers(&self, key: impl AsRef<[u8]>) -> Vec<Timer> {
        self.world.timers_of(key.as_ref())
    }

    /// The log lines so far.
    #[must_use]
    pub fn logs(&self) -> &[(Level, String)] {
        &self.world.logs
    }

    /// What a counter has come to.
    #[must_use]
    pub fn counter(&self, name: &str) -> u64 {
        self.world.counters.get(name).copied().unwrap_or_default()
    }

    /// What a gauge was set to last.
    #[must_use]
    pub fn gauge(&self, name: &str) -> Option<f64> {
        self.world.gauges.get(name).copied()
    }

    /// What was recorded in a histogram.
    #[must_use]
    pub fn histogram(&self, name: &str) -> &[f64] {
        self.world.histograms.get(name).map_or(&[], Vec::as_slice)
    }

    /// The calls of the host that keyed state took since the last time, by the contract's names: what an operator
    /// costs beyond its own work.
    pub fn take_state_calls(&mut self) -> Vec<&'static str> {
        std::mem::take(&mut self.world.state_calls)
    }

    fn stored(&self, state: &str, key: &[u8]) -> Option<&Stored> {
        self.world.states.get(state)?.get(key)
    }
}

pub(super) fn decoded<T, C: Codec<T>>(bytes: &[u8]) -> T {
    C::decode(bytes).unwrap_or_else(|reason| panic!("the state holds no {}: {reason}", C::name()))
}
