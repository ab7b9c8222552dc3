//! Weir in small, to be broken: the real protocol, and around it a world that fails as a seed says.
//!
//! What every simulation shares is here too: how a violated promise is reported ([`failure`]), and what happened before
//! it ([`trace`]).

pub mod failure;
pub mod trace;
