//! Taking some rows of a batch, in an order of one's own.
//!
//! Receives row numbers that are in bounds; guarantees columns of the same shape as the batch's (empty ones stay
//! empty), and keys that are encoded anew: each distinct key once, in the order of its first row.

use super::{Batch, HeaderColumn, Keys, NO_KEY, OptionalColumn, Rows};

impl Batch {
    /// The records of `rows`, in that order; a row may stand twice.
    ///
    /// # Panics
    /// When a row is not below [`Batch::rows`].
    #[must_use]
    pub fn gather(&self, rows: &[u32]) -> Self {
        Self {
            rows: u32::try_from(rows.len()).expect("batches are bounded far below 2^32 rows"),
            keys: self.keys.as_ref().map(|keys| keys.gather(rows)),
            values: gather_column(&self.values, rows),
            timestamps: gather_plain(&self.timestamps, rows),
            headers: self.headers.iter().map(|header| header.gather(rows)).collect(),
        }
    }
}

impl HeaderColumn {
    /// The header of `rows`, in that order.
    #[must_use]
    pub fn gather(&self, rows: &[u32]) -> Self {
        Self { name: self.name.clone(), values: gather_column(&self.values, rows) }
    }
}

impl Keys {
    /// The keys of `rows`, in that order.
    #[must_use]
    pub fn gather(&self, rows: &[u32]) -> Self {
        let mut gathered = Self::default();
        let mut new_index = vec![NO_KEY; self.count()];
        gathered.key_of.reserve(rows.len());
        for &row in rows {
            let key = self.key_of[row as usize];
            if key == NO_KEY {
                gathered.key_of.push(NO_KEY);
                continue;
            }
            let index = &mut new_index[key as usize];
            if *index == NO_KEY {
                *index = u32::try_from(gathered.count()).expect("there are at most as many keys as before");
                gathered.distinct.push(self.distinct.get(key as usize));
                gathered.hashes.push(self.hashes[key as usize]);
            }
            gathered.key_of.push(*index);
        }
        gathered
    }
}

/// The entries of `rows`; a column that is empty stays empty.
pub(crate) fn gather_plain<T: Copy>(column: &[T], rows: &[u32]) -> Vec<T> {
    let mut gathered = Vec::new();
    if !column.is_empty() {
        Rows::These(rows).copy(column, &mut gathered);
    }
    gathered
}

fn gather_column(column: &OptionalColumn, rows: &[u32]) -> OptionalColumn {
    let mut gathered = OptionalColumn::default();
    if !column.is_empty() {
        gathered.extend_rows(column, &Rows::These(rows));
    }
    gathered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::BytesColumn;

    fn batch() -> Batch {
        let mut values = OptionalColumn::default();
        [Some(b"a".as_slice()), None, Some(b"c")].into_iter().for_each(|value| values.push(value));
        Batch {
            rows: 3,
            keys: Some(Keys::encode([b"x".as_slice(), b"y", b"x"])),
            values,
            timestamps: vec![1, 2, 3],
            headers: vec![HeaderColumn {
                name: "h".into(),
                values: BytesColumn::from_iter([b"1".as_slice(), b"2", b"3"]).into(),
            }],
        }
    }

    #[test]
    fn gathering_all_rows_gives_the_batch() {
        assert_eq!(batch().gather(&[0, 1, 2]), batch());
    }

    #[test]
    fn gathering_encodes_keys_in_the_new_order() {
        let gathered = batch().gather(&[1, 2, 1]);
        assert_eq!(gathered.keys, Some(Keys::encode([b"y".as_slice(), b"x", b"y"])));
        assert_eq!(gathered.values.iter().collect::<Vec<_>>(), [None, Some(b"c".as_slice()), None]);
        assert_eq!(gathered.timestamps, [2, 3, 2]);
        assert_eq!(gathered.headers[0].values.get(1), Some(b"3".as_slice()));
    }

    #[test]
    fn a_column_that_is_empty_stays_empty() {
        let mut batch = batch();
        batch.values.clear();
        batch.timestamps.clear();
        batch.keys = None;
        let gathered = batch.gather(&[2]);
        assert_eq!((gathered.rows, gathered.values.len(), gathered.timestamps.len()), (1, 0, 0));
        assert_eq!(gathered.keys, None);
    }
}
