//! What results must be, whatever happened on the way.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

/// Each key's running counts are 1, 2, 3, … without a gap, a repeat or another order, and all counts together are
/// `records`.
///
/// # Errors
/// The first key for which this does not hold, with the place.
pub fn counts_are_exact(keys: &BTreeMap<String, Vec<String>>, records: u64) -> Result<()> {
    let mut total = 0;
    for (key, counts) in keys {
        for (expected, count) in (1_u64..).zip(counts) {
            ensure!(*count == expected.to_string(), "key {key}: {count} where {expected} must stand");
            total += 1;
        }
    }
    ensure!(total == records, "{total} results for {records} records");
    Ok(())
}
