//! Writing an object, in parts where it is large, or where not all of it is there yet.
//!
//! Guarantees that the object appears whole or not at all, and that of an upload which failed nothing is left where the
//! store still answers. Does not repeat anything, as a part cannot be sent again under its number from here: a cloud's
//! client repeats parts by itself, and the caller the whole.

use bytes::Bytes;
use futures::stream::FuturesUnordered;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, Result, UploadPart};

use super::{ObjectName, StoreError, unavailable};

/// Larger objects are written in parts of this size. Clouds take no smaller ones than 5 MiB, and 10,000 at most.
pub const PART_BYTES: usize = 8 << 20;
/// Parts of one object that are on their way at once.
const PARTS_AT_ONCE: usize = 4;
/// Parts that an object is meant to have at most: less than half of what clouds take, since how long it becomes is only
/// known when it is there.
const PARTS_WANTED: u64 = 4_000;

/// The size of the parts of an object that will have about so many bytes. All are of one size, as some stores want it.
pub fn part_bytes(about: u64) -> usize {
    let mebibytes = about.div_ceil(PARTS_WANTED << 20);
    usize::try_from(mebibytes << 20).unwrap_or(usize::MAX).max(PART_BYTES)
}

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
    sending: FuturesUnordered<UploadPart>,
    /// How many may be on their way.
    at_once: usize,
}

impl Parts {
    pub(super) fn new(name: ObjectName, upload: Box<dyn MultipartUpload>, part_bytes: usize) -> Self {
        let at_once = (PARTS_AT_ONCE * PART_BYTES / part_bytes).max(1);
        Self { name, upload, sending: FuturesUnordered::new(), at_once }
    }

    /// Whether the next part may be put: what is on its way is in memory.
    pub fn has_room(&self) -> bool {
        self.sending.len() < self.at_once
    }

    /// Puts the next part on its way. All have the same length, but for the last, which may be shorter.
    pub fn put(&mut self, part: Bytes) {
        self.sending.push(self.upload.put_part(PutPayload::from(part)));
    }

    /// Waits until one more part has arrived; for ever where none is on its way.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; then the object can only be [given up](Self::abort).
    pub async fn sent(&mut self) -> std::result::Result<(), StoreError> {
        match self.sending.next().await {
            Some(sent) => sent.map_err(|error| unavailable("write", &self.name, &error)),
            None => std::future::pending().await,
        }
    }

    /// Makes an object of all parts.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; then the object may exist or not, and what is left can be [given up](Self::abort).
    pub async fn complete(&mut self) -> std::result::Result<(), StoreError> {
        while !self.sending.is_empty() {
            self.sent().await?;
        }
        self.upload.complete().await.map(drop).map_err(|error| unavailable("write", &self.name, &error))
    }

    /// Gives up, so that nothing is left where the store still answers.
    pub async fn abort(mut self) {
        self.sending.clear();
        drop(self.upload.abort().await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_of_whatever_length_has_no_more_parts_than_clouds_take_though_it_becomes_longer_than_was_thought() {
        for about in [0, 1, 80 << 30, 100 << 30, 1 << 40, 2 << 40] {
            let part = part_bytes(about);
            assert!(part >= PART_BYTES && part as u64 * 10_000 >= about / 2 * 5, "{about}: {part}");
        }
        assert_eq!(part_bytes(30 << 30), PART_BYTES);
    }
}
