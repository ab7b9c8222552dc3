//! What must be true of Weir, as pure code: events in, decisions out.
//!
//! Nothing here performs I/O, reads a clock, starts a thread or awaits. The engine performs what is decided here; the
//! simulator, the property tests and the fuzzer drive it through millions of schedules.

pub mod fault;
pub mod id;
pub mod time;

pub mod description;
pub mod job_graph;
pub mod job_spec;
pub mod key_group;

pub mod alignment;
pub mod unaligned;
pub mod watermark;

pub mod assembly;
pub mod coordinator;
pub mod report;

pub mod chain;
pub mod document;
pub mod manifest;

pub mod evolution;
pub mod finished;
pub mod garbage;
pub mod publication;
pub mod recovery;
pub mod redistribution;
pub mod savepoint;
pub mod upgrade;

pub use fault::Fault;
