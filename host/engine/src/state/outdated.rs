//! Values of one state that were read in an older version, and wait to be rewritten.
//!
//! Receives records in their order; gives them back in it, rewritten, with the stamps that they had. Does not own how
//! many wait, nor what is done with what was rewritten.

use weir_operator::batch::BytesColumn;
use weir_protocol::description::StateDescription;
use weir_protocol::key_group::KeyGroup;
use weir_protocol::time::Timestamp;

use super::file::{FileRecord, RecordKind, RowKind};
use super::migration::{Migration, RestoreError};
use super::stamp::split;

/// Values of one state and one version.
#[derive(Debug, Default)]
pub(super) struct Outdated {
    version: u32,
    groups: Vec<KeyGroup>,
    keys: BytesColumn,
    entries: BytesColumn,
    stamps: Vec<Option<Timestamp>>,
    values: BytesColumn,
}

impl Outdated {
    pub(super) fn of(version: u32) -> Self {
        Self { version, ..Self::default() }
    }

    pub(super) const fn version(&self) -> u32 {
        self.version
    }

    pub(super) const fn values(&self) -> &BytesColumn {
        &self.values
    }

    /// Takes a record, whose value begins with a stamp where it is `stamped`.
    pub(super) fn push(&mut self, record: &FileRecord<'_>, stamped: bool) {
        let (stamp, value) = if stamped {
            let (stamp, value) = split(record.value);
            (Some(stamp), value)
        } else {
            (None, record.value)
        };
        self.groups.push(record.group);
        self.keys.push(record.key);
        self.entries.push(record.entry);
        self.stamps.push(stamp);
        self.values.push(value);
    }

    /// All of them, rewritten.
    ///
    /// # Errors
    /// As [`Migration::rewrite`], with the key of the value that cannot be rewritten.
    pub(super) fn rewritten(
        &self,
        migration: &mut Migration,
        declared: &StateDescription,
    ) -> Result<BytesColumn, RestoreError> {
        migration.rewrite(declared, self.version, &self.values, |index| self.place(index, declared))
    }

    /// The records, with what their values have become.
    pub(super) fn records<'a>(
        &'a self,
        rewritten: &'a BytesColumn,
    ) -> impl Iterator<Item = (FileRecord<'a>, Option<Timestamp>)> {
        rewritten.iter().enumerate().map(|(index, value)| {
            let (group, key, entry) = (self.groups[index], self.keys.get(index), self.entries.get(index));
            (FileRecord { group, row: 0, kind: RecordKind::Put, key, entry, value }, self.stamps[index])
        })
    }

    /// Where a value stands, for people.
    fn place(&self, index: usize, declared: &StateDescription) -> String {
        let key = shown(self.keys.get(index));
        let entry = self.entries.get(index);
        match RowKind::of(declared.kind) {
            Some(RowKind::Map) => format!("key `{key}`, entry `{}`", shown(entry)),
            Some(RowKind::List) => match entry.first_chunk() {
                Some(position) => format!("key `{key}`, element {}", u64::from_be_bytes(*position)),
                None => format!("key `{key}`"),
            },
            Some(RowKind::Value | RowKind::Timers) | None => format!("key `{key}`"),
        }
    }
}

/// The most that is shown of a key.
const SHOWN_CHARS: usize = 100;

/// Bytes as text; what is none is escaped.
pub(super) fn shown(bytes: &[u8]) -> String {
    let mut text = match str::from_utf8(bytes) {
        Ok(text) => text.escape_debug().to_string(),
        Err(_) => bytes.escape_ascii().to_string(),
    };
    if let Some((end, _)) = text.char_indices().nth(SHOWN_CHARS) {
        text.truncate(end);
        text.push('…');
    }
    text
}
