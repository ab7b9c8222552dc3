//! The only reader of time and randomness.
//!
//! Everything in the engine asks a [`Clock`] for the time and an [`Entropy`] for random numbers, so that a simulation
//! can supply both: under tokio's paused time a clock stands still until the simulator moves it, and an entropy made
//! from a seed gives the same numbers at each run.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rustix::time::{ClockId, clock_gettime};
use weir_protocol::id::{JobId, Nonce};
use weir_protocol::time::Timestamp;

/// Tells the time. Wall-clock time is the time of the clock's start plus what tokio's clock has counted since, so it
/// never goes back within a process.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    started_at: Timestamp,
    started: tokio::time::Instant,
}

impl Clock {
    /// A clock that starts with the system's time.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
    pub fn system() -> Self {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self::starting_at(Timestamp::try_from(since_epoch.as_millis()).unwrap_or(Timestamp::MAX))
    }

    /// A clock that starts with the time given, in milliseconds since the Unix epoch.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads tokio's clock")]
    pub fn starting_at(at: Timestamp) -> Self {
        Self { started_at: at, started: tokio::time::Instant::now() }
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let elapsed = Timestamp::try_from(self.elapsed().as_millis()).unwrap_or(Timestamp::MAX);
        self.started_at.saturating_add(elapsed)
    }

    /// What has passed since the clock was started; for measuring.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads tokio's clock")]
    pub fn elapsed(&self) -> Duration {
        tokio::time::Instant::now().duration_since(self.started)
    }

    /// Waits.
    #[expect(clippy::disallowed_methods, reason = "the one place that waits for time to pass")]
    pub async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    /// Waits until [`now`](Self::now) is at least `at`.
    pub async fn sleep_until(&self, at: Timestamp) {
        let wait = u64::try_from(at.saturating_sub(self.now())).unwrap_or(0);
        self.sleep(Duration::from_millis(wait)).await;
    }
}

/// The CPU time that the calling thread has used so far; for measuring what must not depend on a busy neighbour.
#[must_use]
pub fn thread_cpu_time() -> Duration {
    cpu_time(ClockId::ThreadCPUTime)
}

/// The same of all threads of this process, so that work on others is not free.
#[must_use]
pub fn process_cpu_time() -> Duration {
    cpu_time(ClockId::ProcessCPUTime)
}

fn cpu_time(clock: ClockId) -> Duration {
    Duration::try_from(clock_gettime(clock)).expect("CPU time is not negative")
}

/// Gives random numbers; a cheap handle to one generator.
#[derive(Debug, Clone)]
pub struct Entropy {
    generator: Arc<Mutex<StdRng>>,
}

impl Entropy {
    /// Numbers that nobody can predict.
    #[must_use]
    pub fn system() -> Self {
        Self { generator: Arc::new(Mutex::new(rand::make_rng())) }
    }

    /// The same numbers for the same seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self { generator: Arc::new(Mutex::new(StdRng::seed_from_u64(seed))) }
    }

    /// 64 random bits.
    #[must_use]
    pub fn bits64(&self) -> u64 {
        self.generator.lock().expect("nothing panics while it holds this lock").next_u64()
    }

    /// 128 random bits.
    #[must_use]
    pub fn bits128(&self) -> u128 {
        u128::from(self.bits64()) << 64 | u128::from(self.bits64())
    }

    /// A nonce for one attempt to create an entry.
    #[must_use]
    pub fn nonce(&self) -> Nonce {
        Nonce(self.bits128())
    }

    /// An id for a new job.
    #[must_use]
    pub fn job_id(&self) -> JobId {
        JobId(self.bits128())
    }
}
