//! What can be soaked.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use weir_simulator::failure::Failure;

use crate::engine::Engine;
use crate::fuzzed::Fuzzed;
use crate::killed::Killed;
use crate::protocol::Protocol;
use crate::ttl::Ttl;

/// Something that is tried with many seeds.
pub(crate) trait Topic: Sync {
    /// Its name, on the command line and of its files.
    fn name(&self) -> &str;
    /// When it is enough.
    fn goal(&self) -> Goal;
    /// The first seed; `make test` has those before it.
    fn first_seed(&self) -> u64;
    /// How many seeds are tried at the same time, and how many between two looks at the goal.
    fn pace(&self) -> Pace;
    /// Tries a seed.
    ///
    /// # Errors
    /// The promise that was broken.
    fn play(&self, seed: u64) -> Result<Counts, Box<Failure>>;
}

/// So many of what is counted are enough.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Goal {
    /// What counts.
    pub(crate) what: &'static str,
    /// How many.
    pub(crate) enough: u64,
}

/// How fast a topic goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Seeds at the same time, each on a thread of its own.
    pub(crate) at_once: usize,
    /// Seeds after which the progress is kept.
    pub(crate) turn: u64,
}

/// What was done, by name.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Counts {
    /// What adds up.
    pub(crate) sums: BTreeMap<String, u64>,
    /// What does not, such as coverage: the highest counts.
    pub(crate) highest: BTreeMap<String, u64>,
}

impl Counts {
    /// Adds those of another seed.
    pub(crate) fn add(&mut self, other: Self) {
        for (what, count) in other.sums {
            *self.sums.entry(what).or_default() += count;
        }
        for (what, count) in other.highest {
            let highest = self.highest.entry(what).or_default();
            *highest = (*highest).max(count);
        }
    }

    /// How many of one thing.
    pub(crate) fn of(&self, what: &str) -> u64 {
        self.sums.get(what).copied().unwrap_or(0)
    }

    /// All that was counted.
    pub(crate) fn rows(&self) -> Vec<(String, u64)> {
        self.sums.iter().chain(&self.highest).map(|(what, count)| (what.clone(), *count)).collect()
    }
}

impl<S: Into<String>> FromIterator<(S, u64)> for Counts {
    fn from_iter<I: IntoIterator<Item = (S, u64)>>(counts: I) -> Self {
        let sums = counts.into_iter().map(|(what, count)| (what.into(), count)).collect();
        Self { sums, highest: BTreeMap::new() }
    }
}

/// All topics, in the order in which they are soaked. Those that watch rather than try do so for `length`.
pub(crate) fn all(folder: &Path, length: Duration) -> Vec<Box<dyn Topic>> {
    let mut all: Vec<Box<dyn Topic>> = vec![Box::new(Protocol), Box::new(Engine), Box::new(Killed)];
    all.push(Box::new(Ttl { length, folder: folder.to_owned() }));
    all.extend(Fuzzed::all(folder).into_iter().map(|fuzzed| Box::new(fuzzed) as Box<dyn Topic>));
    all
}
