//! What must hold after every step, whatever fails.
//!
//! [`Truth`] is what an undying observer would know: every entry that became the newest, what was published, and what a
//! run without failures would have made of the sources.

mod chain;
mod needed;
mod published;
mod settled;
mod state;

use std::collections::{BTreeMap, BTreeSet};

use weir_protocol::id::{CheckpointId, EntryNumber};
use weir_protocol::manifest::Outbox;
use weir_protocol::time::{NO_TIME, Timestamp};

use crate::call::Entry;
use crate::data::{KEYS, Record, SIDES, Slot, StateKey, Value, ends_session, window};
use crate::source::slot_record;
use crate::world::ActorId;

/// What is true, whatever the actors believe.
#[derive(Debug)]
pub(crate) struct Truth {
    /// Every entry that became the newest.
    pub(crate) history: Vec<Entry>,
    /// Where each split started.
    starts: Option<Vec<u32>>,
    /// By side and key: what a run without failures makes of its records, in order.
    expected: Vec<Vec<Vec<Expected>>>,
    /// How many records each key has in each window.
    windows: BTreeMap<(u8, u16), u32>,
    /// By checkpoint: what an entry has named, and no rollback has given up.
    sealed: BTreeMap<CheckpointId, Outbox>,
    /// The names of all objects that something restorable needs.
    needed: BTreeSet<String>,
    /// What forks copy.
    pinned: BTreeMap<ActorId, BTreeSet<String>>,
    /// By side and key: how many results are published.
    seen: Vec<Vec<usize>>,
    /// By key and window: with how many records it fired, and how many came after that.
    fired: BTreeMap<(u8, u16), u32>,
    missed: BTreeMap<(u8, u16), u32>,
    finals: BTreeSet<u8>,
    /// How many slots there have been, and the one that closed the log.
    slots: u64,
    closed: Option<u64>,
    /// The job has ended, and whoever ended it has deleted all that its entries dropped.
    pub(crate) is_collected: bool,
    /// Entries created where there was a newer one: of owners that had lost, and late.
    returned: BTreeSet<EntryNumber>,
    highest: CheckpointId,
    watermark: Timestamp,
}

/// What is expected of one record.
#[derive(Debug, Clone, Copy)]
struct Expected {
    position: u32,
    value: Value,
    session: u32,
}

impl Default for Truth {
    fn default() -> Self {
        let keys = usize::from(KEYS);
        Self {
            history: Vec::new(),
            starts: None,
            expected: vec![vec![Vec::new(); keys]; usize::from(SIDES)],
            windows: BTreeMap::new(),
            sealed: BTreeMap::new(),
            needed: BTreeSet::new(),
            pinned: BTreeMap::new(),
            seen: vec![vec![0; keys]; usize::from(SIDES)],
            fired: BTreeMap::new(),
            missed: BTreeMap::new(),
            finals: BTreeSet::new(),
            slots: 0,
            closed: None,
            is_collected: false,
            returned: BTreeSet::new(),
            highest: CheckpointId(0),
            watermark: NO_TIME,
        }
    }
}

impl Truth {
    /// Whether the job has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.history.last().is_some_and(|newest| newest.entry.kind.is_terminal())
    }

    pub(crate) const fn is_log_closed(&self) -> bool {
        self.closed.is_some()
    }

    /// A slot of the ingest log was created. One that was there before, and is gone, is never read.
    pub(crate) fn slot_created(&mut self, slot: u64, request: Option<u32>) {
        if slot < self.slots {
            return;
        }
        self.slots = slot + 1;
        match request {
            Some(request) => self.expect(slot_record(u32::try_from(slot).expect("it is small"), request)),
            None => self.closed = Some(slot),
        }
    }

    pub(crate) fn pinned(&mut self, fork: ActorId, names: impl Iterator<Item = String>) {
        self.pinned.insert(fork, names.collect());
    }

    pub(crate) fn unpinned(&mut self, fork: ActorId) {
        self.pinned.remove(&fork);
    }

    /// The next record of its split, as a run without failures sees it.
    fn expect(&mut self, record: Record) {
        let expected = &mut self.expected[usize::from(record.side)][usize::from(record.key)];
        let last = expected.last().copied();
        let value = last.map_or_else(Value::default, |last| last.value).with(record);
        let session = last.filter(|last| !ends_session(last.value.count)).map_or(0, |last| last.session) + 1;
        expected.push(Expected { position: record.position, value, session });
    }

    fn expect_window(&mut self, record: Record) {
        *self.windows.entry((record.key, window(record.time))).or_default() += 1;
    }
}

/// What one side of a key is kept under.
const fn side_of(key: u8, side: u8) -> StateKey {
    StateKey { key, slot: Slot::Side(side) }
}
