//! Drops what has expired, though nobody reads it: a little at each commit, and while there is nothing else to do.
//!
//! Receives the time of each barrier (of each batch, where there are none); guarantees that what had expired by then
//! leaves the indexes, each entry with a tombstone in the open segment, so that it leaves the files too (PROTOCOL 2.4),
//! and that one step is bounded. Each chunk knows from when on something in it is worth looking for; a pass looks at all
//! chunks and walks over the records of those only. Chunks of the open segment are left for when they are closed: what
//! they hold was written behind the last barrier.

use weir_protocol::key_group::key_hash;
use weir_protocol::time::{NO_TIME, Timestamp};

use super::SubtaskState;
use super::cleaner::LOOK_BYTES;
use super::log::Position;
use super::stamp::Life;

/// Walking over a record costs as much as copying one byte in so many of it.
const BYTES_WALKED: u64 = 16;

/// Where sweeping stands.
#[derive(Debug)]
pub(super) struct Sweeper {
    /// What had expired by then goes.
    until: Timestamp,
    /// `until` of the last pass: the next begins with a later one.
    passed: Timestamp,
    /// The chunk that is looked at next, or swept; `None`: no pass is under way.
    chunk: Option<usize>,
    /// What is being swept of it: the offset of the next record, and what tells the chunk from others of its number.
    swept: Option<(usize, u64)>,
    /// Records that were dropped.
    expired: u64,
    key: Vec<u8>,
    entry: Vec<u8>,
}

impl Default for Sweeper {
    fn default() -> Self {
        let (key, entry) = (Vec::new(), Vec::new());
        Self { until: NO_TIME, passed: NO_TIME, chunk: None, swept: None, expired: 0, key, entry }
    }
}

impl SubtaskState {
    /// A step of clean-up that no access asks for; call it while there is nothing else to do. Whether more is left.
    pub fn tidy(&mut self) -> bool {
        if self.has_sweeping() {
            self.clean();
        }
        self.has_sweeping()
    }

    /// Values, elements and entries that were dropped because they had expired, since this was asked last.
    pub const fn take_expired(&mut self) -> u64 {
        std::mem::replace(&mut self.sweeper.expired, 0)
    }

    /// From now on, what has expired by `until` is dropped.
    pub(super) fn sweep_until(&mut self, until: Timestamp) {
        self.sweeper.until = self.sweeper.until.max(until);
        self.log.sizes_mut().expire(until);
        if let Some(spill) = &self.spill {
            spill.expire(self.sweeper.until);
        }
    }

    const fn has_sweeping(&self) -> bool {
        let Sweeper { until, passed, chunk, .. } = self.sweeper;
        chunk.is_some() || (passed < until && self.log.is_sweep_due(until))
    }

    /// Sweeps for so many bytes' worth, if there is something to sweep.
    pub(super) fn sweep(&mut self, mut budget: u64) {
        if !self.has_sweeping() || !self.log.has_room(budget, 0) {
            return;
        }
        let before = self.sweeper.expired;
        let mut chunk = self.sweeper.chunk.unwrap_or_else(|| {
            self.sweeper.passed = self.sweeper.until;
            self.log.begin_sweep();
            0
        });
        while budget > 0 && chunk < self.log.chunk_bound() {
            let cost = match self.sweeper.swept {
                Some((offset, born)) => self.sweep_record(chunk, offset, born),
                None => {
                    let born = self.log.begin_chunk_sweep(chunk, self.sweeper.until);
                    self.sweeper.swept = born.map(|born| (0, born));
                    LOOK_BYTES
                }
            };
            if self.sweeper.swept.is_none() {
                chunk += 1;
            }
            budget = budget.saturating_sub(cost);
        }
        self.sweeper.chunk = (chunk < self.log.chunk_bound()).then_some(chunk);
        if self.sweeper.expired > before {
            self.selection.records_moved();
        }
    }

    /// Drops the record at `offset` of the chunk if it has expired. What that costs.
    fn sweep_record(&mut self, chunk: usize, offset: usize, born: u64) -> u64 {
        let Some(at) = self.log.position_in(chunk, born, offset) else {
            self.sweeper.swept = None;
            return LOOK_BYTES;
        };
        let record = self.log.record(at);
        let (size, life) = (record.size(), self.life_of(record.state()));
        self.sweeper.swept = Some((offset + size, born));
        if self.drop_expired(at) {
            return size as u64 * 2;
        }
        if let Some(life) = life.filter(|_| self.log.record(at).flags().is_put()) {
            self.log.note_expiry(at, life.sweep_at(self.log.record(at).value()));
        }
        size as u64 / BYTES_WALKED + 1
    }

    /// Whether a record had expired by the last barrier; then it is gone, or was superseded before.
    pub(super) fn drop_expired(&mut self, at: Position) -> bool {
        let record = self.log.record(at);
        let state = record.state();
        let life = self.life_of(state).filter(|_| record.flags().is_put());
        if !life.is_some_and(|life| life.has_expired(record.value(), self.sweeper.until)) {
            return false;
        }
        let entries = self.log.sizes().entries(record);
        let Sweeper { key, entry, .. } = &mut self.sweeper;
        key.clear();
        key.extend_from_slice(record.key());
        entry.clear();
        entry.extend_from_slice(record.entry());
        let hash = key_hash(key);
        let was_live = self.states[usize::from(state - 1)].expire(&mut self.log, hash, key, entry, at);
        self.sweeper.expired += if was_live { entries } else { 0 };
        true
    }

    /// How long what records of a state hold lives; `None`: for ever.
    pub(super) fn life_of(&self, state: u16) -> Option<Life> {
        self.states.get(usize::from(state.checked_sub(1)?))?.life()
    }
}
