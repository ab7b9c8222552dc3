//! What every state backend must do, as tests over [`Backend`]: a second backend implements it and calls [`suite`].

mod expiry;
mod fleet;
mod model;
mod steps;

pub(super) use expiry::{expiring, suite as expiry_suite};

use bytes::Bytes;
use weir_operator::batch::{Keys, OptionalColumn};
use weir_operator::keyed_state::{Entries, EntryRange, KeyedState, Read, StateId, Writes};
use weir_operator::turn::{FiredTimers, TimeDomain, TimerChange};
use weir_protocol::description::{StateDescription, StateKind};
use weir_protocol::key_group::{KeyGroupRange, MaxParallelism};
use weir_protocol::time::Timestamp;

use super::file::FileSlice;
use super::{Expiry, Migration, StateLimits};
use crate::metrics::StateSize;

/// A state backend under test.
pub(super) trait Backend: KeyedState + Sized {
    /// A closed segment.
    type Frozen;
    /// How many random histories are tried.
    const HISTORIES: u32 = 128;
    /// The state that files, oldest first, hold at a time; without files: none. And what was closed meanwhile.
    fn restore(
        states: &[StateDescription],
        place: Place,
        files: &[FileSlice],
        limits: StateLimits,
        now: Timestamp,
        migration: Migration,
    ) -> (Self, Vec<Self::Frozen>);
    fn freeze(&mut self, now: Timestamp) -> Option<Self::Frozen>;
    fn encode(frozen: &Self::Frozen) -> Bytes;
    fn expiry(frozen: &Self::Frozen) -> Expiry;
    /// A step of clean-up; whether more is left.
    fn tidy(&mut self) -> bool;
    fn bytes_live(&self) -> u64;
    /// What all of it is counted with, wherever it lies.
    fn bytes_in_all(&self) -> u64;
    /// The same of each state, by name.
    fn sizes(&self) -> Vec<(String, StateSize)>;
    /// Whether what it counts of itself is what there is.
    fn is_counted_right(&self) -> bool;
    /// Takes from memory what need not be there.
    fn make_room(&mut self) {}
    fn apply_timers(&mut self, changes: &[TimerChange], keys: &Keys);
    fn due(&mut self, domain: TimeDomain, up_to: Timestamp, max: usize) -> Option<FiredTimers>;
    fn complete(&mut self, fired: &FiredTimers);
    fn next_processing_time(&self) -> Option<Timestamp>;
}

/// Which part of the key space a backend keeps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) max: MaxParallelism,
    pub(super) key_groups: KeyGroupRange,
}

pub(super) const COUNT: StateId = StateId(0);
pub(super) const HISTORY: StateId = StateId(1);
pub(super) const LAST: StateId = StateId(2);
pub(super) const TABLE: StateId = StateId(3);

/// What the operator under test declares.
pub(super) fn states() -> Vec<StateDescription> {
    let state = |name: &str, kind| StateDescription {
        name: name.to_owned(),
        kind,
        codec: "bytes".to_owned(),
        version: 1,
        ttl: None,
        properties: Vec::new(),
    };
    vec![
        state("count", StateKind::KeyedValue),
        state("history", StateKind::KeyedList),
        state("last", StateKind::KeyedValue),
        state("table", StateKind::KeyedMap),
    ]
}

impl Place {
    /// All key groups of a job with 8 of them.
    pub(super) fn whole() -> Self {
        let max = MaxParallelism::new(8).expect("8 is within the bounds");
        Self { max, key_groups: max.range(0, 1) }
    }
}

/// Everything that a backend must do.
pub(super) fn suite<B: Backend>() {
    reads_see_what_was_committed_and_nothing_else::<B>();
    the_last_write_of_a_batch_stays::<B>();
    scans_are_ordered_and_paged::<B>();
    an_empty_entry_key_is_an_entry::<B>();
    timers_fire_in_order_once_and_one_of_each_key::<B>();
    a_freeze_without_writes_is_none::<B>();
    steps::agrees_with_the_model::<B>();
    steps::agrees_with_the_model_while_time_passes::<B>();
    steps::agrees_with_the_model_while_versions_rise::<B>();
}

