//! State under the clock of a machine.

use weir_sdk::prelude::*;

/// Emits `KEY first`, or `KEY again` where the key is known, for each record.
#[derive(Describe)]
pub struct Known {
    #[describe(ttl = "2s")]
    known: ValueState<bool>,
    #[describe(ttl = "2s")]
    times: ListState<u64>,
    #[describe(ttl = "2s")]
    words: MapState<String, u64>,
}

impl Operator for Known {
    fn process(&mut self, record: &Record, out: &mut Output) -> Result {
        let key = record.key_text()?.to_owned();
        if self.known.get()?.is_some() {
            return out.emit(format_args!("{key} again"));
        }
        self.known.set(true);
        self.times.append(1)?;
        self.words.put(&"a word".to_owned(), 1);
        out.emit(format_args!("{key} first"))
    }
}
