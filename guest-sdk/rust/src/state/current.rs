//! Which record's key a state means at the moment. One per thread: an instance lives on one, and wasm has only one.

use std::cell::Cell;

/// No row, no key.
const NONE: u32 = u32::MAX;

struct Current {
    /// Distinct keys of the batch; 0 where keyed state is closed.
    keys: Cell<u32>,
    row: Cell<u32>,
    key: Cell<u32>,
    /// The last row that wrote state.
    written: Cell<u32>,
    /// Whether a call runs: not `open`.
    in_call: Cell<bool>,
}

thread_local! {
    static CURRENT: Current = const {
        Current {
            keys: Cell::new(0),
            row: Cell::new(NONE),
            key: Cell::new(NONE),
            written: Cell::new(NONE),
            in_call: Cell::new(false),
        }
    };
}

/// A call begins; `keys` distinct keys can be reached.
pub(crate) fn begin(keys: u32) {
    CURRENT.with(|current| {
        current.keys.set(keys);
        current.row.set(NONE);
        current.key.set(NONE);
        current.written.set(NONE);
        current.in_call.set(true);
    });
}

/// The call is over.
pub(crate) fn end() {
    begin(0);
    CURRENT.with(|current| current.in_call.set(false));
}

/// State of the instance is not written before its first call.
pub(super) fn expect_call(state: &str) {
    let in_call = CURRENT.with(|current| current.in_call.get());
    assert!(in_call, "operator state `{state}` was written in `open`, where it can only be read; write it in a call");
}

/// The record form goes to the next row.
#[inline]
pub(crate) fn select(row: u32, key: Option<u32>) {
    CURRENT.with(|current| {
        current.row.set(row);
        current.key.set(key.unwrap_or(NONE));
    });
}

/// Whether the row has written state.
pub(crate) fn has_written(row: u32) -> bool {
    CURRENT.with(|current| current.written.get() == row)
}

/// The current row writes state.
#[inline]
pub(super) fn mark_written() {
    CURRENT.with(|current| current.written.set(current.row.get()));
}

/// The current key.
#[inline]
pub(super) fn key(state: &str) -> usize {
    let key = CURRENT.with(|current| current.key.get());
    assert!(key != NONE, "keyed state `{state}` was used where there is no current key; {RULE}");
    key as usize
}

/// How many distinct keys the batch has.
pub(super) fn keys(state: &str) -> usize {
    let keys = CURRENT.with(|current| current.keys.get());
    assert!(keys != 0, "keyed state `{state}` was used where it is closed; {RULE}");
    keys as usize
}

const RULE: &str = "it is there for a record of a keyed input and for a timer, and in the batch form as columns";
