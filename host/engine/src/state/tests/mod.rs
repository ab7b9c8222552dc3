//! The memory backend passes the contract; and what is its own: memory, limits, names, the pause.

use std::collections::BTreeMap;

use bytes::Bytes;
use weir_operator::batch::{Keys, OptionalColumn};
use weir_operator::keyed_state::{KeyedState, StateId, Writes};
use weir_operator::turn::{FiredTimers, TimeDomain, TimerChange};
use weir_protocol::Fault;
use weir_protocol::description::{StateDescription, StateKind};
use weir_protocol::time::Timestamp;

use super::contract::{self, Backend, COUNT, HISTORY, Place, states};
use super::file::{self, FileSlice, merge};
use super::kept::Kept;
use super::maps::Maps;
use super::{Expiry, FrozenSegment, Migration, Progress, RestoreError, StateLimits, SubtaskState};
use crate::metrics::StateSize;

mod expiry;
mod lists;
mod maps;
mod migration;
mod spilling;
mod straight;
mod timers;

impl Backend for SubtaskState {
    type Frozen = FrozenSegment;

    fn restore(
        states: &[StateDescription],
        place: Place,
        files: &[FileSlice],
        limits: StateLimits,
        now: Timestamp,
        migration: Migration,
    ) -> (Self, Vec<FrozenSegment>) {
        let state = Self::new(states, place.max, place.key_groups).expect("these states are legal");
        restore(state.with_limits(limits), files, migration, now).expect("files verify")
    }

    fn freeze(&mut self, now: Timestamp) -> Option<FrozenSegment> {
        Self::freeze(self, now)
    }

    fn encode(frozen: &FrozenSegment) -> Bytes {
        frozen.encode()
    }

    fn expiry(frozen: &FrozenSegment) -> Expiry {
        frozen.expiry()
    }

    fn tidy(&mut self) -> bool {
        Self::tidy(self)
    }

    fn bytes_live(&self) -> u64 {
        Self::bytes_live(self)
    }

    fn bytes_in_all(&self) -> u64 {
        Self::bytes_in_all(self)
    }

    fn sizes(&self) -> Vec<(String, StateSize)> {
        Self::sizes(self).map(|(name, size)| (name.to_owned(), size)).collect()
    }

    fn is_counted_right(&self) -> bool {
        let mut maps =
            self.states.iter().filter_map(|kept| if let Kept::Maps(maps) = kept { Some(maps) } else { None });
        self.log.is_counted_right() && maps.all(Maps::is_counted_right)
    }

    fn apply_timers(&mut self, changes: &[TimerChange], keys: &Keys) {
        Self::apply_timers(self, changes, keys).expect("there is room");
    }

    fn due(&mut self, domain: TimeDomain, up_to: Timestamp, max: usize) -> Option<FiredTimers> {
        Self::due(self, domain, up_to, max)
    }

    fn complete(&mut self, fired: &FiredTimers) {
        Self::complete(self, fired).expect("there is room");
    }

    fn next_processing_time(&self) -> Option<Timestamp> {
        Self::next_processing_time(self)
    }
}

/// Restores what files hold; and what was closed meanwhile.
fn restore(
    empty: SubtaskState,
    files: &[FileSlice],
    migration: Migration,
    now: Timestamp,
) -> Result<(SubtaskState, Vec<FrozenSegment>), RestoreError> {
    let mut restoring = empty.restoring(file::open(files)?, migration, now)?;
    let mut closed = Vec::new();
    while let Progress::More(segment) = restoring.step()? {
        closed.extend(segment);
    }
    Ok((restoring.finish().0, closed))
}

#[test]
fn memory_backend_keeps_the_contract() {
    contract::suite::<SubtaskState>();
}

fn new() -> SubtaskState {
    SubtaskState::new(&states(), Place::whole().max, Place::whole().key_groups).expect("these states are legal")
}

fn numbered_keys(numbers: impl Iterator<Item = u32>) -> Keys {
    let keys: Vec<_> = numbers.map(|number| format!("key {number}").into_bytes()).collect();
    Keys::encode(keys.iter().map(Vec::as_slice))
}

