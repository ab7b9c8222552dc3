//! Where records come from.
//!
//! A [`Source`] is one subtask's share of a source of a job. It gives batches, and positions from which exactly the
//! remaining records can be read again; all implementations pass one contract suite. [`resolve_start`] fixes where a
//! new job begins, at the moment when it is accepted. Does not own when positions become durable.

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use serde_json::Value;
use weir_operator::batch::Batch;
use weir_protocol::Fault;
use weir_protocol::job_spec::SourceConnector;
use weir_protocol::time::Timestamp;

use crate::clock::Clock;
use crate::rejected::RejectedRecord;

mod files;

mod generator;

#[cfg(test)]
mod contract;

/// How far each split (a file, a slice of the generator's numbers) has been read; the form is the source's own.
pub type Positions = BTreeMap<String, Value>;

/// One subtask of a source.
pub trait Source: Send {
    /// What comes next; waits for it. Cancel-safe: a future that is dropped took nothing.
    fn next(&mut self) -> BoxFuture<'_, Result<Polled, SourceError>>;

    /// How far this subtask's splits have been read: behind the last record (and reject) that [`Self::next`] gave.
    /// Positions of all subtasks together are what any parallelism can go on from.
    fn positions(&self) -> Positions;

    /// The event time up to which this subtask gives no more records, where it knows.
    fn watermark(&self) -> Option<Timestamp>;
}

/// What a source gives.
#[derive(Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly every answer is a batch; a box would only cost an allocation")]
pub enum Polled {
    /// Records (there may be none), and what could not be made one.
    Batch {
        /// At most [`BATCH_ROWS_MAX`] records, of at most one record more than [`BATCH_BYTES_MAX`].
        batch: Batch,
        /// For the dead letters.
        rejects: Vec<RejectedRecord>,
    },
    /// Nothing for now; the next call waits until there is something.
    Idle,
    /// Nothing ever again.
    End,
}

/// How many records a source puts into a batch, at most.
pub const BATCH_ROWS_MAX: u32 = 1_024;

/// How many bytes of values; a batch passes it by at most one record.
pub const BATCH_BYTES_MAX: u32 = 1 << 20;

/// Why a source cannot be opened or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SourceError {
    /// Who must act.
    pub fault: Fault,
    /// What is wrong, where, and the mend.
    pub message: String,
}

/// The start positions of a source of a new job, for its first entry: checks what the connector names, and fixes what
/// 'the end' means. `parallelism` is the source's.
///
/// # Errors
/// What the connector names is missing, unreadable or not supported.
pub async fn resolve_start(connector: &SourceConnector, parallelism: u32) -> Result<Positions, SourceError> {
    match connector {
        SourceConnector::Generator(spec) => generator::start(spec, parallelism),
        SourceConnector::Files(spec) => files::start(spec).await,
    }
}

/// Opens subtask `subtask` of `parallelism`, from the positions of all subtasks together.
///
/// # Errors
/// A position is not in the source's form.
pub fn open(
    connector: &SourceConnector,
    subtask: u32,
    parallelism: u32,
    positions: &Positions,
    clock: Clock,
) -> Result<Box<dyn Source>, SourceError> {
    Ok(match connector {
        SourceConnector::Generator(spec) => {
            Box::new(generator::Generator::open(spec, subtask, parallelism, positions, clock)?)
        }
        SourceConnector::Files(spec) => Box::new(files::Files::open(spec, subtask, parallelism, positions, clock)?),
    })
}
