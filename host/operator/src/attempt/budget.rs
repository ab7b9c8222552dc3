//! How many records a job may give up on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A job's budget of dead-lettered and skipped records; a cheap handle, shared by its subtasks.
#[derive(Debug, Clone)]
pub struct Budget {
    limit: u64,
    used: Arc<AtomicU64>,
}

impl Budget {
    /// A budget of which `used` is gone already.
    #[must_use]
    pub fn new(limit: u64, used: u64) -> Self {
        Self { limit, used: Arc::new(AtomicU64::new(used)) }
    }

    /// How many records in all.
    #[must_use]
    pub const fn limit(&self) -> u64 {
        self.limit
    }

    /// How many are gone.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Takes `count` more; false, and nothing taken, where they are not left.
    #[must_use]
    pub fn charge(&self, count: u64) -> bool {
        let take = |used: u64| used.checked_add(count).filter(|used| *used <= self.limit);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }
}
