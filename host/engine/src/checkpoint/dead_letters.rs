//! A job's dead letters in the store.
//!
//! They are an outbox like a sink's results: sealed with a checkpoint, and public once its entry exists. Published, the
//! dead letters of one subtask and checkpoint are one object, whose name is a function of both: publishing it twice is
//! publishing it once.

use bytes::Bytes;
use weir_protocol::Fault;
use weir_protocol::id::{CheckpointId, JobId, SubtaskId};

use crate::dead_letter::DeadLetter;
use crate::store::{ObjectName, Prefix, Store, StoreError};

/// The most dead letters that are read at once.
pub const LETTERS_MAX: usize = 10_000;

/// The most bytes of dead letters that are read at once; the object that passes it is the last one read.
const BYTES_MAX: usize = 16 << 20;

/// Why dead letters cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeadLettersError {
    /// The store says so.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An object holds something else.
    #[error("object `{object}`, line {line}: no dead letter: {reason}")]
    Damaged {
        /// The object.
        object: ObjectName,
        /// From 1.
        line: usize,
        /// What the parser says.
        reason: String,
    },
}

impl DeadLettersError {
    /// Who must act.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Store(error) => error.fault(),
            Self::Damaged { .. } => Fault::Corrupt,
        }
    }
}

/// Publishes the dead letters of one checkpoint: one JSON object a line, each subtask once.
///
/// # Errors
/// [`Fault::Unavailable`]; then it may be done again.
pub async fn publish_dead_letters(
    store: &Store,
    job: JobId,
    checkpoint: CheckpointId,
    parts: impl IntoIterator<Item = (SubtaskId, Bytes)>,
) -> Result<(), StoreError> {
    for (subtask, bytes) in parts {
        store.put(&ObjectName::dead_letters(job, checkpoint, &subtask), bytes).await?;
    }
    Ok(())
}

/// The newest `limit` dead letters of a job that are public (at most [`LETTERS_MAX`], and about 16 MiB), newest first;
/// within one checkpoint by subtask.
///
/// # Errors
/// [`DeadLettersError`].
pub async fn read_dead_letters(store: &Store, job: JobId, limit: usize) -> Result<Vec<DeadLetter>, DeadLettersError> {
    let limit = limit.min(LETTERS_MAX);
    let (mut letters, mut bytes_read) = (Vec::new(), 0);
    for found in store.list(&Prefix::dead_letters(job)).await?.into_iter().rev() {
        if letters.len() >= limit || bytes_read >= BYTES_MAX {
            break;
        }
        let Some(bytes) = store.get(&found.name).await? else { continue };
        bytes_read += bytes.len();
        let lines: Result<Vec<_>, _> = bytes
            .split(|byte| *byte == b'\n')
            .enumerate()
            .filter(|(_, line)| !line.is_empty())
            .map(|(at, line)| parse(&found.name, at + 1, line))
            .collect();
        letters.extend(lines?.into_iter().rev());
    }
    letters.truncate(limit);
    Ok(letters)
}

fn parse(object: &ObjectName, line: usize, text: &[u8]) -> Result<DeadLetter, DeadLettersError> {
    serde_json::from_slice(text).map_err(|error| {
        let (object, reason) = (object.clone(), error.to_string());
        DeadLettersError::Damaged { object, line, reason }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::memory::InMemory;

    use super::*;
    use crate::clock::Clock;

    fn letter(reason: &str) -> DeadLetter {
        DeadLetter {
            uid: "parse".parse().unwrap(),
            subtask: 0,
            at: 1,
            reason: reason.to_owned(),
            origin: "file:0".to_owned(),
            key: None,
            value: None,
            event_time: None,
        }
    }

    fn line(reason: &str) -> Bytes {
        Bytes::from(serde_json::to_string(&letter(reason)).unwrap() + "\n")
    }

    fn subtask(index: u32) -> SubtaskId {
        SubtaskId { uid: "parse".parse().unwrap(), index }
    }

    async fn published() -> (Store, JobId) {
        let (store, job) = (Store::new(Arc::new(InMemory::new()), Clock::system()), JobId(1));
        for _ in 0..2 {
            let parts = [(subtask(0), Bytes::from([line("a"), line("b")].concat())), (subtask(1), line("c"))];
            publish_dead_letters(&store, job, CheckpointId(9), parts).await.unwrap();
        }
        publish_dead_letters(&store, job, CheckpointId(10), [(subtask(0), line("d"))]).await.unwrap();
        (store, job)
    }

    #[tokio::test]
    async fn dead_letters_published_twice_are_read_once_and_newest_first() {
        let (store, job) = published().await;
        let reasons = async |limit| {
            let letters = read_dead_letters(&store, job, limit).await.unwrap();
            letters.into_iter().map(|letter| letter.reason).collect::<String>()
        };
        assert_eq!(reasons(100).await, "dcba");
        assert_eq!(reasons(2).await, "dc");
        assert_eq!(reasons(0).await, "");
    }

    #[tokio::test]
    async fn an_object_that_holds_something_else_is_named_with_its_line() {
        let (store, job) = published().await;
        let name = ObjectName::dead_letters(job, CheckpointId(11), &subtask(0));
        store.put(&name, Bytes::from([line("e"), Bytes::from_static(b"{")].concat())).await.unwrap();
        let error = read_dead_letters(&store, job, 100).await.unwrap_err();
        assert_eq!(error.fault(), Fault::Corrupt);
        assert!(error.to_string().contains(&format!("`{name}`, line 2")), "{error}");
    }
}
