//! One run: a seed, a world, and steps until the job has ended and the dust has settled.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::failure::Failure;
use crate::rules::Rules;
use crate::simulation::Simulation;
use crate::totals::Totals;
use crate::trace::Trace;
use crate::world::World;

/// Runs a seed; what was done, or the first promise that was broken, with the trace that led there.
///
/// # Errors
/// The promise that was broken.
pub fn run(seed: u64, rules: Rules) -> Result<Totals, Box<Failure>> {
    match attempt(seed, rules, None) {
        Ok(world) if world.broken.is_none() => Ok(world.totals),
        // Once more, to tell what happened: the same seed makes the same choices.
        Ok(_) | Err(_) => Err(Box::new(failure(seed, rules))),
    }
}

/// The hash of everything that happens in a run.
#[must_use]
pub fn trace_hash(seed: u64, rules: Rules) -> u64 {
    traced(seed, rules).2.hash()
}

/// What broke, at which step, and what happened.
fn traced(seed: u64, rules: Rules) -> (Option<(&'static str, String)>, u64, Trace) {
    let mut kept = Simulation::new(World::new(seed, rules, Some(Trace::default())));
    let broken = match catch_unwind(AssertUnwindSafe(|| kept.drive())) {
        Ok(()) => kept.world.broken.take(),
        Err(panic) => Some(("protocol-asserts", text_of(panic.as_ref()))),
    };
    (broken, kept.world.step, kept.world.trace.take().unwrap_or_default())
}

fn failure(seed: u64, rules: Rules) -> Failure {
    let (broken, step, trace) = traced(seed, rules);
    let (invariant, detail) = broken.unwrap_or(("same-seed-same-run", "it did not fail again".to_owned()));
    let mutant = rules.mutant().map_or_else(String::new, |mutant| format!("WEIR_MUTANT={mutant} "));
    let reproduce = format!("{mutant}WEIR_SEED={seed} cargo test -p weir-simulator --test seeds -- --nocapture");
    Failure { topic: "protocol", seed, step, invariant, detail, reproduce, trace }
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

/// An assertion of the protocol that does not hold is a promise broken, too.
fn attempt(seed: u64, rules: Rules, trace: Option<Trace>) -> std::thread::Result<World> {
    catch_unwind(AssertUnwindSafe(|| {
        let mut simulation = Simulation::new(World::new(seed, rules, trace));
        simulation.drive();
        simulation.world
    }))
}
