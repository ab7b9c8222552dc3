//! The whole engine on one thread with simulated time, stores that fail and processes that die.

use weir_simulator::failure::Failure;
use weir_tests::engine_simulation;

use crate::topic::{Counts, Goal, Pace, Topic};

pub(crate) struct Engine;

impl Topic for Engine {
    fn name(&self) -> &str {
        "engine"
    }

    fn goal(&self) -> Goal {
        Goal { what: "seeds", enough: 5_000 }
    }

    fn first_seed(&self) -> u64 {
        100_000
    }

    fn pace(&self) -> Pace {
        Pace { at_once: 2, turn: 20 }
    }

    fn play(&self, seed: u64) -> Result<Counts, Box<Failure>> {
        let run = engine_simulation::run(seed)?;
        Ok(Counts::from_iter([
            ("events", run.trace.noted()),
            ("attempts", run.attempts),
            ("checkpoints", run.checkpoints),
            ("processes started", run.starts),
            ("processes that died", run.crashes),
            ("store calls", run.weathered.calls),
            ("store calls that failed", run.weathered.faults),
            ("store writes that came late", run.weathered.late_writes),
            ("simulated seconds", run.simulated_ms / 1_000),
        ]))
    }
}
