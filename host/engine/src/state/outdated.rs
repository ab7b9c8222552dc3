//! Values of one state that were read in an older version, and wait to be rewritten.
//!
//! Receives records in their order; gives them back in it, rewritten, with the stamps that they had. Does not own how
//! many wait, nor what is done with what was rewritten.

use weir_operator::batch::BytesColumn;
use weir_protocol::description::StateDescription;
use weir_protocol::key_group::KeyGroup;
use weir_protocol::time::Timestamp;

use super::bundle::Bundle;
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
    /// Of each record, which of a list's elements it holds; of other states, one that is alone.
    bundles: Vec<Bundle>,
    /// Of each record its value, or its elements.
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

    /// Takes a record that was checked, whose value begins with a stamp where it is `stamped`; of a list a bundle of
    /// elements.
    pub(super) fn push(&mut self, record: &FileRecord<'_>, stamped: bool, in_bundles: bool) {
        let (stamp, value) = if stamped {
            let (stamp, value) = split(record.value);
            (Some(stamp), value)
        } else {
            (None, record.value)
        };
        let alone = Bundle { position: 0, count: 1 };
        let bundle = Bundle::under(record.entry).filter(|_| in_bundles).unwrap_or(alone);
        self.groups.push(record.group);
        self.keys.push(record.key);
        self.entries.push(record.entry);
        self.stamps.push(stamp);
        self.bundles.push(bundle);
        bundle.elements(value).for_each(|value| self.values.push(value));
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

    /// The records, with what their values have become, stored with the stamps that they had, or with `stamp`; without
    /// one where it is `None`.
    ///
    /// # Errors
    /// That of `take`.
    pub(super) fn take_all<E>(
        &self,
        rewritten: &BytesColumn,
        stamp: Option<Timestamp>,
        mut take: impl FnMut(&FileRecord<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let (mut first, mut scratch) = (0, Vec::new());
        for (index, &bundle) in self.bundles.iter().enumerate() {
            let (group, key, entry) = (self.groups[index], self.keys.get(index), self.entries.get(index));
            let stamp = stamp.map(|now| self.stamps[index].unwrap_or(now));
            let value = bundle.stored(stamp, (first..).map(|index| rewritten.get(index)), &mut scratch);
            take(&FileRecord { group, row: 0, kind: RecordKind::Put, key, entry, value })?;
            first += bundle.count as usize;
        }
        Ok(())
    }

    /// Where a value stands, for people. An element is named by what it is: its number in the file is none that people
    /// could count to.
    fn place(&self, index: usize, declared: &StateDescription) -> String {
        let record = self.record_of(index);
        let key = shown(self.keys.get(record));
        let entry = self.entries.get(record);
        match RowKind::of(declared.kind) {
            Some(RowKind::Map) => format!("key `{key}`, entry `{}`", shown(entry)),
            Some(RowKind::List) => format!("key `{key}`, its element `{}`", shown(self.values.get(index))),
            Some(RowKind::Value | RowKind::Timers) | None => format!("key `{key}`"),
        }
    }

    /// Which record a value is of.
    fn record_of(&self, value: usize) -> usize {
        let records = self.bundles.iter().enumerate();
        let mut of = records.flat_map(|(record, bundle)| (0..bundle.count).map(move |_| record));
        of.nth(value).expect("each value is of a record")
    }
}

/// The most that is shown of a key.
const SHOWN_CHARS: usize = 100;

/// Bytes as text, in which quotation marks stay as they are; what is none is escaped.
pub(super) fn shown(bytes: &[u8]) -> String {
    let mut text = match str::from_utf8(bytes) {
        Ok(text) => text.chars().fold(String::new(), |mut shown, c| {
            match c {
                '"' | '\'' | '\\' => shown.push(c),
                c => shown.extend(c.escape_debug()),
            }
            shown
        }),
        Err(_) => bytes.escape_ascii().to_string(),
    };
    if let Some((end, _)) = text.char_indices().nth(SHOWN_CHARS) {
        text.truncate(end);
        text.push('…');
    }
    text
}
