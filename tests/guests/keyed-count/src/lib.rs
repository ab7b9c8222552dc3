//! A keyed count and a keyed sum in both forms of the SDK, for the benches.
//!
//! `batch` and `record` do the same: state `count`, a `u64` per key, the number of its records. They ask for no column,
//! so values stay with the host. With `{"emit": true}` each record gives one with its key and the count so far, in
//! decimal digits; else nothing is emitted. `sum-batch` and `sum-record` ask for the values: state `bytes`, a `u64` per
//! key, is the length of all its values together.

mod count;
mod sum;

use count::{CountBatch, CountRecord};
use sum::{SumBatch, SumRecord};

weir_sdk::export!(CountBatch, CountRecord, SumBatch, SumRecord);

#[cfg(test)]
mod tests;
