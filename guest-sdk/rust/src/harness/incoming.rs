//! What a test sends: records, made into a batch as the host makes it.

use crate::batch::NO_TIME;
use crate::bindings::weir::operator::types;
use crate::column::ColumnBuilder;
use crate::describe::{Columns, Input, InputKind};
use crate::host::simulated::Row;

/// A record to send.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Incoming {
    pub(super) input: Option<String>,
    key: Vec<u8>,
    value: Option<Vec<u8>>,
    timestamp: Option<i64>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Incoming {
    /// A record with this value, an empty key and no event time, to the first input.
    #[must_use]
    pub fn value(value: impl Into<Vec<u8>>) -> Self {
        Self { value: Some(value.into()), ..Self::default() }
    }

    /// A deletion: a record without a value.
    #[must_use]
    pub fn deletion() -> Self {
        Self::default()
    }

    /// With this key.
    #[must_use]
    pub fn key(self, key: impl Into<Vec<u8>>) -> Self {
        Self { key: key.into(), ..self }
    }

    /// With this event time, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn at(self, timestamp: i64) -> Self {
        Self { timestamp: Some(timestamp), ..self }
    }

    /// With this header too.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.to_owned(), Some(value.into())));
        self
    }

    /// To the input of this name.
    #[must_use]
    pub fn input(self, name: &str) -> Self {
        Self { input: Some(name.to_owned()), ..self }
    }
}

impl From<&str> for Incoming {
    fn from(value: &str) -> Self {
        Self::value(value)
    }
}

impl From<(&str, &str)> for Incoming {
    fn from((key, value): (&str, &str)) -> Self {
        Self::value(value).key(key)
    }
}

/// A record that the operator gave up on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The record.
    pub record: Incoming,
    /// Why.
    pub reason: String,
}

/// A batch, as the operator gets it and as the host knows it.
pub(super) struct HostBatch {
    pub(super) raw: types::Batch,
    pub(super) keys: Vec<Vec<u8>>,
    pub(super) rows: Vec<Row>,
}

/// The records as columns: each distinct key once, columns that the input does not read left out.
pub(super) fn batch(input: Input, records: &[Incoming]) -> HostBatch {
    let keyed = input.kind == InputKind::Keyed;
    let mut keys: Vec<Vec<u8>> = Vec::new();
    let mut rows = Vec::new();
    for record in records {
        let known = keys.iter().position(|key| *key == record.key);
        if keyed && known.is_none() {
            keys.push(record.key.clone());
        }
        let key = keyed.then(|| u32::try_from(known.unwrap_or(keys.len() - 1)).expect("few keys"));
        let Incoming { value, timestamp, headers, .. } = record.clone();
        rows.push(Row { key, value, timestamp, headers });
    }
    let raw = types::Batch {
        rows: u32::try_from(rows.len()).expect("few rows"),
        key_count: u32::try_from(keys.len()).expect("few keys"),
        keys: bytes_column(if input.columns.contains(Columns::KEYS) { &keys } else { &[] }),
        key_of: rows.iter().filter_map(|row| row.key).collect(),
        values: values(if input.columns.contains(Columns::VALUES) { &rows } else { &[] }),
        timestamps: timestamps(if input.columns.contains(Columns::TIMESTAMPS) { &rows } else { &[] }),
    };
    HostBatch { raw, keys, rows }
}

pub(super) fn bytes_column(values: &[Vec<u8>]) -> types::BytesColumn {
    values.iter().collect::<ColumnBuilder>().take().values
}

fn values(rows: &[Row]) -> types::OptionalColumn {
    let mut column = ColumnBuilder::new();
    for row in rows {
        match &row.value {
            Some(value) => column.push(value),
            None => column.push_missing(),
        }
    }
    column.take()
}

fn timestamps(rows: &[Row]) -> Vec<i64> {
    if rows.iter().all(|row| row.timestamp.is_none()) {
        return Vec::new();
    }
    rows.iter().map(|row| row.timestamp.unwrap_or(NO_TIME)).collect()
}
