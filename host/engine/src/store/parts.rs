//! Writing an object, in parts where it is large, or where not all of it is there yet.
//!
//! Guarantees that the object appears whole or not at all, and that of an upload which failed nothing is left where the
//! store still answers; of one that nobody waits for any more, parts may be. Does not repeat anything, as a part cannot be
//! sent again under its number from here: a cloud's client repeats parts by itself, and the caller the whole.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, Result, UploadPart};

use super::{ObjectName, StoreError, unavailable};
use crate::clock::Clock;

/// Larger objects are written in parts of this size. Clouds take no smaller ones than 5 MiB, and 10,000 at most.
pub const PART_BYTES: usize = 8 << 20;
/// Parts of one object that are on their way at once.
const PARTS_AT_ONCE: usize = 4;
/// Parts that an object is meant to have at most: less than half of what clouds take, since how long it becomes is only
/// known when it is there.
const PARTS_WANTED: u64 = 4_000;

/// How long the store is waited for where all that is left to do is to give up what was begun there.
pub const ABORT_WAIT: Duration = Duration::from_secs(2);

/// The size of the parts of an object that will have about so many bytes. All are of one size, as some stores want it.
pub fn part_bytes(about: u64) -> usize {
    let mebibytes = about.div_ceil(PARTS_WANTED << 20);
    usize::try_from(mebibytes << 20).unwrap_or(usize::MAX).max(PART_BYTES)
}

/// Writes an object, whatever was there before.
pub(super) async fn put(objects: &dyn ObjectStore, name: &ObjectName, bytes: &Bytes, clock: Clock) -> Result<()> {
    if bytes.len() <= PART_BYTES {
        objects.put(&name.0, PutPayload::from(bytes.clone())).await?;
        return Ok(());
    }
    let mut parts = Parts::new(name.clone(), objects.put_multipart(&name.0).await?, PART_BYTES, clock);
    let written = parts.write(bytes).await;
    if written.is_err() {
        parts.abort().await;
    }
    written
}

/// An object that is written part by part. Nothing of it is there before it is complete.
#[derive(Debug)]
pub struct Parts {
    name: ObjectName,
    upload: Box<dyn MultipartUpload>,
    sending: FuturesUnordered<UploadPart>,
    /// How many may be on their way.
    at_once: usize,
    clock: Clock,
}

impl Parts {
    pub(super) fn new(name: ObjectName, upload: Box<dyn MultipartUpload>, part_bytes: usize, clock: Clock) -> Self {
        let at_once = (PARTS_AT_ONCE * PART_BYTES / part_bytes).max(1);
        Self { name, upload, sending: FuturesUnordered::new(), at_once, clock }
    }

    /// All of an object that is there already.
    async fn write(&mut self, bytes: &Bytes) -> Result<()> {
        for start in (0..bytes.len()).step_by(PART_BYTES) {
            while !self.has_room() {
                self.arrived().await?;
            }
            self.put(bytes.slice(start..bytes.len().min(start.saturating_add(PART_BYTES))));
        }
        self.completed().await
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
        self.arrived().await.map_err(|error| unavailable("write", &self.name, &error))
    }

    async fn arrived(&mut self) -> Result<()> {
        match self.sending.next().await {
            Some(sent) => sent,
            None => std::future::pending().await,
        }
    }

    /// Makes an object of all parts.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; then the object may exist or not, and what is left can be [given up](Self::abort).
    pub async fn complete(&mut self) -> std::result::Result<(), StoreError> {
        self.completed().await.map_err(|error| unavailable("write", &self.name, &error))
    }

    async fn completed(&mut self) -> Result<()> {
        while !self.sending.is_empty() {
            self.arrived().await?;
        }
        self.upload.complete().await.map(drop)
    }

    /// Gives up, so that nothing is left where the store still answers. One that does not is waited for no longer than
    /// [`ABORT_WAIT`].
    pub async fn abort(mut self) {
        self.sending.clear();
        tokio::select! {
            biased;
            // That this fails too says nothing new; the bucket's own rules remove what was begun and never finished.
            _ended = self.upload.abort() => {}
            () = self.clock.sleep(ABORT_WAIT) => {}
        }
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
