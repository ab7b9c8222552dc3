//! Files merged into a new base, in the background or while a checkpoint waits for it.
//!
//! Guarantees that of the whole node no more merges which nobody waits for run than it has cores, that one whose owner
//! stops it or is gone ends at its next step, or soon where the store is away, that nothing is left of what was not
//! completed where the store still answers, and that one which failed is not begun again at once. The base goes to the
//! store as it is made: whatever its size, of what is read about [`MERGE_BYTES`] are in memory, and of what is written
//! a few parts. Does not own when a merge is worth it.

use std::future::pending;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use tokio::sync::mpsc;
use weir_protocol::manifest::{Blob, StateFile};
use weir_protocol::time::Timestamp;

use super::UploadError;
use super::growing::GrowingBlob;
use crate::checkpoint::stored::StoredFiles;
use crate::clock::Clock;
use crate::spawn::{Runtime, Stop, TaskGroup};
use crate::state::Expiry;
use crate::state::file::merge_in_parts;
use crate::store::{ABORT_WAIT, PART_BYTES, part_bytes};

/// Memory that files which are being merged may fill.
const MERGE_BYTES: u64 = 16 << 20;
/// How long after a merge failed the next is begun; twice as long after each that fails behind it.
const FIRST_DELAY: Duration = Duration::from_secs(1);
/// The longest.
const LAST_DELAY: Duration = Duration::from_secs(300);

/// What a merge is made of and where it goes.
pub(super) struct Merge {
    pub(super) stored: StoredFiles,
    pub(super) runtime: Runtime,
    /// Oldest first.
    pub(super) files: Vec<StateFile>,
    pub(super) expiry: Option<Expiry>,
    pub(super) base: GrowingBlob,
    /// A checkpoint waits for it, so it waits for no other merge.
    pub(super) is_awaited: bool,
}

/// A merge on its way.
#[derive(Debug)]
pub(super) struct Merging(TaskGroup<Result<Blob, UploadError>>);

/// When the next merge may begin.
#[derive(Debug, Default)]
pub(super) struct Pause {
    until: Option<Timestamp>,
    delay: Duration,
}

impl Merging {
    pub(super) fn begin(merge: Merge) -> Self {
        let mut task = TaskGroup::new(merge.runtime.clone());
        task.spawn_stoppable("merge checkpoint files", |stop| merge.run(stop));
        Self(task)
    }

    /// What came of it, once it has ended.
    pub(super) async fn ended(&mut self) -> Result<Blob, UploadError> {
        self.0.next().await.expect("a merge is one task, and is joined once")?.1
    }

    /// The same, if it has.
    pub(super) fn has_ended(&mut self) -> Option<Result<Blob, UploadError>> {
        self.ended().now_or_never()
    }

    /// Ends it, and waits for that.
    pub(super) async fn stop(self) {
        self.0.stop(pending()).await;
    }
}

impl Merge {
    async fn run(self, stop: Stop) -> Result<Blob, UploadError> {
        let Self { stored, runtime, files, expiry, mut base, is_awaited } = self;
        let stored = stored.until(stop.clone());
        let merged = async {
            let _turn = match is_awaited {
                true => None,
                false => Some(stop.before(runtime.turn()).await.ok_or(UploadError::Abandoned)?),
            };
            let rest = merge_into(&mut base, (stored, &runtime), &files, expiry, &stop).await?;
            stop.before(base.finish(rest)).await.ok_or(UploadError::Abandoned)?.map_err(UploadError::from)
        };
        let merged = merged.await;
        if merged.is_err() {
            base.abort().await;
        }
        merged
    }
}

/// Sends what files merge into but for the rest, which is left.
async fn merge_into(
    base: &mut GrowingBlob,
    (stored, runtime): (StoredFiles, &Runtime),
    files: &[StateFile],
    expiry: Option<Expiry>,
    stop: &Stop,
) -> Result<Bytes, UploadError> {
    let bytes: u64 = files.iter().map(|file| file.blob.bytes()).sum();
    let is_sent_whole = bytes <= PART_BYTES as u64 || !runtime.has_threads();
    let part_bytes = if is_sent_whole { usize::MAX } else { part_bytes(bytes) };
    let files = stop.before(stored.open(files, MERGE_BYTES)).await.ok_or(UploadError::Abandoned)??;
    let place = stop.before(runtime.place()).await.ok_or(UploadError::Abandoned)?;
    let (parts, arriving) = mpsc::channel(1);
    let merged = runtime.waiting_in(place, "merge checkpoint files", move || {
        let take = |part| parts.blocking_send(part).map_err(|_| UploadError::Abandoned);
        merge_in_parts(files, true, expiry.as_ref(), part_bytes, take)
    });
    // Where either fails the other ends too, and is waited for.
    let (merged, sent) = tokio::join!(merged, send(arriving, base, stop));
    sent?;
    merged?
}

/// Sends parts as they arrive, a few at once, until there are no more.
async fn send(mut arriving: mpsc::Receiver<Bytes>, base: &mut GrowingBlob, stop: &Stop) -> Result<(), UploadError> {
    loop {
        let has_room = base.has_room();
        tokio::select! {
            biased;
            () = stop.asked() => return Err(UploadError::Abandoned),
            sent = base.sent() => sent?,
            part = arriving.recv(), if has_room => match part {
                Some(part) => put(part, base, stop).await?,
                None => return Ok(()),
            },
        }
    }
}

/// Puts a part on its way. The first one begins an upload, which can only be given up once the store has named it: so
/// that is waited for though the merge should end.
async fn put(part: Bytes, base: &mut GrowingBlob, stop: &Stop) -> Result<(), UploadError> {
    let clock = base.store.clock();
    let late = async {
        stop.asked().await;
        clock.sleep(ABORT_WAIT).await;
    };
    tokio::select! {
        biased;
        put = base.put(part) => Ok(put?),
        () = late => Err(UploadError::Abandoned),
    }
}

impl Pause {
    pub(super) fn is_over(&self, clock: Clock) -> bool {
        self.until.is_none_or(|until| clock.now() >= until)
    }

    /// A merge failed.
    pub(super) fn begin(&mut self, clock: Clock) {
        self.delay = (self.delay * 2).clamp(FIRST_DELAY, LAST_DELAY);
        let millis = u64::try_from(self.delay.as_millis()).expect("it is at most LAST_DELAY");
        self.until = Some(clock.now().saturating_add_unsigned(millis));
    }
}

#[cfg(test)]
mod tests;