/// Writes one value for each of the keys.
fn write_all(state: &mut SubtaskState, keys: &Keys, value: &[u8]) {
    let mut values = OptionalColumn::default();
    (0..keys.count()).for_each(|_| values.push(Some(value)));
    let mut writes = Writes::default();
    writes.value_writes_mut(COUNT).set_all(values);
    state.select(keys, 0).expect("keys can be selected");
    state.commit(&writes).expect("these writes are allowed");
}

fn slice(segment: &FrozenSegment) -> FileSlice {
    FileSlice { bytes: segment.encode(), key_groups: Place::whole().key_groups }
}

#[test]
fn memory_is_bounded_for_hot_keys_and_barriers_for_ever() {
    let mut state = new().with_limits(StateLimits { garbage_bytes_min: 64 << 10, ..StateLimits::default() });
    let cold = numbered_keys(0..2000);
    write_all(&mut state, &cold, b"cold");
    for epoch in 0..2000_u32 {
        let hot = numbered_keys((0..50).chain([epoch % 2000]));
        write_all(&mut state, &hot, &epoch.to_le_bytes());
        state.freeze(0).expect("something was written");
    }
    let (live, held) = (state.log.live(), state.log.held());
    assert!(held < 3 * live + (512 << 10), "{live} bytes live, {held} held");
    assert!(state.log.chunk_count() < 200, "{} chunks", state.log.chunk_count());
}

#[test]
fn deleted_state_gives_its_memory_back() {
    let mut state = new();
    let keys = numbered_keys(0..20_000);
    write_all(&mut state, &keys, &[7; 100]);
    state.freeze(0);
    let mut writes = Writes::default();
    (0..20_000).for_each(|key| writes.value_writes_mut(COUNT).set(key, None));
    state.commit(&writes).expect("removals are allowed");
    assert_eq!(state.bytes_live(), 0);
    state.freeze(0);
    assert_eq!(state.log.held(), 0);
}

#[test]
fn a_commit_above_the_budget_changes_nothing_and_names_it() {
    let mut state = new().with_limits(StateLimits { live_bytes_max: 1000, ..StateLimits::default() });
    let keys = numbered_keys(0..10);
    write_all(&mut state, &keys, b"0");
    let before = state.bytes_live();
    let mut writes = Writes::default();
    writes.value_writes_mut(COUNT).set(0, Some(b"1"));
    writes.list_write_mut(HISTORY, 1).appended.push(&[0; 1000]);
    let error = state.commit(&writes).expect_err("it is above the budget");
    assert_eq!(error.fault, Fault::Guest);
    assert!(error.message.contains("limit of 1000 bytes"), "{error}");
    let mut values = OptionalColumn::default();
    state.values(COUNT, &[0], &mut values).expect("the state is as it was");
    assert_eq!((values.get(0), state.bytes_live()), (Some(b"0".as_slice()), before));
    let mut removal = Writes::default();
    removal.value_writes_mut(COUNT).set(0, None);
    state.commit(&removal).expect("what only removes is always allowed");
}

#[test]
fn a_frozen_segment_does_not_see_later_writes() {
    let mut state = new();
    let keys = numbered_keys(0..100);
    write_all(&mut state, &keys, b"first");
    let segment = state.freeze(0).expect("something was written");
    let file = segment.encode();
    write_all(&mut state, &keys, b"other");
    assert_eq!(segment.encode(), file);
}

#[test]
fn what_was_made_and_removed_within_an_epoch_leaves_nothing() {
    let mut state = new();
    let keys = numbered_keys(0..100);
    write_all(&mut state, &keys, b"first");
    let mut writes = Writes::default();
    (0..100).for_each(|key| writes.value_writes_mut(COUNT).set(key, None));
    state.commit(&writes).expect("removals are allowed");
    assert!(state.freeze(0).is_none());
}

#[test]
fn a_complete_merge_holds_no_tombstones() {
    let mut state = new();
    write_all(&mut state, &numbered_keys(0..3), b"here");
    let first = slice(&state.freeze(0).expect("something was written"));
    let mut writes = Writes::default();
    writes.value_writes_mut(COUNT).set(1, None);
    state.commit(&writes).expect("removals are allowed");
    let second = slice(&state.freeze(0).expect("a removal is a change"));
    let records = |file: &Bytes| file::Reader::open(file.clone()).expect("it verifies").records();
    assert_eq!(records(&second.bytes), 1);
    let files = [first, second];
    assert_eq!(records(&merge(&files, true).expect("they verify")), 2);
    assert_eq!(records(&merge(&files, false).expect("they verify")), 3);
}

