//! Writing an object, in parts where it is large, or where not all of it is there yet.
//!
//! Guarantees that the object appears whole or not at all, and that of an upload which failed nothing is left where the
//! store still answers. Does not repeat anything: the caller does.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, Result};

use super::{ObjectName, StoreError, unavailable};

/// Larger objects are written in parts of this size. Clouds take no smaller ones than 5 MiB, and 10,000 at most.
pub const PART_BYTES: usize = 8 << 20;
/// Parts of one object that are on their way at once.
const PARTS_AT_ONCE: usize = 4;

/// Writes an object, whatever was there before.
pub(super) async fn put(objects: &dyn ObjectStore, name: &Path, bytes: &Bytes) -> Result<()> {
    if bytes.len() <= PART_BYTES {
        objects.put(name, PutPayload::from(bytes.clone())).await?;
        return Ok(());
    }
    let mut upload = objects.put_multipart(name).await?;
    let starts = (0..bytes.len()).step_by(PART_BYTES);
    let part = |start: usize| PutPayload::from(bytes.slice(start..bytes.len().min(start.saturating_add(PART_BYTES))));
    // Parts are numbered as they are asked for, so this is done in order, and each as its turn comes.
    let sent = stream::iter(starts).map(|start| upload.put_part(part(start))).buffered(PARTS_AT_ONCE).try_collect();
    match sent.await {
        Ok(()) => {}
        Err(error) => {
            // That this fails too says nothing new; the bucket's own rules remove what was begun and never finished.
            drop(upload.abort().await);
            return Err(error);
        }
    }
    upload.complete().await?;
    Ok(())
}

/// An object that is written part by part. Nothing of it is there before it is complete.
#[derive(Debug)]
pub struct Parts {
    name: ObjectName,
    upload: Box<dyn MultipartUpload>,
}

impl Parts {
    pub(super) fn new(name: ObjectName, upload: Box<dyn MultipartUpload>) -> Self {
        Self { name, upload }
    }

    /// The next part; what is given back sends it. Each has [`PART_BYTES`], but for the last, which may have fewer.
    pub fn put(&mut self, part: Bytes) -> impl Future<Output = std::result::Result<(), StoreError>> + Send + use<> {
        let (name, sent) = (self.name.clone(), self.upload.put_part(PutPayload::from(part)));
        async move { sent.await.map_err(|error| unavailable("write", &name, &error)) }
    }

    /// Makes an object of all parts, which are sent.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; then the object may exist or not.
    pub async fn complete(mut self) -> std::result::Result<(), StoreError> {
        match self.upload.complete().await {
            Ok(_) => Ok(()),
            Err(error) => {
                let error = unavailable("write", &self.name, &error);
                self.abort().await;
                Err(error)
            }
        }
    }

    /// Gives up, so that nothing is left where the store still answers.
    pub async fn abort(mut self) {
        drop(self.upload.abort().await);
    }
}
