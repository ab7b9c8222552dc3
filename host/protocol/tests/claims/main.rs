//! The claims of the protocol, each a test named after it, by example; what must hold among several owners, with crashes
//! anywhere, the protocol simulator checks.

mod support;

mod alignment;
mod golden_traces;
mod job_graph;
mod key_group;
mod unaligned;
mod watermark;

mod assembly;
mod coordinator;

mod append;
mod document;
mod entry;
mod ownership;
mod retention;
mod savepoint;

mod evolution;
mod finished;
mod garbage;
mod publication;
mod recovery;
mod redistribution;
mod upgrade;
