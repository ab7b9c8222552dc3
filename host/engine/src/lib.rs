//! Makes it happen: the journey of a record through one node.
//!
//! `source → exchange → task → operator → state → exchange → … → sink`, with checkpoints beside it. Modules stand in
//! the order of that journey. Stages do not import each other; only [`task`] composes them, and only [`job`] starts
//! and watches tasks.

pub mod clock;
pub mod dead_letter;
#[cfg(test)]
pub(crate) mod heard;
pub mod metrics;
pub mod rejected;
pub mod spawn;
pub mod step;
pub mod store;

pub mod source;

pub mod exchange;

pub mod task;

pub mod component;

pub mod state;

pub mod checkpoint;

pub mod sink;

pub mod job;
