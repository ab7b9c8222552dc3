//! A batch that is being gathered from rows of others.

use weir_operator::batch::{Batch, HeaderColumn, Keys, NO_KEY, Rows};
use weir_protocol::time::NO_TIME;

use super::dictionary::Dictionary;
use super::{BATCH_BYTES_MAX, BATCH_ROWS_MAX};

/// Stands in a [`KeyMap`] for a key that no row has brought yet.
const UNMAPPED: u32 = u32::MAX;

/// A batch in the making. Its keys are its own, each distinct one once, whatever batches they come from.
#[derive(Debug, Default)]
pub(super) struct BatchBuilder {
    /// All but the keys.
    batch: Batch,
    dictionary: Dictionary,
    has_keys: bool,
}

/// Where the keys of one source batch stand in the builders that take its rows. One map serves all targets of an edge,
/// since each key has one target.
#[derive(Debug, Default)]
pub(super) struct KeyMap {
    indices: Vec<u32>,
}

impl KeyMap {
    /// Forgets everything, for a batch of `keys` distinct keys.
    pub(super) fn reset(&mut self, keys: usize) {
        self.indices.clear();
        self.indices.resize(keys, UNMAPPED);
    }
}

impl BatchBuilder {
    /// How many rows it holds.
    pub(super) const fn rows(&self) -> u32 {
        self.batch.rows
    }

    /// Whether it holds no row.
    pub(super) const fn is_empty(&self) -> bool {
        self.batch.rows == 0
    }

    /// Whether it has reached a bound.
    pub(super) fn is_full(&self) -> bool {
        self.rows() >= BATCH_ROWS_MAX || self.bytes() >= BATCH_BYTES_MAX
    }

    /// How many of these rows can be appended before a bound is reached; at least one where it is not full.
    pub(super) fn room(&self, batch: &Batch, rows: &Rows<'_>) -> usize {
        let count = rows.len().min((BATCH_ROWS_MAX - self.rows().min(BATCH_ROWS_MAX)) as usize);
        let mut bytes = self.bytes();
        if bytes + batch.bytes() <= BATCH_BYTES_MAX {
            return count;
        }
        let fits = rows.iter().take(count).take_while(|&row| {
            let has_room = bytes < BATCH_BYTES_MAX;
            bytes += row_bytes(batch, row as usize);
            has_room
        });
        fits.count()
    }

    /// Appends rows of a batch, with their keys in `keys` instead of those that the batch itself names. `map` belongs
    /// to the source batch; the caller resets it at its first row and whenever this builder was emptied meanwhile.
    pub(super) fn append(&mut self, batch: &Batch, keys: Option<&Keys>, rows: &Rows<'_>, map: &mut KeyMap) {
        let before = self.rows() as usize;
        self.append_keys(before, keys, rows, map);
        self.append_timestamps(before, batch, rows);
        self.append_headers(before, batch, rows);
        self.batch.values.extend_rows(&batch.values, rows);
        self.batch.rows += u32::try_from(rows.len()).expect("the caller asked for no more than there is room for");
    }

    /// Hands out the batch and begins anew.
    pub(super) fn take(&mut self) -> Batch {
        let keys = self.dictionary.take();
        let has_keys = std::mem::take(&mut self.has_keys);
        Batch { keys: has_keys.then_some(keys), ..std::mem::take(&mut self.batch) }
    }

    fn bytes(&self) -> usize {
        let Keys { distinct, key_of, .. } = &self.dictionary.keys;
        self.batch.bytes() + distinct.data.len() + key_of.len() * 4
    }

    fn append_keys(&mut self, before: usize, keys: Option<&Keys>, rows: &Rows<'_>, map: &mut KeyMap) {
        let Some(keys) = keys else {
            if self.has_keys {
                self.dictionary.keys.key_of.resize(before + rows.len(), NO_KEY);
            }
            return;
        };
        if !self.has_keys {
            self.has_keys = true;
            self.dictionary.keys.key_of.resize(before, NO_KEY);
        }
        self.dictionary.index_all();
        self.dictionary.keys.key_of.reserve(rows.len());
        for row in rows.iter() {
            let index = match keys.key_of[row as usize] {
                NO_KEY => NO_KEY,
                key => self.mapped(keys, key, map),
            };
            self.dictionary.keys.key_of.push(index);
        }
    }

    fn mapped(&mut self, keys: &Keys, key: u32, map: &mut KeyMap) -> u32 {
        let mapped = &mut map.indices[key as usize];
        if *mapped == UNMAPPED {
            let (bytes, hash) = (keys.distinct.get(key as usize), keys.hashes[key as usize]);
            *mapped = self.dictionary.find(bytes, hash).unwrap_or_else(|| self.dictionary.push(bytes, hash));
        }
        *mapped
    }

    fn append_timestamps(&mut self, before: usize, batch: &Batch, rows: &Rows<'_>) {
        let into = &mut self.batch.timestamps;
        match (into.is_empty(), batch.timestamps.is_empty()) {
            (true, true) => {}
            (false, true) => into.resize(before + rows.len(), NO_TIME),
            (_, false) => {
                into.resize(before, NO_TIME);
                rows.copy(&batch.timestamps, into);
            }
        }
    }

    fn append_headers(&mut self, before: usize, batch: &Batch, rows: &Rows<'_>) {
        for (index, header) in batch.headers.iter().enumerate() {
            let nth = batch.headers[..index].iter().filter(|other| other.name == header.name).count();
            let column = self.header_column(&header.name, nth);
            column.values.extend_missing(before - column.values.len());
            column.values.extend_rows(&header.values, rows);
        }
        for column in &mut self.batch.headers {
            column.values.extend_missing(before + rows.len() - column.values.len());
        }
    }

    /// The `nth` column of a name: a record's repeated headers keep their order.
    fn header_column(&mut self, name: &str, nth: usize) -> &mut HeaderColumn {
        let headers = &mut self.batch.headers;
        let found = headers.iter().enumerate().filter(|(_, column)| column.name == name).map(|(at, _)| at).nth(nth);
        let index = found.unwrap_or_else(|| {
            headers.push(HeaderColumn { name: name.to_owned(), ..HeaderColumn::default() });
            headers.len() - 1
        });
        &mut headers[index]
    }
}

fn row_bytes(batch: &Batch, row: usize) -> usize {
    let headers = batch.headers.iter().map(|header| header.values.values.get(row).len()).sum::<usize>();
    batch.values.values.get(row).len() + headers + 16
}
