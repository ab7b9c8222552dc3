//! The layout stands still, and nothing that was changed is believed.

use bytes::Bytes;
use proptest::prelude::*;
use weir_operator::keyed_state::StateError;
use weir_protocol::Fault;
use weir_protocol::key_group::{KeyGroup, KeyGroupRange, MaxParallelism};
use xxhash_rust::xxh3::xxh3_64;

use super::format::TAIL_BYTES;
use super::{FileRecord, Header, Reader, RecordKind, RowKind, StateRow, Writer};

/// What the footer says of one block.
const BLOCK_ENTRY_BYTES: usize = 32;

const ALL: KeyGroupRange = KeyGroupRange { start: 0, end: 128 };

fn header() -> Header {
    let row = |kind, name: &str| StateRow {
        kind,
        name: name.to_owned(),
        version: 2,
        codec: "json".to_owned(),
        stamped: false,
    };
    let rows = vec![StateRow::timers(), row(RowKind::Value, "count"), row(RowKind::Map, "table")];
    Header { max: MaxParallelism::DEFAULT, key_groups: ALL, complete: false, rows }
}

/// With a state whose values bear stamps.
fn stamped_header() -> Header {
    let mut header = header();
    header.rows[1].stamped = true;
    header
}

/// With a list.
fn list_header() -> Header {
    let mut header = header();
    header.rows[1].kind = RowKind::List;
    header
}

/// A stamped value, beside others.
fn stamped_records() -> [FileRecord<'static>; 3] {
    let [timer, value, tombstone, ..] = records();
    [timer, FileRecord { value: b"\x01\x02\0\0\0\0\0\0{\"n\":1}", ..value }, tombstone]
}

/// One of each kind.
fn records() -> [FileRecord<'static>; 6] {
    let record =
        |group, row, kind, key, entry, value| FileRecord { group: KeyGroup(group), row, kind, key, entry, value };
    [
        record(3, 0, RecordKind::Put, b"a", b"\x00\x80\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x01", b""),
        record(3, 1, RecordKind::Put, b"a", b"", b"{\"n\":1}"),
        record(3, 1, RecordKind::Tombstone, b"b", b"", b""),
        record(9, 2, RecordKind::Clear, b"c", b"", b""),
        record(9, 2, RecordKind::Put, b"c", b"", b"under the empty entry"),
        record(127, 2, RecordKind::Tombstone, b"d", b"entry", b""),
    ]
}

fn write(header: Header, records: &[FileRecord<'_>]) -> Bytes {
    let mut writer = Writer::new(header);
    records.iter().for_each(|record| writer.push(record));
    writer.finish()
}

/// The records of some key groups, as text.
fn read(file: Bytes, key_groups: KeyGroupRange) -> Result<Vec<String>, StateError> {
    let mut records = Vec::new();
    Reader::open(file)?.read(key_groups, |record| {
        records.push(format!("{record:?}"));
        Ok(())
    })?;
    Ok(records)
}

fn texts(records: &[FileRecord<'_>]) -> Vec<String> {
    records.iter().map(|record| format!("{record:?}")).collect()
}

fn hex(file: &[u8]) -> String {
    let line = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ") + "\n";
    file.chunks(16).map(line).collect()
}

fn unhex(text: &str) -> Bytes {
    text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).expect("hexadecimal digits")).collect()
}

/// A change here is a change of the durable format: it needs another version, and a reader for both.
#[test]
fn layout_stands_still() {
    let snapshot = include_str!("layout.hex");
    assert_eq!(hex(&write(header(), &records())), snapshot);
    assert_eq!(read(unhex(snapshot), ALL).expect("it verifies"), texts(&records()));
    assert_eq!(*Reader::open(unhex(snapshot)).expect("it verifies").header(), header());
}

/// A change here, too.
#[test]
fn layout_with_stamps_stands_still() {
    let snapshot = include_str!("layout_stamped.hex");
    assert_eq!(hex(&write(stamped_header(), &stamped_records())), snapshot);
    assert_eq!(read(unhex(snapshot), ALL).expect("it verifies"), texts(&stamped_records()));
    assert_eq!(*Reader::open(unhex(snapshot)).expect("it verifies").header(), stamped_header());
}

#[test]
fn a_file_with_a_list_says_that_its_elements_may_share_records_and_older_ones_are_read() {
    let mut file = write(list_header(), &[]).to_vec();
    assert_eq!(file[8], 3);
    let kind = file.windows(5).position(|bytes| bytes == [4, 2, 0, 0, 0]).expect("its kind and version");
    (file[8], file[kind]) = (1, 2);
    seal(&mut file);
    assert_eq!(*Reader::open(file.into()).expect("each element had a record of its own").header(), list_header());
}

