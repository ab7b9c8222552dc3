//! What the state of a subtask may use, and whether a write stays within it: decided before the first change.

use weir_operator::batch::BytesColumn;
use weir_operator::keyed_state::{StateError, StateWrites};
use weir_protocol::Fault;

use super::bundle::{Bundle, POSITION_BYTES};
use super::log::{CHUNK_BYTES, Log};
use super::packed;
use super::record::{ENTRY_BYTES_MAX, RECORD_BYTES_MAX};
use super::size::counted_size;

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
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Growth {
    bytes: u64,
    /// Bytes of records that only move: what is live does not grow by them.
    copied: u64,
    /// Records that are not removals.
    puts: u64,
    /// Records that need a chunk of their own.
    large: u64,
    /// Of the bytes, those by which elements of a list take less room than they are counted with.
    shared: u64,
}

impl Growth {
    /// Nothing.
    pub(super) const NONE: Self = Self { bytes: 0, copied: 0, puts: 0, large: 0, shared: 0 };

    /// Counts a call's writes to one state, whose values are stored with `stamp` bytes more; `key_len` is the length of
    /// the key with an index.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub(super) fn add_writes(
        &mut self,
        writes: &StateWrites,
        stamp: usize,
        key_len: impl Fn(u32) -> usize,
    ) -> Result<(), StateError> {
        match writes {
            StateWrites::Values(writes) => {
                for (key, value) in writes.iter() {
                    self.add(key_len(key), 0, value.map(|value| value.len() + stamp))?;
                }
            }
            StateWrites::Lists(writes) => {
                for (key, write) in writes.iter() {
                    self.add(key_len(key), 0, None)?;
                    self.add_elements(&write.appended, stamp, key_len(key))?;
                }
            }
            StateWrites::Maps(writes) => {
                for (key, write) in writes.iter() {
                    self.add(key_len(key), 0, None)?;
                    self.copied += packed::moved_bytes_max(key_len(key)) as u64;
                    for (entry, value) in write.entries.iter() {
                        self.add(key_len(key), entry.len(), value.map(|value| value.len() + stamp))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Counts elements that are appended to a list.
    fn add_elements(&mut self, elements: &BytesColumn, stamp: usize, key: usize) -> Result<(), StateError> {
        let lengths = elements.offsets.windows(2).map(|pair| (pair[1] - pair[0]) as usize + stamp);
        let Some(longest) = lengths.clone().max() else { return Ok(()) };
        Self::default().add(key, POSITION_BYTES, Some(longest))?;
        let sizes = lengths.map(|length| counted_size(key, POSITION_BYTES, length));
        let bytes = sizes.clone().map(|size| size as u64).sum::<u64>();
        self.bytes += bytes;
        self.shared += bytes.saturating_sub(Bundle::room(elements, key, stamp));
        self.puts += elements.len() as u64;
        self.large += sizes.filter(|&size| size > CHUNK_BYTES / 2).count() as u64;
        Ok(())
    }

    /// Counts a record with parts of these lengths; no value: a removal.
    ///
    /// # Errors
    /// [`Fault::Guest`] when the record would be too long.
    pub(super) fn add(&mut self, key: usize, entry: usize, value: Option<usize>) -> Result<(), StateError> {
        let size = counted_size(key, entry, value.unwrap_or(0));
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

    /// Counts a record that takes the place of one that is as long.
    pub(super) fn add_copy(&mut self, size: usize) {
        self.copied += size as u64;
        self.large += u64::from(size > CHUNK_BYTES / 2);
    }

    /// Counts what `other` counts.
    pub(super) const fn join(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.copied += other.copied;
        self.puts += other.puts;
        self.large += other.large;
        self.shared += other.shared;
    }

    /// Bytes by which what is held may become more.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes by which what is live in the log may become more.
    const fn taken(&self) -> u64 {
        self.bytes - self.shared
    }

    /// Whether the log has room.
    ///
    /// # Errors
    /// [`Fault::Guest`] when it is full.
    pub(super) fn check_room(&self, log: &Log) -> Result<(), StateError> {
        if log.has_room(self.taken() + self.copied, self.large) {
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
        let added = self.taken();
        if live + added <= max || self.puts == 0 {
            return Ok(());
        }
        let message = format!(
            "keyed state of this subtask would pass its limit of {max} bytes: it holds {live}, and this batch writes \
             up to {added} more; raise `memory` in [state] or the parallelism, clear what is no longer needed, or keep state on \
             disk with `backend = \"rocksdb\"`"
        );
        Err(StateError { fault: Fault::Guest, message })
    }
}
