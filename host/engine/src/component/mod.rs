//! Uploaded components: kept in the object store, found by name or hash, compiled once.
//!
//! Receives the bytes of components; guarantees that nothing is kept that was not admitted, that what a hash names
//! never changes, that a name means what was written for it last, and that each component is compiled at most once at
//! a time, in a bounded pool off the async threads. Does not own what admission checks or how code runs: that is
//! `weir-operator`.

mod compiler;
mod error;
mod loader;
mod names;
mod pool;
mod registry;
mod stored;

#[cfg(test)]
mod tests;

pub use compiler::{Compiled, Compiler, Refusal};
pub use error::RegistryError;
pub use registry::{Registry, RegistryConfig, Uploaded, hash};
pub use stored::StoredComponent;
