//! What is processed in one call: columns of records, or timers that are due.

use std::fmt;

use crate::bindings::weir::operator::types;
use crate::column::Column;
use crate::describe::{Columns, Input};
use crate::headers::Headers;

/// Event time of a record that has none, on the wire.
pub(crate) const NO_TIME: i64 = i64::MIN;

/// Records of one input in the order of their arrival, as columns.
///
/// Rows and distinct keys are counted from 0. A column that the input does not read is empty.
pub struct Batch<'a> {
    input: Input,
    raw: &'a types::Batch,
    headers: Headers,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(input: Input, raw: &'a types::Batch) -> Self {
        Self { input, raw, headers: Headers::new() }
    }

    /// The name of the input.
    #[must_use]
    pub fn input(&self) -> &'static str {
        self.input.name
    }

    /// How many records; never none.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.raw.rows as usize
    }

    /// How many distinct keys; none on an input that is not keyed.
    #[must_use]
    pub fn key_count(&self) -> usize {
        self.raw.key_count as usize
    }

    /// The distinct keys.
    #[must_use]
    pub fn keys(&self) -> Column<'a> {
        Column::of_bytes(&self.raw.keys)
    }

    /// Which of the distinct keys each row has; empty on an input that is not keyed.
    #[must_use]
    pub fn key_of(&self) -> &'a [u32] {
        &self.raw.key_of
    }

    /// The values of the rows.
    #[must_use]
    pub fn values(&self) -> Column<'a> {
        Column::of(&self.raw.values)
    }

    /// The event times of the rows, in milliseconds since the Unix epoch, the smallest `i64` where a record has none;
    /// empty when no record has one.
    #[must_use]
    pub fn timestamps(&self) -> &'a [i64] {
        &self.raw.timestamps
    }

    /// The headers of the rows.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// Stops at the use of a column that the input does not read, before it is taken for an empty one.
    pub(crate) fn expect_column(&self, column: Columns) {
        let name = self.input.name;
        assert!(self.reads(column), "input `{name}` does not read its {column:?}: name them in its `reads(…)`");
    }

    /// Whether the input reads this column.
    pub(crate) fn reads(&self, column: Columns) -> bool {
        self.input.columns.contains(column)
    }

    pub(crate) fn is_keyed(&self) -> bool {
        !self.raw.key_of.is_empty()
    }
}

impl fmt::Debug for Batch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("input", &self.input.name).field("raw", self.raw).finish_non_exhaustive()
    }
}

/// Timers of one domain that are due, in the order of their times, at most one of each key.
#[derive(Debug, Clone, Copy)]
pub struct Timers<'a> {
    raw: &'a types::FiredTimers,
}

impl<'a> Timers<'a> {
    pub(crate) fn new(raw: &'a types::FiredTimers) -> Self {
        Self { raw }
    }

    /// How many; never none.
    #[must_use]
    pub fn len(&self) -> usize {
        self.raw.at.len()
    }

    /// Never.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.raw.at.is_empty()
    }

    /// Their clock.
    #[must_use]
    pub fn domain(&self) -> types::TimeDomain {
        self.raw.domain
    }

    /// The distinct keys.
    #[must_use]
    pub fn keys(&self) -> Column<'a> {
        Column::of_bytes(&self.raw.keys)
    }

    /// Which of the keys each timer has.
    #[must_use]
    pub fn key_of(&self) -> &'a [u32] {
        &self.raw.key_of
    }

    /// Their times, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn at(&self) -> &'a [i64] {
        &self.raw.at
    }

    /// Their tags.
    #[must_use]
    pub fn tags(&self) -> &'a [u32] {
        &self.raw.tags
    }
}
