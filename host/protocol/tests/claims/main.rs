//! The claims of the protocol, each a test named after it.

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

mod garbage;
mod publication;
mod recovery;

mod zombies;
