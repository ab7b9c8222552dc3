//! When the next checkpoint may be triggered.

use crate::job_spec::CheckpointSpec;
use crate::time::Timestamp;

/// When the next checkpoint may be triggered: an interval after the last trigger, and a pause after the last end.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    interval_ms: u64,
    min_pause_ms: u64,
    concurrent_max: usize,
    now: Timestamp,
    triggered_at: Timestamp,
    ended_at: Option<Timestamp>,
    failed_at: Option<Timestamp>,
    hurry: bool,
}

impl Pace {
    pub(super) fn new(spec: &CheckpointSpec, now: Timestamp) -> Self {
        let concurrent_max = usize::try_from(spec.max_concurrent).expect("a u32 fits");
        Self {
            interval_ms: spec.interval_ms,
            min_pause_ms: spec.min_pause_ms,
            // A pause between the end of one and the start of the next leaves no room for two at once.
            concurrent_max: if spec.min_pause_ms > 0 { 1 } else { concurrent_max.max(1) },
            now,
            triggered_at: now,
            ended_at: None,
            failed_at: None,
            hurry: false,
        }
    }

    /// The time from here on; a clock that goes back is not followed.
    pub(super) fn observe(&mut self, now: Timestamp) -> Timestamp {
        self.now = self.now.max(now);
        self.now
    }

    pub(super) const fn concurrent_max(&self) -> usize {
        self.concurrent_max
    }

    pub(super) const fn hurry(&mut self) {
        self.hurry = true;
    }

    pub(super) const fn triggered(&mut self) {
        self.triggered_at = self.now;
        self.hurry = false;
    }

    pub(super) const fn ended(&mut self) {
        self.ended_at = Some(self.now);
    }

    pub(super) const fn failed(&mut self) {
        self.failed_at = Some(self.now);
    }

    /// When the next is due, if there is room. The `last` one is due at once; after a failure, one interval later.
    pub(super) fn due(&self, last: bool) -> Timestamp {
        if self.hurry {
            return self.now;
        }
        let after = |start: Timestamp, pause_ms: u64| start.saturating_add_unsigned(pause_ms);
        if last {
            return self.failed_at.map_or(self.now, |failed_at| after(failed_at, self.interval_ms));
        }
        let paused = self.ended_at.map_or(Timestamp::MIN, |ended_at| after(ended_at, self.min_pause_ms));
        after(self.triggered_at, self.interval_ms).max(paused)
    }
}
