//! Keeps memory bounded: copies live records out of chunks that hold little else, a little at each commit.
//!
//! Guarantees that a commit is followed by work in proportion to what was appended since the last, so that there is no
//! pause and cleaning keeps up with any load. A chunk whose last live record is superseded is given back at once
//! without it; so where the same keys are written again and again, nothing is ever copied. Where memory is short, what is
//! copied takes just the room that it needs, and stays as old as it was. Records are copied as
//! *clean*: a segment that was frozen holds them already, so the next one does not.

use weir_protocol::key_group::key_hash;

use super::SubtaskState;
use super::log::{Log, Position};
use super::spill::Spill;
use super::timers::Timer;

/// Bytes cleaned for each byte appended; above 1, so that the log shrinks while it is too large.
const BYTES_PER_BYTE: u64 = 3;
/// What a commit cleans at least while there is need.
const QUANTUM_MIN: u64 = 8 << 10;
/// Looking at a chunk costs about as much as copying so many bytes.
pub(super) const LOOK_BYTES: u64 = 64;
/// Chunks that may be nearly empty: below this, small ones are not merged.
const SMALL_CHUNKS_MAX: u64 = 64;

/// Where cleaning stands.
#[derive(Debug, Default)]
pub(super) struct Cleaner {
    /// The chunk that is being cleaned, or was looked at last.
    chunk: usize,
    /// The offset of the next record in it; `None`: it is not being cleaned.
    offset: Option<usize>,
    /// Tells whether the chunk's number was given to another one meanwhile.
    born: u64,
    /// What had been appended when cleaning last ran.
    appended: u64,
    scratch: Vec<u8>,
}

impl Cleaner {
    /// What had been appended when cleaning last ran.
    pub(super) const fn appended(&self) -> u64 {
        self.appended
    }

    /// Nothing is owed for what was appended so far.
    pub(super) const fn caught_up(&mut self, log: &Log) {
        self.appended = log.appended();
    }
}

impl SubtaskState {
    /// Does a bounded amount of cleaning, if the log holds too much.
    pub(super) fn clean(&mut self) {
        let appended = self.log.appended() - self.cleaner.appended;
        let mut budget = (appended * BYTES_PER_BYTE).max(QUANTUM_MIN);
        self.sweep(budget);
        self.spill_some(budget);
        let mut looks = self.log.chunk_bound();
        let (mut has_moved, is_short) = (false, self.is_memory_short());
        // A chunk that was begun is finished: what takes its place is found by its age only then.
        while budget > 0 && looks > 0 && (self.cleaner.offset.is_some() || self.is_cleaning_due(is_short)) {
            let cost = if let Some(offset) = self.cleaner.offset {
                has_moved = true;
                self.clean_record(offset)
            } else {
                looks -= 1;
                self.look_at_next_chunk(is_short);
                LOOK_BYTES
            };
            budget = budget.saturating_sub(cost);
        }
        if has_moved {
            self.selection.records_moved();
        }
        self.cleaner.appended = self.log.appended();
    }

    fn is_cleaning_due(&self, is_memory_short: bool) -> bool {
        let (live, held) = (self.log.live(), self.log.held());
        let garbage_max = if is_memory_short { live / 4 } else { live + self.limits.garbage_bytes_min };
        held > live + garbage_max || has_many_small_chunks(&self.log)
    }

    fn look_at_next_chunk(&mut self, is_memory_short: bool) {
        let bound = self.log.chunk_bound();
        self.cleaner.chunk = if self.cleaner.chunk + 1 < bound { self.cleaner.chunk + 1 } else { 1.min(bound - 1) };
        let Some(usage) = self.log.usage(self.cleaner.chunk) else { return };
        if self.spill.as_ref().is_some_and(|spill| spill.is_leaving(usage.age)) {
            return;
        }
        // A copy that is given just the room that it needs gives back what nothing was written to, too.
        let room = if is_memory_short { usage.held } else { usage.used };
        let is_sparse = usage.live <= room / 4 * 3;
        let is_small = usage.used <= super::log::CHUNK_BYTES / 2 && has_many_small_chunks(&self.log);
        self.cleaner.offset = (is_sparse || is_small).then_some(0);
        self.cleaner.born = usage.born;
        if is_sparse && !is_small && is_memory_short {
            self.log.begin_compacting(self.cleaner.chunk);
        }
    }

    /// Moves the record at `offset` of the chunk if it is live. The bytes that it takes.
    fn clean_record(&mut self, offset: usize) -> u64 {
        let Some(at) = self.log.position_in(self.cleaner.chunk, self.cleaner.born, offset) else {
            self.cleaner.offset = None;
            self.log.end_compacting();
            return LOOK_BYTES;
        };
        let size = self.log.record(at).size();
        self.cleaner.offset = Some(offset + size);
        // Moved, it could end up behind the sweeper.
        if self.drop_expired(at) {
            return size as u64 * 2;
        }
        // A live record costs a search and a copy.
        if self.move_if_live(at, self.log.is_compacting()) { size as u64 * 2 } else { size as u64 }
    }

    /// Whether what is old leaves, or will soon: room that is not used would make it leave earlier.
    fn is_memory_short(&self) -> bool {
        let is_nearly_full = |spill: &Spill| spill.is_nearly_full(self.bytes_held());
        self.spill.as_ref().is_some_and(|spill| self.log.has_base() || is_nearly_full(spill))
    }

    /// Copies a record among the clean ones, if it is live. Whether it was.
    pub(super) fn move_if_live(&mut self, at: Position, keeps_age: bool) -> bool {
        let record = self.log.record(at);
        let Some(state) = record.state().checked_sub(1) else { return self.move_timer_if_live(at, keeps_age) };
        let (hash, kept) = (key_hash(record.key()), &mut self.states[usize::from(state)]);
        if !kept.is_live(&self.log, hash, record, at) {
            return false;
        }
        let new = copy(&mut self.log, at, keeps_age, &mut self.cleaner.scratch);
        let record = self.log.record(new);
        if let Some(life) = kept.life().filter(|_| record.flags().is_put()) {
            let when = life.sweep_at(record.value());
            self.log.note_expiry(new, when);
        }
        kept.repoint(&self.log, hash, at, new);
        self.log.leave(at);
        true
    }

    fn move_timer_if_live(&mut self, at: Position, keeps_age: bool) -> bool {
        let record = self.log.record(at);
        let is_put = record.flags().is_put();
        let timer = Timer::from_record(record.key(), record.entry());
        if !timer.is_some_and(|timer| self.timers.is_live(timer, is_put, at)) {
            return false;
        }
        let new = copy(&mut self.log, at, keeps_age, &mut self.cleaner.scratch);
        let record = self.log.record(new);
        let timer = Timer::from_record(record.key(), record.entry()).expect("it was found a moment ago");
        self.timers.repoint(timer, is_put, new);
        self.log.leave(at);
        true
    }
}

fn copy(log: &mut Log, at: Position, keeps_age: bool, scratch: &mut Vec<u8>) -> Position {
    if keeps_age { log.copy_compact(at, scratch) } else { log.copy_clean(at, scratch) }
}

/// Whether so many chunks hold so little that small ones should be merged: one is closed at every barrier.
fn has_many_small_chunks(log: &Log) -> bool {
    let needed = log.held() / super::log::CHUNK_BYTES as u64;
    log.chunk_count() as u64 > 4 * needed + SMALL_CHUNKS_MAX
}
