//! A closed segment on its way to a checkpoint file.

use std::sync::Arc;

use bytes::Bytes;
use weir_operator::keyed_state::StateError;
use weir_protocol::Fault;
use weir_protocol::description::StateDescription;
use weir_protocol::key_group::{KeyGroup, KeyGroupRange, MaxParallelism, key_hash};
use weir_protocol::time::Timestamp;

use super::file::{FileRecord, Header, RecordKind, RowKind, StateRow, Writer};
use super::packed::{self, Change, PackedEntry};
use super::record::{Flags, Record};
use super::size::Counted;
use super::stamp::Life;

/// How the states of a subtask are named in files, and which keys it owns.
#[derive(Debug)]
pub(super) struct Naming {
    header: Header,
    /// By the record's state (0: timers): its row. Some are never used: their state is not keyed.
    rows: Vec<u16>,
    /// By the record's state: how long what it holds lives.
    lives: Vec<Option<Life>>,
    /// As they are declared.
    states: Vec<StateDescription>,
}

impl Naming {
    pub(super) fn new(
        states: &[StateDescription],
        max: MaxParallelism,
        key_groups: KeyGroupRange,
    ) -> Result<Self, StateError> {
        let named: Vec<_> = states.iter().map(row).collect();
        let mut rows: Vec<_> = named.iter().flatten().cloned().chain([StateRow::timers()]).collect();
        rows.sort();
        if let Some(pair) = rows.windows(2).find(|pair| pair[0].rank() == pair[1].rank()) {
            let message = format!("two states have the name `{}`; give one of them another", pair[0].name);
            return Err(StateError { fault: Fault::Request, message });
        }
        if let Some(row) = rows.iter().find(|row| row.name.len().max(row.codec.len()) > usize::from(u16::MAX)) {
            let message = format!("the name or codec of state `{:.64}` is longer than 65,535 bytes", row.name);
            return Err(StateError { fault: Fault::Request, message });
        }
        let place = |row: &StateRow| {
            let place = rows.binary_search(row).expect("every named row is among the rows");
            u16::try_from(place).expect("there are at most STATES_MAX states")
        };
        let by_state = named.iter().map(|row| row.as_ref().map_or(u16::MAX, place));
        let by_state = std::iter::once(place(&StateRow::timers())).chain(by_state).collect();
        let lives = std::iter::once(None).chain(states.iter().map(|state| state.ttl.map(Life))).collect();
        let header = Header { max, key_groups, complete: false, rows };
        Ok(Self { header, rows: by_state, lives, states: states.to_vec() })
    }

    pub(super) const fn header(&self) -> &Header {
        &self.header
    }

    /// The record's state for a row of a file, and its declaration; `None`: timers, or not declared (any more).
    pub(super) fn declared(&self, row: &StateRow) -> Option<(u16, &StateDescription)> {
        let is_keyed = row.kind != RowKind::Timers;
        let (number, state) = (1..).zip(&self.states).find(|(_, state)| is_keyed && state.name == row.name)?;
        Some((number, state))
    }

    /// The declaration of a record's state that is not that of the timers.
    pub(super) fn state(&self, number: u16) -> &StateDescription {
        &self.states[usize::from(number) - 1]
    }

    /// By the record's state: how long what it holds lives.
    pub(super) fn lives(&self) -> impl Iterator<Item = Option<Life>> + '_ {
        self.lives.iter().copied()
    }

    /// By the record's state: how what it holds is counted.
    pub(super) fn counted(&self) -> impl Iterator<Item = Counted> + '_ {
        let rows = self.rows.iter().map(|&row| self.header.rows.get(usize::from(row)));
        let in_bundles = rows.map(|row| row.is_some_and(|row| row.kind == RowKind::List));
        self.lives().zip(in_bundles).map(|(life, in_bundles)| Counted { life, in_bundles })
    }

    /// The record's state and the name of each state that is kept in the log.
    pub(super) fn names(&self) -> impl Iterator<Item = (usize, &str)> {
        let rows = self.rows.iter().enumerate().skip(1);
        rows.filter_map(|(state, &row)| Some((state, self.header.rows.get(usize::from(row))?.name.as_str())))
    }

    /// Whether a key with this hash belongs to the subtask.
    pub(super) fn owns(&self, hash: u64) -> bool {
        self.header.key_groups.contains(self.group_of(hash))
    }

    /// The key group of a key with this hash.
    pub(super) fn group_of(&self, hash: u64) -> KeyGroup {
        self.header.max.key_group(hash)
    }
}

fn row(state: &StateDescription) -> Option<StateRow> {
    let kind = RowKind::of(state.kind)?;
    let (name, codec, stamped) = (state.name.clone(), state.codec.clone(), state.ttl.is_some());
    Some(StateRow { kind, name, version: state.version, codec, stamped })
}

/// What one epoch wrote: immutable, and free of the task that wrote it.
#[derive(Debug, Clone)]
pub struct FrozenSegment {
    chunks: Vec<Arc<Vec<u8>>>,
    naming: Arc<Naming>,
    /// The barrier's processing time.
    at: Timestamp,
    live: u64,
}

