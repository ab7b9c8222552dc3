//! What stands where there is no value yet.

use super::{MapState, ValueState};
use crate::codec::{Codec, EntryKey};
use crate::error::Result;

/// Defaults of the record form.
///
/// ```
/// use weir_sdk::harness::Harness;
/// use weir_sdk::prelude::*;
///
/// /// Every key has 100 in stock at first.
/// #[derive(Describe)]
/// struct Stock {
///     left: ValueState<i64>,
/// }
///
/// impl Operator for Stock {
///     fn process(&mut self, record: &Record, out: &mut Output) -> Result {
///         let sold: i64 = record.json()?;
///         if sold > self.left.get_or(100)? {
///             return Err(Error::reject("sold out"));
///         }
///         *self.left.or_insert(100)? -= sold;
///         out.emit(self.left.get_or(100)?)
///     }
/// }
///
/// let mut stock = Harness::<Stock>::new();
/// stock.send(("apple", "30")).send(("apple", "80")).send(("pear", "100"));
/// assert_eq!((stock.take_values(), stock.reasons().len()), (vec!["70".to_owned(), "0".to_owned()], 1));
/// ```
impl<T: 'static, C: Codec<T>> ValueState<T, C> {
    /// The value, or `default` where there is none. Writes nothing.
    ///
    /// # Errors
    /// If what the state holds cannot be decoded.
    pub fn get_or(&mut self, default: T) -> Result<T>
    where
        T: Clone,
    {
        Ok(self.get()?.cloned().unwrap_or(default))
    }

    /// The value to change, at first `default`.
    ///
    /// # Errors
    /// If what the state holds cannot be decoded.
    pub fn or_insert(&mut self, default: T) -> Result<&mut T> {
        self.or_insert_with(|| default)
    }

    /// The value to change, at first what `default` makes.
    ///
    /// # Errors
    /// If what the state holds cannot be decoded.
    pub fn or_insert_with(&mut self, default: impl FnOnce() -> T) -> Result<&mut T> {
        if self.get()?.is_none() {
            self.set(default());
        }
        Ok(self.get_mut()?.expect("there is a value now"))
    }
}

/// A default in the batch form.
impl<T: 'static, C: Codec<T>> ValueState<T, C> {
    /// The values of all keys of the batch, `default` where there is none.
    ///
    /// # Errors
    /// If what the state holds cannot be decoded.
    pub fn load_or(&mut self, default: &T) -> Result<Vec<T>>
    where
        T: Clone,
    {
        Ok(self.load()?.into_iter().map(|value| value.unwrap_or_else(|| default.clone())).collect())
    }
}

/// Defaults of single entries.
impl<K: EntryKey, V: 'static, C: Codec<V>> MapState<K, V, C> {
    /// The entry's value, or `default` where there is none. Writes nothing.
    ///
    /// # Errors
    /// If what the state holds cannot be decoded.
    pub fn get_or(&mut self, entry: &K, default: V) -> Result<V>
    where
        V: Clone,
    {
        Ok(self.get(entry)?.cloned().unwrap_or(default))
    }
}
