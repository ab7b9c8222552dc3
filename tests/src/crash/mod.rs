//! The real process, killed for real, on a real disk that fails, beside another node on the same store.
//!
//! A [`Scenario`] is one job and the lives of the nodes that run it: each ends with SIGKILL, sent by itself at a step of
//! a checkpoint ([`kill_at`]) or from outside at any moment, with a disk that is full or slow (`disk`), or with a
//! second node that takes the job over. In between and at the end the published results are held against those of a
//! run without failures. [`run`] plays what follows from a seed. Processes run in real time: a seed chooses what is
//! done, not what comes of it; nothing that is checked depends on how long anything takes.

mod broken;
mod disk;
pub mod kill_at;
mod life;
mod play;
mod rivals;
mod scenario;
mod stage;
mod totals;
mod work;

use weir_simulator::failure::Failure;

pub use life::{Life, Rivalry};
pub use play::Played;
pub use scenario::Scenario;
pub use totals::Totals;
pub use work::Kind;

/// Plays the scenario of a seed: about ten seconds. Several may be played at once.
///
/// # Errors
/// The first promise that was broken.
pub async fn run(seed: u64) -> Result<Totals, Box<Failure>> {
    Ok(Scenario::of_seed(seed).play().await?.totals)
}