/// Puts the checksum of a changed footer right.
fn seal(file: &mut [u8]) {
    let footer_end = file.len() - TAIL_BYTES;
    let footer_bytes = u32::from_le_bytes(*file[footer_end..].first_chunk().expect("a tail"));
    let checksum = xxh3_64(&file[footer_end - footer_bytes as usize..footer_end]);
    file[footer_end + 4..footer_end + 12].copy_from_slice(&checksum.to_le_bytes());
}

#[test]
fn a_stamped_value_without_room_for_its_stamp_is_found() {
    let short = FileRecord { value: b"1234567", ..records()[1] };
    let error = read(write(stamped_header(), &[short]), ALL).expect_err("a stamp has 8 bytes");
    assert_eq!(error.fault, Fault::Corrupt);
}

#[test]
fn a_version_that_does_not_fit_the_states_is_found() {
    for (header, version) in
        [(header(), 2), (stamped_header(), 1), (header(), 3), (list_header(), 2), (list_header(), 4)]
    {
        let mut file = write(header, &[]).to_vec();
        file[8] = version;
        read(file.into(), ALL).expect_err("the version was changed");
    }
}

#[test]
fn every_changed_bit_is_found() {
    for file in [write(header(), &records()), write(stamped_header(), &stamped_records()), write(list_header(), &[])] {
        for (byte, bit) in (0..file.len()).flat_map(|byte| (0..8).map(move |bit| (byte, bit))) {
            let mut changed = file.to_vec();
            changed[byte] ^= 1 << bit;
            let error = read(changed.into(), ALL).expect_err("a bit was changed");
            assert_eq!(error.fault, Fault::Corrupt, "byte {byte}, bit {bit}: {error}");
        }
    }
}

#[test]
fn every_cut_and_every_addition_is_found() {
    let file = write(header(), &records());
    for length in 0..file.len() {
        let error = read(file.slice(..length), ALL).expect_err("the end was cut off");
        assert_eq!(error.fault, Fault::Corrupt);
        read(file.slice(file.len() - length..), ALL).expect_err("the beginning was cut off");
    }
    read([&file[..], &[0]].concat().into(), ALL).expect_err("a byte was added");
}

/// The checksums are right: only a writer with a bug makes such a file.
#[test]
fn block_that_claims_more_than_it_can_hold_is_refused_before_room_is_made() {
    let mut file = write(header(), &records()).to_vec();
    let footer_end = file.len() - TAIL_BYTES;
    let run_bytes = footer_end - BLOCK_ENTRY_BYTES + 12;
    file[run_bytes..run_bytes + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    seal(&mut file);
    let error = Reader::open(file.into()).expect_err("no block of so few bytes holds 4 GiB");
    assert_eq!(error.fault, Fault::Corrupt);
    assert!(error.message.contains("more than it can hold"), "{error}");
}

#[test]
fn an_empty_file_is_one() {
    let file = write(header(), &[]);
    assert_eq!(read(file, ALL).expect("it verifies"), Vec::<String>::new());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..Default::default() })]

    /// Blocks are skipped by key group; what is read is what was written for the range, no more and no less.
    #[test]
    fn any_range_reads_what_was_written_for_it(
        sizes in prop::collection::vec((0_u16..128, 0_usize..30_000), 0..60),
        bounds in (0_u16..130, 0_u16..130),
    ) {
        let mut groups: Vec<_> = sizes;
        groups.sort_unstable();
        let keys: Vec<_> = (0..groups.len()).map(|key| format!("{key:05}")).collect();
        let values: Vec<_> = groups.iter().map(|&(group, size)| vec![group.to_le_bytes()[0]; size]).collect();
        let records: Vec<_> = groups.iter().zip(&keys).zip(&values).map(|((&(group, _), key), value)| FileRecord {
            group: KeyGroup(group), row: 1, kind: RecordKind::Put, key: key.as_bytes(), entry: &[], value,
        }).collect();
        let range = KeyGroupRange { start: bounds.0, end: bounds.1 };
        let file = write(header(), &records);
        let wanted: Vec<_> = records.into_iter().filter(|record| range.contains(record.group)).collect();
        prop_assert_eq!(read(file, range).expect("it verifies"), texts(&wanted));
    }
}
