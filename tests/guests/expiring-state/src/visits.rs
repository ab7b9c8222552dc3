//! State that keys bring and leave behind.

use weir_sdk::prelude::*;

/// Notes each record under its key: the last value, each length, and how many values came of each of four sorts; all of
/// it for a minute. Emits nothing.
#[derive(Describe)]
pub struct Visits {
    #[describe(ttl = "1m")]
    last: ValueState<String>,
    #[describe(ttl = "1m")]
    lengths: ListState<u64>,
    #[describe(ttl = "1m")]
    sorts: MapState<u64, u64>,
}

impl Operator for Visits {
    fn process(&mut self, record: &Record, _out: &mut Output) -> Result {
        let value = record.text()?;
        let sort = value.bytes().map(u64::from).sum::<u64>() % 4;
        let before = self.sorts.get(&sort)?.copied().unwrap_or(0);
        self.last.set(value.to_owned());
        self.lengths.append(value.len() as u64)?;
        self.sorts.put(&sort, before + 1);
        Ok(())
    }
}
