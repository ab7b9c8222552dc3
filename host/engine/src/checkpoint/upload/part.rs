//! Sealed results, and dead letters, of one subtask.

use std::collections::VecDeque;

use bytes::Bytes;
use weir_protocol::id::CheckpointId;
use weir_protocol::manifest::OutboxPart;

use super::{BlobWriter, Unsaved, UploadError};

/// Makes one subtask's parts of outboxes durable, and keeps them listed until an entry names them.
#[derive(Debug)]
pub struct PartUploader {
    blobs: BlobWriter,
    unsaved: VecDeque<Sealed>,
    unsaved_bytes: Unsaved,
    unrecorded: Vec<OutboxPart>,
}

#[derive(Debug)]
struct Sealed {
    epoch: CheckpointId,
    bytes: Bytes,
    records: u64,
}

impl PartUploader {
    /// With no parts yet; `blobs` are of the kind [`Outbox`](crate::store::DataKind::Outbox).
    #[must_use]
    pub const fn new(blobs: BlobWriter, unsaved_bytes: Unsaved) -> Self {
        Self { blobs, unsaved: VecDeque::new(), unsaved_bytes, unrecorded: Vec::new() }
    }

    /// Takes what was sealed at a barrier (`None`: nothing came since the last one) and gives all parts, oldest first,
    /// that the checkpoint must record: those of failed checkpoints too.
    ///
    /// # Errors
    /// Where the store is away; then what was sealed is kept, and tried again with the next one.
    pub async fn seal(
        &mut self,
        epoch: CheckpointId,
        part: Option<(Bytes, u64)>,
    ) -> Result<Vec<OutboxPart>, UploadError> {
        if let Some((bytes, records)) = part {
            self.unsaved_bytes.add(bytes.len() as u64);
            self.unsaved.push_back(Sealed { epoch, bytes, records });
        }
        self.retry().await?;
        Ok(self.unrecorded.clone())
    }

    /// How many bytes were made durable since this was asked last.
    pub const fn take_written(&mut self) -> u64 {
        self.blobs.take_written()
    }

    /// Whether something sealed is not in the store: it was away.
    #[must_use]
    pub fn has_unsaved(&self) -> bool {
        !self.unsaved.is_empty()
    }

    /// Tries again to upload what is sealed, so that there is room for the next checkpoint. Not cancel-safe.
    ///
    /// # Errors
    /// As [`seal`](Self::seal).
    pub async fn retry(&mut self) -> Result<(), UploadError> {
        while let Some(sealed) = self.unsaved.front() {
            let blob = self.blobs.write(&sealed.bytes).await?;
            let sealed = self.unsaved.pop_front().expect("the front was just written");
            self.unsaved_bytes.sub(sealed.bytes.len() as u64);
            let (subtask, epoch, records) = (self.blobs.subtask().clone(), sealed.epoch, sealed.records);
            self.unrecorded.push(OutboxPart { subtask, epoch, blob, records });
        }
        Ok(())
    }

    /// Notes that an entry records this checkpoint, and with it everything sealed up to its barrier.
    pub fn recorded(&mut self, checkpoint: CheckpointId) {
        self.unrecorded.retain(|part| part.epoch > checkpoint);
    }
}

impl Drop for PartUploader {
    fn drop(&mut self) {
        self.unsaved_bytes.sub(self.unsaved.iter().map(|sealed| sealed.bytes.len() as u64).sum());
    }
}
