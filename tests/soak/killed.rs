//! Real nodes, killed for real; what follows from a seed takes about ten seconds, most of it waiting.

use tokio::runtime::Builder;
use weir_simulator::failure::Failure;
use weir_tests::crash;

use crate::topic::{Counts, Goal, Pace, Topic};

pub(crate) struct Killed;

impl Topic for Killed {
    fn name(&self) -> &str {
        "crash"
    }

    fn goal(&self) -> Goal {
        Goal { what: "kills", enough: 500 }
    }

    fn first_seed(&self) -> u64 {
        100_000
    }

    fn pace(&self) -> Pace {
        Pace { at_once: 2, turn: 4 }
    }

    fn play(&self, seed: u64) -> Result<Counts, Box<Failure>> {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a thread can be a runtime");
        let totals = runtime.block_on(crash::run(seed))?;
        let own = [
            ("kills", totals.killed()),
            ("nodes started", totals.starts),
            ("lives that ended with state on disk", totals.on_disk),
            ("disk: calls refused", totals.refused),
            ("disk: writes torn", totals.torn),
            ("disk: calls slow", totals.delayed),
            ("disk: recoveries", totals.recoveries),
            ("takeovers from a node that lives", totals.takeovers),
        ];
        let own = own.map(|(what, count)| (what.to_owned(), count));
        let kinds = totals.kills.iter().map(|(place, kills)| (format!("kills, {place}"), *kills));
        Ok(own.into_iter().chain(kinds).collect())
    }
}
