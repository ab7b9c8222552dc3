//! What waits in an attempt is bounded.
//!
//! Receives an attempt after each of its steps; guarantees that a queue that grows and grows is a broken promise. The
//! bounds are two to four times what thousands of runs have shown. What is closed or sealed has bounds of its own.

use super::Attempt;
use crate::world::World;

/// How much may wait: for the coordinator while an entry is on its way, in a channel, and behind a subtask.
const INBOX_MAX: usize = 60;
const CHANNEL_MAX: usize = 120;
const BACKGROUND_MAX: usize = 20;

impl Attempt {
    /// After each step: nothing that waits grows without a bound.
    pub(super) fn check_bounded(&self, world: &mut World) {
        let Some(plane) = &self.plane else { return };
        let waits = [
            ("events for the coordinator", self.inbox.len(), INBOX_MAX),
            ("elements in a channel", plane.longest_queue(), CHANNEL_MAX),
            ("barriers in a background", plane.longest_background(), BACKGROUND_MAX),
        ];
        for (what, count, most) in waits {
            if count > most {
                world.broken("waiting-is-bounded", format!("{count} {what}"));
            }
        }
    }
}
