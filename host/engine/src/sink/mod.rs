//! Where results go.
//!
//! A [`Sink`] is one subtask of a sink of a job: it takes batches and, at each barrier, seals what came since the last
//! one as a part of the epoch's outbox. A [`Publisher`] makes outboxes public, one after the other, once their
//! checkpoint exists; a sink of a job has one, whatever its parallelism. Sinks without an outbox (stdout, blackhole)
//! seal nothing. Does not own the durable form of outboxes, nor when they are published.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use weir_operator::batch::Batch;
use weir_protocol::Fault;
use weir_protocol::id::{CheckpointId, JobId, Nonce, SubtaskId, Uid};
use weir_protocol::job_spec::SinkConnector;

use crate::clock::Clock;
use crate::store::{Places, shown};

mod blackhole;

mod stdout;

mod files;

mod folder;

mod publish_files;

mod recent;

use folder::Folder;

#[cfg(test)]
mod tests;

pub use stdout::LineWriter;

pub use recent::{RECENT_CHARS_MAX, RECENT_MAX, Recent};

/// One subtask of a sink.
pub trait Sink: Send {
    /// Takes records. Not cancel-safe.
    fn write(&mut self, batch: Batch) -> BoxFuture<'_, Result<(), SinkError>>;

    /// Sends out what is held back for no checkpoint (a job without checkpoints, stdout's buffer); called whenever
    /// the task is about to wait, and at the end. Nothing to do for a sink that seals. Not cancel-safe.
    fn flush(&mut self) -> BoxFuture<'_, Result<(), SinkError>>;

    /// Ends the epoch: what came since the last seal, for the outbox; `None` where there is none. Copies nothing.
    fn seal(&mut self) -> Option<SealedPart>;

    /// Bytes taken and not sealed yet. They count among a job's unpublished bytes, at whose bound its sources pause (a
    /// sink must not: the barrier that lets it seal comes behind the records).
    fn pending_bytes(&self) -> u64;

    /// The last records taken, for people.
    fn recent(&self) -> &Arc<Recent>;
}

/// One subtask's share of an epoch's results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedPart {
    /// As they will be published.
    pub bytes: Bytes,
    /// How many records that is.
    pub records: u64,
}

/// An outbox with its parts' bytes in hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenOutbox {
    /// The checkpoint that sealed it.
    pub checkpoint: CheckpointId,
    /// The outbox of this sink before it; `None`: it is the first.
    pub predecessor: Option<CheckpointId>,
    /// In the order of the subtasks; those that sealed nothing are left out.
    pub parts: Vec<OutboxPart>,
}

/// One part of an outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxPart {
    /// Whose.
    pub subtask: u32,
    /// What it sealed.
    pub part: SealedPart,
}

/// Makes the outboxes of one sink public, in order. The dead letters of a job are published the same way.
pub trait Publisher: Send + Sync {
    /// Publishes one outbox: all its parts, then the marker, which moves only from the predecessor to it. Doing it
    /// twice (also after a crash half-way) is doing it once.
    ///
    /// # Errors
    /// [`Fault::Unavailable`]: try again. [`Fault::Corrupt`]: something else stands under one of its names, or the
    /// marker does not stand at the predecessor; nothing was overwritten.
    fn publish<'a>(&'a self, outbox: &'a OpenOutbox) -> BoxFuture<'a, Result<(), SinkError>>;

    /// The newest outbox that was published.
    ///
    /// # Errors
    /// [`Fault::Unavailable`]
    fn marker(&self) -> BoxFuture<'_, Result<Option<CheckpointId>, SinkError>>;
}

/// Why a sink cannot be opened, written to or published to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SinkError {
    /// Who must act.
    pub fault: Fault,
    /// What is wrong, where, and the mend.
    pub message: String,
}

/// Whose results a sink takes.
#[derive(Debug, Clone)]
pub struct SinkContext {
    /// The job.
    pub job: JobId,
    /// The sink.
    pub subtask: SubtaskId,
    /// Whether results wait for a checkpoint; else they go out at once.
    pub has_checkpoints: bool,
    /// Of the attempt: in the names of what goes out at once, so that no attempt meets what another wrote.
    pub attempt: Nonce,
}

/// Writes, reads and deletes a probe where a sink of a new job will write.
///
/// # Errors
/// The place cannot be used, or forgets what is written.
pub async fn try_out(
    connector: &SinkConnector,
    job: JobId,
    sink: &Uid,
    places: (&dyn Places, &Clock),
) -> Result<(), SinkError> {
    match connector {
        SinkConnector::Files(spec) => {
            let tried = Folder::open(spec, job, sink, places)?.try_out(job, *places.1).await;
            tried.map_err(|error| SinkError {
                fault: error.fault(),
                message: format!("sink `{sink}` cannot write below `{}`: {error}", shown(&spec.path)),
            })
        }
        SinkConnector::Stdout(_) | SinkConnector::Blackhole => Ok(()),
    }
}

/// Opens one subtask of a sink. Blocks on the disk for a moment; `stdout` is where [`SinkConnector::Stdout`] writes.
///
/// # Errors
/// The place that the connector names cannot be used.
pub fn open(
    connector: &SinkConnector,
    context: SinkContext,
    stdout: &LineWriter,
    places: (&dyn Places, &Clock),
) -> Result<Box<dyn Sink>, SinkError> {
    Ok(match connector {
        SinkConnector::Stdout(spec) => Box::new(stdout::Stdout::new(spec, stdout.clone())),
        SinkConnector::Files(_) if context.has_checkpoints => Box::new(files::EpochFiles::default()),
        SinkConnector::Files(spec) => Box::new(files::FilesAtOnce::open(spec, context, places)?),
        SinkConnector::Blackhole => Box::new(blackhole::Blackhole::default()),
    })
}

/// The publisher of a sink of a job with checkpoints; `None` for sinks without an outbox. Checks (and makes) the place
/// that the connector names, so it is also asked when a job is accepted. Blocks on the disk for a moment.
///
/// # Errors
/// The place cannot be used.
pub fn publisher(
    connector: &SinkConnector,
    job: JobId,
    sink: &Uid,
    places: (&dyn Places, &Clock),
) -> Result<Option<Arc<dyn Publisher>>, SinkError> {
    match connector {
        SinkConnector::Files(spec) => Ok(Some(Arc::new(publish_files::FilePublisher::open(spec, job, sink, places)?))),
        SinkConnector::Stdout(_) | SinkConnector::Blackhole => Ok(None),
    }
}
