//! Snapshots of one subtask's state that belongs to no key.

use bytes::Bytes;
use weir_protocol::manifest::Blob;

use super::{BlobWriter, Unsaved, UploadError};
use crate::spawn::Runtime;
use crate::state::FrozenUnkeyed;

/// Makes one subtask's snapshots durable. Each holds everything, so only the newest counts.
#[derive(Debug)]
pub struct UnkeyedUploader {
    blobs: BlobWriter,
    runtime: Runtime,
    /// The newest that is durable.
    listed: Option<Blob>,
    unsaved: Option<Unencoded>,
    unsaved_bytes: Unsaved,
}

/// A snapshot that is not in the store.
#[derive(Debug)]
enum Unencoded {
    Frozen(FrozenUnkeyed),
    Encoded(Bytes),
}

impl UnkeyedUploader {
    /// For a subtask that was restored from the snapshot `restored`; `blobs` are of the kind
    /// [`Unkeyed`](crate::store::DataKind::Unkeyed). Encoding runs on blocking threads of `runtime`.
    #[must_use]
    pub const fn new(blobs: BlobWriter, restored: Option<Blob>, unsaved_bytes: Unsaved, runtime: Runtime) -> Self {
        Self { blobs, runtime, listed: restored, unsaved: None, unsaved_bytes }
    }

    /// Takes what was frozen at a barrier (`None`: nothing was written), and gives the snapshot that its checkpoint must
    /// name: what was frozen for a checkpoint that failed is in it. `None`: there is no state. Not cancel-safe.
    ///
    /// # Errors
    /// Where the store is away; then what was frozen is kept, and tried again with the next.
    pub async fn close(&mut self, frozen: Option<FrozenUnkeyed>) -> Result<Option<Blob>, UploadError> {
        if let Some(frozen) = frozen {
            self.forget_unsaved();
            self.unsaved_bytes.add(frozen.bytes());
            self.unsaved = Some(Unencoded::Frozen(frozen));
        }
        self.retry().await?;
        Ok(self.listed.clone())
    }

    /// How many bytes were made durable since this was asked last.
    pub const fn take_written(&mut self) -> u64 {
        self.blobs.take_written()
    }

    /// Whether the newest snapshot is not in the store: it was away.
    #[must_use]
    pub const fn has_unsaved(&self) -> bool {
        self.unsaved.is_some()
    }

    /// Tries again to upload the newest snapshot. Not cancel-safe.
    ///
    /// # Errors
    /// As [`close`](Self::close).
    pub async fn retry(&mut self) -> Result<(), UploadError> {
        let bytes = match &self.unsaved {
            None => return Ok(()),
            Some(Unencoded::Frozen(frozen)) if frozen.is_empty() => {
                self.forget_unsaved();
                self.listed = None;
                return Ok(());
            }
            Some(Unencoded::Encoded(bytes)) => bytes.clone(),
            Some(Unencoded::Frozen(frozen)) => {
                let frozen = frozen.clone();
                let bytes = self.runtime.blocking("encode a snapshot", move || frozen.encode()).await?;
                self.forget_unsaved();
                self.unsaved_bytes.add(bytes.len() as u64);
                self.unsaved = Some(Unencoded::Encoded(bytes.clone()));
                bytes
            }
        };
        self.listed = Some(self.blobs.write(&bytes).await?);
        self.forget_unsaved();
        Ok(())
    }

    fn forget_unsaved(&mut self) {
        self.unsaved_bytes.sub(match self.unsaved.take() {
            None => 0,
            Some(Unencoded::Frozen(frozen)) => frozen.bytes(),
            Some(Unencoded::Encoded(bytes)) => bytes.len() as u64,
        });
    }
}

impl Drop for UnkeyedUploader {
    fn drop(&mut self) {
        self.forget_unsaved();
    }
}
