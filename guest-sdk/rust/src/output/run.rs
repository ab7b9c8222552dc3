//! Emitted records of one form that follow each other on one port: what one call of the host takes.

use std::mem;

use super::{Emission, Payload};
use crate::batch::NO_TIME;
use crate::bindings::weir::operator::output::{Emitted, Header, Origin, OwnKeys};
use crate::column::ColumnBuilder;
use crate::error::Result;
use crate::host;

/// What records must have in common to be in one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) origin: From,
    /// Whether each has an event time of its own.
    pub(super) timed: bool,
    /// Whether they have headers of their own.
    pub(super) headed: bool,
}

/// Where the records take their keys from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    Row,
    OwnKey,
    Nowhere,
    Forwarded,
}

impl Form {
    pub(super) const OF_ROWS: Self = Self { origin: From::Row, timed: false, headed: false };
    pub(super) const OF_OWN_KEYS: Self = Self { origin: From::OwnKey, ..Self::OF_ROWS };
    pub(super) const FORWARDED: Self = Self { origin: From::Forwarded, ..Self::OF_ROWS };
}

#[derive(Debug)]
pub(super) struct Run {
    pub(super) form: Form,
    count: usize,
    /// Rows, for those that have one.
    rows: Vec<u32>,
    keys: ColumnBuilder,
    values: ColumnBuilder,
    timestamps: Vec<i64>,
    headers: Vec<(String, ColumnBuilder)>,
}

impl Run {
    pub(super) fn new(form: Form) -> Self {
        Self {
            form,
            count: 0,
            rows: Vec::new(),
            keys: ColumnBuilder::new(),
            values: ColumnBuilder::new(),
            timestamps: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// Empties the run for another form; the memory stays.
    pub(super) fn reuse(&mut self, form: Form) {
        self.truncate(0);
        self.headers.clear();
        self.form = form;
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn bytes(&self) -> usize {
        self.values.bytes() + self.keys.bytes() + 8 * self.count
    }

    pub(super) fn truncate(&mut self, count: usize) {
        self.count = count;
        self.rows.truncate(count);
        self.keys.truncate(count);
        self.values.truncate(count);
        self.timestamps.truncate(count);
        self.headers.iter_mut().for_each(|(_, column)| column.truncate(count));
    }

    #[inline]
    pub(super) fn push_row(&mut self, row: u32, value: &impl Payload) -> Result {
        self.values.push_payload(value)?;
        self.rows.push(row);
        self.count += 1;
        Ok(())
    }

    #[inline]
    pub(super) fn push_keyed(&mut self, key: &[u8], timestamp: Option<i64>, value: &impl Payload) -> Result {
        self.values.push_payload(value)?;
        self.keys.push(key);
        self.timestamps.extend(timestamp);
        self.count += 1;
        Ok(())
    }

    pub(super) fn push_forwarded(&mut self, row: u32) {
        self.rows.push(row);
        self.count += 1;
    }

    pub(super) fn push<P: Payload>(&mut self, row: u32, emission: &Emission<'_, P>, at: Option<i64>) -> Result {
        self.values.push_payload(&emission.value)?;
        match self.form.origin {
            From::Row | From::Forwarded => self.rows.push(row),
            From::OwnKey => self.keys.push(emission.key.unwrap_or_default()),
            From::Nowhere => {}
        }
        if self.form.timed {
            self.timestamps.push(at.unwrap_or(NO_TIME));
        }
        for (name, value) in &emission.headers {
            self.header(name).push(value);
        }
        self.count += 1;
        let count = self.count;
        for (_, column) in self.headers.iter_mut().filter(|(_, column)| column.len() < count) {
            column.push_missing();
        }
        Ok(())
    }

    /// The column of this header, filled up to the record in hand; a header that a record has twice gets two columns.
    fn header(&mut self, name: &str) -> &mut ColumnBuilder {
        let count = self.count;
        let open = self.headers.iter().position(|(have, column)| have == name && column.len() == count);
        let index = open.unwrap_or_else(|| {
            let mut column = ColumnBuilder::new();
            (0..count).for_each(|_| column.push_missing());
            self.headers.push((name.to_owned(), column));
            self.headers.len() - 1
        });
        &mut self.headers[index].1
    }

    /// Hands the run to the host, which copies it.
    pub(super) fn send(&mut self, port: u32, rows: usize) {
        if self.form.origin == From::Forwarded {
            host::output::forward(port, &self.rows);
            return;
        }
        let origin = self.take_origin(rows);
        let timestamps = mem::take(&mut self.timestamps);
        let records = Emitted { origin, values: self.values.take(), timestamps };
        if self.form.headed {
            let headers = self.headers.drain(..);
            let headers: Vec<_> = headers.map(|(name, mut values)| Header { name, values: values.take() }).collect();
            host::output::emit_with_headers(port, &records, &headers);
        } else {
            host::output::emit(port, &records);
        }
        self.take_back(records);
    }

    fn take_origin(&mut self, rows: usize) -> Origin {
        match self.form.origin {
            From::Row if self.rows.len() == rows && self.rows.iter().copied().eq(0..self.row_count()) => {
                Origin::EachRow
            }
            From::Row | From::Forwarded => Origin::Rows(mem::take(&mut self.rows)),
            From::OwnKey => {
                let mut key_of = mem::take(&mut self.rows);
                key_of.extend(0..u32::try_from(self.count).expect("few records"));
                Origin::OwnKeys(OwnKeys { keys: self.keys.take().values, key_of })
            }
            From::Nowhere => Origin::Unkeyed,
        }
    }

    fn row_count(&self) -> u32 {
        u32::try_from(self.rows.len()).expect("few rows")
    }

    /// Reuses the memory of what was sent.
    fn take_back(&mut self, records: Emitted) {
        self.values.put_back(records.values);
        self.timestamps = records.timestamps;
        match records.origin {
            Origin::Rows(rows) => self.rows = rows,
            Origin::OwnKeys(own) => {
                self.rows = own.key_of;
                self.rows.clear();
                self.keys.put_back_bytes(own.keys);
            }
            Origin::EachRow | Origin::Keys(_) | Origin::Unkeyed => {}
        }
    }
}
