//! One result per key of all the values that came, from what is kept of them.

use std::fmt;

use super::ValueState;
use crate::codec::{Codec, Plain};
use crate::describe::{Field, Spec};
use crate::error::Result;
use crate::migration::VersionedField;
use crate::operator::Context;

/// What is kept of values, and what follows from it.
pub trait Aggregate: 'static {
    /// What comes.
    type In;
    /// What is kept.
    type Acc: 'static;
    /// What follows from it.
    type Out;

    /// What is kept before the first value.
    fn start() -> Self::Acc;

    /// Takes in a value.
    fn add(acc: &mut Self::Acc, value: Self::In);

    /// The result so far.
    fn result(acc: &Self::Acc) -> Self::Out;
}

/// One accumulator of `A` per key, kept as a value state and encoded by `C`.
///
/// ```
/// use weir_sdk::harness::Harness;
/// use weir_sdk::prelude::*;
///
/// struct Mean;
///
/// impl Aggregate for Mean {
///     type In = f64;
///     type Acc = (f64, u64);
///     type Out = f64;
///
///     fn start() -> (f64, u64) {
///         (0.0, 0)
///     }
///
///     fn add((sum, count): &mut (f64, u64), value: f64) {
///         *sum += value;
///         *count += 1;
///     }
///
///     fn result((sum, count): &(f64, u64)) -> f64 {
///         sum / *count as f64
///     }
/// }
///
/// /// The mean of each key's values so far.
/// #[derive(Describe)]
/// struct Means {
///     mean: AggregatingState<Mean, Postcard>,
/// }
///
/// impl Operator for Means {
///     fn process(&mut self, record: &Record, out: &mut Output) -> Result {
///         let mean = self.mean.add(record.json()?)?;
///         out.emit(format_args!("{mean}"))
///     }
/// }
///
/// let mut means = Harness::<Means>::new();
/// means.send(("k", "1")).send(("k", "4"));
/// assert_eq!(means.take_values(), ["1", "2.5"]);
/// assert_eq!(means.aggregated(|means| &means.mean, "k"), Some(2.5));
/// ```
pub struct AggregatingState<A: Aggregate, C = Plain> {
    value: ValueState<A::Acc, C>,
}

/// The record form: the result of the current key.
impl<A: Aggregate, C: Codec<A::Acc>> AggregatingState<A, C> {
    /// Takes in a value, and gives the result then.
    ///
    /// # Errors
    /// If what the state holds cannot be decoded.
    pub fn add(&mut self, value: A::In) -> Result<A::Out> {
        let acc = self.value.or_insert_with(A::start)?;
        A::add(acc, value);
        Ok(A::result(acc))
    }

    /// The result so far; `None` before the first value.
    ///
    /// # Errors
    /// If what the state holds cannot be decoded.
    pub fn get(&mut self) -> Result<Option<A::Out>> {
        Ok(self.value.get()?.map(A::result))
    }

    /// Forgets all values.
    pub fn clear(&mut self) {
        self.value.clear();
    }

    /// Forgets all values and returns their result.
    ///
    /// # Errors
    /// If what the state holds cannot be decoded.
    pub fn take(&mut self) -> Result<Option<A::Out>> {
        Ok(self.value.take()?.as_ref().map(A::result))
    }
}

/// The batch form.
impl<A: Aggregate, C: Codec<A::Acc>> AggregatingState<A, C> {
    /// Takes in `values[i]` for `keys[i]`, in order; a key may stand often. The results then, by key of the batch.
    ///
    /// # Errors
    /// If what the state holds cannot be decoded, or what is kept not be encoded.
    ///
    /// # Panics
    /// If there is not one value for each of the keys.
    pub fn add_each(&mut self, keys: &[u32], values: impl IntoIterator<Item = A::In>) -> Result<Vec<Option<A::Out>>> {
        let kept = self.value.fold(keys, values, |acc, value| A::add(acc.get_or_insert_with(A::start), value))?;
        Ok(kept.iter().map(|acc| acc.as_ref().map(A::result)).collect())
    }
}

impl<A: Aggregate, C: Codec<A::Acc>> VersionedField for AggregatingState<A, C> {
    type Value = A::Acc;
    type Codec = C;
}

impl<A: Aggregate, C: Codec<A::Acc>> Field for AggregatingState<A, C> {
    fn declare(name: &'static str, spec: &mut Spec) -> Self {
        Self { value: ValueState::declare(name, spec) }
    }

    fn open(&mut self, context: &Context) -> Result {
        self.value.open(context)
    }

    fn flush(&mut self) -> Result {
        self.value.flush()
    }
}

impl<A: Aggregate, C> AggregatingState<A, C> {
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn value(&self) -> &ValueState<A::Acc, C> {
        &self.value
    }
}

impl<A: Aggregate, C> fmt::Debug for AggregatingState<A, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AggregatingState").field(&self.value).finish()
    }
}
