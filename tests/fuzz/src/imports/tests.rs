//! What would be noticed.

use weir_operator::batch::{BytesColumn, Keys, OptionalColumn};
use weir_operator::keyed_state::{
    Entries, EntryRange, KeyedState, PlainState, StateError, StateId, StateWrites, Writes,
};
use weir_protocol::time::Timestamp;

use super::calls;
use crate::noticed::is_noticed;

/// How a backend errs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Error {
    /// What is appended in a call is appended twice.
    CommitsTwice,
    /// Calls that write values only are forgotten.
    ForgetsValues,
    /// A scan ends one entry early.
    ScansTooLittle,
}

struct Wrong(PlainState, Error);

impl KeyedState for Wrong {
    fn select(&mut self, keys: &Keys, now: Timestamp) -> Result<(), StateError> {
        self.0.select(keys, now)
    }

    fn values(&mut self, state: StateId, keys: &[u32], into: &mut OptionalColumn) -> Result<(), StateError> {
        self.0.values(state, keys, into)
    }

    fn list(&mut self, state: StateId, key: u32, into: &mut BytesColumn) -> Result<(), StateError> {
        self.0.list(state, key, into)
    }

    fn entries(
        &mut self,
        state: StateId,
        keys: &[u32],
        entries: &BytesColumn,
        into: &mut OptionalColumn,
    ) -> Result<(), StateError> {
        self.0.entries(state, keys, entries, into)
    }

    fn scan(&mut self, state: StateId, key: u32, range: EntryRange<'_>, into: &mut Entries) -> Result<(), StateError> {
        let limit = range.limit - usize::from(self.1 == Error::ScansTooLittle && range.limit < 100 && range.limit > 1);
        self.0.scan(state, key, EntryRange { limit, ..range }, into)
    }

    fn commit(&mut self, writes: &Writes) -> Result<(), StateError> {
        let only_values = writes.iter().all(|(_, writes)| matches!(writes, StateWrites::Values(_)));
        if self.1 == Error::ForgetsValues && only_values {
            return Ok(());
        }
        if self.1 == Error::CommitsTwice {
            self.0.commit(writes)?;
        }
        self.0.commit(writes)
    }
}

fn is_wrong_noticed(error: Error) -> bool {
    is_noticed(|choices| calls(choices, |_| Box::new(Wrong(PlainState::new(), error))))
}

#[test]
fn call_that_counts_twice_would_be_noticed() {
    assert!(is_wrong_noticed(Error::CommitsTwice));
}

#[test]
fn call_that_is_forgotten_would_be_noticed() {
    assert!(is_wrong_noticed(Error::ForgetsValues));
}

#[test]
fn page_that_lacks_an_entry_would_be_noticed() {
    assert!(is_wrong_noticed(Error::ScansTooLittle));
}
