//! What a restore hands straight to the base.
//!
//! Once memory is full, what follows would come into the log only to leave it again. Files hold the records of a state in
//! the base's own order, so what follows is written as [sorted files](Sorted), past the log, and counted as held. Receives
//! records in the order of checkpoint files. Guarantees that no key lies partly here and partly in the log: a state whose
//! records are, in part, written again as changes never goes this way, nor does the key during which memory became full.

use std::collections::BTreeSet;

use weir_operator::keyed_state::StateError;

use super::SubtaskState;
use super::base::Sorted;
use super::file::FileRecord;
use super::kept::Kept;

/// The way past the log.
#[derive(Debug)]
pub(super) struct Straight {
    sorted: Sorted,
    /// The states that go this way.
    states: BTreeSet<u16>,
    /// The last key that went into the log, and its state; `None`: one behind it has come.
    behind: Option<(u16, Vec<u8>)>,
}

impl Straight {
    /// For these states, behind this key; `None` where there is no base.
    pub(super) fn new(state: &mut SubtaskState, states: BTreeSet<u16>, behind: (u16, Vec<u8>)) -> Option<Self> {
        let (base, _) = state.spill.as_ref()?.base_and_runtime();
        state.log.begin_base();
        Some(Self { sorted: Sorted::new(base), states, behind: Some(behind) })
    }

    /// Whether a record goes this way.
    pub(super) fn takes(&mut self, number: u16, key: &[u8]) -> bool {
        if self.behind.as_ref().is_some_and(|(state, last)| *state == number && last == key) {
            return false;
        }
        self.behind = None;
        self.states.contains(&number)
    }

    /// Takes a record, which was checked.
    ///
    /// # Errors
    /// When the local disk failed.
    pub(super) fn take(
        &mut self,
        state: &mut SubtaskState,
        number: u16,
        record: &FileRecord<'_>,
    ) -> Result<(), StateError> {
        let (key, entry, stored) = (record.key, record.entry, record.value);
        self.sorted.push(number, record.group, key, entry, stored)?;
        state.log.sizes_mut().add(number, key.len(), entry, stored);
        let kept = &mut state.states[usize::from(number - 1)];
        if let Kept::Lists(lists) = kept {
            lists.note_position(entry);
        }
        if let Some((life, spill)) = kept.life().zip(state.spill.as_mut()) {
            spill.note_expiry(life.sweep_at(stored));
        }
        Ok(())
    }

    /// Hands all of it to the base.
    ///
    /// # Errors
    /// When the local disk failed.
    pub(super) fn finish(self) -> Result<(), StateError> {
        self.sorted.finish()
    }
}
