//! Checkpoint files made from decisions, whole.

use std::collections::BTreeMap;

use bytes::Bytes;
use weir_engine::state::file::{FileRecord, Header, RecordKind, RowKind, StateRow, Writer};
use weir_protocol::key_group::{KeyGroup, KeyGroupRange, MaxParallelism};

use super::model::Row;
use crate::choices::Choices;

/// What a value of a stamped row begins with.
const STAMP_BYTES: usize = 8;

/// What one file holds.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) header: Header,
    /// In the order of the file: group, rank of the row, key, clears first, entry.
    records: BTreeMap<(u16, (bool, String), Vec<u8>, bool, Vec<u8>), Record>,
}

#[derive(Debug)]
struct Record {
    row: u16,
    kind: RecordKind,
    value: Vec<u8>,
}

/// Key groups, of the few that are used; also none.
pub(super) fn range(choices: &mut Choices<'_>) -> KeyGroupRange {
    KeyGroupRange { start: u16::from(choices.byte() % 9), end: u16::from(choices.byte() % 9) }
}

/// Whether files are not of one job: another maximum parallelism, or a state of two kinds.
pub(super) fn disagree(files: &[Made]) -> bool {
    let mut kinds = BTreeMap::new();
    let rows = files.iter().flat_map(|file| &file.header.rows);
    let two_kinds = rows.filter(|row| *kinds.entry(row.rank()).or_insert(row.kind) != row.kind).count() > 0;
    two_kinds || files.iter().any(|file| file.header.max != files[0].header.max)
}

impl Made {
    /// File `number` of a job; mostly those of one job fit together.
    pub(super) fn new(choices: &mut Choices<'_>, number: usize) -> Self {
        let max = if choices.one_in(30) { 7 } else { 128 };
        let header = Header {
            max: MaxParallelism::new(max).expect("it is within the bounds"),
            key_groups: KeyGroupRange { start: 0, end: 8 },
            complete: number == 0 && choices.one_in(2),
            rows: rows(choices),
        };
        let mut made = Self { header, records: BTreeMap::new() };
        let big = choices.one_in(12);
        while !choices.is_at_end() && made.records.len() < 40 && !choices.one_in(10) {
            made.record(choices, big);
        }
        made
    }

    fn record(&mut self, choices: &mut Choices<'_>, big: bool) {
        let index = choices.below(self.header.rows.len());
        let row = &self.header.rows[index];
        let kind = match (row.kind, choices.below(6)) {
            (RowKind::List | RowKind::Map, 0) => RecordKind::Clear,
            (_, 1) => RecordKind::Tombstone,
            _ => RecordKind::Put,
        };
        let key = vec![b'k'; choices.below(3)];
        let entry = match (row.kind, kind) {
            (_, RecordKind::Clear) | (RowKind::Value, _) => Vec::new(),
            (RowKind::Timers | RowKind::List | RowKind::Map, _) => vec![choices.byte() % 4; choices.below(3)],
        };
        let mut value = if kind == RecordKind::Put { choices.bytes(300) } else { Vec::new() };
        if big && !value.is_empty() {
            value.resize(20_000, 7);
        }
        if row.stamped && kind == RecordKind::Put {
            value.splice(0..0, [1; STAMP_BYTES]);
        }
        let (_, name) = row.rank();
        let rank = (row.kind != RowKind::Timers, name.to_owned());
        let at = (u16::from(choices.byte() % 8), rank, key, kind != RecordKind::Clear, entry);
        let row = u16::try_from(index).expect("there are few");
        self.records.insert(at, Record { row, kind, value });
    }

    pub(super) fn write(&self) -> Bytes {
        let mut writer = Writer::new(self.header.clone());
        for ((group, _, key, _, entry), Record { row, kind, value }) in &self.records {
            writer.push(&FileRecord { group: KeyGroup(*group), row: *row, kind: *kind, key, entry, value });
        }
        writer.finish()
    }

    /// What is in it, in order.
    pub(super) fn rows(&self) -> impl Iterator<Item = Row> {
        self.records.iter().map(|((group, _, key, _, entry), Record { row, kind, value })| {
            let record = FileRecord { group: KeyGroup(*group), row: *row, kind: *kind, key, entry, value };
            Row::of(&record, &self.header.rows)
        })
    }
}

/// Some states, sorted; one may stand there in two versions.
fn rows(choices: &mut Choices<'_>) -> Vec<StateRow> {
    let states = [(RowKind::Value, "count"), (RowKind::List, "list"), (RowKind::Map, "map")];
    let mut rows = vec![StateRow::timers()];
    for (kind, name) in states {
        for version in 1..=2 {
            if choices.one_in(2) {
                let kind = if choices.one_in(40) { RowKind::Map } else { kind };
                let stamped = choices.one_in(4);
                rows.push(StateRow { kind, name: name.to_owned(), version, codec: "json".to_owned(), stamped });
            }
        }
    }
    rows.sort();
    rows
}
