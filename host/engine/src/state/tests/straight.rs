//! What memory has no room for goes past it at a restore, and all of it is there.

use weir_operator::batch::{BytesColumn, Keys, OptionalColumn};
use weir_operator::keyed_state::{Entries, EntryRange, KeyedState, Read, Writes};

use weir_protocol::Fault;

use super::super::contract::{COUNT, HISTORY, TABLE, states};
use super::super::file::{FileRecord, FileSlice, Header, Reader, RecordKind, Writer};
use super::super::{Migration, Progress, SubtaskState, file};
use super::spilling::{disk, folders, small};
use super::{new, numbered_keys, slice, write_all};

const MEMORY: u64 = 2 << 20;

/// Keys of all key groups, of which some begin as others do, with zeros where one ends and another goes on.
fn keys() -> Keys {
    let numbers = (0..300_u16).map(|number| number.to_be_bytes().to_vec());
    let tails = [&b""[..], b"\0", b"\0\0", b"\0\xff", b"\xff", b"\x01"];
    let keys: Vec<_> = numbers.flat_map(|head| tails.map(|tail| [&head, tail].concat())).collect();
    Keys::encode(keys.iter().map(Vec::as_slice))
}

/// A value, a list and a map for each of the keys. Most of it is in large maps, so that memory fills during one.
fn filled(keys: &Keys) -> SubtaskState {
    let mut state = new();
    state.select(keys, 0).expect("keys can be selected");
    let mut writes = Writes::default();
    let mut values = OptionalColumn::default();
    for key in 0..u32::try_from(keys.count()).expect("they are few") {
        values.push(Some(&key.to_le_bytes().repeat(20)));
        let list = &mut writes.list_write_mut(HISTORY, key).appended;
        (0..20_u32).for_each(|element| list.push(&(key + element).to_le_bytes()));
        for entry in 0..if key % 6 == 0 { 1_000_u32 } else { 3 } {
            writes.map_write_mut(TABLE, key).write(&entry.to_be_bytes(), Some(&(key + entry).to_le_bytes()));
        }
    }
    writes.value_writes_mut(COUNT).set_all(values);
    state.commit(&writes).expect("these writes are allowed");
    state
}

fn fetched(state: &mut SubtaskState, read: &Read<'_>) {
    if let Some(fetch) = state.fetch(read).expect("a declared state") {
        state.supply(fetch.now()).expect("the disk can be read");
    }
}

/// All that one key holds.
fn held(state: &mut SubtaskState, key: u32) -> (Option<Vec<u8>>, Vec<Vec<u8>>, Vec<(Vec<u8>, Vec<u8>)>) {
    let all = EntryRange { start: None, end: None, limit: usize::MAX };
    let (mut value, mut list, mut map) = (OptionalColumn::default(), BytesColumn::default(), Entries::default());
    fetched(state, &Read::Values(COUNT, Some(&[key])));
    state.values(COUNT, &[key], &mut value).expect("a value state");
    fetched(state, &Read::Lists(HISTORY, &[key]));
    state.list(HISTORY, key, &mut list).expect("a list state");
    fetched(state, &Read::Scan(TABLE, key, all));
    state.scan(TABLE, key, all, &mut map).expect("a map state");
    let entries = map.entries.iter().zip(map.values.iter());
    (
        value.get(0).map(<[u8]>::to_vec),
        list.iter().map(<[u8]>::to_vec).collect(),
        entries.map(|(entry, value)| (entry.to_vec(), value.to_vec())).collect(),
    )
}

#[test]
fn what_memory_has_no_room_for_goes_to_the_disk_past_the_log_and_is_all_there() {
    let keys = keys();
    let mut before = filled(&keys);
    let file = slice(&before.freeze(0).expect("something was written"));
    let mut after = small(&states(), MEMORY, "straight").restored(&[file], 0).expect("the file verifies");
    assert_eq!(after.bytes_in_all(), before.bytes_in_all());
    let (came, all) = (after.log.appended(), before.bytes_in_all());
    assert!(came < 2 * MEMORY && all > 3 * MEMORY, "{came} bytes of {all} came into the log");
    after.select(&keys, 0).expect("keys can be selected");
    before.select(&keys, 0).expect("keys can be selected");
    for key in 0..u32::try_from(keys.count()).expect("they are few") {
        assert!(held(&mut after, key) == held(&mut before, key), "key {:?}", keys.distinct.get(key as usize));
    }
}

/// Nobody's disk is to blame for it.
#[test]
fn a_file_whose_records_are_out_of_order_is_corrupt() {
    let mut before = new();
    write_all(&mut before, &numbered_keys(0..200), &[7; 100]);
    let good = slice(&before.freeze(0).expect("something was written"));
    let reader = Reader::open(good.bytes).expect("it verifies");
    let mut records = Vec::new();
    reader
        .read(good.key_groups, |record: FileRecord<'_>| {
            records.push((record.row, record.group, record.key.to_vec()));
            Ok(())
        })
        .expect("it can be read");
    records.sort_by(|(_, group, key), (_, other, than)| group.cmp(other).then(than.cmp(key)));
    let mut writer = Writer::new(Header { complete: false, ..reader.header().clone() });
    for (row, group, key) in &records {
        let (kind, row, group) = (RecordKind::Put, *row, *group);
        writer.push(&FileRecord { kind, row, group, key, entry: &[], value: &[7; 100] });
    }
    let bad = FileSlice { bytes: writer.finish(), key_groups: good.key_groups };
    let error = small(&states(), 0, "disorder").restored(&[bad], 0).expect_err("it cannot be what was written");
    assert_eq!(error.fault, Fault::Corrupt);
    assert!(error.message.contains("out of order"), "{error}");
}

#[test]
fn a_folder_that_vanishes_during_a_restore_is_nobody_s_fault_and_named() {
    let mut before = new();
    write_all(&mut before, &numbered_keys(0..3_000), &[7; 10_000]);
    let files = [slice(&before.freeze(0).expect("something was written"))];
    let opened = file::open(&files).expect("it verifies");
    let after = small(&states(), MEMORY, "vanishing-restore");
    let mut restoring = after.restoring(opened, Migration::default(), 0).expect("it verifies");
    assert!(matches!(restoring.step(), Ok(Progress::More(_))), "30 MB are more than a step");
    for folder in folders(disk().0, "vanishing-restore") {
        std::fs::remove_dir_all(folder).expect("it can be deleted");
    }
    let failed = loop {
        match restoring.step() {
            Ok(Progress::More(_)) => {}
            Ok(Progress::Done) => panic!("what was written is nowhere"),
            Err(error) => break error.into_state_error(),
        }
    };
    assert_eq!(failed.fault, Fault::Unavailable);
    assert!(failed.message.contains("vanishing-restore"), "{failed}");
}
