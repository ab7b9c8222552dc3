//! When a failed job starts again: exponential back-off, and the end of patience.
//!
//! Only failures that wear use patience up: those that somebody must mend, and checkpoints that expire. What is away comes
//! back by itself, and until it does not even the job's failure could be written down: for that a job waits as long as
//! it takes.

use std::time::Duration;

use weir_protocol::Fault;
use weir_protocol::job_spec::RestartSpec;

/// Whether another attempt may mend a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    /// It will, sooner or later.
    Always,
    /// It may; that uses patience up.
    Counted,
    /// It will not.
    Never,
}

impl Retry {
    /// What is so of most failures of a kind.
    pub(crate) const fn of(fault: Fault) -> Self {
        match fault {
            Fault::Unavailable => Self::Always,
            Fault::Bug => Self::Counted,
            Fault::Guest | Fault::Request | Fault::Corrupt => Self::Never,
        }
    }
}

/// The restarts of one job in a row, without a completed checkpoint between them.
#[derive(Debug)]
pub(crate) struct Restarts {
    spec: RestartSpec,
    in_a_row: u32,
    /// Of those, the ones that use patience up.
    counted: u32,
}

impl Restarts {
    pub(crate) const fn new(spec: RestartSpec) -> Self {
        Self { spec, in_a_row: 0, counted: 0 }
    }

    /// An attempt failed: how long to wait for the next; `None`: there is none.
    pub(crate) fn next_delay(&mut self, retry: Retry) -> Option<Duration> {
        match retry {
            Retry::Always => {}
            Retry::Counted if self.counted < self.spec.attempts_max => self.counted += 1,
            Retry::Counted | Retry::Never => return None,
        }
        let doubled = 1_u64.checked_shl(self.in_a_row).unwrap_or(u64::MAX);
        self.in_a_row = self.in_a_row.saturating_add(1);
        Some(Duration::from_millis(self.spec.delay_ms.saturating_mul(doubled).min(self.spec.delay_ms_max)))
    }

    /// The job makes progress again.
    pub(crate) const fn progressed(&mut self) {
        self.in_a_row = 0;
        self.counted = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(spec: RestartSpec) -> Vec<u64> {
        let mut restarts = Restarts::new(spec);
        std::iter::from_fn(|| restarts.next_delay(Retry::Counted))
            .map(|delay| u64::try_from(delay.as_millis()).expect("delays are short"))
            .collect()
    }

    #[test]
    fn delays_double_up_to_the_longest_and_then_end() {
        let spec = RestartSpec { attempts_max: 5, delay_ms: 100, delay_ms_max: 500 };
        assert_eq!(delays(spec), [100, 200, 400, 500, 500]);
    }

    #[test]
    fn the_longest_delay_holds_however_often_the_job_fails() {
        let spec = RestartSpec { attempts_max: 100, delay_ms: 1, delay_ms_max: 30_000 };
        assert!(delays(spec).iter().all(|delay| *delay <= 30_000));
    }

    #[test]
    fn what_is_away_is_waited_for_however_long_and_uses_no_patience_up() {
        let mut restarts = Restarts::new(RestartSpec { attempts_max: 1, delay_ms: 100, delay_ms_max: 500 });
        let mut delay = |fault| restarts.next_delay(Retry::of(fault)).map(|delay| delay.as_millis());
        let delays: Vec<_> = (0..100).map(|_| delay(Fault::Unavailable).expect("it is waited for")).collect();
        assert_eq!((&delays[..4], delays[99]), (&[100, 200, 400, 500][..], 500));
        assert_eq!((delay(Fault::Bug), delay(Fault::Bug)), (Some(500), None));
        assert_eq!(delay(Fault::Unavailable), Some(500));
    }

    #[test]
    fn what_is_counted_is_not_waited_for_without_end() {
        let mut restarts = Restarts::new(RestartSpec { attempts_max: 2, delay_ms: 1, delay_ms_max: 1 });
        let delays: Vec<_> = (0..3).map(|_| restarts.next_delay(Retry::Counted).is_some()).collect();
        assert_eq!(delays, [true, true, false]);
        assert!(restarts.next_delay(Retry::Always).is_some());
    }

    #[test]
    fn progress_makes_patience_whole_again() {
        let mut restarts = Restarts::new(RestartSpec { attempts_max: 1, delay_ms: 7, delay_ms_max: 7 });
        assert!(restarts.next_delay(Retry::Counted).is_some());
        assert!(restarts.next_delay(Retry::Counted).is_none());
        restarts.progressed();
        assert!(restarts.next_delay(Retry::Counted).is_some());
    }
}
