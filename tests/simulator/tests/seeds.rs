//! Seeds with all rules, and one seed at a time to look at.
//!
//! `WEIR_SEED=17 cargo test -p weir-simulator --test seeds -- --nocapture` shows one run; `WEIR_MUTANT=skip-alignment`
//! leaves a rule out of it; `WEIR_SEEDS=100000` looks at that many.

use std::env;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use weir_simulator::failure::Failure;
use weir_simulator::{Mutant, Rules, Totals, run, trace_hash};

/// Seeds that are looked at where nobody says how many.
const SEEDS: u64 = 5_000;

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().expect("it is a number"))
}

fn rules() -> Rules {
    match env::var("WEIR_MUTANT") {
        Ok(name) => Rules::without(name.parse::<Mutant>().expect("it is a mutant")),
        Err(_) => Rules::all(),
    }
}

/// Runs seeds on all cores until one fails.
fn all(seeds: std::ops::Range<u64>, rules: Rules) -> Result<Totals, Box<Failure>> {
    let next = AtomicU64::new(seeds.start);
    let found = Mutex::new((Totals::default(), None::<Box<Failure>>));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || found.lock().expect("no run panics").1.is_some() {
                        return;
                    }
                    let ran = run(seed, rules);
                    let mut found = found.lock().expect("no run panics");
                    match ran {
                        Ok(totals) => found.0 += totals,
                        Err(failure) => found.1 = Some(failure),
                    }
                }
            });
        }
    });
    let (totals, failure) = found.into_inner().expect("no run panics");
    failure.map_or(Ok(totals), Err)
}

#[test]
fn every_promise_holds_whatever_fails() {
    let seeds = number("WEIR_SEED").map_or(0..number("WEIR_SEEDS").unwrap_or(SEEDS), |seed| seed..seed + 1);
    let has_all_faults = seeds.contains(&(SEEDS - 1)) && seeds.start == 0;
    match all(seeds, rules()) {
        Ok(totals) => {
            println!("{totals}");
            let rows = totals.rows();
            let never: Vec<_> = rows.iter().filter(|(_, count)| *count == 0).map(|(name, _)| name).collect();
            assert!(never.is_empty() || !has_all_faults, "in no run there were {never:?}");
        }
        Err(failure) => panic!("{failure}\n{}", failure.trace),
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 0..20 {
        assert_eq!(trace_hash(seed, Rules::all()), trace_hash(seed, Rules::all()), "seed {seed}");
    }
}
