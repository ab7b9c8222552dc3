//! A blob whose bytes come in parts, of which a few are in memory.
//!
//! Guarantees that there is no object before it is whole, and that one which fits into one part is written as any other
//! is. Repeats nothing once a part was sent: whoever makes the bytes begins anew. Whoever gives up says so: an upload that
//! is begun and never ended stays in the store, where no listing shows it.

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

/// What of it the store has, or is being given.
#[derive(Default)]
pub(super) struct Sent {
    bytes: u64,
    hash: Xxh3,
    /// `None`: nothing.
    parts: Option<Parts>,
}

impl GrowingBlob {
    /// Puts a part on its way, which is as long as all before it, where there is [room](Self::has_room).
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; then it can only be [given up](Self::abort).
    pub(super) async fn put(&mut self, part: Bytes) -> Result<(), StoreError> {
        let parts = match &mut self.sent.parts {
            Some(parts) => parts,
            none => {
                Step::Upload.before(place(self.job, &self.subtask));
                none.insert(self.store.put_in_parts(&self.name, part.len()).await?)
            }
        };
        self.sent.hash.update(&part);
        self.sent.bytes += part.len() as u64;
        parts.put(part);
        Ok(())
    }

    /// Whether another part may be put.
    pub(super) fn has_room(&self) -> bool {
        self.sent.parts.as_ref().is_none_or(Parts::has_room)
    }

    /// Waits until one more part has arrived; for ever where none is on its way.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub(super) async fn sent(&mut self) -> Result<(), StoreError> {
        match &mut self.sent.parts {
            Some(parts) => parts.sent().await,
            None => std::future::pending().await,
        }
    }

    /// The blob: all parts, and what comes behind them.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub(super) async fn finish(&mut self, rest: Bytes) -> Result<Blob, StoreError> {
        let Self { store, name, made_by, job, subtask, sent: Sent { bytes, hash, parts } } = self;
        if parts.is_none() && rest.len() <= Blob::INLINE_BYTES_MAX {
            return Ok(Blob::inline(&rest));
        }
        hash.update(&rest);
        *bytes += rest.len() as u64;
        let place = place(*job, subtask);
        if let Some(parts) = parts {
            parts.put(rest);
            parts.complete().await?;
        } else {
            Step::Upload.before(place);
            store.put(name, rest).await?;
        }
        Step::Upload.after(place);
        let (name, checksum) = (name.to_string(), Checksum(hash.digest()));
        Ok(Blob::Object(ObjectRef { name, made_by: *made_by, bytes: *bytes, checksum }))
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
