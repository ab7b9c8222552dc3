//! A record that a source could not read or an edge could not place, on its way to the dead letters.
//!
//! Sources and outputs give these to the task, which knows the rest of a [`DeadLetter`]: whose they are, and when.

use weir_protocol::id::SubtaskId;
use weir_protocol::time::{NO_TIME, Timestamp};

use crate::dead_letter::{DeadLetter, Payload};

/// A record that is given up on before, or after, an operator saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedRecord {
    /// Why: what is wrong, and the mend.
    pub reason: String,
    /// Where it is from: `file:offset` for a line of a file, `output` for a record that an edge could not place.
    pub origin: String,
    /// Its key, where it carries one.
    pub key: Option<Vec<u8>>,
    /// Its value, or as much of it as is kept for people; `None`: a deletion, or nothing that can be shown.
    pub value: Option<Vec<u8>>,
    /// Its event time; [`NO_TIME`] where it has none.
    pub timestamp: Timestamp,
}

impl RejectedRecord {
    /// The dead letter that it becomes, given up on by `subtask` at the processing time `at`.
    #[must_use]
    pub fn into_dead_letter(self, subtask: &SubtaskId, at: Timestamp) -> DeadLetter {
        DeadLetter {
            uid: subtask.uid.clone(),
            subtask: subtask.index,
            at,
            reason: self.reason,
            origin: self.origin,
            key: self.key.as_deref().map(Payload::new),
            value: self.value.as_deref().map(Payload::new),
            event_time: (self.timestamp != NO_TIME).then_some(self.timestamp),
        }
    }
}
