//! Values of older versions are rewritten once, all of them and nothing else; or nothing is restored.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use weir_operator::batch::{BytesColumn, Keys, OptionalColumn};
use weir_operator::keyed_state::{Entries, EntryRange, KeyedState, Writes};
use weir_operator::migrator::Migrator;
use weir_operator::operator::CallError;
use weir_protocol::Fault;
use weir_protocol::description::{StateDescription, TtlDescription};
use weir_protocol::job_spec::LimitSpec;

use super::super::contract::{COUNT, HISTORY, Place, TABLE, expiring, states};
use super::super::file::{FileSlice, Reader, merge, open};
use super::super::{FrozenSegment, Migration, Progress, RestoreError, SubtaskState, walk};
use super::spilling::small;
use super::{numbered_keys, restore, slice};

/// Doubles each value; refuses `bad`.
struct Doubling;

impl Migrator for Doubling {
    fn migrate(&mut self, _state: &str, _from: u32, values: &BytesColumn) -> Result<BytesColumn, CallError> {
        if values.iter().any(|value| value == b"bad") {
            return Err(CallError::Failure { rows: Vec::new(), message: "it cannot read this".to_owned() });
        }
        Ok(values.iter().map(|value| value.repeat(2)).collect::<Vec<_>>().iter().map(Vec::as_slice).collect())
    }
}

fn migration() -> Migration {
    Migration::new(Some(Box::new(Doubling)), &LimitSpec::default())
}

/// The states of the contract suite, all in this version.
fn version(version: u32) -> Vec<StateDescription> {
    states().into_iter().map(|state| StateDescription { version, ..state }).collect()
}

fn empty(states: &[StateDescription]) -> SubtaskState {
    let place = Place::whole();
    SubtaskState::new(states, place.max, place.key_groups).expect("these states are legal")
}

fn upgraded(states: &[StateDescription], files: &[FileSlice]) -> SubtaskState {
    restore(empty(states), files, migration(), 0).expect("every value can be migrated").0
}

/// Writes a value, two elements and an entry for each of the keys.
fn fill(state: &mut SubtaskState, keys: u32, value: &[u8]) {
    state.select(&numbered_keys(0..keys), 0).expect("keys can be selected");
    let mut writes = Writes::default();
    for key in 0..keys {
        writes.value_writes_mut(COUNT).set(key, Some(value));
        let list = &mut writes.list_write_mut(HISTORY, key).appended;
        [b"a", b"b"].iter().for_each(|element| list.push(*element));
        writes.map_write_mut(TABLE, key).write(b"entry", Some(value));
    }
    state.commit(&writes).expect("these writes are allowed");
}

fn frozen(state: &mut SubtaskState) -> FrozenSegment {
    state.freeze(0).expect("something was written")
}

/// What a key has of each kind, as text.
fn shown(state: &mut SubtaskState, number: u32) -> String {
    state.select(&numbered_keys(number..=number), 0).expect("a key can be selected");
    let (mut value, mut list, mut page) = (OptionalColumn::default(), BytesColumn::default(), Entries::default());
    state.values(COUNT, &[0], &mut value).expect("a value state");
    state.list(HISTORY, 0, &mut list).expect("a list state");
    let range = EntryRange { start: None, end: None, limit: 9 };
    state.scan(TABLE, 0, range, &mut page).expect("a map state");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let list: Vec<_> = list.iter().map(text).collect();
    let entries: Vec<_> = page.entries.iter().zip(page.values.iter()).map(|(e, v)| text(e) + "=" + &text(v)).collect();
    format!("{} | {} | {}", value.get(0).map(text).unwrap_or_default(), list.join(" "), entries.join(" "))
}

#[test]
fn every_value_element_and_entry_is_rewritten_and_no_key_is() {
    let mut old = empty(&version(1));
    fill(&mut old, 9_000, b"x");
    let mut new = upgraded(&version(2), &[slice(&frozen(&mut old))]);
    for key in [0, 1, 4_711, 8_999] {
        assert_eq!(shown(&mut new, key), "xx | aa bb | entry=xx", "key {key}");
    }
}