#[test]
fn states_are_restored_by_name_in_whatever_order_they_are_declared() {
    let mut state = new();
    let keys = numbered_keys(0..5);
    write_all(&mut state, &keys, b"here");
    let file = slice(&state.freeze(0).expect("something was written"));
    let mut declared = states();
    declared.reverse();
    declared.remove(0);
    let place = Place::whole();
    let mut state = SubtaskState::restore(&declared, place.max, place.key_groups, &[file], 0).expect("it verifies");
    state.select(&keys, 0).expect("keys can be selected");
    let mut values = OptionalColumn::default();
    state.values(StateId(2), &[4], &mut values).expect("`count` is declared third now");
    assert_eq!(values.get(0), Some(b"here".as_slice()));
}

#[test]
fn another_kind_under_the_same_name_is_refused_naming_both() {
    let mut state = new();
    write_all(&mut state, &numbered_keys(0..5), b"here");
    let file = slice(&state.freeze(0).expect("something was written"));
    let mut declared = states();
    declared[0].kind = StateKind::KeyedMap;
    let place = Place::whole();
    let error = SubtaskState::restore(&declared, place.max, place.key_groups, &[file], 0).expect_err("kinds differ");
    assert_eq!(error.fault, Fault::Request);
    let named = ["`count`", "keyed-map", "keyed-value"].iter().all(|word| error.message.contains(word));
    assert!(named, "{error}");
}

#[test]
fn two_states_of_one_name_are_refused() {
    let mut declared = states();
    declared[1].name = "count".to_owned();
    let error = SubtaskState::new(&declared, Place::whole().max, Place::whole().key_groups).expect_err("one name");
    assert!(error.message.contains("`count`"), "{error}");
}

/// Beyond the size from which batches are looked up in stages.
#[test]
fn a_large_state_agrees_with_the_model() {
    let mut state = new().with_limits(StateLimits { garbage_bytes_min: 1 << 16, ..StateLimits::default() });
    let mut model = BTreeMap::new();
    for round in 0..300_u32 {
        let numbers = (0..400).map(|row| (round * 7919 + row * row * 31) % 60_000);
        let keys = numbered_keys(numbers);
        let all: Vec<u32> = (0..).take(keys.count()).collect();
        state.select(&keys, 0).expect("keys can be selected");
        let mut values = OptionalColumn::default();
        state.values(COUNT, &all, &mut values).expect("a value state");
        let mut writes = Writes::default();
        for (&index, key) in all.iter().zip(keys.distinct.iter()) {
            assert_eq!(values.get(index as usize), model.get(key).map(Vec::as_slice));
            let value = vec![round.to_le_bytes()[0]; (index % 50) as usize];
            let is_removed = (index + round) % 5 == 0;
            writes.value_writes_mut(COUNT).set(index, (!is_removed).then_some(&value));
            if is_removed {
                model.remove(key);
            } else {
                model.insert(key.to_vec(), value);
            }
        }
        state.commit(&writes).expect("these writes are allowed");
        if round % 10 == 0 {
            state.freeze(0);
        }
    }
    assert!(model.len() > 20_000, "{} keys are too few for stages", model.len());
}

#[test]
fn values_that_keep_growing_leave_no_garbage_within_an_epoch() {
    let mut state = new();
    let keys = numbered_keys(0..1);
    for length in 0..5_000 {
        write_all(&mut state, &keys, &vec![1; length]);
    }
    assert!(state.log.held() < 1 << 20, "{} bytes held", state.log.held());
}

#[test]
fn memory_is_bounded_without_checkpoints() {
    let mut state = new().with_limits(StateLimits { garbage_bytes_min: 64 << 10, ..StateLimits::default() });
    for round in 0..3_000_u32 {
        let keys = numbered_keys((0..50).chain([100 + round]));
        write_all(&mut state, &keys, &[1; 100]);
        let mut writes = Writes::default();
        (0..50).for_each(|key| writes.value_writes_mut(COUNT).set(key, None));
        state.commit(&writes).expect("removals are allowed");
        state.forget_changes(0);
    }
    let (live, held) = (state.log.live(), state.log.held());
    assert!(held < 2 * live + (2 << 20), "{live} bytes live, {held} held");
}
