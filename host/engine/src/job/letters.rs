//! Dead letters of a job without checkpoints: public at once.

use bytes::Bytes;
use weir_protocol::id::{CheckpointId, EntryNumber, JobId, SubtaskId};

use crate::checkpoint::dead_letters::publish_dead_letters;
use crate::store::Store;
use crate::task::{SealedLetters, TaskError};

/// Parts that one attempt of a subtask may publish before its numbers would meet the next attempt's.
const PARTS_BITS: u32 = 32;

/// Publishes the dead letters of one subtask of one attempt, each part under a number of its own: there are no
/// checkpoints whose numbers they could have.
#[derive(Debug)]
pub(crate) struct LetterPublisher {
    store: Store,
    job: JobId,
    subtask: SubtaskId,
    next: CheckpointId,
}

impl LetterPublisher {
    /// For a subtask of the attempt that entry `owner` began.
    pub(crate) fn new(store: Store, job: JobId, subtask: SubtaskId, owner: EntryNumber) -> Self {
        Self { store, job, subtask, next: CheckpointId(owner.next().0 << PARTS_BITS) }
    }

    pub(crate) async fn publish(&mut self, letters: SealedLetters) -> Result<(), TaskError> {
        let part: (SubtaskId, Bytes) = (self.subtask.clone(), letters.bytes);
        let published = publish_dead_letters(&self.store, self.job, self.next, [part]).await;
        self.next = self.next.next();
        published.map_err(|error| TaskError::new(error.fault(), error.to_string()))
    }
}
