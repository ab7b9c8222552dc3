//! What expires without being read, and what a new version of an operator may declare.

use weir_operator::batch::OptionalColumn;
use weir_operator::keyed_state::{KeyedState, PlainState, Writes};
use weir_protocol::description::{StateDescription, TtlDescription};
use weir_protocol::time::Timestamp;

use super::super::contract::{self, COUNT, HISTORY, Place, TABLE, expiring, states};
use super::super::file::{FileRecord, FileSlice, Reader, RecordKind, Writer, merge_unexpired};
use super::super::{FrozenSegment, StateLimits, SubtaskState};
use super::{numbered_keys, slice};

const LIFE: TtlDescription = TtlDescription { duration_ms: 1_000, refresh_on_read: false, return_expired: false };
const KEYS: u32 = 20_000;

fn new(states: &[StateDescription]) -> SubtaskState {
    restored(states, &[], 0)
}

fn restored(states: &[StateDescription], files: &[FileSlice], now: Timestamp) -> SubtaskState {
    let place = Place::whole();
    SubtaskState::restore(states, place.max, place.key_groups, files, now).expect("files verify")
}

#[test]
fn both_implementations_let_time_pass_alike() {
    contract::expiry_suite(PlainState::of);
    contract::expiry_suite(new);
}

/// Writes a value, two elements and two entries for each of the keys.
fn fill(state: &mut SubtaskState, keys: u32, now: Timestamp) {
    state.select(&numbered_keys(0..keys), now).expect("keys can be selected");
    let mut writes = Writes::default();
    for key in 0..keys {
        writes.value_writes_mut(COUNT).set(key, Some(&[7; 20]));
        let list = &mut writes.list_write_mut(HISTORY, key).appended;
        list.push(b"one");
        list.push(b"two");
        let map = writes.map_write_mut(TABLE, key);
        map.write(b"one", Some(b"1"));
        map.write(b"two", Some(b"2"));
    }
    state.commit(&writes).expect("these writes are allowed");
}

/// How many of the keys have a value, and how many elements and entries there are.
fn count(state: &mut SubtaskState, keys: u32, now: Timestamp) -> (usize, usize, usize) {
    state.select(&numbered_keys(0..keys), now).expect("keys can be selected");
    let all: Vec<u32> = (0..keys).collect();
    let (mut values, mut list, mut page) = (OptionalColumn::default(), Default::default(), Default::default());
    state.values(COUNT, &all, &mut values).expect("a value state");
    for key in all {
        state.list(HISTORY, key, &mut list).expect("a list state");
        let range = weir_operator::keyed_state::EntryRange { start: None, end: None, limit: 9 };
        state.scan(TABLE, key, range, &mut page).expect("a map state");
    }
    (values.iter().flatten().count(), list.len(), page.entries.len())
}

fn records(file: &FileSlice) -> u64 {
    Reader::open(file.bytes.clone()).expect("it verifies").records()
}

#[test]
fn what_nobody_reads_leaves_memory_and_checkpoints() {
    let mut state = new(&expiring(LIFE));
    fill(&mut state, KEYS, 0);
    let first = state.freeze(500).expect("something was written");
    let (held, bytes) = (state.bytes_held(), slice(&first).bytes.len());
    assert!(!state.tidy(), "nothing has expired at the barrier");
    assert!(state.freeze(2_000).is_none(), "nothing was written");
    let mut steps = 0;
    while state.tidy() {
        steps += 1;
    }
    assert!(steps > 100, "{steps} steps are too few for each to be short");
    assert_eq!((state.bytes_live(), state.take_expired()), (0, u64::from(KEYS) * 5));
    let second = state.freeze(2_100).expect("what has expired is a change");
    drop(first.clone());
    let files = [slice(&first), slice(&second)];
    assert_eq!(records(&files[1]), u64::from(KEYS) * 4, "each leaves a tombstone, both elements one together");
    let base = merge_unexpired(&files, true, Some(&second.expiry())).expect("they verify");
    assert!(base.len() < bytes / 100, "{} of {bytes} bytes stay in the base", base.len());
    drop((first, second));
    state.freeze(2_200);
    assert!(state.bytes_held() < held / 2, "{} of {held} bytes are held", state.bytes_held());
    assert_eq!(count(&mut restored(&states(), &files, 2_200), KEYS, 2_200), (0, 0, 0), "nothing is resurrected");
}

