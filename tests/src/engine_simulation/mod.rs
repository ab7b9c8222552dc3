//! The whole engine, and the server without sockets, on one thread with simulated time.
//!
//! A seed chooses a job, what goes wrong with the stores, and what happens to the processes that run it ([`Plan`]); then
//! nothing goes wrong any more and the job must end by itself, with results as if nothing had ever failed. The same seed
//! gives the same trace. Everything is real but time, chance, the stores and the code of the operators: those are native.
//! Not simulated: components (their fuel and epochs are real time), sources that read files, and threads.

mod checks;
mod client;
mod hazards;
mod life;
mod log;
mod operators;
mod panics;
mod plan;
mod process;
mod status;
mod store;
mod weather;

use std::sync::Arc;
use tokio::runtime::Builder;
use tracing_subscriber::layer::SubscriberExt;
use weir_engine::clock::Clock;
use weir_engine::job::JobState;
use weir_simulator::failure::Failure;
use weir_simulator::trace::Trace;

pub use hazards::Dishonesty;
pub use plan::{Event, Job, Plan};
pub use store::Flaw;
pub use weather::{Climate, Weathered};

use hazards::Hazards;
use log::Log;
use process::World;
use store::SimulatedStore;
use weather::Weather;

/// When simulated time begins, in milliseconds since the Unix epoch.
const BEGINNING: i64 = 1_700_000_000_000;

/// What a run that broke no promise did.
#[derive(Debug, Clone)]
pub struct Run {
    /// Everything that happened.
    pub trace: Trace,
    /// How the job ended.
    pub ended: JobState,
    /// Processes that died.
    pub crashes: u64,
    /// Processes that were started.
    pub starts: u64,
    /// Submissions that had no answer.
    pub refusals: u64,
    /// The process that saw the job's end had the store to itself only after another one had died.
    pub has_survivor: bool,
    /// How often the job's tasks were started.
    pub attempts: u64,
    /// Checkpoints that completed.
    pub checkpoints: u64,
    /// How often the job was changed, by the end.
    pub changes: u64,
    /// Whether a change was taken back.
    pub has_undone: bool,
    /// What the stores went through.
    pub weathered: Weathered,
    /// Simulated milliseconds.
    pub simulated_ms: u64,
    /// The published results of each sink's part, by name.
    pub published: Vec<String>,
}

/// Runs the plan of a seed.
///
/// # Errors
/// The first promise that was broken.
pub fn run(seed: u64) -> Result<Run, Box<Failure>> {
    run_plan(seed, &Plan::of(seed))
}

/// Runs a plan; the seed still decides everything that the plan leaves open.
///
/// # Errors
/// The first promise that was broken.
///
/// # Panics
/// When the machine gives no runtime.
pub fn run_plan(seed: u64, plan: &Plan) -> Result<Run, Box<Failure>> {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a thread can be a runtime").block_on(simulate(seed, plan))
}

async fn simulate(seed: u64, plan: &Plan) -> Result<Run, Box<Failure>> {
    panics::watch();
    let clock = Clock::starting_at(BEGINNING);
    let log = Log::new(clock);
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(log.clone()));
    let weather = Weather::new(seed, plan.climate.clone(), clock, log.clone());
    let world = World {
        clock,
        weather: weather.clone(),
        store: SimulatedStore::new("store", weather.clone(), plan.flaw),
        outside: SimulatedStore::new("outside", weather.clone(), plan.flaw),
        hazards: Hazards::new(log.clone(), plan.dishonesty),
        log: log.clone(),
        seed,
        disks: Arc::new(tempfile::tempdir().expect("a temporary folder can be made")),
    };
    let (process, lived) = life::live(&world, plan).await;
    if log.first_broken().is_none() {
        checks::check(&world, plan, &process, &lived).await;
    }
    status::no_panics(&world);
    if let Some(broken) = log.first_broken() {
        return Err(Box::new(Failure {
            topic: "engine",
            seed,
            step: broken.at,
            invariant: broken.invariant,
            detail: broken.detail,
            reproduce: format!("WEIR_SEED={seed} cargo test --workspace --test simulation -- --nocapture"),
            trace: log.trace(),
        }));
    }
    let last = lived.last.as_ref().expect("the checks looked at it");
    Ok(Run {
        trace: log.trace(),
        ended: last.state,
        crashes: lived.crashes,
        starts: lived.starts,
        refusals: lived.refusals,
        has_survivor: lived.has_rivalled(),
        attempts: lived.attempts + last.attempts,
        checkpoints: lived.checkpoints + last.checkpoints.completed,
        changes: last.spec_number.0,
        has_undone: last.undone.is_some(),
        weathered: weather.so_far(),
        simulated_ms: log.at(),
        published: checks::published(&world, &lived),
    })
}
