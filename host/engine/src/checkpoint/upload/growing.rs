//! A blob whose bytes come in parts, of which one at a time is in memory.
//!
//! Guarantees that there is no object before it is whole, and that one which fits into one part is written as any other
//! is. Repeats nothing once a part was sent: whoever makes the bytes begins anew.

use bytes::Bytes;
use weir_protocol::id::{EntryNumber, JobId, SubtaskId};
use weir_protocol::manifest::{Blob, Checksum, ObjectRef};
use xxhash_rust::xxh3::Xxh3;

use crate::step::{Place, Step};
use crate::store::{ObjectName, Parts, Store, StoreError};

/// An object that is being written.
pub(super) struct GrowingBlob {
    pub(super) store: Store,
    pub(super) name: ObjectName,
    pub(super) made_by: EntryNumber,
    pub(super) job: JobId,
    pub(super) subtask: SubtaskId,
    pub(super) sent: Sent,
}

/// What of it the store has.
#[derive(Default)]
pub(super) struct Sent {
    bytes: u64,
    hash: Xxh3,
    /// `None`: nothing.
    parts: Option<Parts>,
}

impl GrowingBlob {
    /// Sends a part of [`PART_BYTES`](crate::store::PART_BYTES).
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; then it can only be [given up](Self::abort).
    pub(super) async fn put(&mut self, part: Bytes) -> Result<(), StoreError> {
        let parts = match &mut self.sent.parts {
            Some(parts) => parts,
            none => {
                Step::Upload.before(place(self.job, &self.subtask));
                none.insert(self.store.put_in_parts(&self.name).await?)
            }
        };
        self.sent.hash.update(&part);
        self.sent.bytes += part.len() as u64;
        parts.put(part).await
    }

    /// The blob: all parts, and what comes behind them.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; then nothing is left of it where the store still answers.
    pub(super) async fn finish(self, rest: Bytes) -> Result<Blob, StoreError> {
        let Self { store, name, made_by, job, subtask, sent: Sent { bytes, mut hash, parts } } = self;
        if parts.is_none() && rest.len() <= Blob::INLINE_BYTES_MAX {
            return Ok(Blob::inline(&rest));
        }
        hash.update(&rest);
        let bytes = bytes + rest.len() as u64;
        let place = place(job, &subtask);
        if let Some(mut parts) = parts {
            if let Err(error) = parts.put(rest).await {
                parts.abort().await;
                return Err(error);
            }
            parts.complete().await?;
        } else {
            Step::Upload.before(place);
            store.put(&name, rest).await?;
        }
        Step::Upload.after(place);
        Ok(Blob::Object(ObjectRef { name: name.to_string(), made_by, bytes, checksum: Checksum(hash.digest()) }))
    }

    /// Gives up, so that nothing is left of it where the store still answers.
    pub(super) async fn abort(self) {
        if let Some(parts) = self.sent.parts {
            parts.abort().await;
        }
    }
}

fn place(job: JobId, subtask: &SubtaskId) -> Place<'_> {
    Place { job: Some(job), ..Place::of_subtask(subtask) }
}
