//! One record of the batch being processed, borrowed from its columns.

use std::{fmt, str};

use serde::de::DeserializeOwned;

use crate::batch::{Batch, NO_TIME};
use crate::describe::Columns;
use crate::error::{Error, Result};
use crate::text::Text;

/// A record: a row of the batch. Nothing is copied; keep what is needed longer than the call.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    batch: &'a Batch<'a>,
    row: usize,
}

impl<'a> Record<'a> {
    pub(crate) fn new(batch: &'a Batch<'a>, row: usize) -> Self {
        Self { batch, row }
    }

    /// The name of the input that it came by.
    #[must_use]
    pub fn input(&self) -> &'static str {
        self.batch.input()
    }

    /// Its key; empty on an input that is not keyed.
    ///
    /// # Panics
    /// If the input does not read keys.
    #[must_use]
    pub fn key(&self) -> &'a [u8] {
        self.batch.expect_column(Columns::KEYS);
        match self.batch.key_of().get(self.row) {
            Some(&key) => self.batch.keys().get(key as usize).expect("no key is missing"),
            None => &[],
        }
    }

    /// Its key as text.
    ///
    /// # Errors
    /// Rejects the record if the key is not UTF-8.
    pub fn key_text(&self) -> Result<&'a str> {
        str::from_utf8(self.key()).map_err(|error| Error::reject(format_args!("the key is not UTF-8: {error}")))
    }

    /// Its value; `None` for a deletion.
    ///
    /// # Panics
    /// If the input does not read values.
    #[must_use]
    pub fn value(&self) -> Option<&'a [u8]> {
        self.batch.expect_column(Columns::VALUES);
        self.batch.values().get(self.row)
    }

    /// Its value, which must be there.
    ///
    /// # Errors
    /// Rejects the record if it is a deletion.
    pub fn bytes(&self) -> Result<&'a [u8]> {
        self.value().ok_or_else(|| Error::reject("the record has no value (it is a deletion)"))
    }

    /// Its value as text.
    ///
    /// # Errors
    /// Rejects the record if it is a deletion or not UTF-8.
    pub fn text(&self) -> Result<&'a str> {
        str::from_utf8(self.bytes()?).map_err(|error| Error::reject(format_args!("the value is not UTF-8: {error}")))
    }

    /// Its value, read as JSON.
    ///
    /// # Errors
    /// Rejects the record if it is a deletion or not such JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(self.bytes()?)
            .map_err(|error| Error::reject(format_args!("the value is not the JSON expected: {error}")))
    }

    /// Its event time, in milliseconds since the Unix epoch.
    ///
    /// # Panics
    /// If the input does not read timestamps.
    #[must_use]
    pub fn timestamp(&self) -> Option<i64> {
        self.batch.expect_column(Columns::TIMESTAMPS);
        self.raw_timestamp().filter(|&at| at != NO_TIME)
    }

    /// Its event time as the column has it; `None` if there is no column.
    pub(crate) fn raw_timestamp(&self) -> Option<i64> {
        self.batch.timestamps().get(self.row).copied()
    }

    /// One of its headers; where it has several of the name, the last.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.batch.headers().get(name).get(self.row)
    }
}

/// Shows the columns that the input reads.
impl fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Record");
        shown.field("input", &self.input());
        if self.batch.is_keyed() && self.batch.reads(Columns::KEYS) {
            shown.field("key", &Text(self.key()));
        }
        if self.batch.reads(Columns::VALUES) {
            shown.field("value", &self.value().map(Text));
        }
        if self.batch.reads(Columns::TIMESTAMPS) {
            shown.field("timestamp", &self.timestamp());
        }
        shown.finish()
    }
}
