//! From checkpoint files back to state.

use weir_operator::keyed_state::StateError;
use weir_protocol::Fault;
use weir_protocol::description::StateDescription;
use weir_protocol::key_group::{KeyGroupRange, MaxParallelism, key_hash};

use super::file::{FileRecord, FileSlice, Merge};
use super::timers::Timer;
use super::{Kept, SubtaskState};

impl SubtaskState {
    /// The state that these files, oldest first, hold for the key groups of this subtask. States are found by name. One
    /// that is not declared any more is left out, and stays in the files. Takes about a microsecond a record: not for
    /// a thread that must not block.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] where a file does not verify; [`Fault::Request`] where a state is declared with another kind
    /// or the maximum parallelism is another one.
    pub fn restore(
        states: &[StateDescription],
        max: MaxParallelism,
        key_groups: KeyGroupRange,
        files: &[FileSlice],
    ) -> Result<Self, StateError> {
        let mut state = Self::new(states, max, key_groups)?;
        if files.is_empty() {
            return Ok(state);
        }
        let merge = Merge::open(files, key_groups)?;
        if merge.header().max != max {
            let message = format!(
                "the checkpoint was taken with maximum parallelism {}, the job has {}; it cannot be changed",
                merge.header().max.get(),
                max.get()
            );
            return Err(StateError { fault: Fault::Request, message });
        }
        let rows = merge.header().rows.iter().map(|row| state.naming.state_of(row));
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        merge.run(true, |record| match rows[usize::from(record.row)] {
            Some(number) => state.take_in(number, &record),
            None => Ok(()),
        })?;
        Ok(state)
    }

    fn take_in(&mut self, number: u16, record: &FileRecord<'_>) -> Result<(), StateError> {
        let (key, entry, value) = (record.key, record.entry, record.value);
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
            Some(Kept::Values(values)) => values.restore(log, hash, key, value),
            Some(Kept::Lists(lists)) => {
                if !lists.restore(log, hash, key, entry, value) {
                    return Err(corrupt(record, "a list lacks elements: a file is missing"));
                }
            }
            Some(Kept::Maps(maps)) => maps.restore(log, hash, key, entry, value),
            Some(Kept::Elsewhere) => unreachable!("state that is not keyed has no row"),
        }
        Ok(())
    }
}

fn corrupt(record: &FileRecord<'_>, what: &str) -> StateError {
    let message = format!("checkpoint files, key group {}: {what}", record.group.0);
    StateError { fault: Fault::Corrupt, message }
}