/// What has expired, at the barrier of a segment.
#[derive(Debug, Clone)]
pub struct Expiry {
    naming: Arc<Naming>,
    at: Timestamp,
}

impl Expiry {
    /// For rows of files, whether what a record of each stores has expired. What is stored without a stamp, or is not
    /// declared to expire (any more), has not.
    pub(super) fn of(&self, rows: &[StateRow]) -> impl Fn(&FileRecord<'_>) -> bool + use<> {
        let life = |row: &StateRow| {
            let (number, state) = self.naming.declared(row)?;
            let is_same = RowKind::of(state.kind) == Some(row.kind);
            self.naming.lives[usize::from(number)].filter(|_| row.stamped && is_same)
        };
        let (lives, at): (Vec<_>, _) = (rows.iter().map(life).collect(), self.at);
        move |record| {
            record.kind == RecordKind::Put
                && lives[usize::from(record.row)].is_some_and(|life| life.has_expired(record.value, at))
        }
    }
}

/// A record, with what sorts it.
struct Sorted<'a> {
    group: KeyGroup,
    row: u16,
    /// Where in a packed map an entry begins; 0: the record is no packed map.
    within: u16,
    /// The first bytes of the key, so that most comparisons need not look at the record.
    prefix: u64,
    record: Record<'a>,
}

impl FrozenSegment {
    pub(super) const fn new(chunks: Vec<Arc<Vec<u8>>>, naming: Arc<Naming>, at: Timestamp, live: u64) -> Self {
        Self { chunks, naming, at, live }
    }

    /// What has expired at its barrier.
    #[must_use]
    pub fn expiry(&self) -> Expiry {
        Expiry { naming: Arc::clone(&self.naming), at: self.at }
    }

    /// Bytes of live records of the whole state, at its barrier.
    #[must_use]
    pub const fn bytes_live(&self) -> u64 {
        self.live
    }

    /// The bytes that it keeps in memory.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.capacity() as u64).sum()
    }

    /// The segment as a checkpoint file. Takes about a microsecond a record: not for a thread that must not block.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut records = self.sorted();
        // What a later record says of the same key and entry is what counts; sorting is stable. A packed map is written to
        // in place: what it holds is later than any tombstone.
        records.sort_by(|a, b| a.cmp(b).then_with(|| (a.within > 0).cmp(&(b.within > 0))));
        let has_expired = self.expiry().of(&self.naming.header().rows);
        let mut writer = Writer::new(self.naming.header().clone());
        for (at, sorted) in records.iter().enumerate() {
            let is_superseded = records.get(at + 1).is_some_and(|next| sorted.cmp(next).is_eq());
            if !is_superseded {
                let record = sorted.file_record();
                writer.push(&if has_expired(&record) { record.tombstone() } else { record });
            }
        }
        writer.finish()
    }

    fn sorted(&self) -> Vec<Sorted<'_>> {
        let max = self.naming.header().max;
        let mut sorted = Vec::new();
        for chunk in &self.chunks {
            let mut at = 0;
            while at < chunk.len() {
                let record = Record::at(&chunk[at..]);
                at += record.size();
                if record.flags().is_dead() {
                    continue;
                }
                let (group, prefix) = (max.key_group(key_hash(record.key())), prefix(record.key()));
                let row = self.naming.rows[usize::from(record.state())];
                let one = |within| Sorted { group, row, within, prefix, record };
                if record.is_packed() {
                    let changed = packed::entries(record.value()).filter(|found| found.change != Change::None);
                    sorted.extend(changed.map(|found| one(u16::try_from(found.at).expect("packed maps are small"))));
                } else {
                    sorted.push(one(0));
                }
            }
        }
        sorted
    }
}

impl Sorted<'_> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let order = (self.group, self.row, self.prefix).cmp(&(other.group, other.row, other.prefix));
        let is_entry = |sorted: &Self| !sorted.record.flags().has(Flags::CLEAR);
        order
            .then_with(|| self.record.key().cmp(other.record.key()))
            .then_with(|| is_entry(self).cmp(&is_entry(other)))
            .then_with(|| self.entry().cmp(other.entry()))
    }

    fn packed(&self) -> Option<PackedEntry<'_>> {
        (self.within > 0).then(|| packed::entry_at(self.record.value(), usize::from(self.within)))
    }

    fn entry(&self) -> &[u8] {
        self.packed().map_or_else(|| self.record.entry(), |packed| packed.entry)
    }

    fn file_record(&self) -> FileRecord<'_> {
        let flags = self.record.flags();
        let kind = if flags.has(Flags::CLEAR) {
            RecordKind::Clear
        } else if flags.has(Flags::TOMBSTONE) {
            RecordKind::Tombstone
        } else {
            RecordKind::Put
        };
        let value = self.packed().map_or_else(|| self.record.value(), |packed| packed.value);
        let (key, entry) = (self.record.key(), self.entry());
        FileRecord { group: self.group, row: self.row, kind, key, entry, value }
    }
}

/// The first 8 bytes of a key, as a number that sorts as they do; missing ones are zero.
fn prefix(key: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let length = key.len().min(8);
    bytes[..length].copy_from_slice(&key[..length]);
    u64::from_be_bytes(bytes)
}
