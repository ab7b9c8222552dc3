//! Jobs: what is wanted of them, and their attempts, one after the other, until they end.
//!
//! [`Engine`] is the facade that the server (and a simulation, a bench) uses. Below it each job has one driver, which
//! owns the job's place in its `run/` chain and starts an attempt: all tasks of the graph, from the newest entry. What
//! must be true is decided in `weir-protocol`; this module performs it.

mod attempt;
mod blame;
mod board;
mod bound;
mod change;
mod comparison;
mod decisions;
mod deploy;
mod driver;
mod ended;
mod ending;
mod engine;
mod error;
mod events;
mod fork;
mod fresh;
mod known;
mod letters;
mod loss;
mod operators;
mod owned;
mod plan;
mod reporter;
mod restart;
mod restored;
mod resume;
mod savepoint;
mod shared;
mod sinks;
mod starts;
mod state_memory;
mod status;
mod takeover;
mod timeless;
mod undo;
mod upgrade;
mod wiring;
mod wish;

#[cfg(test)]
mod tests;

pub use engine::{Engine, EngineConfig, Submitted};
pub use error::EngineError;
pub use fork::{Origin, Prepared};
pub use operators::{Operators, OperatorsError};
pub use savepoint::{OpenSavepoint, SavepointAsk, SavepointStatus};
pub use status::{
    CheckpointState, CheckpointStats, CheckpointSummary, FAILURES_MAX, Failure, Guarantee, HISTORY_MAX, JobState,
    JobStatus, RECENT_MAX, SinkStatus, StandingCheckpoint, VertexKind, VertexStatus,
};
pub use upgrade::{Upgraded, Upgrading};
