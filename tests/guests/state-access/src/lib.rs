//! One access to keyed state for each record, of the kind that the configuration names: the accesses that Flink's own
//! micro-benchmarks of state measure, by the same names (`{"access": "list-append"}`).
//!
//! `record` is the SDK's record form, as an author writes it first; `batch` does the same in the batch form, where one
//! call does it for all records. Neither looks at a record's value. What is written differs from record to record; what
//! is read is added up, so that it cannot be left out.

mod access;
mod batch;
mod record;

use batch::AccessBatch;
use record::AccessRecord;

weir_sdk::export!(AccessRecord, AccessBatch);

#[cfg(test)]
mod tests;
