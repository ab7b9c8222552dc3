//! A list of the subtask's own.

use super::{Abilities, ENTRY_BYTES, OperatorState, Violation};
use crate::abilities::column;
use crate::batch::BytesColumn;

impl Abilities {
    /// The whole list.
    ///
    /// # Errors
    /// Before `open`; more than an instance may have.
    pub fn get_operator_list(&mut self, state: OperatorState) -> Result<BytesColumn, Violation> {
        const ABILITY: &str = "operator-state.get";
        self.once_open(ABILITY)?;
        let written = self.call.effects.unkeyed.list(state.0);
        let list = written.or_else(|| self.call.unkeyed.list(state.0).map(AsRef::as_ref));
        let Some(list) = list else { return Ok(BytesColumn::default()) };
        self.check_read(ABILITY, list.data.len() + list.offsets.len() * 4)?;
        Ok(list.clone())
    }

    /// Replaces the whole list.
    ///
    /// # Errors
    /// Outside a call; a malformed column; too much written, or held.
    pub fn set_operator_list(&mut self, state: OperatorState, values: BytesColumn) -> Result<(), Violation> {
        const ABILITY: &str = "operator-state.set";
        self.in_any_call(ABILITY)?;
        column(ABILITY, "values", values.check())?;
        self.charge_written(values.data.len() + (values.len() + 1) * ENTRY_BYTES)?;
        self.call.effects.unkeyed.set_list(state.0, values, &self.call.unkeyed);
        self.check_held(ABILITY)
    }

    /// Bounds what a subtask holds for no key: an instance could not read more.
    pub(super) fn check_held(&self, ability: &str) -> Result<(), Violation> {
        let (held, most) = (self.call.effects.unkeyed.bytes_over(&self.call.unkeyed), self.limits.memory_bytes_max);
        // What only became less may stay too much, else nothing could be removed.
        if held <= most.max(self.call.unkeyed.bytes()) {
            return Ok(());
        }
        Err(Violation::Limit(format!(
            "{ability}: operator and broadcast state of this subtask would have {held} bytes, but at most {most}, all the \
             memory that an instance may have; keep less in them, use keyed state, or raise the job's `limits.memory`"
        )))
    }
}