#[test]
fn a_commit_sweeps_a_bounded_part() {
    let mut state = new(&expiring(LIFE));
    fill(&mut state, KEYS, 0);
    state.freeze(5_000);
    state.select(&numbered_keys(0..1), 5_000).expect("keys can be selected");
    let (mut least, mut all) = (u64::MAX, 0);
    while all < u64::from(KEYS) {
        let mut writes = Writes::default();
        writes.value_writes_mut(COUNT).set(0, Some(b"again"));
        state.commit(&writes).expect("these writes are allowed");
        let swept = state.take_expired();
        all += swept;
        assert!(swept < 1_000, "{swept} records at once are too many");
        least = least.min(swept);
    }
    assert!(least > 0, "each commit sweeps while there is something to sweep");
}

#[test]
fn a_base_holds_nothing_that_had_expired_at_its_barrier_though_it_was_not_swept() {
    let mut state = new(&expiring(LIFE));
    fill(&mut state, 100, 0);
    let old = state.freeze(0).expect("something was written");
    fill(&mut state, 1, 1_500);
    let new = state.freeze(1_500).expect("something was written");
    let base = merge_unexpired(&[slice(&old), slice(&new)], true, Some(&new.expiry())).expect("they verify");
    let base = FileSlice { bytes: base, key_groups: Place::whole().key_groups };
    assert_eq!(records(&base), 4, "both elements of the list are one");
    let mut restored = restored(&expiring(LIFE), &[base], 1_600);
    assert_eq!(count(&mut restored, 100, 1_600), (1, 2, 2), "a list may begin behind its first element");
    fill(&mut restored, 1, 1_700);
    assert_eq!(count(&mut restored, 1, 1_700), (1, 4, 2));
}

#[test]
fn a_segment_longer_than_a_life_writes_tombstones_for_what_expired_in_it() {
    let mut state = new(&expiring(LIFE));
    fill(&mut state, 1, 0);
    let first = slice(&state.freeze(10).expect("something was written"));
    fill(&mut state, 1, 20);
    fill(&mut state, 2, 500);
    let second = slice(&state.freeze(1_400).expect("something was written"));
    let files = [first, second];
    assert_eq!(count(&mut restored(&expiring(LIFE), &files, 1_400), 2, 1_400), (2, 4, 4));
    assert_eq!(count(&mut restored(&states(), &files, 1_400), 2, 1_400), (2, 6, 4), "what was not swept is held");
}

#[test]
fn an_older_element_that_was_not_swept_goes_with_those_behind_it_and_never_comes_back() {
    let mut state = new(&expiring(LIFE));
    let append = |state: &mut SubtaskState, now, element: &[u8]| {
        state.select(&numbered_keys(0..1), now).expect("keys can be selected");
        let mut writes = Writes::default();
        writes.list_write_mut(HISTORY, 0).appended.push(element);
        state.commit(&writes).expect("these writes are allowed");
        slice(&state.freeze(now).expect("something was written"))
    };
    let files = [(0, b"a"), (10, b"b"), (900, b"c")].map(|(now, element)| append(&mut state, now, element));
    // The sweeper came to the second before the first, and the job crashed between them.
    let mut swept = Writer::new(Reader::open(files[1].bytes.clone()).expect("it verifies").header().clone());
    let all = Reader::open(files[1].bytes.clone()).expect("it verifies");
    all.read(Place::whole().key_groups, |record| {
        swept.push(&FileRecord { kind: RecordKind::Tombstone, value: &[], ..record });
        Ok(())
    })
    .expect("it verifies");
    let swept = FileSlice { bytes: swept.finish(), key_groups: Place::whole().key_groups };
    let [first, second, third] = files;
    let mut files = vec![first, second, third, swept];
    let mut after = restored(&expiring(LIFE), &files, 1_100);
    assert_eq!(count(&mut after, 1, 1_100), (0, 1, 0));
    for now in [1_200, 2_000, 2_001] {
        files.extend(after.freeze(now).map(|segment| slice(&segment)));
        while after.tidy() {}
    }
    let mut for_ever = restored(&states(), &files, 2_000);
    assert_eq!(count(&mut for_ever, 1, 2_000), (0, 0, 0), "no file holds one of them any more");
    assert_eq!(for_ever.bytes_live(), 0);
}

