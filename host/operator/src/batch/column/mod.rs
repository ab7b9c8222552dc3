//! Columns of byte strings, laid out as Arrow's `Binary`.

use std::ops::Range;

use wasmtime::component::{ComponentType, Lift, Lower};

/// Variable-length byte strings: value `i` is `data[offsets[i] .. offsets[i + 1]]`. `offsets` holds one more entry
/// than there are values, starts at 0, never decreases and ends at the length of `data`.
#[derive(Debug, Clone, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(record)]
pub struct BytesColumn {
    /// The bytes of all values, one after the other.
    pub data: Vec<u8>,
    /// Where each value starts, and at last where the last one ends.
    pub offsets: Vec<u32>,
}

/// A column some of whose values are missing. Bit `i % 8` of `validity[i / 8]` is 1 where value `i` is present; an
/// empty bitmap means that every value is.
#[derive(Debug, Clone, PartialEq, Eq, Default, ComponentType, Lift, Lower)]
#[component(record)]
pub struct OptionalColumn {
    /// The values; bytes under a missing one are ignored.
    pub values: BytesColumn,
    /// Which are present.
    pub validity: Vec<u8>,
}

/// How a column breaks the contract's rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ColumnError {
    /// `offsets` is empty or does not start at 0.
    #[error("offsets must start with 0")]
    Start,
    /// An offset is smaller than the one before.
    #[error("offset {index} is smaller than the one before it")]
    Decreasing {
        /// Which one.
        index: usize,
    },
    /// The last offset is not the length of `data`.
    #[error("the last offset is {last}, but data holds {bytes} bytes")]
    End {
        /// The last offset.
        last: u32,
        /// The length of `data`.
        bytes: usize,
    },
    /// The bitmap is neither empty nor as long as the values need.
    #[error("validity holds {bytes} bytes, but {values} values need {} (or none)", values.div_ceil(8))]
    Validity {
        /// Its length.
        bytes: usize,
        /// The number of values.
        values: usize,
    },
}

impl Default for BytesColumn {
    fn default() -> Self {
        Self { data: Vec::new(), offsets: vec![0] }
    }
}

impl BytesColumn {
    /// A column with no value, with room for `values` values of `bytes` bytes together.
    #[must_use]
    pub fn with_capacity(values: usize, bytes: usize) -> Self {
        let mut offsets = Vec::with_capacity(values + 1);
        offsets.push(0);
        Self { data: Vec::with_capacity(bytes), offsets }
    }

    /// The number of values.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Whether there is no value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Value `index`.
    ///
    /// # Panics
    /// When there is no such value; within the host every index is checked before.
    #[must_use]
    #[inline]
    pub fn get(&self, index: usize) -> &[u8] {
        &self.data[self.offsets[index] as usize..self.offsets[index + 1] as usize]
    }

    /// Appends a value. A column holds less than 4 GiB; batches are bounded far below that.
    #[inline]
    pub fn push(&mut self, value: &[u8]) {
        self.data.extend_from_slice(value);
        self.close_value();
    }

    /// Appends those of another column's values that have these indices.
    ///
    /// # Panics
    /// Where `other` has fewer.
    pub fn extend_from(&mut self, other: &Self, indices: Range<usize>) {
        let offsets = &other.offsets[indices.start..=indices.end];
        let (before, start) = (self.data.len(), other.offsets[indices.start]);
        self.data.extend_from_slice(&other.data[start as usize..other.offsets[indices.end] as usize]);
        let end = u32::try_from(self.data.len()).expect("batches are bounded far below 4 GiB");
        let before = end - u32::try_from(self.data.len() - before).expect("it is part of the whole");
        self.offsets.extend(offsets[1..].iter().map(|offset| before + (offset - start)));
    }

    /// Ends the value whose bytes were appended to `data` directly.
    #[inline]
    pub fn close_value(&mut self) {
        self.offsets.push(u32::try_from(self.data.len()).expect("batches are bounded far below 4 GiB"));
    }

    /// The values, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> + Clone {
        self.offsets.windows(2).map(|pair| &self.data[pair[0] as usize..pair[1] as usize])
    }

    /// Removes all values and keeps the room.
    pub fn clear(&mut self) {
        self.data.clear();
        self.offsets.clear();
        self.offsets.push(0);
    }

    /// Checks a column that came from outside.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn check(&self) -> Result<(), ColumnError> {
        if self.offsets.first() != Some(&0) {
            return Err(ColumnError::Start);
        }
        if let Some(index) = self.offsets.windows(2).position(|pair| pair[0] > pair[1]) {
            return Err(ColumnError::Decreasing { index: index + 1 });
        }
        match self.offsets.last() {
            Some(&last) if last as usize == self.data.len() => Ok(()),
            last => Err(ColumnError::End { last: last.copied().unwrap_or(0), bytes: self.data.len() }),
        }
    }
}

impl<'a> FromIterator<&'a [u8]> for BytesColumn {
    fn from_iter<I: IntoIterator<Item = &'a [u8]>>(values: I) -> Self {
        let mut column = Self::default();
        for value in values {
            column.push(value);
        }
        column
    }
}

impl OptionalColumn {
    /// The number of values, missing ones included.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is no value, not even a missing one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Whether value `index` is present.
    #[must_use]
    #[inline]
    pub fn is_present(&self, index: usize) -> bool {
        self.validity.is_empty() || self.validity[index / 8] & (1 << (index % 8)) != 0
    }

    /// Value `index`; `None` where it is missing.
    ///
    /// # Panics
    /// When there is no such value.
    #[must_use]
    #[inline]
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        self.is_present(index).then(|| self.values.get(index))
    }

    /// Appends a value, or a missing one.
    #[inline]
    pub fn push(&mut self, value: Option<&[u8]>) {
        let index = self.values.len();
        match value {
            Some(value) => {
                self.values.push(value);
                if !self.validity.is_empty() {
                    self.extend_validity(index, true);
                }
            }
            None => {
                if self.validity.is_empty() {
                    self.validity.resize(index.div_ceil(8), 0xff);
                }
                self.values.close_value();
                self.extend_validity(index, false);
            }
        }
    }

    fn extend_validity(&mut self, index: usize, present: bool) {
        if index / 8 == self.validity.len() {
            self.validity.push(0);
        }
        let bit = 1 << (index % 8);
        if present {
            self.validity[index / 8] |= bit;
        } else {
            self.validity[index / 8] &= !bit;
        }
    }

    /// The values, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Option<&[u8]>> + '_ {
        (0..self.len()).map(|index| self.get(index))
    }

    /// Removes all values and keeps the room.
    pub fn clear(&mut self) {
        self.values.clear();
        self.validity.clear();
    }

    /// The bytes it holds.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.values.data.len() + self.values.offsets.len() * 4 + self.validity.len()
    }

    /// Checks a column that came from outside.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn check(&self) -> Result<(), ColumnError> {
        self.values.check()?;
        let values = self.values.len();
        if self.validity.is_empty() || self.validity.len() == values.div_ceil(8) {
            Ok(())
        } else {
            Err(ColumnError::Validity { bytes: self.validity.len(), values })
        }
    }
}

impl<'a> FromIterator<Option<&'a [u8]>> for OptionalColumn {
    fn from_iter<I: IntoIterator<Item = Option<&'a [u8]>>>(values: I) -> Self {
        let mut column = Self::default();
        for value in values {
            column.push(value);
        }
        column
    }
}

impl From<BytesColumn> for OptionalColumn {
    fn from(values: BytesColumn) -> Self {
        Self { values, validity: Vec::new() }
    }
}

#[cfg(test)]
mod tests;
