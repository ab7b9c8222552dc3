//! Closed segments of one subtask, and the base under them.
//!
//! The files of a subtask are a base and the checkpoint files of the segments closed after it. Each checkpoint adds at
//! most one; once they weigh as much as the base, or are many, or the state has shrunk to half of what it was, they are
//! merged in the background into a new base, which covers every segment closed before the merge began: also those whose
//! checkpoint failed. The base holds nothing that had expired at the newest of their barriers.

use std::collections::VecDeque;
use std::mem;

use bytes::Bytes;
use weir_protocol::Fault;
use weir_protocol::key_group::KeyGroupRange;
use weir_protocol::manifest::{Blob, StateFile, SubtaskManifest};

use super::merge::{Merge, Merging, Pause};
use super::{BlobWriter, Unsaved, UploadError};
use crate::checkpoint::stored::StoredFiles;
use crate::spawn::Runtime;
use crate::state::{Expiry, FrozenSegment};

/// Files behind the base after which they are merged, whatever their size.
const FILES_MAX: usize = 16;
/// A base smaller than this counts as this size: below it, merging costs more than it saves.
const BASE_BYTES_MIN: u64 = 64 << 10;

/// The files that hold a subtask's state, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateFiles {
    /// All state at one barrier.
    pub base: Option<StateFile>,
    /// The segments closed after it.
    pub files: Vec<StateFile>,
}

/// Makes one subtask's state durable.
#[derive(Debug)]
pub struct StateUploader {
    blobs: BlobWriter,
    key_groups: KeyGroupRange,
    runtime: Runtime,
    listed: StateFiles,
    unsaved: VecDeque<Unencoded>,
    unsaved_bytes: Unsaved,
    merging: Option<Covering>,
    pause: Pause,
    /// What has expired at the newest barrier that closed a segment.
    expiry: Option<Expiry>,
    /// Bytes of live state at that barrier.
    live: u64,
    /// The most that they were since the base.
    live_most: u64,
    /// Whether a checkpoint adds what has changed to the files before it; else it holds everything.
    incremental: bool,
}

/// A closed segment that is not in the store.
#[derive(Debug)]
enum Unencoded {
    Frozen(FrozenSegment),
    Encoded(Bytes),
}

/// What a merge on its way will stand in the place of.
#[derive(Debug)]
struct Covering {
    /// How many files behind the base it covers.
    files: usize,
    /// Bytes of state that were live when it began.
    live: u64,
    merging: Merging,
}

impl StateUploader {
    /// For a subtask that owns `key_groups` and was restored from `restored`; `blobs` are of the kind
    /// [`State`](crate::store::DataKind::State). Encoding and merging are blocking work of `runtime`.
    #[must_use]
    pub fn new(
        blobs: BlobWriter,
        key_groups: KeyGroupRange,
        restored: StateFiles,
        unsaved_bytes: Unsaved,
        runtime: Runtime,
    ) -> Self {
        let unsaved = VecDeque::new();
        Self {
            blobs,
            key_groups,
            runtime,
            listed: restored,
            unsaved,
            unsaved_bytes,
            merging: None,
            pause: Pause::default(),
            expiry: None,
            live: 0,
            live_most: 0,
            incremental: true,
        }
    }

    /// The same, where each checkpoint holds everything if not `incremental`.
    #[must_use]
    pub const fn incremental(mut self, incremental: bool) -> Self {
        self.incremental = incremental;
        self
    }

    /// The same, for state of so many live bytes.
    #[must_use]
    pub const fn with_live(mut self, bytes: u64) -> Self {
        self.live = bytes;
        self.live_most = bytes;
        self
    }

    /// Takes the segment that a barrier closed (`None`: nothing was written), and lists all files that its checkpoint must
    /// name: those of failed checkpoints too. Not cancel-safe.
    ///
    /// # Errors
    /// With [`Fault::Unavailable`] the segment is kept, and tried again with the next
    /// one; with any other fault the job cannot go on.
    pub async fn close(&mut self, segment: Option<FrozenSegment>) -> Result<StateFiles, UploadError> {
        segment.into_iter().for_each(|segment| self.take(segment));
        self.save().await?;
        if self.incremental {
            self.take_merged()?;
            self.merge_if_due();
        } else {
            self.merge_all().await?;
        }
        Ok(self.listed.clone())
    }

    /// Takes a segment that was closed though its epoch is not over: it belongs to the next checkpoint. Not cancel-safe.
    ///
    /// # Errors
    /// As [`close`](Self::close).
    pub async fn close_early(&mut self, segment: FrozenSegment) -> Result<(), UploadError> {
        self.take(segment);
        self.save().await
    }

    fn take(&mut self, segment: FrozenSegment) {
        self.unsaved_bytes.add(segment.bytes());
        self.expiry = Some(segment.expiry());
        self.live = segment.bytes_live();
        self.live_most = self.live_most.max(self.live);
        self.unsaved.push_back(Unencoded::Frozen(segment));
    }

    /// How many bytes were made durable since this was asked last.
    pub const fn take_written(&mut self) -> u64 {
        self.blobs.take_written()
    }

    /// Whether something closed is not in the store: it was away.
    #[must_use]
    pub fn has_unsaved(&self) -> bool {
        !self.unsaved.is_empty()
    }

