//! Columns: many byte strings in one piece, as they cross the boundary.

use crate::bindings::weir::operator::types::{BytesColumn, OptionalColumn};
use crate::error::Result;
use crate::output::Payload;

/// A column to read. Value `i` is there or missing; a missing value of a record is a deletion.
#[derive(Debug, Clone, Copy)]
pub struct Column<'a> {
    data: &'a [u8],
    offsets: &'a [u32],
    validity: &'a [u8],
}

impl<'a> Column<'a> {
    /// The column with the given parts.
    #[must_use]
    pub fn of(column: &'a OptionalColumn) -> Self {
        Self { validity: &column.validity, ..Self::of_bytes(&column.values) }
    }

    /// The same for a column in which nothing is missing.
    #[must_use]
    pub fn of_bytes(column: &'a BytesColumn) -> Self {
        Self { data: &column.data, offsets: &column.offsets, validity: &[] }
    }

    /// How many values, missing ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Whether there is none. A column that the input does not read is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Value `index`; `None` where it is missing.
    ///
    /// # Panics
    /// If `index` is not below [`len`](Self::len).
    #[must_use]
    #[inline]
    pub fn get(&self, index: usize) -> Option<&'a [u8]> {
        if !self.validity.is_empty() && self.validity[index / 8] & (1 << (index % 8)) == 0 {
            return None;
        }
        Some(&self.data[self.offsets[index] as usize..self.offsets[index + 1] as usize])
    }

    /// All values in order.
    pub fn iter(self) -> impl ExactSizeIterator<Item = Option<&'a [u8]>> {
        (0..self.len()).map(move |index| self.get(index))
    }
}

/// A column that is being written. Emptied and filled again, it keeps its memory.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnBuilder {
    column: OptionalColumn,
}

impl Default for ColumnBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl ColumnBuilder {
    /// One without values.
    #[must_use]
    pub fn new() -> Self {
        let values = BytesColumn { data: Vec::new(), offsets: vec![0] };
        Self { column: OptionalColumn { values, validity: Vec::new() } }
    }

    /// How many values, missing ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.column.values.offsets.len() - 1
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes the values have.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.column.values.data.len()
    }

    /// Adds a value.
    pub fn push(&mut self, value: &[u8]) {
        self.column.values.data.extend_from_slice(value);
        self.close(true);
    }

    /// Adds a value that writes itself; `None`-like payloads add a missing one.
    ///
    /// # Errors
    /// If the value cannot be written; the column is then as before.
    pub fn push_payload(&mut self, value: &impl Payload) -> Result {
        if value.is_missing() {
            self.push_missing();
            return Ok(());
        }
        self.push_with(|data| value.write_to(data))
    }

    /// Adds a missing value.
    pub fn push_missing(&mut self) {
        self.close(false);
    }

    /// Adds what `write` appends; the column is as before if it fails.
    pub(crate) fn push_with<E>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        let start = self.column.values.data.len();
        if let Err(error) = write(&mut self.column.values.data) {
            self.column.values.data.truncate(start);
            return Err(error);
        }
        self.close(true);
        Ok(())
    }

    /// Keeps the first `length` values.
    pub fn truncate(&mut self, length: usize) {
        if length >= self.len() {
            return;
        }
        let values = &mut self.column.values;
        values.offsets.truncate(length + 1);
        values.data.truncate(values.offsets[length] as usize);
        if !self.column.validity.is_empty() {
            self.column.validity.truncate(length.div_ceil(8));
        }
    }

    /// Removes all values and keeps the memory.
    pub fn clear(&mut self) {
        self.truncate(0);
        self.column.validity.clear();
    }

    /// What was written so far.
    #[must_use]
    pub fn as_column(&self) -> Column<'_> {
        Column::of(&self.column)
    }

    /// The same, as the contract has it.
    pub(crate) fn raw(&self) -> &OptionalColumn {
        &self.column
    }

    /// Moves the column out, so that it can be part of something larger; [`put_back`](Self::put_back) reuses its memory.
    pub(crate) fn take(&mut self) -> OptionalColumn {
        std::mem::take(self).column
    }

    pub(crate) fn put_back(&mut self, column: OptionalColumn) {
        self.column = column;
        self.clear();
    }

    pub(crate) fn put_back_bytes(&mut self, column: BytesColumn) {
        self.column.values = column;
        self.clear();
    }

    fn close(&mut self, present: bool) {
        let index = self.len();
        let end = u32::try_from(self.column.values.data.len()).expect("a 32-bit memory holds no longer column");
        self.column.values.offsets.push(end);
        let validity = &mut self.column.validity;
        if validity.is_empty() {
            if present {
                return;
            }
            validity.resize(index / 8, u8::MAX);
            let before = u8::try_from((1_u16 << (index % 8)) - 1).expect("at most seven bits");
            validity.push(before);
            return;
        }
        if index / 8 == validity.len() {
            validity.push(0);
        }
        let bit = 1 << (index % 8);
        let byte = &mut validity[index / 8];
        *byte = if present { *byte | bit } else { *byte & !bit };
    }
}

impl<V: AsRef<[u8]>> FromIterator<V> for ColumnBuilder {
    fn from_iter<I: IntoIterator<Item = V>>(values: I) -> Self {
        let mut builder = Self::new();
        values.into_iter().for_each(|value| builder.push(value.as_ref()));
        builder
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::ColumnBuilder;

    proptest! {
        #[test]
        fn built_column_reads_back_and_truncates_anywhere(
            values: Vec<Option<Vec<u8>>>,
            more: Vec<Option<Vec<u8>>>,
            keep: prop::sample::Index,
        ) {
            let push = |builder: &mut ColumnBuilder, value: &Option<Vec<u8>>| match value {
                Some(value) => builder.push(value),
                None => builder.push_missing(),
            };
            let mut builder = ColumnBuilder::new();
            values.iter().for_each(|value| push(&mut builder, value));
            let read: Vec<_> = builder.as_column().iter().map(|value| value.map(<[u8]>::to_vec)).collect();
            prop_assert_eq!(&read, &values);

            let keep = keep.index(values.len() + 1);
            builder.truncate(keep);
            more.iter().for_each(|value| push(&mut builder, value));
            let read: Vec<_> = builder.as_column().iter().map(|value| value.map(<[u8]>::to_vec)).collect();
            let expected: Vec<_> = values[..keep].iter().chain(&more).cloned().collect();
            prop_assert_eq!(&read, &expected);
            let validity = &builder.raw().validity;
            prop_assert!(validity.is_empty() || validity.len() == expected.len().div_ceil(8));
        }
    }
}
