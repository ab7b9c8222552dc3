//! Checkpoint files where they lie in the store: read part by part, so that what is in memory is bounded.
//!
//! Receives blobs that a manifest names; guarantees that nothing of them is handed out that does not verify, by the
//! checksum of the whole where it is read whole, else by those of the footer and of each block. Whoever reads holds its
//! thread. Does not own which files are read, nor what for.

mod windows;

use std::ops::Range;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use weir_operator::keyed_state::StateError;
use weir_protocol::Fault;
use weir_protocol::id::JobId;
use weir_protocol::key_group::KeyGroupRange;
use weir_protocol::manifest::{Blob, ObjectRef, StateFile};

pub(super) use windows::WINDOW_BYTES_MIN;

use super::blob::{BlobError, read_blob, size_checked};
use crate::spawn::{Runtime, Stop, TaskGroup};
use crate::state::file::{HEAD_BYTES, Reader, Remote, TAIL_BYTES};
use crate::store::{ObjectName, Store, StoreError};

/// Files up to this length are read whole where others are read in windows.
const SMALL_BYTES: u64 = 16 << 10;
/// As long as they fill no more than this part of the memory that there is: they stay there until all files are read.
const SMALL_SHARE: u64 = 4;
/// What is read of a file's end at once, in the hope that it is its footer.
const END_BYTES: u64 = 64 << 10;
/// Files that are opened at the same time.
const OPENED_AT_ONCE: usize = 8;

/// The files of one job.
#[derive(Debug, Clone)]
pub struct StoredFiles {
    store: Store,
    job: JobId,
    /// Blocking work runs there.
    runtime: Runtime,
    /// When nobody wants to read any more.
    stop: Option<Stop>,
}

/// A file in the store, of which the part in use is in memory and, where it is read from end to end, the next one too.
#[derive(Debug)]
struct StoredFile {
    files: StoredFiles,
    name: ObjectName,
    text: String,
    bytes: u64,
    window_bytes: u64,
    reads_ahead: bool,
    read: Mutex<Windows>,
}

/// What is in memory of a file.
#[derive(Debug, Default)]
struct Windows {
    end: Window,
    last: Window,
    /// What comes behind the last.
    next: Option<TaskGroup<Result<Bytes, StateError>>>,
}

#[derive(Debug, Default)]
struct Window {
    start: u64,
    bytes: Bytes,
}

impl StoredFiles {
    /// Of a job in a store. Where blocking work has no threads of its own, as in a simulation, files are read whole.
    #[must_use]
    pub const fn new(store: Store, job: JobId, runtime: Runtime) -> Self {
        Self { store, job, runtime, stop: None }
    }

    /// The same; when whoever reads is asked to stop, whatever waits for the store fails at once.
    #[must_use]
    pub(super) fn until(self, stop: Stop) -> Self {
        Self { stop: Some(stop), ..self }
    }

    /// Opens files that are going to be read from end to end, by key group, and with about `budget` bytes of memory. All
    /// are read whole where they fit into that; else each in windows of its own, but for small ones as long as they fill
    /// no more than a part of it.
    ///
    /// # Errors
    /// [`BlobError`], naming the object that is missing or damaged.
    pub async fn open(&self, files: &[StateFile], budget: u64) -> Result<Vec<(Reader, KeyGroupRange)>, BlobError> {
        let bytes: u64 = files.iter().map(|file| file.blob.bytes()).sum();
        let is_whole = bytes <= budget || !self.runtime.has_threads();
        let (mut small, small_max) = (0, budget / SMALL_SHARE);
        let mut is_small = |bytes| {
            let fits = bytes <= SMALL_BYTES && small + bytes <= small_max;
            small += if fits { bytes } else { 0 };
            fits
        };
        let are_whole: Vec<_> = files.iter().map(|file| is_whole || is_small(file.blob.bytes())).collect();
        let windows = windows::of(files, budget - small);
        let open = |((file, window_bytes), is_whole): ((&StateFile, u64), bool)| {
            let (files, blob, key_groups) = (self.clone(), file.blob.clone(), file.key_groups);
            async move {
                let reader = match blob {
                    Blob::Object(object) if !is_whole => files.open_elsewhere(object, window_bytes).await?,
                    blob @ (Blob::Object(_) | Blob::Inline(_)) => files.open_whole(&blob).await?,
                };
                Ok((reader, key_groups))
            }
        };
        let opening: Vec<_> = files.iter().zip(windows).zip(are_whole).map(open).collect();
        stream::iter(opening).buffered(OPENED_AT_ONCE).try_collect().await
    }

    /// Opens a file that is read whole.
    pub(super) async fn open_whole(&self, blob: &Blob) -> Result<Reader, BlobError> {
        let bytes = read_blob(&self.store, self.job, blob).await?;
        Ok(match blob.object() {
            Some(object) => Reader::open_named(bytes, &object.name)?,
            None => Reader::open(bytes)?,
        })
    }

    async fn open_elsewhere(self, object: ObjectRef, window_bytes: u64) -> Result<Reader, BlobError> {
        let runtime = self.runtime.clone();
        let open = move || self.open_object(&object, window_bytes, true);
        let opened = runtime.waiting("open a checkpoint file", open).await;
        opened.map_err(|panicked| StateError { fault: Fault::Bug, message: panicked.to_string() })?
    }

