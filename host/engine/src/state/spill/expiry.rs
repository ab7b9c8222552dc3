//! When what left for the base expires: nobody sweeps there for the files' sake.
//!
//! Receives when each record that leaves expires; guarantees that a barrier is told once something has, and once all has
//! (PROTOCOL 2.4). Knows no records.

use weir_protocol::time::{END_OF_TIME, NO_TIME, Timestamp};

/// The times at which what left expires.
#[derive(Debug)]
pub(super) struct PendingExpiry {
    /// Nothing of it, of what was not noted at a barrier yet.
    first: Timestamp,
    /// All of it.
    last: Timestamp,
}

impl Default for PendingExpiry {
    fn default() -> Self {
        Self { first: END_OF_TIME, last: NO_TIME }
    }
}

impl PendingExpiry {
    pub(super) fn note(&mut self, when: Timestamp) {
        self.first = self.first.min(when);
        self.last = self.last.max(when);
    }

    /// Whether something has expired; it is once for what expires first, and once when all has.
    pub(super) fn is_due(&mut self, now: Timestamp) -> bool {
        let is_due = self.first <= now;
        if is_due {
            self.first = if self.last > now { self.last } else { END_OF_TIME };
        }
        is_due
    }
}