    /// Tries again to upload what is closed, so that there is room for the next checkpoint. Not cancel-safe.
    ///
    /// # Errors
    /// As [`close`](Self::close).
    pub async fn retry(&mut self) -> Result<(), UploadError> {
        self.save().await
    }

    /// Encodes and uploads what is closed, oldest first.
    async fn save(&mut self) -> Result<(), UploadError> {
        while let Some(unsaved) = self.unsaved.front_mut() {
            let bytes = match unsaved {
                Unencoded::Encoded(bytes) => bytes.clone(),
                Unencoded::Frozen(segment) => {
                    let (segment, held) = (segment.clone(), segment.bytes());
                    let bytes = self.runtime.blocking("encode a segment", move || segment.encode()).await?;
                    *unsaved = Unencoded::Encoded(bytes.clone());
                    self.unsaved_bytes.add(bytes.len() as u64);
                    self.unsaved_bytes.sub(held);
                    bytes
                }
            };
            let blob = self.blobs.write(&bytes).await?;
            self.unsaved.pop_front();
            self.unsaved_bytes.sub(bytes.len() as u64);
            self.listed.files.push(StateFile { blob, key_groups: self.key_groups });
        }
        Ok(())
    }

    /// Puts a merge that is done in the place of what it covers.
    fn take_merged(&mut self) -> Result<(), UploadError> {
        let Some(Covering { files, live, merging }) = &mut self.merging else { return Ok(()) };
        let Some(ended) = merging.has_ended() else { return Ok(()) };
        let (covered, live) = (*files, *live);
        self.merging = None;
        match ended {
            Ok(blob) => {
                self.put_base(blob, covered);
                self.live_most = live.max(self.live);
                self.pause = Pause::default();
                Ok(())
            }
            Err(error) => self.bear(error),
        }
    }

    /// Puts a base in the place of the one before it and so many files.
    fn put_base(&mut self, blob: Blob, covered: usize) {
        self.blobs.note_written(&blob);
        self.listed.base = Some(StateFile { blob, key_groups: self.key_groups });
        self.listed.files.drain(..covered);
    }

    /// A merge that the store kept from succeeding is begun again later: nothing depends on it.
    fn bear(&mut self, error: UploadError) -> Result<(), UploadError> {
        if error.fault() != Fault::Unavailable {
            return Err(error);
        }
        self.pause.begin(self.blobs.store().clock());
        tracing::warn!(subtask = %self.blobs.subtask(), %error, "checkpoint files are not merged for now");
        Ok(())
    }

    /// Makes a base of everything: what a checkpoint names is then one file.
    async fn merge_all(&mut self) -> Result<(), UploadError> {
        let files = self.listed.files.len();
        if files == 0 {
            return Ok(());
        }
        self.begin_merge();
        let merging = self.merging.as_mut().expect("a merge was begun");
        let ended = merging.merging.ended().await;
        self.merging = None;
        self.put_base(ended?, files);
        Ok(())
    }

    fn merge_if_due(&mut self) {
        let has_shrunk = self.live < self.live_most / 2 && self.listed.bytes() > BASE_BYTES_MIN;
        let is_due = has_shrunk || self.listed.are_due();
        if self.merging.is_none() && is_due && self.pause.is_over(self.blobs.store().clock()) {
            self.begin_merge();
        }
    }

    /// Begins to merge all files.
    fn begin_merge(&mut self) {
        let stored = StoredFiles::new(self.blobs.store().clone(), self.blobs.job(), self.runtime.clone());
        let (runtime, files) = (self.runtime.clone(), self.listed.iter().cloned().collect());
        let (expiry, base, is_awaited) = (self.expiry.clone(), self.blobs.begin(), !self.incremental);
        let merge = Merge { stored, runtime, files, expiry, base, is_awaited };
        let (files, live) = (self.listed.files.len(), self.live);
        self.merging = Some(Covering { files, live, merging: Merging::begin(merge) });
    }

    /// Gives up a merge that is on its way, and waits until nothing of it is left. One whose uploader is dropped ends as
    /// well, and nobody waits for it.
    pub async fn stop(&mut self) {
        if let Some(Covering { merging, .. }) = self.merging.take() {
            merging.stop().await;
        }
    }
}

impl StateFiles {
    /// The files of a subtask's manifest.
    #[must_use]
    pub fn of(manifest: &SubtaskManifest) -> Self {
        Self { base: manifest.base.clone(), files: manifest.files.clone() }
    }

    /// The base, then the files: the order in which they are read.
    pub fn iter(&self) -> impl Iterator<Item = &StateFile> {
        self.base.iter().chain(&self.files)
    }

    /// The bytes of all of them.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.iter().map(|file| file.blob.bytes()).sum()
    }

    /// Whether merging them is worth it.
    fn are_due(&self) -> bool {
        let base = self.base.as_ref().map_or(0, |base| base.blob.bytes());
        let files: u64 = self.files.iter().map(|file| file.blob.bytes()).sum();
        self.files.len() >= FILES_MAX || (self.files.len() > 1 && files > base.max(BASE_BYTES_MIN))
    }
}

impl Unencoded {
    fn bytes(&self) -> u64 {
        match self {
            Self::Frozen(segment) => segment.bytes(),
            Self::Encoded(bytes) => bytes.len() as u64,
        }
    }
}

impl Drop for StateUploader {
    fn drop(&mut self) {
        for unsaved in mem::take(&mut self.unsaved) {
            self.unsaved_bytes.sub(unsaved.bytes());
        }
    }
}
