//! User code runs here: components are loaded, checked, instantiated and called, batch by batch.
//!
//! The only crate that knows wasmtime. It knows nothing of the engine: state, times and randomness reach a call
//! through its [`turn::Turn`], so that the engine, `weir test` and later an adapter for another engine can each supply
//! them.

pub mod abilities;
pub mod attempt;
pub mod batch;
pub mod component;
pub mod contract;
mod engine;
mod imports;
pub mod keyed_state;
pub mod migrator;
pub mod native;
pub mod operator;
pub mod turn;
pub mod unkeyed_state;
mod wasi;
