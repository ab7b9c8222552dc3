//! The `weir` program: a server that runs jobs, and the commands that talk to it.
//!
//! The only crate that knows HTTP, JSON for people, and the terminal. What runs is in `weir-engine`; what must be true
//! is in `weir-protocol`.

pub mod job_file;

pub mod journal;
pub mod node;
pub mod savepoints;

pub mod api;
pub mod ui;

pub mod cli;
