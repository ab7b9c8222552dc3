//! Bytes become a blob: held in the manifest where they are few, else an object of the subtask's own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use weir_protocol::chain::Owner;
use weir_protocol::id::{JobId, SubtaskId};
use weir_protocol::manifest::{Blob, Checksum, ObjectRef};

use crate::step::{Place, Step};
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
}

/// Bytes that are closed and not in the store; one count for all uploaders of a job.
#[derive(Debug, Clone, Default)]
pub struct Unsaved(Arc<AtomicU64>);

impl BlobWriter {
    /// For one subtask of the attempt that `owner` began. A subtask has at most one for each kind.
    #[must_use]
    pub const fn new(store: Store, job: JobId, owner: Owner, subtask: SubtaskId, kind: DataKind) -> Self {
        Self { store, job, owner, subtask, kind, seq: 0 }
    }

    /// Makes bytes durable, or part of the manifest. After an error the same bytes may be given again.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn write(&mut self, bytes: &Bytes) -> Result<Blob, StoreError> {
        if bytes.len() <= Blob::INLINE_BYTES_MAX {
            return Ok(Blob::inline(bytes));
        }
        // A number is used once, also where the store had no answer: what was written then is never named.
        let name = ObjectName::data(self.job, self.owner, &self.subtask, self.seq, self.kind);
        self.seq += 1;
        let place = Place { job: Some(self.job), ..Place::of_subtask(&self.subtask) };
        Step::Upload.before(place);
        self.store.put(&name, bytes.clone()).await?;
        Step::Upload.after(place);
        Ok(Blob::Object(ObjectRef {
            name: name.to_string(),
            made_by: self.owner.number,
            bytes: bytes.len() as u64,
            checksum: Checksum::of(bytes),
        }))
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