#[test]
fn memory_is_bounded_without_checkpoints_and_without_barriers() {
    let limits = StateLimits { garbage_bytes_min: 64 << 10, ..StateLimits::default() };
    let mut state = new(&expiring(LIFE)).with_limits(limits);
    let mut most = 0;
    for round in 0..400_u32 {
        let now = i64::from(round) * 50;
        state.select(&numbered_keys(round * 500..(round + 1) * 500), now).expect("keys can be selected");
        let mut writes = Writes::default();
        (0..500).for_each(|key| writes.value_writes_mut(COUNT).set(key, Some(&[7; 50])));
        state.commit(&writes).expect("these writes are allowed");
        state.forget_changes(now);
        most = most.max(state.bytes_live());
    }
    // 20 rounds live at a time, of 100 bytes a record; what has expired stays a little longer.
    assert!(most < 3 * 20 * 500 * 100, "{most} bytes live");
}

/// What a state with `before` declared held when its barrier came at 900, as `after` finds it at `now`.
fn redeclared(before: Option<TtlDescription>, after: Option<TtlDescription>, now: Timestamp) -> SubtaskState {
    let mut state = new(&declared(before));
    fill(&mut state, 10, 500);
    let file = slice(&state.freeze(900).expect("something was written"));
    restored(&declared(after), &[file], now)
}

fn declared(ttl: Option<TtlDescription>) -> Vec<StateDescription> {
    ttl.map_or_else(states, expiring)
}

const ALL: (usize, usize, usize) = (10, 20, 20);
const NONE: (usize, usize, usize) = (0, 0, 0);

#[test]
fn another_duration_counts_from_the_stamps_that_are_stored() {
    let with = |duration_ms| Some(TtlDescription { duration_ms, ..LIFE });
    let mut longer = redeclared(Some(LIFE), with(3_000), 2_000);
    assert_eq!((count(&mut longer, 10, 3_499), count(&mut longer, 10, 3_500)), (ALL, NONE));
    let mut shorter = redeclared(Some(LIFE), with(450), 940);
    assert_eq!((count(&mut shorter, 10, 949), count(&mut shorter, 10, 950)), (ALL, NONE));
}

#[test]
fn what_was_stored_without_a_time_to_live_counts_as_written_at_the_restore_and_only_at_the_first() {
    let mut state = redeclared(None, Some(LIFE), 5_000);
    assert_eq!((count(&mut state, 10, 5_999), count(&mut state, 10, 6_000)), (ALL, NONE));
    let mut state = redeclared(None, Some(LIFE), 5_000);
    let file = slice(&state.freeze(5_100).expect("it is written again, with its stamp"));
    let mut again = restored(&expiring(LIFE), &[file], 5_500);
    assert_eq!((count(&mut again, 10, 5_999), count(&mut again, 10, 6_000)), (ALL, NONE));
}

#[test]
fn what_was_stored_with_a_time_to_live_stays_where_none_is_declared_any_more() {
    let mut state = redeclared(Some(LIFE), None, 5_000);
    assert_eq!(count(&mut state, 10, i64::MAX - 1), ALL);
    assert!(state.freeze(9_000).is_none() && !state.tidy());
    fill(&mut state, 10, 9_000);
    let segment = state.freeze(9_000).expect("something was written");
    assert_eq!(
        count(&mut restored(&states(), &[slice(&first_file()), slice(&segment)], 9_000), 10, 9_000),
        (10, 40, 20)
    );
}

/// What [`redeclared`] restores from.
fn first_file() -> FrozenSegment {
    let mut state = new(&expiring(LIFE));
    fill(&mut state, 10, 500);
    state.freeze(900).expect("something was written")
}
