//! Weir in small, to be broken: the real protocol, and around it a world that fails as a seed says.
//!
//! [`run()`] is one seed of the protocol simulator: sources, a keyed operator, a sink, a coordinator, two nodes, an object
//! store and an outside, around the code of `weir_protocol` that the engine runs, performed in the engine's order, each
//! call, delivery and answer an event of its own. After each step it is looked whether every promise still holds. With
//! [`Rules::without`] one rule is left out: whether that is noticed shows whether the simulator would notice a bug.
//!
//! What every simulation shares is here too: how a violated promise is reported ([`failure`]), and what happened before
//! it ([`trace`]).

pub mod failure;
pub mod trace;

mod attempt;
mod call;
mod chance;
mod data;
mod fork;
mod front;
mod invariants;
mod operator;
mod outside;
mod plan;
mod plane;
mod reporter;
mod rules;
mod run;
mod simulation;
mod source;
mod store;
mod totals;
mod world;

pub use rules::{Mutant, Rules};
pub use run::{run, trace_hash};
pub use totals::Totals;
