//! Generated records, counted by key; they go to a sink of their own as well.

use anyhow::Result;
use rand::RngExt;
use rand::rngs::StdRng;

use super::{Seen, Work};
use crate::crash::broken::Broken;
use crate::{guests, oracle, published};

/// Records a second.
const RATE: u64 = 20_000;

/// A bounded job.
pub(super) struct Count {
    records: u64,
    keys: u64,
}

impl Count {
    pub(super) fn new(millis: u64, random: &mut StdRng) -> Self {
        // An even number, so that each key comes from one of the two subtasks, whose records keep their order.
        let keys = 2 * random.random_range(1..40);
        Self { records: RATE * millis / 1_000 / keys * keys, keys }
    }
}

impl Work for Count {
    fn component(&self) -> (&'static str, &'static str) {
        ("word-count", guests::WORD_COUNT)
    }

    fn job(&self) -> String {
        let Self { records, keys } = self;
        format!(
            r#"
            [[source]]
            uid = "numbers"
            type = "generator"
            count = {records}
            keys = {keys}
            rate = {RATE}
            value-bytes = 64

            [[operator]]
            uid = "count"
            component = "word-count"
            operator = "count"
            inputs = [{{ from = "numbers", key = "carried" }}]

            [[sink]]
            uid = "counts"
            type = "files"
            path = "output"
            from = "count"

            [[sink]]
            uid = "passed"
            type = "files"
            path = "output"
            from = "numbers"
            "#
        )
    }

    fn sinks(&self) -> &'static [&'static str] {
        &["counts", "passed"]
    }

    fn is_endless(&self) -> bool {
        false
    }

    fn feed(&mut self, _random: &mut StdRng) -> Result<()> {
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        Ok(())
    }

    fn is_complete(&self, seen: &Seen) -> bool {
        seen.lines.values().all(|lines| lines.len() as u64 >= self.records)
    }

    fn check(&self, seen: &Seen, in_the_end: bool) -> Result<(), Broken> {
        let counts = published::by_key(seen.of("counts"))?;
        let counted = oracle::counts_go_on(&counts).map_err(Broken::naming("counts-are-exact"))?;
        let passed = oracle::numbers_go_on(seen.of("passed"), self.keys).map_err(Broken::naming("each-record-once"))?;
        if in_the_end {
            for (sink, found) in [("counts", counted), ("passed", passed)] {
                Broken::unless(found == self.records, "nothing-lost", || {
                    format!("{found} results in `{sink}` for {} records", self.records)
                })?;
            }
            let even = counts.values().all(|counts| counts.len() as u64 == self.records / self.keys);
            Broken::unless(even, "as-without-failures", || "the keys' counts are not those of a calm run".to_owned())?;
        }
        Broken::unless(seen.letters.is_empty(), "dead-letters-once", || "a good record was given up on".to_owned())
    }
}
