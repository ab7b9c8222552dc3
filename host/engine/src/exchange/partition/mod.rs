//! Which key a record has on an edge.
//!
//! Receives a batch and where the edge's key is; gives the keys of its rows, dictionary-encoded. A row that lacks the
//! key has [`NO_KEY`] there and stands among those that lack it, with the reason.

use std::borrow::Cow;

use weir_operator::batch::{Batch, Keys, NO_KEY};
use weir_protocol::job_spec::KeySpec;
use weir_protocol::key_group::key_hash;

use super::dictionary::Dictionary;
use super::json_key::{self, FieldError};

/// Finds keys; keeps its tables from batch to batch.
#[derive(Debug)]
pub(super) struct KeyExtractor {
    spec: KeySpec,
    dictionary: Dictionary,
    /// The key that is being made.
    key: Vec<u8>,
}

/// The keys of a batch on an edge.
#[derive(Debug, PartialEq)]
pub(super) struct Extracted<'a> {
    /// For every row a key, or [`NO_KEY`].
    pub(super) keys: Cow<'a, Keys>,
    /// The rows without a key, in order, and why.
    pub(super) lacking: Vec<(u32, String)>,
}

impl KeyExtractor {
    pub(super) fn new(spec: KeySpec) -> Self {
        Self { spec, dictionary: Dictionary::default(), key: Vec::new() }
    }

    pub(super) fn extract<'a>(&mut self, batch: &'a Batch) -> Extracted<'a> {
        match &self.spec {
            KeySpec::Carried => carried(batch),
            KeySpec::Constant(key) => constant(key.as_bytes(), batch.rows),
            KeySpec::Value => self.each_row(batch, |_, value, key| {
                key.extend_from_slice(value);
                Ok(())
            }),
            KeySpec::Field(_) => self.each_row(batch, |path, value, key| json_key::canonical_field(value, path, key)),
        }
    }

    /// Asks `make` for the key of each row that has a value.
    fn each_row(
        &mut self,
        batch: &Batch,
        make: impl Fn(&[String], &[u8], &mut Vec<u8>) -> Result<(), FieldError>,
    ) -> Extracted<'static> {
        let path = if let KeySpec::Field(path) = &self.spec { path.as_slice() } else { &[] };
        let mut lacking = Vec::new();
        self.dictionary.keys.key_of.reserve(batch.rows as usize);
        for row in 0..batch.rows {
            self.key.clear();
            let made = match batch.values.get(row as usize) {
                Some(value) => make(path, value, &mut self.key).map_err(|error| error.reason(path)),
                None => Err("a deletion has no value, which this edge's key is taken from; \
                             have the operator before it give its records keys, and use key = \"carried\""
                    .to_owned()),
            };
            let index = match made {
                Ok(()) => self.dictionary.intern(&self.key, key_hash(&self.key)),
                Err(reason) => {
                    lacking.push((row, reason));
                    NO_KEY
                }
            };
            self.dictionary.keys.key_of.push(index);
        }
        Extracted { keys: Cow::Owned(self.dictionary.take()), lacking }
    }
}

fn carried(batch: &Batch) -> Extracted<'_> {
    let reason = "the record carries no key; say on the edge where its key is, as in key = { field = \"user.id\" }";
    let Some(keys) = &batch.keys else {
        let none = Keys { key_of: vec![NO_KEY; batch.rows as usize], ..Keys::default() };
        let lacking = (0..batch.rows).map(|row| (row, reason.to_owned())).collect();
        return Extracted { keys: Cow::Owned(none), lacking };
    };
    let without = (0_u32..).zip(&keys.key_of).filter(|&(_, &key)| key == NO_KEY);
    Extracted { keys: Cow::Borrowed(keys), lacking: without.map(|(row, _)| (row, reason.to_owned())).collect() }
}

fn constant(key: &[u8], rows: u32) -> Extracted<'static> {
    let distinct = [key].into_iter().collect();
    let keys = Keys { distinct, hashes: vec![key_hash(key)], key_of: vec![0; rows as usize] };
    Extracted { keys: Cow::Owned(keys), lacking: Vec::new() }
}

#[cfg(test)]
mod tests;
