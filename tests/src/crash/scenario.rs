//! A job, and the lives of the nodes that run it.

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

/// What is played.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// What else is chosen follows from it: input, settings.
    pub seed: u64,
    /// The job.
    pub kind: Kind,
    /// Where the first node kills itself while it accepts the job, if it does; the job is then submitted again.
    pub creation: Option<KillAt>,
    /// Before the last node, which lives until the job is done.
    pub lives: Vec<Life>,
    /// The command that plays it again.
    pub reproduce: String,
}

impl Scenario {
    /// What follows from a seed: a few lives.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let lives: Vec<Life> = (0..random.random_range(4..10)).map(|_| Life::draw(&mut random)).collect();
        let when = When::ALL[random.random_range(0..When::ALL.len())];
        let creation = (random.random_range(0..5) == 0).then_some(KillAt { when, step: Step::Entry, nth: 1 });
        let kind = match random.random_range(0..3) {
            0 => Kind::Count { millis: MILLIS_A_LIFE * lives.len() as u64 },
            1 => Kind::Words,
            _ => Kind::Commands,
        };
        let reproduce = format!("WEIR_SEED={seed} cargo test --workspace --test crash any_scenario");
        Self { seed, kind, creation, lives, reproduce }
    }

    /// Plays it.
    ///
    /// # Errors
    /// The first promise that was broken.
    pub async fn play(self) -> Result<Played, Box<Failure>> {
        Play::begin(self).play().await
    }
}
