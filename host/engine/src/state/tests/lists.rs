//! What one call appends to a list is one record; and a record that holds no such bundle is found.

use weir_operator::keyed_state::{KeyedState, Writes};
use weir_protocol::Fault;

use super::super::contract::{HISTORY, Place, states};
use super::super::file::{FileRecord, FileSlice, Header, Reader, RecordKind, Writer, check};
use super::super::{Held, Holding, StateLimits, SubtaskState, walk};
use super::{new, numbered_keys, slice};

/// A state of which each call appended so many elements to one list, and the file of it.
fn appended(calls: &[u32]) -> (SubtaskState, FileSlice) {
    let mut state = new();
    for &elements in calls {
        state.select(&numbered_keys(0..1), 0).expect("a key can be selected");
        let mut writes = Writes::default();
        let list = &mut writes.list_write_mut(HISTORY, 0).appended;
        (0..elements).for_each(|element| list.push(&element.to_le_bytes()));
        state.commit(&writes).expect("these writes are allowed");
    }
    let segment = state.freeze(0).expect("something was written");
    (state, slice(&segment))
}

#[test]
fn what_one_call_appends_is_one_record_whose_elements_are_counted_one_by_one() {
    let (state, file) = appended(&[100, 1, 50]);
    let file = Reader::open(file.bytes).expect("it verifies");
    assert_eq!(file.records(), 3);
    check(&file).expect("it is sound");
    let (single, _) = appended(&[1; 151]);
    let size = |state: &SubtaskState| state.sizes().find(|(name, _)| *name == "history").expect("it is declared").1;
    assert_eq!((size(&state), size(&state).entries), (size(&single), 151));
    assert!(state.bytes_live() * 3 < single.bytes_live(), "{} bytes", state.bytes_live());
}

#[test]
fn elements_that_share_a_record_need_no_more_memory_than_they_take() {
    let appended = |live_bytes_max, elements: u64| {
        let mut state = new().with_limits(StateLimits { live_bytes_max, ..StateLimits::default() });
        state.select(&numbered_keys(0..1), 0).expect("a key can be selected");
        let mut writes = Writes::default();
        let list = &mut writes.list_write_mut(HISTORY, 0).appended;
        (0..elements).for_each(|element| list.push(&element.to_le_bytes()));
        state.commit(&writes).map(|()| state.bytes_live())
    };
    let taken = appended(1 << 20, 1_000).expect("there is room");
    assert!((9_000..10_000).contains(&taken), "{taken} bytes");
    appended(taken * 3 / 2, 1_000).expect("there is room, though not for a record each");
    let error = appended(taken - 1, 1_000).expect_err("there is no room");
    assert!(error.message.contains("limit"), "{error}");
}

#[test]
fn elements_of_one_record_are_shown_one_by_one_under_their_positions() {
    let (_, file) = appended(&[3, 1, 2]);
    let mut shown = Vec::new();
    let files = vec![(Reader::open(file.bytes).expect("it verifies"), file.key_groups)];
    walk(files, file.key_groups, None, |Holding { held, .. }| {
        if let Held::Element { position, value } = held {
            shown.push((position, value[0]));
        }
        std::ops::ControlFlow::Continue(())
    })
    .expect("it can be read");
    assert_eq!(shown, [(0, 0), (1, 1), (2, 2), (3, 0), (4, 0), (5, 1)]);
}

/// So it is where a list was appended to while some of it was on disk only.
#[test]
fn elements_are_numbered_from_the_oldest_that_is_held_whatever_their_positions() {
    let (_, file) = appended(&[1]);
    let reader = Reader::open(file.bytes).expect("it verifies");
    let mut writer = Writer::new(Header { complete: false, ..reader.header().clone() });
    reader
        .read(file.key_groups, |record: FileRecord<'_>| {
            writer.push(&FileRecord { entry: &700_u64.to_be_bytes(), value: b"a", ..record });
            let entry = [900_u64.to_be_bytes().as_slice(), &2_u32.to_be_bytes()].concat();
            writer.push(&FileRecord { entry: &entry, value: b"\x01b\x01c", ..record });
            Ok(())
        })
        .expect("it can be read");
    let mut shown = Vec::new();
    let files = vec![(Reader::open(writer.finish()).expect("it verifies"), file.key_groups)];
    walk(files, file.key_groups, None, |Holding { entry, held, .. }| {
        if let Held::Element { position, value } = held {
            shown.push((position, entry[7], value[0]));
        }
        std::ops::ControlFlow::Continue(())
    })
    .expect("it can be read");
    assert_eq!(shown, [(0, 188, b'a'), (1, 132, b'b'), (2, 133, b'c')]);
}

#[test]
fn a_record_of_a_list_that_holds_no_bundle_is_corrupt() {
    let (_, good) = appended(&[2]);
    let place = Place::whole();
    for (entry, value) in [
        (&b"short"[..], &b""[..]),
        (b"\0\0\0\0\0\0\0\0\0\0\0\x02", b"\x01a"),
        (b"\0\0\0\0\0\0\0\0\0\0\0\x02", b"\x01a\x02b"),
        (b"\0\0\0\0\0\0\0\0\0\0\0\x02", b"\x01a\x01bc"),
        (b"\0\0\0\0\0\0\0\0\0\0\0\x01", b"\x01a"),
    ] {
        let reader = Reader::open(good.bytes.clone()).expect("it verifies");
        let mut writer = Writer::new(Header { complete: false, ..reader.header().clone() });
        reader
            .read(place.key_groups, |record: FileRecord<'_>| {
                writer.push(&FileRecord { kind: RecordKind::Put, entry, value, ..record });
                Ok(())
            })
            .expect("it can be read");
        let bad = FileSlice { bytes: writer.finish(), key_groups: place.key_groups };
        let found = check(&Reader::open(bad.bytes.clone()).expect("its checksums are right"));
        assert_eq!(found.expect_err("it is not sound").fault, Fault::Corrupt);
        let state = SubtaskState::new(&states(), place.max, place.key_groups).expect("these states are legal");
        assert_eq!(state.restored(&[bad], 0).expect_err("it cannot be restored").fault, Fault::Corrupt);
    }
}