fn new<B: Backend>() -> B {
    restored(&[])
}

fn restored<B: Backend>(files: &[FileSlice]) -> B {
    B::restore(&states(), Place::whole(), files, StateLimits::default(), 0, Migration::default()).0
}

fn keys(names: &[&str]) -> Keys {
    Keys::encode(names.iter().map(|name| name.as_bytes()))
}

/// Brings what is about to be read into memory, as the import layer does.
fn bring(state: &mut impl KeyedState, read: Read<'_>) {
    if let Some(fetch) = state.fetch(&read).expect("a declared state can be read") {
        state.supply(fetch.now()).expect("the disk can be read");
    }
}

fn values(state: &mut impl KeyedState, of: StateId, keys: &[u32]) -> Vec<Option<Vec<u8>>> {
    bring(state, Read::Values(of, Some(keys)));
    let mut column = OptionalColumn::default();
    state.values(of, keys, &mut column).expect("a declared state can be read");
    column.iter().map(|value| value.map(<[u8]>::to_vec)).collect()
}

fn commit(state: &mut impl KeyedState, write: impl FnOnce(&mut Writes)) {
    let mut writes = Writes::default();
    write(&mut writes);
    state.commit(&writes).expect("these writes are allowed");
}

fn text(value: &str) -> Option<Vec<u8>> {
    Some(value.as_bytes().to_vec())
}

fn reads_see_what_was_committed_and_nothing_else<B: Backend>() {
    let mut state = new::<B>();
    state.select(&keys(&["a", "b"]), 0).expect("keys can be selected");
    assert_eq!(values(&mut state, COUNT, &[0, 1]), [None, None]);
    commit(&mut state, |writes| writes.value_writes_mut(COUNT).set(1, Some(b"1")));
    assert_eq!(values(&mut state, COUNT, &[1, 0, 1]), [text("1"), None, text("1")]);
    assert_eq!(values(&mut state, LAST, &[0, 1]), [None, None], "states do not share keys");
    state.select(&keys(&["b", "c", "a"]), 0).expect("keys can be selected");
    assert_eq!(values(&mut state, COUNT, &[0, 1, 2]), [text("1"), None, None]);
    commit(&mut state, |writes| writes.value_writes_mut(COUNT).set(0, None));
    assert_eq!(values(&mut state, COUNT, &[0]), [None]);
}

fn the_last_write_of_a_batch_stays<B: Backend>() {
    let mut state = new::<B>();
    state.select(&keys(&["a", "b"]), 0).expect("keys can be selected");
    commit(&mut state, |writes| {
        let mut all = OptionalColumn::default();
        all.push(Some(b"one"));
        all.push(Some(b"two"));
        writes.value_writes_mut(COUNT).set_all(all);
        writes.value_writes_mut(COUNT).set(0, Some(b"three"));
        writes.value_writes_mut(COUNT).set(0, Some(b"a much longer value than before"));
    });
    assert_eq!(values(&mut state, COUNT, &[0, 1]), [text("a much longer value than before"), text("two")]);
}

fn scans_are_ordered_and_paged<B: Backend>() {
    let mut state = new::<B>();
    state.select(&keys(&["a", "b"]), 0).expect("keys can be selected");
    commit(&mut state, |writes| {
        let map = writes.map_write_mut(TABLE, 1);
        for entry in ["d", "b", "a", "c", "bb"] {
            map.write(entry.as_bytes(), Some(entry.to_uppercase().as_bytes()));
        }
    });
    let mut scan = |start: Option<&str>, end: Option<&str>, limit| {
        let mut page = Entries::default();
        let range = EntryRange { start: start.map(str::as_bytes), end: end.map(str::as_bytes), limit };
        bring(&mut state, Read::Scan(TABLE, 1, range));
        state.scan(TABLE, 1, range, &mut page).expect("a declared state can be read");
        let entries: Vec<_> = page.entries.iter().map(|entry| String::from_utf8_lossy(entry).into_owned()).collect();
        assert!(page.values.iter().zip(&entries).all(|(value, entry)| value == entry.to_uppercase().as_bytes()));
        (entries.join(" "), page.more)
    };
    assert_eq!(scan(None, None, 9), ("a b bb c d".to_owned(), false));
    assert_eq!(scan(Some("b"), None, 2), ("b bb".to_owned(), true));
    assert_eq!(scan(Some("bb\0"), None, 2), ("c d".to_owned(), false));
    assert_eq!(scan(Some("b"), Some("c"), 2), ("b bb".to_owned(), false));
    assert_eq!(scan(Some("c"), Some("b"), 2), (String::new(), false));
    assert_eq!(scan(Some("c"), Some("c"), 2), (String::new(), false));
}

