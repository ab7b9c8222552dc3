//! The unit of everything: a batch of records, as columns.
//!
//! What crosses every boundary of Weir (source to exchange, exchange to task, host to guest) is a [`Batch`]. Layouts
//! are those of the contract (`wit/types.wit`), so that handing one to a guest is one copy a column. Columns that
//! come from a guest are checked ([`BytesColumn::check`], [`OptionalColumn::check`]) before anything indexes into
//! them; within the host they are valid by construction.

mod column;
pub(crate) mod gather;
mod keys;
mod rows;

pub use column::{BytesColumn, ColumnError, OptionalColumn};
pub use keys::{Keys, NO_KEY};
pub use rows::Rows;

use weir_protocol::time::Timestamp;

/// Records in arrival order. Within the host, each column has `rows` entries, or is empty where the docs say so.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// The number of records.
    pub rows: u32,
    /// The keys that the records carry; `None`: they carry none. On a keyed input always given, for every row.
    pub keys: Option<Keys>,
    /// The values; a missing one is a deletion.
    pub values: OptionalColumn,
    /// Event times; empty where no record has one ([`weir_protocol::time::NO_TIME`] marks a single one without).
    pub timestamps: Vec<Timestamp>,
    /// Headers, in the order of their first occurrence; a name may stand twice (a record's repeated header).
    pub headers: Vec<HeaderColumn>,
}

/// One header, for each row.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HeaderColumn {
    /// Its name.
    pub name: String,
    /// Its values; missing where a record does not have it.
    pub values: OptionalColumn,
}

impl Batch {
    /// Roughly the bytes that the batch holds, for bounds on queues.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let keys = self.keys.as_ref().map_or(0, |keys| keys.distinct.data.len() + keys.key_of.len() * 4);
        let headers: usize = self.headers.iter().map(|header| header.values.bytes()).sum();
        keys + self.values.bytes() + self.timestamps.len() * 8 + headers
    }
}