    /// Opens an object of which only the footer is read for now. Holds its thread.
    pub(super) fn open_object(
        &self,
        object: &ObjectRef,
        window_bytes: u64,
        reads_ahead: bool,
    ) -> Result<Reader, BlobError> {
        let name = self.wait_for(size_checked(&self.store, self.job, object))??;
        let (files, text, bytes) = (self.clone(), object.name.clone(), object.bytes);
        let read = Mutex::default();
        let file = StoredFile { files, name, text, bytes, window_bytes, reads_ahead, read };
        Ok(Reader::open_remote(Arc::new(file))?)
    }

    /// Holds its thread until the store has answered.
    fn wait_for<F: Future>(&self, answer: F) -> Result<F::Output, StateError> {
        let Some(stop) = &self.stop else { return Ok(self.runtime.wait_for(answer)) };
        let answered = self.runtime.wait_for(stop.before(answer));
        let abandoned = || StateError { fault: Fault::Unavailable, message: "nobody wants to read on".to_owned() };
        answered.ok_or_else(abandoned)
    }

    async fn part(self, name: ObjectName, place: Range<u64>) -> Result<Bytes, StateError> {
        let failed = |error: StoreError| StateError { fault: error.fault(), message: error.to_string() };
        let read = self.store.get_part(&name, place).await.map_err(failed)?;
        read.ok_or_else(|| failed(StoreError::Missing { object: name.to_string() }))
    }
}

impl Remote for StoredFile {
    fn name(&self) -> &str {
        &self.text
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read(&self, place: Range<u64>) -> Result<Bytes, StateError> {
        let mut read = self.read.lock().expect("nothing panics while it holds this lock");
        if let Some(part) = read.last.part(&place) {
            if self.reads_ahead && read.next.is_none() {
                read.next = self.begin(read.last.end());
            }
            return Ok(part);
        }
        if let Some(part) = read.end.part(&place) {
            return Ok(part);
        }
        if let Some(part) = self.read_on(&mut read, &place)? {
            return Ok(part);
        }
        read.next = None;
        let is_end = place.end.saturating_add(TAIL_BYTES as u64) >= self.bytes;
        let (start, end) = match place.end {
            end if end <= HEAD_BYTES as u64 => (place.start, end),
            _ if is_end => (place.start.min(self.bytes.saturating_sub(END_BYTES)), self.bytes),
            end => (place.start, end.max(place.start.saturating_add(self.window_bytes).min(self.bytes))),
        };
        let bytes = self.files.wait_for(self.files.clone().part(self.name.clone(), start..end))??;
        let window = Window { start, bytes };
        let part = window.part(&place).ok_or_else(|| self.is_short());
        if is_end {
            read.end = window;
        } else {
            read.last = window;
        }
        part
    }

    fn release(&self) {
        *self.read.lock().expect("nothing panics while it holds this lock") = Windows::default();
    }
}

impl StoredFile {
    /// Begins to read what comes behind the last window.
    fn begin(&self, start: u64) -> Option<TaskGroup<Result<Bytes, StateError>>> {
        let end = start.saturating_add(self.window_bytes).min(self.bytes);
        if start >= end {
            return None;
        }
        let mut task = TaskGroup::new(self.files.runtime.clone());
        task.spawn("read a checkpoint file", self.files.clone().part(self.name.clone(), start..end));
        Some(task)
    }

    /// Goes on to the next window, if the place begins in the last one or at its end, and ends in the next.
    fn read_on(&self, read: &mut Windows, place: &Range<u64>) -> Result<Option<Bytes>, StateError> {
        let next_start = read.last.end();
        if place.start < read.last.start || place.start > next_start {
            return Ok(None);
        }
        let Some(mut task) = read.next.take() else { return Ok(None) };
        let Some(arrived) = self.files.wait_for(task.next())? else { return Ok(None) };
        let bytes = arrived.map_err(|panicked| StateError { fault: Fault::Bug, message: panicked.to_string() })?.1?;
        let next = Window { start: next_start, bytes };
        let part = match (read.last.part(&(place.start..next_start)), next.part(&(next_start..place.end))) {
            (Some(first), Some(second)) if first.is_empty() => second,
            (Some(first), Some(second)) => [&first[..], &second[..]].concat().into(),
            _ => return Ok(None),
        };
        // The one before is let go of first.
        read.last = next;
        read.next = self.begin(read.last.end());
        Ok(Some(part))
    }

    fn is_short(&self) -> StateError {
        let message = format!("object `{}` gives fewer bytes than it has", self.text);
        StateError { fault: Fault::Corrupt, message }
    }
}

impl Window {
    const fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// A part, if all of it is there.
    fn part(&self, wanted: &Range<u64>) -> Option<Bytes> {
        let from = usize::try_from(wanted.start.checked_sub(self.start)?).ok()?;
        let to = usize::try_from(wanted.end.checked_sub(self.start)?).ok()?;
        (from <= to && to <= self.bytes.len()).then(|| self.bytes.slice(from..to))
    }
}

/// The same error, with the object's name.
pub(super) fn named(object: &str, error: StateError) -> StateError {
    StateError { message: format!("object `{object}`: {}", error.message), ..error }
}

#[cfg(test)]
pub(super) mod tests;