#[test]
fn only_the_states_whose_version_rose_are_rewritten() {
    let mut old = empty(&version(1));
    fill(&mut old, 10, b"x");
    let mut states = version(1);
    states[HISTORY.0 as usize].version = 7;
    let mut new = upgraded(&states, &[slice(&frozen(&mut old))]);
    assert_eq!(shown(&mut new, 3), "x | aa bb | entry=x");
}

#[test]
fn the_next_checkpoint_holds_it_rewritten_and_nobody_migrates_again() {
    let mut old = empty(&version(1));
    fill(&mut old, 100, b"x");
    let first = slice(&frozen(&mut old));
    let mut new = upgraded(&version(2), std::slice::from_ref(&first));
    let files = [first, slice(&frozen(&mut new))];
    assert!(new.freeze(0).is_none());
    let merged = FileSlice { bytes: merge(&files, true).expect("they verify"), ..files[0].clone() };
    for files in [&files[..], &[merged]] {
        let mut again = empty(&version(2)).restored(files, 0).expect("no value of version 1 counts any more");
        assert_eq!(shown(&mut again, 42), "xx | aa bb | entry=xx");
        assert!(again.freeze(0).is_none(), "nothing is written again");
    }
}

#[test]
fn before_the_next_checkpoint_a_restart_migrates_again_and_the_old_version_can_go_on() {
    let mut old = empty(&version(1));
    fill(&mut old, 10, b"x");
    let file = slice(&frozen(&mut old));
    for _ in 0..2 {
        assert_eq!(shown(&mut upgraded(&version(2), std::slice::from_ref(&file)), 3), "xx | aa bb | entry=xx");
    }
    let mut old = empty(&version(1)).restored(&[file], 0).expect("nothing has changed");
    assert_eq!(shown(&mut old, 3), "x | a b | entry=x");
}

#[test]
fn what_removed_or_replaced_an_old_value_stays_in_force() {
    let mut old = empty(&version(1));
    fill(&mut old, 2, b"x");
    let first = slice(&frozen(&mut old));
    old.select(&numbered_keys(0..2), 0).expect("keys can be selected");
    let mut writes = Writes::default();
    writes.value_writes_mut(COUNT).set(0, None);
    writes.list_write_mut(HISTORY, 0).replaced = true;
    writes.map_write_mut(TABLE, 0).write(b"entry", None);
    old.commit(&writes).expect("removals are allowed");
    let second = slice(&frozen(&mut old));
    let mut new = upgraded(&version(2), &[first, second]);
    assert_eq!((shown(&mut new, 0), shown(&mut new, 1)), (" |  | ".to_owned(), "xx | aa bb | entry=xx".to_owned()));
}

/// No job writes such files: all values of a subtask are rewritten before the first record. Nothing depends on that.
#[test]
fn elements_of_two_versions_of_one_list_keep_their_order() {
    let mut old = empty(&version(1));
    fill(&mut old, 3, b"x");
    let first = slice(&frozen(&mut old));
    let mut states = version(1);
    states[HISTORY.0 as usize].version = 2;
    let mut second = restore(empty(&states), std::slice::from_ref(&first), migration(), 0).expect("it migrates").0;
    drop(second.freeze(0));
    fill(&mut second, 3, b"y");
    let files = [first, slice(&frozen(&mut second))];
    let mut new = upgraded(&states, &files);
    assert_eq!(shown(&mut new, 1), "y | aa bb a b | entry=y");
}

