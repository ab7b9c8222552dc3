//! How much state a job may have: one number for all its subtasks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The bytes of state that a job may have, and those that it has; a cheap handle, one for each attempt at running it.
#[derive(Debug, Clone)]
pub struct StateQuota {
    /// `None`: as much as its subtasks can hold.
    max: Option<u64>,
    used: Arc<AtomicU64>,
}

/// What one subtask uses of it. That stays used to the end of the attempt: what a subtask that has finished holds is in
/// the job's checkpoints still.
#[derive(Debug)]
pub struct StateShare {
    quota: StateQuota,
    own: u64,
}

impl StateQuota {
    /// So many bytes, of which none are used.
    #[must_use]
    pub fn new(max: Option<u64>) -> Self {
        Self { max, used: Arc::default() }
    }

    /// A subtask's share, of which nothing is used.
    #[must_use]
    pub const fn share(self) -> StateShare {
        StateShare { quota: self, own: 0 }
    }

    /// Bytes that all subtasks use together.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether there is room for so many bytes more. Subtasks that ask at the same moment may all be told so.
    #[must_use]
    pub fn has_room(&self, bytes: u64) -> bool {
        self.max.is_none_or(|max| self.used().saturating_add(bytes) <= max)
    }

    /// Says that there is no room for so many bytes more.
    pub(super) fn refusal(&self, bytes: u64) -> String {
        let (used, max) = (self.used(), self.max.unwrap_or(u64::MAX));
        format!(
            "the job's state would pass its limit of {max} bytes: it has {used}, and this call would add {bytes}; raise the \
             job's `limits.state`, or clear what is no longer needed"
        )
    }
}

impl StateShare {
    /// The whole that it is a share of.
    #[must_use]
    pub const fn quota(&self) -> &StateQuota {
        &self.quota
    }

    /// Notes how many bytes the subtask holds now.
    pub fn note(&mut self, bytes: u64) {
        let used = &self.quota.used;
        match bytes.checked_sub(self.own) {
            Some(0) => return,
            Some(more) => used.fetch_add(more, Ordering::Relaxed),
            None => used.fetch_sub(self.own - bytes, Ordering::Relaxed),
        };
        self.own = bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::StateQuota;

    #[test]
    fn subtasks_share_one_limit_also_with_those_that_have_finished() {
        let quota = StateQuota::new(Some(100));
        let (mut one, mut other) = (quota.clone().share(), quota.clone().share());
        one.note(60);
        other.note(30);
        assert_eq!((quota.has_room(10), quota.has_room(11)), (true, false));
        one.note(20);
        assert_eq!((quota.has_room(50), quota.has_room(51)), (true, false));
        assert!(quota.refusal(51).contains("limit of 100 bytes: it has 50"));
        drop(one);
        assert_eq!(quota.used(), 50);
    }

    #[test]
    fn without_a_limit_there_is_always_room() {
        let quota = StateQuota::new(None);
        quota.clone().share().note(1 << 60);
        assert!(quota.has_room(u64::MAX));
    }
}