fn an_empty_entry_key_is_an_entry<B: Backend>() {
    let mut state = new::<B>();
    let keys = keys(&["a"]);
    state.select(&keys, 0).expect("keys can be selected");
    commit(&mut state, |writes| {
        writes.map_write_mut(TABLE, 0).replaced = true;
        writes.map_write_mut(TABLE, 0).write(&[], Some(&[]));
    });
    let file = FileSlice {
        bytes: B::encode(&state.freeze(0).expect("something was written")),
        key_groups: Place::whole().key_groups,
    };
    let mut state: B = restored(&[file]);
    state.select(&keys, 0).expect("keys can be selected");
    let mut page = Entries::default();
    let range = EntryRange { start: None, end: None, limit: 2 };
    bring(&mut state, Read::Scan(TABLE, 0, range));
    state.scan(TABLE, 0, range, &mut page).expect("a map can be read");
    assert_eq!((page.entries.len(), page.values.len()), (1, 1));
}

fn timers_fire_in_order_once_and_one_of_each_key<B: Backend>() {
    let mut state = new::<B>();
    let keys = keys(&["a", "b"]);
    let timer = |register, key, at, tag| TimerChange { register, domain: TimeDomain::ProcessingTime, key, at, tag };
    let changes = [
        timer(true, 0, 30, 0),
        timer(true, 1, -5, 7),
        timer(true, 0, 10, 1),
        timer(true, 0, 10, 1),
        timer(true, 1, 20, 0),
        timer(true, 1, 10, 0),
        timer(false, 1, 20, 0),
        timer(false, 1, 99, 0),
    ];
    state.apply_timers(&changes, &keys);
    assert_eq!(state.next_processing_time(), Some(-5));
    assert_eq!(state.due(TimeDomain::ProcessingTime, -6, 10), None);
    assert_eq!(state.due(TimeDomain::EventTime, Timestamp::MAX, 10), None);
    let mut fired = Vec::new();
    while let Some(timers) = state.due(TimeDomain::ProcessingTime, 29, 2) {
        assert!(timers.at.len() <= 2 && timers.keys.count() == timers.at.len());
        let keys = timers.keys.key_of.iter().map(|&key| timers.keys.distinct.get(key as usize).to_vec());
        fired.extend(keys.zip(timers.at.iter().copied()).zip(timers.tags.iter().copied()));
        state.complete(&timers);
    }
    let expected = [("b", -5, 7), ("b", 10, 0), ("a", 10, 1)];
    assert_eq!(fired, expected.map(|(key, at, tag)| ((key.as_bytes().to_vec(), at), tag)));
    assert_eq!(state.next_processing_time(), Some(30));
}

fn a_freeze_without_writes_is_none<B: Backend>() {
    let mut state = new::<B>();
    assert!(state.freeze(0).is_none());
    state.select(&keys(&["a"]), 0).expect("keys can be selected");
    commit(&mut state, |writes| writes.value_writes_mut(COUNT).set(0, None));
    assert!(state.freeze(0).is_none(), "nothing was there to be cleared");
    commit(&mut state, |writes| writes.value_writes_mut(COUNT).set(0, Some(b"")));
    assert!(state.freeze(0).is_some());
    assert!(state.freeze(0).is_none());
    commit(&mut state, |writes| writes.value_writes_mut(COUNT).set(0, None));
    assert!(state.freeze(0).is_some(), "a removal is a change");
}
