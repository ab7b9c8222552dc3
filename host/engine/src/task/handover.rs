//! From a subtask to whoever makes its parts of checkpoints durable.
//!
//! A short queue: what was sealed and is not durable yet is memory, so a subtask whose store lags waits at its next
//! barrier.

use tokio::sync::mpsc;
use weir_protocol::id::CheckpointId;
use weir_protocol::time::Timestamp;

use crate::sink::SealedPart;
use crate::source::Positions;
use crate::state::{FrozenSegment, FrozenUnkeyed};

use super::{SealedLetters, TaskError};

/// Sealed epochs that may wait for the store, for each subtask.
const QUEUE_EPOCHS_MAX: usize = 2;

/// What a subtask hands over, in the order in which it happened.
#[derive(Debug)]
pub(crate) enum Handed {
    /// Its part of a checkpoint.
    Sealed(CheckpointId, Sealed),
    /// Its last part: it has finished, and takes part in no later checkpoint.
    Finished(Sealed),
    /// A sink's results, some of an epoch that is not over.
    Results(SealedPart),
    /// What an operator wrote to its state, some of an epoch that is not over.
    Segment(FrozenSegment),
    /// Dead letters of a job without checkpoints, to be published at once.
    Letters(SealedLetters),
}

/// One subtask's part of one epoch.
#[derive(Debug)]
pub(crate) struct Sealed {
    /// What its kind of subtask seals.
    pub(crate) kind: SealedKind,
    /// The epoch's dead letters.
    pub(crate) letters: Option<SealedLetters>,
    /// Records given up on since the attempt began.
    pub(crate) given_up: u64,
}

/// What each kind of subtask seals.
#[derive(Debug)]
pub(crate) enum SealedKind {
    /// A source: how far it has read.
    Source(Positions),
    /// An operator.
    Operator {
        /// What the epoch wrote; `None`: nothing.
        segment: Option<FrozenSegment>,
        /// All that belongs to no key; `None`: the epoch wrote nothing of it.
        unkeyed: Option<FrozenUnkeyed>,
        /// The merged watermark of its inputs.
        watermark: Timestamp,
        /// The processing time that it has reached.
        processing_time: Timestamp,
    },
    /// A sink: the epoch's results.
    Sink(Option<SealedPart>),
}

/// The subtask's end.
#[derive(Debug, Clone)]
pub(crate) struct Handover(mpsc::Sender<Handed>);

/// The other end.
#[derive(Debug)]
pub(crate) struct Receiver(mpsc::Receiver<Handed>);

/// Both ends of the queue of one subtask.
pub(crate) fn handover() -> (Handover, Receiver) {
    let (sender, receiver) = mpsc::channel(QUEUE_EPOCHS_MAX);
    (Handover(sender), Receiver(receiver))
}

impl Handover {
    pub(crate) async fn give(&self, handed: Handed) -> Result<(), TaskError> {
        let gone = |_| TaskError::consequence("the job no longer takes this subtask's parts of checkpoints");
        self.0.send(handed).await.map_err(gone)
    }
}

impl Receiver {
    /// The next one; `None` once the subtask is gone.
    pub(crate) async fn next(&mut self) -> Option<Handed> {
        self.0.recv().await
    }
}
