//! Whether a checkpoint file is what it says: every record of it is looked at.

use std::cmp::Ordering;

use weir_operator::keyed_state::StateError;
use weir_protocol::key_group::{KeyGroupRange, key_hash};

use super::super::bundle::Bundle;
use super::super::stamp::STAMP_BYTES;
use super::reader::Reader;
use super::{FileRecord, RecordKind, RowKind, StateRow, corrupt};

/// The length of a timer's entry.
const TIMER_BYTES: usize = 13;

/// What sorts records, of the one before.
#[derive(Default)]
struct Before {
    group: u16,
    row: u16,
    key: Vec<u8>,
    is_entry: bool,
    entry: Vec<u8>,
}

/// Reads the whole file: every block verifies, records are in order and each once, every key stands under the key group
/// that is its own and that the file's writer had, and what is held has the form of its state. May hold its thread.
///
/// # Errors
/// [`weir_protocol::Fault::Corrupt`] for what does not hold.
pub fn check(file: &Reader) -> Result<(), StateError> {
    let (mut before, mut is_first) = (Before::default(), true);
    let header = file.header();
    file.read(KeyGroupRange { start: 0, end: u16::MAX }, |record| {
        let row = &header.rows[usize::from(record.row)];
        if !header.key_groups.contains(record.group) {
            return Err(wrong(row, &record, "the file's writer did not own its key group"));
        }
        if header.max.key_group(key_hash(record.key)) != record.group {
            return Err(wrong(row, &record, "its key belongs to another key group"));
        }
        if !std::mem::take(&mut is_first) && before.compare(&header.rows, &record).is_ge() {
            return Err(wrong(row, &record, "it is out of order, or there twice"));
        }
        if header.complete && record.kind != RecordKind::Put {
            return Err(wrong(row, &record, "the file is complete, yet it removes something"));
        }
        check_form(row, &record)?;
        before.set(&record);
        Ok(())
    })
}

fn check_form(row: &StateRow, record: &FileRecord<'_>) -> Result<(), StateError> {
    if record.kind == RecordKind::Clear {
        let can_be_cleared = matches!(row.kind, RowKind::List | RowKind::Map) && record.entry.is_empty();
        return if can_be_cleared { Ok(()) } else { Err(wrong(row, record, "it clears what cannot be cleared")) };
    }
    let is_formed = match row.kind {
        RowKind::Value => record.entry.is_empty(),
        RowKind::List => is_bundle(row, record),
        RowKind::Map => true,
        RowKind::Timers => record.entry.len() == TIMER_BYTES && matches!(record.entry.first(), Some(0 | 1)),
    };
    if is_formed { Ok(()) } else { Err(wrong(row, record, "its entry is not one of its state")) }
}

/// Whether this is a bundle of a list's elements; where it is removed, it holds none.
fn is_bundle(row: &StateRow, record: &FileRecord<'_>) -> bool {
    let stamp = if row.stamped { STAMP_BYTES } else { 0 };
    let holds = |bundle: Bundle| record.value.get(stamp..).is_some_and(|value| bundle.is_sound(value));
    Bundle::under(record.entry).is_some_and(|bundle| record.kind != RecordKind::Put || holds(bundle))
}

fn wrong(row: &StateRow, record: &FileRecord<'_>, what: &str) -> StateError {
    let (group, kind, name) = (record.group.0, row.kind.name(), &row.name);
    corrupt(format_args!("a record of key group {group} ({kind} `{name}`): {what}"))
}

impl Before {
    fn set(&mut self, record: &FileRecord<'_>) {
        (self.group, self.row) = (record.group.0, record.row);
        self.is_entry = record.kind != RecordKind::Clear;
        self.key.clear();
        self.key.extend_from_slice(record.key);
        self.entry.clear();
        self.entry.extend_from_slice(record.entry);
    }

    fn compare(&self, rows: &[StateRow], record: &FileRecord<'_>) -> Ordering {
        let rank = |row: u16| rows[usize::from(row)].rank();
        self.group
            .cmp(&record.group.0)
            .then_with(|| rank(self.row).cmp(&rank(record.row)))
            .then_with(|| self.key.as_slice().cmp(record.key))
            .then_with(|| self.is_entry.cmp(&(record.kind != RecordKind::Clear)))
            .then_with(|| self.entry.as_slice().cmp(record.entry))
    }
}
