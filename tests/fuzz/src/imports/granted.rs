//! What the host gives, in the plainest form.

use std::collections::BTreeMap;

use weir_operator::batch::{BytesColumn, OptionalColumn};
use weir_operator::keyed_state::{Entries, EntryRange, KeyedState, StateId};

pub(super) type Bytes = Vec<u8>;

/// What came of something that was asked for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Granted {
    Done,
    Flag(bool),
    Time(i64),
    Values(Vec<Option<Bytes>>),
    Lists(Vec<Vec<Bytes>>),
    Page(Vec<(Bytes, Bytes)>, bool),
    Names(Vec<String>),
}

/// Everything of one key: its value, its list, its map.
pub(super) type OfKey = (Option<Bytes>, Vec<Bytes>, BTreeMap<Bytes, Bytes>);

pub(super) fn plain(column: &BytesColumn) -> Vec<Bytes> {
    column.iter().map(<[u8]>::to_vec).collect()
}

pub(super) fn optional(column: &OptionalColumn) -> Vec<Option<Bytes>> {
    column.iter().map(|value| value.map(<[u8]>::to_vec)).collect()
}

pub(super) fn page(page: &Entries) -> Granted {
    Granted::Page(plain(&page.entries).into_iter().zip(plain(&page.values)).collect(), page.more)
}

/// Everything of the first `keys` keys that are selected.
pub(super) fn all(state: &mut dyn KeyedState, keys: u32) -> Vec<OfKey> {
    (0..keys).map(|key| of(state, key)).collect()
}

fn of(state: &mut dyn KeyedState, key: u32) -> OfKey {
    let mut values = OptionalColumn::default();
    state.values(StateId(0), &[key], &mut values).expect("it can be read");
    let mut list = BytesColumn::default();
    state.list(StateId(1), key, &mut list).expect("it can be read");
    let mut map = Entries::default();
    let everything = EntryRange { start: None, end: None, limit: usize::MAX >> 1 };
    state.scan(StateId(2), key, everything, &mut map).expect("it can be read");
    assert!(!map.more, "everything was asked for");
    let entries = plain(&map.entries);
    assert!(entries.is_sorted(), "entries come in order");
    (optional(&values).remove(0), plain(&list), entries.into_iter().zip(plain(&map.values)).collect())
}
