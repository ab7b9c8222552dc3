//! What several files hold together, as plain maps.

use std::collections::BTreeMap;

use weir_engine::state::file::{FileRecord, RecordKind, RowKind, StateRow};
use weir_protocol::key_group::KeyGroup;

/// A record with the state that it is of, wherever that stands in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) group: KeyGroup,
    state: StateRow,
    kind: RecordKind,
    key: Vec<u8>,
    entry: Vec<u8>,
    value: Vec<u8>,
}

impl Row {
    pub(super) fn of(record: &FileRecord<'_>, rows: &[StateRow]) -> Self {
        Self {
            group: record.group,
            state: rows[usize::from(record.row)].clone(),
            kind: record.kind,
            key: record.key.to_vec(),
            entry: record.entry.to_vec(),
            value: record.value.to_vec(),
        }
    }
}

/// Group, whether it is no timers, name, key.
type Key = (KeyGroup, bool, String, Vec<u8>);

/// Everything, oldest first.
#[derive(Debug, Default)]
pub(super) struct Model {
    keys: BTreeMap<Key, Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    cleared: Option<Row>,
    entries: BTreeMap<Vec<u8>, Row>,
}

impl Model {
    pub(super) fn apply(&mut self, row: Row) {
        let is_state = row.state.kind != RowKind::Timers;
        let key = (row.group, is_state, row.state.name.clone(), row.key.clone());
        let kept = self.keys.entry(key).or_default();
        if row.kind == RecordKind::Clear {
            kept.entries.clear();
            kept.cleared = Some(row);
        } else {
            kept.entries.insert(row.entry.clone(), row);
        }
    }

    /// What is left, in order; what is gone only if older files may hold it.
    pub(super) fn rows(&self, complete: bool) -> Vec<Row> {
        let all = self.keys.values().flat_map(|kept| kept.cleared.iter().chain(kept.entries.values()));
        all.filter(|row| !complete || row.kind == RecordKind::Put).cloned().collect()
    }
}
