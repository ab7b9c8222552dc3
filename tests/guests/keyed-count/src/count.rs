//! The count, which needs nothing but the keys.

use serde::Deserialize;
use weir_sdk::prelude::*;

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Options {
    emit: bool,
}

/// Counts the records of each key, a batch at a time.
#[derive(Describe)]
#[describe(name = "batch")]
#[input(records: keyed, reads())]
pub struct CountBatch {
    pub count: ValueState<u64>,
    options: Config<Options>,
    #[describe(skip)]
    results: ColumnBuilder,
}

impl BatchOperator for CountBatch {
    fn process(&mut self, batch: &Batch, out: &mut BatchOutput) -> Result {
        let mut counts = self.count.load_or_default()?;
        for &key in batch.key_of() {
            counts[key as usize] += 1;
            if self.options.emit {
                self.results.push_payload(&counts[key as usize])?;
            }
        }
        self.count.store(&counts)?;
        if self.options.emit {
            out.emit(Port::MAIN, Origin::EachRow, &mut self.results);
        }
        Ok(())
    }
}

/// Counts the records of each key, a record at a time.
#[derive(Describe)]
#[describe(name = "record")]
#[input(records: keyed, reads())]
pub struct CountRecord {
    pub count: ValueState<u64>,
    options: Config<Options>,
}

impl Operator for CountRecord {
    fn process(&mut self, _record: &Record, out: &mut Output) -> Result {
        let count = self.count.update(|count| count + 1)?;
        if self.options.emit {
            out.emit(count)?;
        }
        Ok(())
    }
}
