//! Bounds what an instance holds: linear memory and tables.

use wasmtime::ResourceLimiter;

/// What one entry of a table costs of the limit.
const TABLE_ENTRY_BYTES: u64 = 8;
/// Core instances, tables and memories of one component; interpreters need a few dozen.
const PIECES_MAX: usize = 1_000;

pub(super) struct Limiter {
    bytes_max: u64,
    bytes: u64,
    /// Whether memory was refused since the last call began.
    refused: bool,
}

impl Limiter {
    pub(super) const fn new(bytes_max: u64) -> Self {
        Self { bytes_max, bytes: 0, refused: false }
    }

    pub(super) fn begin(&mut self) {
        self.refused = false;
    }

    pub(super) fn refusal(&self) -> Option<String> {
        self.refused.then(|| {
            format!(
                "the operator needs more than {} bytes of memory; keep what lasts in state, or raise the job's \
                 `limits.memory`",
                self.bytes_max
            )
        })
    }

    /// Whether so much is held that another instance would do better: an interpreter that leaks, a table that grew.
    pub(super) const fn is_worn(&self) -> bool {
        self.bytes > self.bytes_max / 4 * 3
    }

    fn grow(&mut self, from: u64, to: u64) -> bool {
        let bytes = self.bytes.saturating_add(to.saturating_sub(from));
        let granted = bytes <= self.bytes_max;
        if granted {
            self.bytes = bytes;
        } else {
            self.refused = true;
        }
        granted
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(current as u64, desired as u64))
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let bytes = |entries: usize| (entries as u64).saturating_mul(TABLE_ENTRY_BYTES);
        Ok(self.grow(bytes(current), bytes(desired)))
    }

    fn instances(&self) -> usize {
        PIECES_MAX
    }

    fn tables(&self) -> usize {
        PIECES_MAX
    }

    fn memories(&self) -> usize {
        PIECES_MAX
    }
}
