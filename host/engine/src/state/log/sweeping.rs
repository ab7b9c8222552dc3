//! Which chunks hold what expires, and from when on a look at them is worth it.

use weir_protocol::time::{END_OF_TIME, Timestamp};

use super::Log;
use super::chunk::{Content, Position};

impl Log {
    /// Notes that a record that was just appended, or copied, is worth sweeping from `when` on.
    pub(in crate::state) fn note_expiry(&mut self, at: Position, when: Timestamp) {
        let chunk = &mut self.chunks[at.chunk()];
        chunk.sweep_at = chunk.sweep_at.min(when);
        self.sweep_at = self.sweep_at.min(when);
    }

    /// Whether a chunk may be worth sweeping.
    #[inline]
    pub(in crate::state) const fn is_sweep_due(&self, until: Timestamp) -> bool {
        self.sweep_at <= until
    }

    /// Whether a chunk of the open segment may be worth sweeping, once it is closed.
    pub(in crate::state) fn is_open_sweep_due(&self, until: Timestamp) -> bool {
        self.is_sweep_due(until) && self.open.iter().any(|&number| self.chunks[number as usize].sweep_at <= until)
    }

    /// Begins a pass over all chunks, each of which is given to [`begin_chunk_sweep`](Self::begin_chunk_sweep).
    pub(in crate::state) const fn begin_sweep(&mut self) {
        self.sweep_at = END_OF_TIME;
    }

    /// What tells the chunk from others of its number if it is to be swept now: then every record of it is looked at, and
    /// noted again unless it goes.
    pub(in crate::state) fn begin_chunk_sweep(&mut self, number: usize, until: Timestamp) -> Option<u64> {
        let chunk = &mut self.chunks[number];
        if matches!(chunk.content, Content::Free) {
            return None;
        }
        if chunk.sweep_at > until || matches!(chunk.content, Content::Open(_)) {
            self.sweep_at = self.sweep_at.min(chunk.sweep_at);
            return None;
        }
        chunk.sweep_at = END_OF_TIME;
        Some(chunk.born)
    }
}
