//! Rows of one column or batch, appended to another.

use std::ops::Range;

use super::{BytesColumn, OptionalColumn};

/// Which rows of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rows<'a> {
    /// These neighbours; their bytes are copied in one piece.
    Range(Range<u32>),
    /// These, in this order; one may stand twice.
    These(&'a [u32]),
}

impl<'a> Rows<'a> {
    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Range(range) => range.len(),
            Self::These(rows) => rows.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first `count` of them, and the others.
    ///
    /// # Panics
    /// When there are fewer.
    #[must_use]
    pub fn split_at(&self, count: usize) -> (Self, Self) {
        match self {
            Self::Range(range) => {
                assert!(count <= range.len(), "the caller counted the rows");
                let middle = range.start + u32::try_from(count).expect("a part of a range of u32 fits");
                (Self::Range(range.start..middle), Self::Range(middle..range.end))
            }
            Self::These(rows) => {
                let (first, rest) = rows.split_at(count);
                (Self::These(first), Self::These(rest))
            }
        }
    }

    /// Their numbers, in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + use<'a> {
        let (range, rows) = match self {
            Self::Range(range) => (range.clone(), [].as_slice()),
            Self::These(rows) => (0..0, *rows),
        };
        range.chain(rows.iter().copied())
    }

    /// Appends these rows of a plain column to another.
    pub fn copy<T: Copy>(&self, from: &[T], into: &mut Vec<T>) {
        match self {
            Self::Range(range) => into.extend_from_slice(&from[range.start as usize..range.end as usize]),
            Self::These(rows) => into.extend(rows.iter().map(|&row| from[row as usize])),
        }
    }
}

impl BytesColumn {
    /// Appends rows of another column.
    pub fn extend_rows(&mut self, from: &Self, rows: &Rows<'_>) {
        match rows {
            Rows::Range(range) => self.extend_range(from, range.start as usize..range.end as usize),
            Rows::These(rows) => self.extend_these(from, rows),
        }
    }

    fn extend_range(&mut self, from: &Self, range: Range<usize>) {
        let (first, last) = (from.offsets[range.start], from.offsets[range.end]);
        let base = self.bytes_u32();
        self.data.extend_from_slice(&from.data[first as usize..last as usize]);
        self.bytes_u32();
        self.offsets.extend(from.offsets[range.start + 1..=range.end].iter().map(|offset| offset - first + base));
    }

    fn extend_these(&mut self, from: &Self, rows: &[u32]) {
        let bytes = rows.iter().map(|&row| from.get(row as usize).len()).sum();
        self.data.reserve(bytes);
        self.offsets.reserve(rows.len());
        for &row in rows {
            self.push(from.get(row as usize));
        }
    }

    /// Appends `count` empty values.
    pub fn extend_empty(&mut self, count: usize) {
        let end = self.bytes_u32();
        self.offsets.resize(self.offsets.len() + count, end);
    }

    fn bytes_u32(&self) -> u32 {
        u32::try_from(self.data.len()).expect("batches are bounded far below 4 GiB")
    }
}

impl OptionalColumn {
    /// Appends rows of another column.
    pub fn extend_rows(&mut self, from: &Self, rows: &Rows<'_>) {
        if self.validity.is_empty() && from.validity.is_empty() {
            self.values.extend_rows(&from.values, rows);
        } else {
            for row in rows.iter() {
                self.push(from.get(row as usize));
            }
        }
    }

    /// Appends `count` missing values.
    pub fn extend_missing(&mut self, count: usize) {
        if count == 0 {
            return;
        }
        let len = self.len();
        if self.validity.is_empty() {
            self.validity.resize(len / 8, 0xff);
            if !len.is_multiple_of(8) {
                self.validity.push(u8::MAX >> (8 - len % 8));
            }
        } else if !len.is_multiple_of(8) {
            self.validity[len / 8] &= u8::MAX >> (8 - len % 8);
        }
        self.validity.resize((len + count).div_ceil(8), 0);
        self.values.extend_empty(count);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn column(values: &[Option<Vec<u8>>]) -> OptionalColumn {
        let mut column = OptionalColumn::default();
        values.iter().for_each(|value| column.push(value.as_deref()));
        column
    }

    fn values() -> impl Strategy<Value = Vec<Option<Vec<u8>>>> {
        proptest::collection::vec(proptest::option::weighted(0.8, proptest::collection::vec(any::<u8>(), 0..5)), 0..40)
    }

    proptest! {
        #[test]
        fn appended_rows_are_the_rows_that_were_asked_for(
            before in values(), from in values(), picks in proptest::collection::vec(any::<prop::sample::Index>(), 0..40),
            missing in 0_usize..20,
        ) {
            let picks: Vec<u32> = picks.iter().filter(|_| !from.is_empty())
                .map(|pick| u32::try_from(pick.index(from.len())).unwrap()).collect();
            let mut into = column(&before);
            into.extend_rows(&column(&from), &Rows::These(&picks));
            into.extend_missing(missing);
            into.extend_rows(&column(&from), &Rows::Range(0..u32::try_from(from.len()).unwrap()));
            let picked = picks.iter().map(|&pick| from[pick as usize].clone());
            let expected: Vec<_> = before.iter().cloned().chain(picked)
                .chain(std::iter::repeat_n(None, missing)).chain(from.iter().cloned()).collect();
            prop_assert_eq!(into.check(), Ok(()));
            prop_assert_eq!(into.iter().map(|value| value.map(<[u8]>::to_vec)).collect::<Vec<_>>(), expected);
        }
    }
}
