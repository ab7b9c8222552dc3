//! The host's side of the contract: the real one in a component, a simulated one where an operator is tested.
//!
//! Both have the same functions, those of the generated bindings; nothing else in the SDK knows which it is.

#[cfg(not(target_family = "wasm"))]
pub(crate) mod simulated;

#[cfg(target_family = "wasm")]
pub(crate) use crate::bindings::weir::operator::{headers, output, state, telemetry, timers};
#[cfg(not(target_family = "wasm"))]
pub(crate) use simulated::{headers, output, state, telemetry, timers};