#[test]
fn who_looks_into_a_checkpoint_sees_each_value_under_the_codec_that_it_was_written_in() {
    let mut old = empty(&version(1));
    let mut states = version(2);
    states[0].codec = "u64".to_owned();
    let mut new = empty(&states);
    for (state, keys) in [(&mut old, 0..3), (&mut new, 1..2)] {
        super::write_all(state, &numbered_keys(keys), b"12345678");
    }
    let files = [slice(&frozen(&mut old)), slice(&frozen(&mut new))];
    let readers = files.iter().map(|file| (Reader::open(file.bytes.clone()).expect("it verifies"), file.key_groups));
    let mut seen = BTreeMap::new();
    let walked = walk(readers.collect(), Place::whole().key_groups, None, |holding| {
        seen.insert(holding.key.to_vec(), (holding.row.version, holding.row.codec.clone()));
        ControlFlow::Continue(())
    });
    walked.expect("they verify");
    let form = |key: &str| seen.get(key.as_bytes()).cloned();
    assert_eq!((form("key 0"), form("key 1")), (Some((1, "bytes".to_owned())), Some((2, "u64".to_owned()))));
    assert_eq!((form("key 2"), seen.len()), (form("key 0"), 3));
}

#[test]
fn a_failed_migration_names_the_state_both_versions_the_key_and_the_reason() {
    for (state, place) in [
        ("count", "key `key 777`"),
        ("history", "key `key 777`, its element `bad`"),
        ("table", "key `key 777`, entry `another`"),
    ] {
        let mut old = empty(&version(1));
        fill(&mut old, 5_000, b"x");
        let key = numbered_keys(777..778);
        old.select(&key, 0).expect("a key can be selected");
        let mut writes = Writes::default();
        match state {
            "count" => writes.value_writes_mut(COUNT).set(0, Some(b"bad")),
            "history" => {
                let appended = &mut writes.list_write_mut(HISTORY, 0).appended;
                [b"good", b"bad".as_slice()].iter().for_each(|element| appended.push(element));
            }
            _ => writes.map_write_mut(TABLE, 0).write(b"another", Some(b"bad")),
        }
        old.commit(&writes).expect("these writes are allowed");
        let file = slice(&frozen(&mut old));
        match restore(empty(&version(3)), &[file], migration(), 0) {
            Err(RestoreError::Migration { fault, message }) => {
                assert_eq!(fault, Fault::Guest);
                for part in [&format!("`{state}`"), "version 1", "version 3", place, "it cannot read this"] {
                    assert!(message.contains(part), "{message}");
                }
            }
            other => panic!("one value cannot be migrated: {other:?}"),
        }
    }
}

