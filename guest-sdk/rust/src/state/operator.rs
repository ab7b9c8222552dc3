//! A list of the parallel instance's own, whatever key it works on.

use std::fmt;
use std::marker::PhantomData;

use super::value::opened;
use super::{current, undecodable, unencodable};
use crate::bindings::exports::weir::operator::operators::StateKind;
use crate::codec::{Codec, Plain};
use crate::column::{Column, ColumnBuilder};
use crate::describe::{Field, Spec};
use crate::error::Result;
use crate::host;
use crate::migration::VersionedField;
use crate::operator::Context;

/// A list of the instance's own whose elements are dealt out over the instances when the parallelism changes: each
/// element is on exactly one.
///
/// ```
/// use weir_sdk::harness::Harness;
/// use weir_sdk::prelude::*;
///
/// /// Passes on each value that none of the last three was, whatever its key.
/// #[derive(Describe)]
/// #[input(lines: unkeyed)]
/// struct Repeats {
///     recent: SplitListState<String>,
/// }
///
/// impl Operator for Repeats {
///     fn process(&mut self, record: &Record, out: &mut Output) -> Result {
///         let text = record.text()?;
///         let recent = self.recent.get_mut()?;
///         if recent.iter().any(|seen| seen == text) {
///             return Ok(());
///         }
///         recent.push(text.to_owned());
///         if recent.len() > 3 {
///             recent.remove(0);
///         }
///         out.emit(text)
///     }
/// }
///
/// let mut repeats = Harness::<Repeats>::new();
/// repeats.send_batch(["a", "b", "a", "c", "d", "a"]);
/// assert_eq!(repeats.take_values(), ["a", "b", "c", "d", "a"]);
/// assert_eq!(repeats.operator_list(|repeats| &repeats.recent), ["c", "d", "a"]);
/// ```
pub type SplitListState<T, C = Plain> = OperatorListState<Split, T, C>;

/// A list of the instance's own; when the parallelism changes, every instance gets the lists of all, one after the
/// other. An operator keeps with each element whose it is, and writes back what is its own: else the list grows with
/// every change.
pub type UnionListState<T, C = Plain> = OperatorListState<Union, T, C>;

/// What becomes of a list when the parallelism changes.
pub trait Spread: 'static {
    #[doc(hidden)]
    const KIND: StateKind;
}

/// Each element goes to one instance.
#[derive(Debug)]
pub enum Split {}

/// Every element goes to every instance.
#[derive(Debug)]
pub enum Union {}

impl Spread for Split {
    const KIND: StateKind = StateKind::OperatorSplit;
}

impl Spread for Union {
    const KIND: StateKind = StateKind::OperatorUnion;
}

/// A list of values of type `T` that belongs to the instance, encoded one by one by `C`; see [`SplitListState`] and
/// [`UnionListState`]. It is read when it is first looked at (`open` may do so already), kept decoded, and written back
/// whole at the end of each call that changed it: it is for what is small.
pub struct OperatorListState<S, T, C = Plain> {
    name: &'static str,
    handle: Option<host::state::OperatorState>,
    values: Option<Vec<T>>,
    written: bool,
    /// What is stored; kept for its memory.
    column: ColumnBuilder,
    codec: PhantomData<fn(S) -> C>,
}

impl<S: Spread, T: 'static, C: Codec<T>> OperatorListState<S, T, C> {
    /// The values in their order.
    ///
    /// # Errors
    /// If what the state holds cannot be decoded.
    pub fn get(&mut self) -> Result<&[T]> {
        self.loaded().map(|values| values.as_slice())
    }

    /// The values to change. Counts as written.
    ///
    /// # Errors
    /// If what the state holds cannot be decoded.
    ///
    /// # Panics
    /// In `open`, where state is only read.
    pub fn get_mut(&mut self) -> Result<&mut Vec<T>> {
        self.loaded()?;
        self.mark_written();
        self.loaded()
    }

    /// Appends a value.
    ///
    /// # Errors
    /// If what the state holds cannot be decoded.
    ///
    /// # Panics
    /// In `open`, where state is only read.
    pub fn append(&mut self, value: T) -> Result {
        self.get_mut()?.push(value);
        Ok(())
    }

    /// Replaces all values.
    ///
    /// # Panics
    /// In `open`, where state is only read.
    pub fn set(&mut self, values: Vec<T>) {
        self.mark_written();
        self.values = Some(values);
    }

    /// Removes all values.
    ///
    /// # Panics
    /// In `open`, where state is only read.
    pub fn clear(&mut self) {
        self.set(Vec::new());
    }

    fn mark_written(&mut self) {
        current::expect_call(self.name);
        current::mark_written();
        self.written = true;
    }

    fn loaded(&mut self) -> Result<&mut Vec<T>> {
        let values = match self.values.take() {
            Some(values) => values,
            None => {
                let column = opened(self.handle.as_ref(), self.name).get();
                let values = Column::of_bytes(&column).iter().map(|value| C::decode(value.unwrap_or_default()));
                let values: Result<_, _> = values.collect();
                values.map_err(|reason| undecodable(self.name, C::name(), &reason))?
            }
        };
        Ok(self.values.insert(values))
    }
}

impl<S: Spread, T: 'static, C: Codec<T>> VersionedField for OperatorListState<S, T, C> {
    type Value = T;
    type Codec = C;
}

impl<S: Spread, T: 'static, C: Codec<T>> Field for OperatorListState<S, T, C> {
    fn declare(name: &'static str, spec: &mut Spec) -> Self {
        spec.state(name, S::KIND, C::name());
        let (column, codec) = (ColumnBuilder::new(), PhantomData);
        Self { name, handle: None, values: None, written: false, column, codec }
    }

    fn open(&mut self, _context: &Context) -> Result {
        self.handle = Some(host::state::OperatorState::new(self.name));
        Ok(())
    }

    fn flush(&mut self) -> Result {
        if !std::mem::take(&mut self.written) {
            return Ok(());
        }
        self.column.clear();
        for value in self.values.iter().flatten() {
            self.column
                .push_with(|data| C::encode(value, data))
                .map_err(|reason| unencodable(self.name, C::name(), &reason))?;
        }
        opened(self.handle.as_ref(), self.name).set(&self.column.raw().values);
        Ok(())
    }
}

impl<S, T, C> OperatorListState<S, T, C> {
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }
}

impl<S, T, C> fmt::Debug for OperatorListState<S, T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OperatorListState").field("name", &self.name).finish_non_exhaustive()
    }
}
