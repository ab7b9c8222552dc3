//! What tests and benches of the whole need: components to run, native operators to compare them with, a store that
//! fails as real ones do, real nodes to kill, servers of clouds, what their results must be, tables of figures.

pub mod counting;
pub mod crash;
pub mod engine_simulation;
pub mod faulty_store;
pub mod figures;
pub mod flink;
mod gcs_front;
pub mod guests;
pub mod keyed_job;
pub mod node;
pub mod oracle;
pub mod published;
pub mod servers;
