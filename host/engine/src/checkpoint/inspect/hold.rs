//! Jobs whose garbage stays where it is, because someone looks at it or copies it.
//!
//! A listing takes several requests, and its checkpoint may be dropped between two of them. Each request that has more
//! behind it holds the job for a while. Guarantees that garbage is not held for ever, however much is looked at. A copy
//! ends by itself, and pins the job until then.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use weir_protocol::id::JobId;
use weir_protocol::time::Timestamp;

/// How long one request holds, in milliseconds.
const HOLD_MS: Timestamp = 30_000;
/// How long requests hold one after the other.
const HOLDS_MS: Timestamp = 15 * 60_000;
/// How long garbage is then not held, so that it is collected.
const PAUSE_MS: Timestamp = 60_000;

/// The jobs that someone looks into; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Holds(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    looks: BTreeMap<JobId, Hold>,
    /// How many copies of each job's checkpoints are on their way.
    pins: BTreeMap<JobId, u32>,
}

/// A job's garbage stays where it is as long as this lives.
#[derive(Debug)]
pub struct Pin {
    holds: Holds,
    job: JobId,
}

#[derive(Debug, Clone, Copy)]
struct Hold {
    since: Timestamp,
    until: Timestamp,
}

impl Holds {
    /// Holds a job's garbage from now on for a while, unless it was held for too long.
    pub fn extend(&self, job: JobId, now: Timestamp) {
        let looks = &mut self.lock().looks;
        looks.retain(|_, hold| now < hold.until + PAUSE_MS);
        let hold = looks.entry(job).or_insert(Hold { since: now, until: now });
        if now < hold.since + HOLDS_MS {
            hold.until = now + HOLD_MS;
        }
    }

    /// Whether a job's garbage is held.
    #[must_use]
    pub fn has(&self, job: JobId, now: Timestamp) -> bool {
        let held = self.lock();
        held.pins.contains_key(&job) || held.looks.get(&job).is_some_and(|hold| now < hold.until)
    }

    /// Holds a job's garbage until the pin is dropped.
    #[must_use]
    pub fn pin(&self, job: JobId) -> Pin {
        *self.lock().pins.entry(job).or_default() += 1;
        Pin { holds: self.clone(), job }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().expect("nothing panics while it holds this lock")
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let pins = &mut self.holds.lock().pins;
        match pins.get_mut(&self.job) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) | None => drop(pins.remove(&self.job)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: JobId = JobId(1);
    /// As long as it is held in all.
    const HOLD_SECONDS: usize = 15 * 60;

    #[test]
    fn garbage_is_held_while_pages_follow_each_other_and_no_longer() {
        let holds = Holds::default();
        holds.extend(JOB, 0);
        holds.extend(JOB, 20_000);
        assert!(holds.has(JOB, 49_999) && !holds.has(JOB, 50_000));
        assert!(!holds.has(JobId(2), 0));
    }

    #[test]
    fn garbage_is_held_until_the_last_of_a_jobs_pins_is_gone() {
        let holds = Holds::default();
        let (first, second) = (holds.pin(JOB), holds.pin(JOB));
        drop(first);
        assert!(holds.has(JOB, 1 << 40) && !holds.has(JobId(2), 0));
        drop(second);
        assert!(!holds.has(JOB, 0));
    }

    #[test]
    fn garbage_is_not_held_for_ever_however_much_is_looked_at() {
        let holds = Holds::default();
        let is_held = |at| {
            holds.extend(JOB, at);
            holds.has(JOB, at)
        };
        let held: Vec<bool> = (0..2_000).map(|second| is_held(second * 1_000)).collect();
        assert!(held[..HOLD_SECONDS].iter().all(|is_held| *is_held));
        assert!(held.iter().any(|is_held| !is_held), "and then it is not, so that it can be collected");
    }
}