#[test]
fn the_key_whose_value_cannot_be_migrated_is_shown_as_it_is_asked_for() {
    let mut old = empty(&version(1));
    old.select(&Keys::encode([br#""ann\b""#.as_slice()]), 0).expect("a key can be selected");
    let mut writes = Writes::default();
    writes.value_writes_mut(COUNT).set(0, Some(b"bad"));
    old.commit(&writes).expect("a write is allowed");
    let file = slice(&frozen(&mut old));
    let error = restore(empty(&version(3)), &[file], migration(), 0).expect_err("the value is bad").to_string();
    assert!(error.contains(r#"key `"ann\b"`: "#), "{error}");
}

#[test]
fn what_the_operator_cannot_take_is_a_conflict_unless_nothing_is_held_of_it() {
    let mut old = empty(&version(2));
    fill(&mut old, 10, b"x");
    let file = slice(&frozen(&mut old));
    let mut other_codec = version(2);
    other_codec[0].codec = "json".to_owned();
    for (states, part) in [(version(1), "version 1"), (version(3), "`migration`"), (other_codec, "`json`")] {
        let error = empty(&states).restored(std::slice::from_ref(&file), 0).expect_err("it is a conflict");
        assert_eq!(error.fault, Fault::Request);
        assert!(error.message.contains("`count`") && error.message.contains(part), "{error}");
    }
    old.select(&numbered_keys(0..10), 0).expect("keys can be selected");
    let mut writes = Writes::default();
    for key in 0..10 {
        writes.value_writes_mut(COUNT).set(key, None);
        writes.list_write_mut(HISTORY, key).replaced = true;
        writes.map_write_mut(TABLE, key).replaced = true;
    }
    old.commit(&writes).expect("removals are allowed");
    let files = [file, slice(&frozen(&mut old))];
    empty(&version(3)).restored(&files, 0).expect("nothing is held");
}

#[test]
fn what_is_rewritten_keeps_its_stamp_or_gets_the_time_of_the_restore() {
    let ttl = TtlDescription { duration_ms: 1_000, refresh_on_read: false, return_expired: false };
    let expiring =
        |version| -> Vec<_> { expiring(ttl).into_iter().map(|state| StateDescription { version, ..state }).collect() };
    for (before, after, lives_until) in [
        (expiring(1), expiring(2), Some(1_000)),
        (version(1), expiring(2), Some(1_500)),
        (expiring(1), version(2), None),
    ] {
        let mut old = empty(&before);
        fill(&mut old, 1, b"x");
        let (mut new, _) = restore(empty(&after), &[slice(&frozen(&mut old))], migration(), 500).expect("it migrates");
        let mut count_at = |now| {
            new.select(&numbered_keys(0..1), now).expect("a key can be selected");
            let mut value = OptionalColumn::default();
            new.values(COUNT, &[0], &mut value).expect("a value state");
            value.get(0).map(<[u8]>::to_vec)
        };
        let last = lives_until.unwrap_or(i64::MAX - 1);
        assert_eq!(count_at(last - 1), Some(b"xx".to_vec()));
        assert!(lives_until.is_none() || count_at(last).is_none(), "it lives until {last}");
    }
}

#[test]
fn state_of_ten_times_its_memory_is_migrated_within_it() {
    const MEMORY: u64 = 1 << 20;
    let mut old = empty(&version(1));
    let mut files = Vec::new();
    for round in 0..60_u32 {
        super::write_all(&mut old, &numbered_keys(round * 1_000..(round + 1) * 1_000), &[7; 100]);
        files.push(slice(&frozen(&mut old)));
    }
    drop(old);
    let small = small(&version(2), MEMORY, "migrated");
    let mut restoring = small.restoring(open(&files).expect("they verify"), migration(), 0).expect("files verify");
    let (mut closed, mut most) = (Vec::new(), 0);
    while let Progress::More(segment) = restoring.step().expect("every value can be migrated") {
        most = most.max(segment.as_ref().map_or(0, FrozenSegment::bytes));
        closed.extend(segment.iter().map(slice));
    }
    let (mut new, migration) = restoring.finish();
    assert_eq!(migration.rewritten(), 60_000);
    assert!(closed.len() > 10 && most < 2 * MEMORY, "{} segments of up to {most} bytes", closed.len());
    assert!(new.bytes_held() < 2 * MEMORY, "{} bytes are held", new.bytes_held());
    closed.extend(new.freeze(0).map(|segment| slice(&segment)));
    let mut all = empty(&version(2)).restored(&closed, 0).expect("nothing of version 1 is needed");
    all.select(&numbered_keys(0..60_000), 0).expect("keys can be selected");
    let mut values = OptionalColumn::default();
    all.values(COUNT, &(0..60_000).collect::<Vec<_>>(), &mut values).expect("a value state");
    assert!(values.iter().all(|value| value == Some(&[7; 200])));
}

/// A restore that nobody waits for any more has to end soon, whatever it is passing over.
#[test]
fn state_that_is_not_declared_any_more_is_passed_over_in_steps_too() {
    let mut old = empty(&version(1));
    super::write_all(&mut old, &numbered_keys(0..6_000), &[7; 10_000]);
    let file = slice(&frozen(&mut old));
    let mut restoring = empty(&[]).restoring(open(&[file]).expect("it verifies"), migration(), 0).expect("it verifies");
    let mut steps = 1;
    while let Progress::More(closed) = restoring.step().expect("nothing is taken") {
        assert!(closed.is_none());
        steps += 1;
    }
    assert_eq!(steps, 4, "60 MB are passed over by 16 MiB");
}
