//! Headers of the batch being processed.

use std::collections::BTreeSet;

use super::{Abilities, Violation};
use crate::batch::OptionalColumn;

impl Abilities {
    /// The names that occur in the batch, each once, in the order of their first occurrence.
    ///
    /// # Errors
    /// Outside `process`.
    pub fn header_names(&self) -> Result<Vec<String>, Violation> {
        self.in_process("headers.names")?;
        let mut seen = BTreeSet::new();
        let names = self.batch()?.headers.iter().map(|header| &header.name);
        Ok(names.filter(|name| seen.insert(name.as_str())).cloned().collect())
    }

    /// One header, for each row: the last where a record has several of the name, missing where it has none.
    ///
    /// # Errors
    /// Outside `process`.
    pub fn header(&self, name: &str) -> Result<OptionalColumn, Violation> {
        self.in_process("headers.get")?;
        let batch = self.batch()?;
        let columns: Vec<_> = batch.headers.iter().filter(|header| header.name == name).collect();
        if let [only] = columns.as_slice() {
            return Ok(only.values.clone());
        }
        let mut last = OptionalColumn::default();
        for row in 0..batch.rows as usize {
            last.push(columns.iter().rev().find_map(|header| header.values.get(row)));
        }
        Ok(last)
    }
}
