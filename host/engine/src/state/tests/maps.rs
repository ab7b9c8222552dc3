//! The entries of a small map share a record in memory; checkpoint files know nothing of that.

use weir_operator::keyed_state::{Entries, EntryRange, KeyedState, Read, Writes};

use super::super::contract::{Place, TABLE, states};
use super::super::file::{FileRecord, FileSlice, Reader, RecordKind};
use super::super::{FrozenSegment, SubtaskState};
use super::spilling::{block_on, small};
use super::{new, numbered_keys, slice, write_all};

/// Writes entries of one key's map.
fn write(state: &mut SubtaskState, entries: &[(&str, Option<&str>)]) {
    state.select(&numbered_keys(0..1), 0).expect("a key can be selected");
    let mut writes = Writes::default();
    let map = writes.map_write_mut(TABLE, 0);
    entries.iter().for_each(|(entry, value)| map.write(entry.as_bytes(), value.map(str::as_bytes)));
    state.commit(&writes).expect("these writes are allowed");
}

/// Removes the whole map.
fn clear(state: &mut SubtaskState) {
    state.select(&numbered_keys(0..1), 0).expect("a key can be selected");
    let mut writes = Writes::default();
    writes.map_write_mut(TABLE, 0).replaced = true;
    state.commit(&writes).expect("these writes are allowed");
}

/// What a segment's file says of the map.
fn file_of(segment: Option<&FrozenSegment>) -> Vec<String> {
    let file = slice(segment.expect("something was written"));
    let mut said = Vec::new();
    let each = |FileRecord { kind, entry, value, .. }: FileRecord<'_>| {
        let (entry, value) = (String::from_utf8_lossy(entry), String::from_utf8_lossy(value));
        said.push(match kind {
            RecordKind::Put => format!("{entry}={value}"),
            RecordKind::Tombstone => format!("-{entry}"),
            RecordKind::Clear => "clear".to_owned(),
        });
        Ok(())
    };
    Reader::open(file.bytes).expect("it verifies").read(file.key_groups, each).expect("it can be read");
    said
}

