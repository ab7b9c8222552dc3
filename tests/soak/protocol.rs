//! The protocol simulator, with every rule kept.

use weir_simulator::failure::Failure;
use weir_simulator::{Rules, run};

use crate::topic::{Counts, Goal, Pace, Topic};

pub(crate) struct Protocol;

impl Topic for Protocol {
    fn name(&self) -> &str {
        "protocol"
    }

    fn goal(&self) -> Goal {
        Goal { what: "seeds", enough: 200_000 }
    }

    fn first_seed(&self) -> u64 {
        1_000_000
    }

    fn pace(&self) -> Pace {
        Pace { at_once: 2, turn: 500 }
    }

    fn play(&self, seed: u64) -> Result<Counts, Box<Failure>> {
        let totals = run(seed, Rules::all())?;
        // Seeds are counted by whoever plays them.
        Ok(totals.rows().into_iter().filter(|(what, _)| *what != "seeds").collect())
    }
}
