//! Timers and times.

use weir_protocol::time::Timestamp;

use super::{Abilities, Violation, same_length};
use crate::turn::{TimeDomain, TimerChange};

/// What a change of a timer costs of the limit on what a call writes.
const CHANGE_BYTES: usize = 32;

impl Abilities {
    /// Registers or cancels a timer of one key.
    ///
    /// # Errors
    /// Without keys; a key out of bounds; too much written.
    pub fn change_timer(&mut self, change: TimerChange) -> Result<(), Violation> {
        let ability = if change.register { "timers.register" } else { "timers.cancel" };
        self.in_keyed(ability)?;
        self.check_key(ability, change.key)?;
        self.charge_written(CHANGE_BYTES)?;
        self.call.effects.timers.push(change);
        Ok(())
    }

    /// Registers or cancels timers: `keys[i]` at `at[i]`.
    ///
    /// # Errors
    /// Without keys; columns of different lengths; a key out of bounds; too much written.
    pub fn change_timers(
        &mut self,
        register: bool,
        domain: TimeDomain,
        keys: &[u32],
        at: &[Timestamp],
        tag: u32,
    ) -> Result<(), Violation> {
        let ability = if register { "timers.register-many" } else { "timers.cancel-many" };
        self.in_keyed(ability)?;
        same_length(ability, ("keys", keys.len()), ("at", at.len()))?;
        self.check_keys(ability, keys)?;
        self.charge_written(keys.len() * CHANGE_BYTES)?;
        let changes = keys.iter().zip(at).map(|(&key, &at)| TimerChange { register, domain, key, at, tag });
        self.call.effects.timers.extend(changes);
        Ok(())
    }

    /// The event time up to which no more records are expected; in `open` the smallest.
    ///
    /// # Errors
    /// Before `open`.
    pub fn watermark(&self) -> Result<Timestamp, Violation> {
        self.once_open("timers.watermark")?;
        Ok(self.call.watermark)
    }

    /// The processing time, constant within the call.
    ///
    /// # Errors
    /// Before `open`.
    pub fn processing_time(&self) -> Result<Timestamp, Violation> {
        self.once_open("timers.processing-time")?;
        Ok(self.call.processing_time)
    }
}
