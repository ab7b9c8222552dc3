//! What the state of a subtask may use, and whether a write stays within it: decided before the first change.

use weir_operator::keyed_state::StateError;
use weir_protocol::Fault;

use super::log::{CHUNK_BYTES, Log};
use super::record::{ENTRY_BYTES_MAX, RECORD_BYTES_MAX, record_size};

/// What the state of a subtask may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateLimits {
    /// The most bytes of live records; a commit that would pass it changes nothing and fails.
    pub live_bytes_max: u64,
    /// Bytes of superseded records below which nothing is cleaned; above it, cleaning keeps what the log holds at
    /// about twice its live bytes.
    pub garbage_bytes_min: u64,
}

impl Default for StateLimits {
    /// 8 GiB live, which leaves room in a log of at most 32 GiB; 4 MiB of garbage.
    fn default() -> Self {
        Self { live_bytes_max: 8 << 30, garbage_bytes_min: 4 << 20 }
    }
}

/// What writes may add to the log at most.
#[derive(Debug, Default)]
pub(super) struct Growth {
    bytes: u64,
    /// Records that are not removals.
    puts: u64,
    /// Records that need a chunk of their own.
    large: u64,
}

impl Growth {
    /// Counts a record with parts of these lengths; no value: a removal.
    ///
    /// # Errors
    /// [`Fault::Guest`] when the record would be too long.
    pub(super) fn add(&mut self, key: usize, entry: usize, value: Option<usize>) -> Result<(), StateError> {
        let size = record_size(key, entry, value.unwrap_or(0));
        if size > RECORD_BYTES_MAX || entry > ENTRY_BYTES_MAX {
            let message = format!(
                "key, entry and value together may have {RECORD_BYTES_MAX} bytes, an entry's key {ENTRY_BYTES_MAX}; \
                 here they have {size} and {entry}"
            );
            return Err(StateError { fault: Fault::Guest, message });
        }
        self.bytes += size as u64;
        self.puts += u64::from(value.is_some());
        self.large += u64::from(size > CHUNK_BYTES / 2);
        Ok(())
    }

    /// Whether the log has room.
    ///
    /// # Errors
    /// [`Fault::Guest`] when it is full.
    pub(super) fn check_room(&self, log: &Log) -> Result<(), StateError> {
        if log.has_room(self.bytes, self.large) {
            return Ok(());
        }
        let message =
            "the state log of this subtask is full: it holds 32 GiB at most; raise the parallelism".to_owned();
        Err(StateError { fault: Fault::Guest, message })
    }

    /// Whether the state stays within its budget; what only removes always may.
    ///
    /// # Errors
    /// [`Fault::Guest`], naming the budget.
    pub(super) fn check_budget(&self, log: &Log, limits: &StateLimits) -> Result<(), StateError> {
        let (live, max) = (log.live(), limits.live_bytes_max);
        if live + self.bytes <= max || self.puts == 0 {
            return Ok(());
        }
        let message = format!(
            "keyed state of this subtask would pass its limit of {max} bytes: it holds {live}, and this batch writes \
             up to {} more; raise the limit or the parallelism, or clear what is no longer needed",
            self.bytes
        );
        Err(StateError { fault: Fault::Guest, message })
    }
}
