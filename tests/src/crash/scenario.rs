//! A job, and the lives of the nodes that run it.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use weir_engine::step::{Step, When};
use weir_simulator::failure::Failure;

use super::kill_at::KillAt;
use super::life::Life;
use super::play::{Play, Played};
use super::work::Kind;

/// How long a bounded job has work for, for each life.
const MILLIS_A_LIFE: u64 = 250;

/// Much less than a job's state fills.
const MEMORY_MAX: u64 = 8_000;

/// How long a seed's node is waited for at a step: some steps come seldom, and some not at all.
const A_WHILE: Duration = Duration::from_secs(6);

/// What is played.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// What else is chosen follows from it: input, settings.
    pub seed: u64,
    /// The job.
    pub kind: Kind,
    /// Bytes of memory that each subtask's state may fill, where what is beyond them goes to disk; `None`: it stays in
    /// memory.
    pub memory: Option<u64>,
    /// Where the first node kills itself while it accepts the job, if it does; the job is then submitted again.
    pub creation: Option<KillAt>,
    /// Before the last node, which lives until the job is done.
    pub lives: Vec<Life>,
    /// How long a node is waited for that is to die or stop at a step, before the life goes on without that.
    pub until_step: Duration,
    /// The command that plays it again.
    pub reproduce: String,
}

impl Scenario {
    /// What follows from a seed: a few lives.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let memory = (random.random_range(0..3) == 0).then(|| random.random_range(1..MEMORY_MAX));
        let on_disk = memory.is_some();
        let lives: Vec<Life> = (0..random.random_range(4..10)).map(|_| Life::draw(&mut random, on_disk)).collect();
        let when = When::ALL[random.random_range(0..When::ALL.len())];
        let creation = (random.random_range(0..5) == 0).then_some(KillAt { when, step: Step::Entry, nth: 1 });
        let kind = match random.random_range(0..3) {
            0 => Kind::Count { millis: MILLIS_A_LIFE * lives.len() as u64 },
            1 => Kind::Words,
            _ => Kind::Commands,
        };
        Self {
            seed,
            kind,
            memory,
            creation,
            lives,
            until_step: A_WHILE,
            reproduce: Self::command(seed, "any_scenario"),
        }
    }

    /// What has a test of the crash tests play a seed. The node is a binary that building that test does not build.
    #[must_use]
    pub fn command(seed: u64, test: &str) -> String {
        format!(
            "cargo build --workspace --bins && WEIR_SEED={seed} cargo test --workspace --test crash -- --exact {test}"
        )
    }

    /// Plays it.
    ///
    /// # Errors
    /// The first promise that was broken.
    pub async fn play(self) -> Result<Played, Box<Failure>> {
        Play::begin(self).play().await
    }
}
