//! How many records a rate allows. Reads no clock: it is told what has elapsed.

use std::time::Duration;

/// The shortest wait: records that fall due within it go out together.
const TICK: Duration = Duration::from_millis(10);

/// One subtask's share of a rate.
#[derive(Debug)]
pub(super) struct Pace {
    /// When `count` began.
    since: Duration,
    count: u64,
    /// Records a second of all subtasks.
    rate: u64,
    /// Among how many subtasks it is shared.
    share: u32,
}

/// What may be done now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Allowance {
    /// So many records are due; at least one.
    Due(u64),
    /// None is; ask again after this long.
    Wait(Duration),
}

impl Pace {
    /// A rate, shared among `share` subtasks, that counts from `now` on.
    pub(super) const fn new(now: Duration, rate: u64, share: u32) -> Self {
        Self { since: now, count: 0, rate, share }
    }

    pub(super) fn allowance(&self, now: Duration) -> Allowance {
        match self.due(now).checked_sub(self.count) {
            Some(due) if due > 0 => Allowance::Due(due),
            _ => Allowance::Wait((self.since + self.time_of(self.count + 1)).saturating_sub(now).max(TICK)),
        }
    }

    /// Counts records. What a source that was held up missed, it makes up for a second's worth only.
    pub(super) fn made(&mut self, records: u64, now: Duration) {
        self.count += records;
        let second = self.rate.div_ceil(self.share.into());
        if self.due(now).saturating_sub(self.count) > second {
            (self.since, self.count) = (now.saturating_sub(Duration::from_secs(1)), 0);
        }
    }

    /// The records due since the beginning.
    fn due(&self, now: Duration) -> u64 {
        let nanos = now.saturating_sub(self.since).as_nanos();
        let due = nanos * u128::from(self.rate) / (u128::from(self.share) * 1_000_000_000);
        u64::try_from(due).unwrap_or(u64::MAX)
    }

    /// From the beginning until so many are due.
    fn time_of(&self, count: u64) -> Duration {
        let nanos = (u128::from(count) * u128::from(self.share) * 1_000_000_000).div_ceil(self.rate.into());
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records made from `start` to `end`, by a source that takes all it may, `most` at a time.
    fn made(pace: &mut Pace, start: Duration, end: Duration, most: u64) -> u64 {
        let (mut now, mut records) = (start, 0);
        while now < end {
            match pace.allowance(now) {
                Allowance::Due(due) => {
                    records += due.min(most);
                    pace.made(due.min(most), now);
                }
                Allowance::Wait(wait) => {
                    assert!(wait >= TICK, "it does not spin");
                    now += wait;
                }
            }
        }
        records
    }

    #[test]
    fn a_rate_is_kept_whatever_it_is_and_however_it_is_shared() {
        for (rate, share, most) in [(1, 1, 1_024), (1_000, 2, 1_024), (7, 3, 1), (3_000_000, 1, 1_024)] {
            let start = Duration::from_millis(123);
            let records = made(&mut Pace::new(start, rate, share), start, start + Duration::from_secs(60), most);
            let expected = rate * 60 / u64::from(share);
            assert!(records.abs_diff(expected) <= rate / 50 + 1, "{records} of {expected} at {rate}");
        }
    }

    #[test]
    fn what_was_missed_is_made_up_for_a_second_only() {
        let mut pace = Pace::new(Duration::ZERO, 1_000, 1);
        let (held_up, end) = (Duration::from_secs(60), Duration::from_secs(61));
        pace.made(1, held_up);
        let records = made(&mut pace, held_up, end, 1_024);
        assert!((1_980..=2_020).contains(&records), "{records}");
    }
}
