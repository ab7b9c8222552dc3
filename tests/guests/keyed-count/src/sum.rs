//! The sum, which is handed the values.

use weir_sdk::prelude::*;

/// Adds up the lengths of each key's values, a batch at a time.
#[derive(Describe)]
#[describe(name = "sum-batch")]
#[input(records: keyed, reads(values))]
pub struct SumBatch {
    pub bytes: ValueState<u64>,
}

impl BatchOperator for SumBatch {
    fn process(&mut self, batch: &Batch, _out: &mut BatchOutput) -> Result {
        let mut sums = self.bytes.load_or_default()?;
        for (&key, value) in batch.key_of().iter().zip(batch.values().iter()) {
            sums[key as usize] += value.map_or(0, |value| value.len() as u64);
        }
        self.bytes.store(&sums)
    }
}

/// Adds up the lengths of each key's values, a record at a time.
#[derive(Describe)]
#[describe(name = "sum-record")]
#[input(records: keyed, reads(values))]
pub struct SumRecord {
    pub bytes: ValueState<u64>,
}

impl Operator for SumRecord {
    fn process(&mut self, record: &Record, _out: &mut Output) -> Result {
        *self.bytes.or_default()? += record.value().map_or(0, |value| value.len() as u64);
        Ok(())
    }
}
