//! Joins all stages: one loop for each subtask.
//!
//! A subtask of a source (`SourceTask`), an operator (`OperatorTask`) or a sink (`SinkTask`) owns its stage, its
//! channels and its dead letters, and is the only one to touch them. Whatever reaches it is one variant of one closed
//! enum, and one place reacts to it. At a barrier it hands what it sealed to whoever makes it durable (`Handover`)
//! and goes on; it never waits for the store. Does not own when checkpoints are taken, nor what becomes of a task that
//! failed.

mod dead_letters;
mod error;
mod finished;
mod gate;
mod handover;
mod operator;
mod seed;
mod sink;
mod source;
mod subtask;

pub(crate) use dead_letters::{DeadLetters, SealedLetters};
pub use error::TaskError;
pub(crate) use finished::FinishedTask;
pub(crate) use gate::Gate;
pub(crate) use handover::{Handed, Handover, Receiver, Sealed, SealedKind, handover};
pub(crate) use operator::OperatorTask;
pub(crate) use seed::Seeds;
pub(crate) use sink::SinkTask;
pub(crate) use source::{SourceCommands, SourceTask, source_commands};
pub(crate) use subtask::Subtask;