/// The whole map.
fn held(state: &mut SubtaskState) -> String {
    state.select(&numbered_keys(0..1), 0).expect("a key can be selected");
    let mut page = Entries::default();
    let range = EntryRange { start: None, end: None, limit: 100 };
    if let Some(fetch) = state.fetch(&Read::Scan(TABLE, 0, range)).expect("a declared state") {
        state.supply(fetch.now()).expect("the disk can be read");
    }
    state.scan(TABLE, 0, range, &mut page).expect("a map can be read");
    let entries = page.entries.iter().zip(page.values.iter());
    let shown = entries.map(|(e, v)| format!("{}={}", String::from_utf8_lossy(e), String::from_utf8_lossy(v)));
    shown.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_small_map_takes_one_record_and_files_hold_only_what_changed_of_it() {
    let mut state = new();
    write(&mut state, &[("a", Some("1")), ("b", Some("2")), ("c", Some("3"))]);
    // 8 of the record, 5 of the key, 1 for the count and 4 for each entry.
    assert_eq!(state.bytes_live(), 32);
    assert_eq!(file_of(state.freeze(0).as_ref()), ["a=1", "b=2", "c=3"]);
    write(&mut state, &[("b", Some("4"))]);
    write(&mut state, &[("c", None)]);
    assert_eq!(file_of(state.freeze(0).as_ref()), ["b=4", "-c"]);
    assert_eq!(held(&mut state), "a=1 b=4");
}

#[test]
fn an_entry_that_was_removed_and_written_again_within_an_epoch_is_in_its_file() {
    let mut state = new();
    write(&mut state, &[("a", Some("1")), ("b", Some("2"))]);
    state.freeze(0);
    write(&mut state, &[("a", Some("3"))]);
    write(&mut state, &[("b", None)]);
    write(&mut state, &[("b", Some("4"))]);
    assert_eq!(file_of(state.freeze(0).as_ref()), ["a=3", "b=4"]);
    write(&mut state, &[("b", None)]);
    write(&mut state, &[("b", Some("5"))]);
    write(&mut state, &[("b", None)]);
    assert_eq!(file_of(state.freeze(0).as_ref()), ["-b"]);
    assert_eq!(held(&mut state), "a=3");
}

#[test]
fn a_map_that_outgrows_its_record_is_in_files_what_changed_of_it() {
    let mut state = new();
    write(&mut state, &[("a", Some("1")), ("b", Some("2"))]);
    state.freeze(0);
    write(&mut state, &[("b", Some("3"))]);
    let long = "x".repeat(300);
    write(&mut state, &[("c", Some(&long))]);
    assert_eq!(file_of(state.freeze(0).as_ref()), ["b=3".to_owned(), format!("c={long}")]);
    assert_eq!(held(&mut state), format!("a=1 b=3 c={long}"));
}

#[test]
fn a_map_that_is_gone_leaves_a_mark_and_one_that_was_never_in_a_file_leaves_nothing() {
    let mut state = new();
    write(&mut state, &[("a", Some("1"))]);
    write(&mut state, &[("a", None)]);
    assert!(state.freeze(0).is_none());
    write(&mut state, &[("a", Some("1"))]);
    clear(&mut state);
    assert!(state.freeze(0).is_none());
    write(&mut state, &[("a", Some("1"))]);
    state.freeze(0);
    write(&mut state, &[("b", Some("2"))]);
    clear(&mut state);
    assert_eq!(file_of(state.freeze(0).as_ref()), ["clear"]);
    assert_eq!((held(&mut state), state.bytes_live()), (String::new(), 0));
}

#[test]
fn a_restore_packs_small_maps_again() {
    let mut state = new();
    write(&mut state, &[("a", Some("1")), ("b", Some("2")), ("c", Some("3"))]);
    let file: FileSlice = slice(&state.freeze(0).expect("something was written"));
    let place = Place::whole();
    let restored = SubtaskState::new(&states(), place.max, place.key_groups).expect("these states are legal");
    let mut restored = restored.restored(&[file], 0).expect("the file verifies");
    assert_eq!((restored.bytes_live(), restored.bytes_in_all()), (state.bytes_live(), state.bytes_in_all()));
    assert_eq!(held(&mut restored), "a=1 b=2 c=3");
    write(&mut restored, &[("b", None)]);
    assert_eq!(file_of(restored.freeze(0).as_ref()), ["-b"]);
}

/// Where a mark stands in for its entries, an empty map keeps its place.
#[test]
fn what_lies_beside_the_log_is_counted_however_often_a_map_changes_its_form() {
    let mut state = small(&states(), 100_000, "forms");
    write_all(&mut state, &numbered_keys(0..10_000), &[1; 100]);
    drop(state.freeze(0));
    block_on(state.make_room()).expect("the disk can be written");
    clear(&mut state);
    let before = state.states[TABLE.0 as usize].bytes();
    for _ in 0..100 {
        write(&mut state, &[("long", Some(&"x".repeat(300)))]);
        write(&mut state, &[("long", None)]);
        write(&mut state, &[("short", Some("1"))]);
        write(&mut state, &[("short", None)]);
    }
    let after = state.states[TABLE.0 as usize].bytes();
    assert!(after < before + 100, "{before} bytes became {after}");
}

/// While the disk is written to, its map is still in memory, and may change.
#[test]
fn what_becomes_of_a_map_on_its_way_to_the_disk_is_what_stays() {
    let changes: [(&str, fn(&mut SubtaskState)); 4] = [
        ("b=2", |state| write(state, &[("a", None)])),
        ("a=3 b=2 c=4", |state| write(state, &[("a", Some("3")), ("c", Some("4"))])),
        ("", clear),
        ("c=4", |state| {
            clear(state);
            write(state, &[("c", Some("4"))]);
        }),
    ];
    for (expected, change) in changes {
        let mut state = small(&states(), 0, "on-its-way");
        write(&mut state, &[("a", Some("1")), ("b", Some("2"))]);
        drop(state.freeze(0));
        state.spill_some(u64::MAX);
        assert!(state.log.has_base() && state.bytes_live() > 0, "it is on its way, and here");
        change(&mut state);
        for _ in 0..2 {
            block_on(state.make_room()).expect("the disk can be written");
            drop(state.freeze(0));
        }
        block_on(state.make_room()).expect("the disk can be written");
        assert_eq!(state.bytes_live(), 0, "all of it left");
        assert_eq!(held(&mut state), expected);
    }
}
