//! Bytes become a blob: held in the manifest where they are few, else an object of the subtask's own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use weir_protocol::chain::Owner;
use weir_protocol::id::{JobId, SubtaskId};
use weir_protocol::manifest::Blob;

use super::growing::{GrowingBlob, Sent};
use crate::store::{DataKind, ObjectName, Store, StoreError};

/// Makes the blobs of one subtask and one kind, under names that nobody else makes.
#[derive(Debug)]
pub struct BlobWriter {
    store: Store,
    job: JobId,
    owner: Owner,
    subtask: SubtaskId,
    kind: DataKind,
    seq: u64,
    /// Bytes of the blobs that were made.
    written: u64,
}

/// Bytes that are closed and not in the store; one count for all uploaders of a job.
#[derive(Debug, Clone, Default)]
pub struct Unsaved(Arc<AtomicU64>);

impl BlobWriter {
    /// For one subtask of the attempt that `owner` began. A subtask has at most one for each kind.
    #[must_use]
    pub const fn new(store: Store, job: JobId, owner: Owner, subtask: SubtaskId, kind: DataKind) -> Self {
        Self { store, job, owner, subtask, kind, seq: 0, written: 0 }
    }

    /// Makes bytes durable, or part of the manifest. After an error the same bytes may be given again.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn write(&mut self, bytes: &Bytes) -> Result<Blob, StoreError> {
        let blob = match bytes.len() <= Blob::INLINE_BYTES_MAX {
            true => Blob::inline(bytes),
            false => self.begin().finish(bytes.clone()).await?,
        };
        self.note_written(&blob);
        Ok(blob)
    }

    /// Counts a blob that was begun here.
    pub(super) fn note_written(&mut self, blob: &Blob) {
        self.written += blob.bytes();
    }

    /// How many bytes were made into blobs since this was asked last.
    pub(super) const fn take_written(&mut self) -> u64 {
        std::mem::replace(&mut self.written, 0)
    }

    /// Begins to make a blob of bytes that come in parts.
    pub(super) fn begin(&mut self) -> GrowingBlob {
        // A number is used once, also where the store had no answer: what was written then is never named.
        let name = ObjectName::data(self.job, self.owner, &self.subtask, self.seq, self.kind);
        self.seq += 1;
        let (store, subtask) = (self.store.clone(), self.subtask.clone());
        GrowingBlob { store, name, made_by: self.owner.number, job: self.job, subtask, sent: Sent::default() }
    }

    pub(super) const fn store(&self) -> &Store {
        &self.store
    }

    pub(super) const fn job(&self) -> JobId {
        self.job
    }

    pub(super) const fn subtask(&self) -> &SubtaskId {
        &self.subtask
    }
}

impl Unsaved {
    /// How many.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Whether a checkpoint may be triggered.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.bytes() < super::UNSAVED_BYTES_MAX
    }

    pub(super) fn add(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn sub(&self, bytes: u64) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}
