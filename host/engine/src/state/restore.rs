//! From checkpoint files back to state.

use weir_operator::keyed_state::StateError;
use weir_protocol::Fault;
use weir_protocol::description::StateDescription;
use weir_protocol::key_group::{KeyGroupRange, MaxParallelism, key_hash};
use weir_protocol::time::Timestamp;

use super::SubtaskState;
use super::file::{FileRecord, FileSlice, Merge};
use super::kept::Kept;
use super::log::Part;
use super::stamp::{join, split};
use super::timers::Timer;

/// After so much was restored, room is made.
const ROOM_BYTES: u64 = 64 << 10;

impl SubtaskState {
    /// The state that these files, oldest first, hold for the key groups of this subtask. States are found by name. One
    /// that is not declared any more is left out, and stays in the files. What is stored without a stamp, but has a time
    /// to live now, counts as written at `now`: the processing time, which has not gone back since the files were written.
    /// Takes about a microsecond a record: not for a thread that must not block.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] where a file does not verify; [`Fault::Request`] where a state is declared with another kind
    /// or the maximum parallelism is another one.
    pub fn restore(
        states: &[StateDescription],
        max: MaxParallelism,
        key_groups: KeyGroupRange,
        files: &[FileSlice],
        now: Timestamp,
    ) -> Result<Self, StateError> {
        Self::new(states, max, key_groups)?.restored(files, now)
    }

    /// The same for a state that holds nothing yet, within the memory that it may use.
    ///
    /// # Errors
    /// As [`restore`](Self::restore); and [`Fault::Unavailable`] when the local disk failed.
    pub fn restored(mut self, files: &[FileSlice], now: Timestamp) -> Result<Self, StateError> {
        if files.is_empty() {
            return Ok(self);
        }
        let (max, key_groups) = (self.naming.header().max, self.naming.header().key_groups);
        let merge = Merge::open(files, key_groups)?;
        if merge.header().max != max {
            let message = format!(
                "the checkpoint was taken with maximum parallelism {}, the job has {}; it cannot be changed",
                merge.header().max.get(),
                max.get()
            );
            return Err(StateError { fault: Fault::Request, message });
        }
        let rows = merge.header().rows.iter().map(|row| self.naming.state_of(row));
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        let stamped: Vec<_> = merge.header().rows.iter().map(|row| row.stamped).collect();
        let mut scratch = Vec::new();
        merge.run(true, |record| {
            let Some(number) = rows[usize::from(record.row)] else { return Ok(()) };
            let stamped = stamped[usize::from(record.row)];
            let (stored, part) = match (self.life_of(number), stamped) {
                (Some(_), true) | (None, false) => (record.value, Part::Clean),
                (None, true) => (split(record.value).1, Part::Clean),
                // Written again, so that the next restore finds this stamp.
                (Some(_), false) => (join(now, record.value, &mut scratch), Part::Open),
            };
            self.take_in(number, part, &FileRecord { value: stored, ..record })?;
            if self.log.appended() - self.cleaner.appended() > ROOM_BYTES {
                self.make_room_here()?;
                self.cleaner.caught_up(&self.log);
            }
            Ok(())
        })?;
        self.make_room_here()?;
        Ok(self)
    }

    fn take_in(&mut self, number: u16, part: Part, record: &FileRecord<'_>) -> Result<(), StateError> {
        let (key, entry, stored) = (record.key, record.entry, record.value);
        let hash = key_hash(key);
        if self.naming.header().max.key_group(hash) != record.group {
            return Err(corrupt(record, "a key stands under a key group that is not its own"));
        }
        let log = &mut self.log;
        match number.checked_sub(1).map(|state| &mut self.states[usize::from(state)]) {
            None => match Timer::from_record(key, entry) {
                Some(timer) => self.timers.restore(log, timer),
                None => return Err(corrupt(record, "a timer's entry is not 13 bytes that begin with 0 or 1")),
            },
            Some(Kept::Values(values)) => values.restore(log, part, hash, key, stored),
            Some(Kept::Lists(lists)) => {
                if !lists.restore(log, part, (hash, key, entry), stored) {
                    return Err(corrupt(record, "an element of a list stands under no position of 8 bytes"));
                }
            }
            Some(Kept::Maps(maps)) => maps.restore(log, part, hash, key, entry, stored),
            Some(Kept::Elsewhere) => unreachable!("state that is not keyed has no row"),
        }
        Ok(())
    }
}

fn corrupt(record: &FileRecord<'_>, what: &str) -> StateError {
    let message = format!("checkpoint files, key group {}: {what}", record.group.0);
    StateError { fault: Fault::Corrupt, message }
}
