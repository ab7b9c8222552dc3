//! Record by record: what of a victim is handed to the base, and what leaves once the base has it.
//!
//! Receives chunks, oldest first; guarantees that a record is taken from its index only when the base has it and nothing
//! newer took its place, and that the base is told of marks before what was written behind them. Does not own when a step
//! is taken, nor who writes ([`spill`](super)).

use weir_protocol::key_group::key_hash;

use super::super::SubtaskState;
use super::super::below::Leaving;
use super::super::cleaner::LOOK_BYTES;
use super::super::record::Flags;
use super::super::timers::Timer;
use super::Stage;

impl SubtaskState {
    /// What is collected is ready to be written. What that cost.
    pub(super) fn get_ready(&mut self) -> u64 {
        let spill = self.spill.as_mut().expect("callers looked");
        let outgoing = std::mem::take(&mut spill.outgoing);
        spill.collected = 0;
        spill.stage = if outgoing.bytes() == 0 { Stage::Taking(0) } else { Stage::Ready(outgoing) };
        LOOK_BYTES
    }

    /// Collects the next record of the victim. What that cost; `None`: nothing is left that could leave.
    pub(super) fn collect_one(&mut self) -> Option<u64> {
        let spill = self.spill.as_mut().expect("callers looked");
        let Some((chunk, born, offset)) = spill.victim else {
            return self.next_victim();
        };
        let Some(at) = self.log.position_in(chunk, born, offset) else {
            spill.victim = None;
            self.log.release(chunk, born);
            return Some(LOOK_BYTES);
        };
        let record = self.log.record(at);
        let size = record.size();
        spill.victim = Some((chunk, born, offset + size));
        let Some(state) = record.state().checked_sub(1) else {
            self.collect_timer(at, born);
            return Some(size as u64);
        };
        let hash = key_hash(record.key());
        let leaving = self.states[usize::from(state)].leave(&self.log, hash, record, at);
        if leaving == Leaving::Stays {
            return Some(size as u64);
        }
        let group = self.naming.group_of(hash);
        if leaving == Leaving::GoesOverNothing {
            spill.outgoing.push_clear(group, record);
        }
        if !record.flags().has(Flags::CLEAR) && !self.log.is_in_base(at) {
            spill.outgoing.push(group, record);
        }
        if let Some(life) = self.states[usize::from(state)].life().filter(|_| record.flags().is_put()) {
            spill.note_expiry(life.sweep_at(record.value()));
        }
        spill.collect(at, born, size);
        Some(size as u64)
    }

    fn next_victim(&mut self) -> Option<u64> {
        let spill = self.spill.as_mut().expect("callers looked");
        if spill.round_of == 0 {
            if self.log.appended() <= spill.rests_until {
                return None;
            }
            spill.round_of = self.log.newest_age();
            spill.last_victim = 0;
            self.keep_near_timers();
        }
        let spill = self.spill.as_mut().expect("callers looked");
        let Some(oldest) = self.log.oldest_of(spill.last_victim + 1..=spill.round_of) else {
            spill.round_of = 0;
            if spill.leaving.is_empty() {
                spill.rests_until = self.log.appended() + spill.handed_bytes_max as u64 / 2;
            }
            return None;
        };
        self.log.begin_base();
        spill.victim = Some((oldest.number, oldest.born, 0));
        spill.last_victim = oldest.age;
        Some(LOOK_BYTES)
    }

    /// Takes a record from its index, if it is still what its key holds. What that cost.
    pub(super) fn take_one(&mut self, next: usize) -> u64 {
        let spill = self.spill.as_mut().expect("callers looked");
        let Some(&(at, born)) = spill.leaving.get(next) else {
            spill.leaving.clear();
            spill.stage = Stage::Collecting;
            return LOOK_BYTES;
        };
        spill.stage = Stage::Taking(next + 1);
        if !self.log.is_same(at, born) {
            return LOOK_BYTES;
        }
        let record = self.log.record(at);
        let (state, size) = (record.state(), record.size() as u64);
        spill.key.clear();
        spill.key.extend_from_slice(record.key());
        spill.entry.clear();
        spill.entry.extend_from_slice(record.entry());
        if let Some(state) = state.checked_sub(1) {
            let hash = key_hash(&spill.key);
            self.states[usize::from(state)].left(&mut self.log, hash, &spill.key, &spill.entry, at);
        } else {
            let timer = Timer::from_record(&spill.key, &spill.entry).expect("it was collected as a timer");
            self.timers.left(&mut self.log, timer, at);
        }
        size
    }
}
