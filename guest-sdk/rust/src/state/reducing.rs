//! One value per key that takes in others of its kind.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Add;

use super::ValueState;
use crate::codec::{Codec, Plain};
use crate::describe::{Field, Spec};
use crate::error::Result;
use crate::migration::VersionedField;
use crate::operator::Context;

/// How two values become one.
pub trait Reduce<T>: 'static {
    /// What is held once `added` has been taken in.
    fn reduce(held: T, added: T) -> T;
}

/// Adds up.
#[derive(Debug)]
pub enum Sum {}

/// Keeps the least.
#[derive(Debug)]
pub enum Min {}

/// Keeps the greatest.
#[derive(Debug)]
pub enum Max {}

impl<T: Add<Output = T>> Reduce<T> for Sum {
    fn reduce(held: T, added: T) -> T {
        held + added
    }
}

impl<T: Ord> Reduce<T> for Min {
    fn reduce(held: T, added: T) -> T {
        held.min(added)
    }
}

impl<T: Ord> Reduce<T> for Max {
    fn reduce(held: T, added: T) -> T {
        held.max(added)
    }
}

/// One value of type `T` per key, into which `R` takes in each value that is added; kept as a value state.
///
/// ```
/// use weir_sdk::harness::Harness;
/// use weir_sdk::prelude::*;
///
/// /// The longest value of each key so far.
/// struct Longest;
///
/// impl Reduce<String> for Longest {
///     fn reduce(held: String, added: String) -> String {
///         if added.len() > held.len() { added } else { held }
///     }
/// }
///
/// #[derive(Describe)]
/// struct Lengths {
///     bytes: ReducingState<u64, Sum>,
///     longest: ReducingState<String, Longest>,
/// }
///
/// impl Operator for Lengths {
///     fn process(&mut self, record: &Record, out: &mut Output) -> Result {
///         let text = record.text()?;
///         let bytes = *self.bytes.add(text.len() as u64)?;
///         let longest = self.longest.add(text.to_owned())?;
///         out.emit(format_args!("{bytes} {longest}"))
///     }
/// }
///
/// let mut lengths = Harness::<Lengths>::new();
/// lengths.send(("k", "one")).send(("k", "three")).send(("k", "two"));
/// assert_eq!(lengths.take_values(), ["3 one", "8 three", "11 three"]);
/// assert_eq!(lengths.reduced(|lengths| &lengths.bytes, "k"), Some(11));
/// ```
pub struct ReducingState<T, R, C = Plain> {
    value: ValueState<T, C>,
    reduce: PhantomData<fn() -> R>,
}

/// The record form: the value of the current key.
impl<T: 'static, R: Reduce<T>, C: Codec<T>> ReducingState<T, R, C> {
    /// Takes in a value, and gives what is held then. The first is held as it is.
    ///
    /// # Errors
    /// If what the state holds cannot be decoded.
    pub fn add(&mut self, added: T) -> Result<&T> {
        let held = match self.value.take()? {
            Some(held) => R::reduce(held, added),
            None => added,
        };
        self.value.set(held);
        Ok(self.value.get()?.expect("it was set just now"))
    }

    /// What is held; `None` before the first value.
    ///
    /// # Errors
    /// If what the state holds cannot be decoded.
    pub fn get(&mut self) -> Result<Option<&T>> {
        self.value.get()
    }

    /// Forgets all values.
    pub fn clear(&mut self) {
        self.value.clear();
    }

    /// Forgets all values and returns what was held.
    ///
    /// # Errors
    /// If what the state holds cannot be decoded.
    pub fn take(&mut self) -> Result<Option<T>> {
        self.value.take()
    }
}

/// The batch form.
impl<T: 'static, R: Reduce<T>, C: Codec<T>> ReducingState<T, R, C> {
    /// Takes in `values[i]` for `keys[i]`, in order; a key may stand often. What is held then, by key of the batch.
    ///
    /// # Errors
    /// If what the state holds cannot be decoded, or a value not be encoded.
    ///
    /// # Panics
    /// If there is not one value for each of the keys.
    pub fn add_each(&mut self, keys: &[u32], values: impl IntoIterator<Item = T>) -> Result<Vec<Option<T>>> {
        self.value.fold(keys, values, |held, added| match held.take() {
            Some(before) => *held = Some(R::reduce(before, added)),
            None => *held = Some(added),
        })
    }
}

impl<T: 'static, R: Reduce<T>, C: Codec<T>> VersionedField for ReducingState<T, R, C> {
    type Value = T;
    type Codec = C;
}

impl<T: 'static, R: Reduce<T>, C: Codec<T>> Field for ReducingState<T, R, C> {
    fn declare(name: &'static str, spec: &mut Spec) -> Self {
        Self { value: ValueState::declare(name, spec), reduce: PhantomData }
    }

    fn open(&mut self, context: &Context) -> Result {
        self.value.open(context)
    }

    fn flush(&mut self) -> Result {
        self.value.flush()
    }
}

impl<T, R, C> ReducingState<T, R, C> {
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn value(&self) -> &ValueState<T, C> {
        &self.value
    }
}

impl<T, R, C> fmt::Debug for ReducingState<T, R, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReducingState").field(&self.value).finish()
    }
}
