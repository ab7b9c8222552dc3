//! For tests: a store that knows how much of what was read from it is still in memory, and which uploads are begun and not
//! ended; and that stalls or fails when it is told to.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};
use tokio::sync::watch;

/// Clones share their counts.
#[derive(Clone)]
pub(crate) struct Counted {
    inner: Arc<dyn ObjectStore>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    held: AtomicUsize,
    most_held: AtomicUsize,
    largest_put: AtomicUsize,
    reads: AtomicUsize,
    uploads_begun: AtomicUsize,
    /// Uploads in parts that were neither completed nor given up.
    uploads: watch::Sender<usize>,
    /// Calls that wait for the store to go on.
    waiting: watch::Sender<usize>,
    mood: watch::Sender<Mood>,
}

/// How a store behaves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    /// As it should.
    #[default]
    Fine,
    /// Nobody who reads gets an answer.
    StallsReads,
    /// Nobody who sends a part gets an answer.
    StallsParts,
    /// The same, nor who begins or gives up what comes in parts.
    StallsUploads,
    /// No part is taken.
    FailsParts,
    /// All parts are, but nothing is made of them.
    FailsCompletion,
}

/// Bytes that were read; they count until they are dropped.
struct Held {
    bytes: Bytes,
    counts: Arc<Counts>,
}

#[derive(Debug)]
struct CountedUpload {
    inner: Box<dyn MultipartUpload>,
    store: Counted,
}

impl Counted {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>) -> Self {
        Self { inner, counts: Arc::default() }
    }

    /// The most bytes that were read and in memory at the same time, since this was asked last.
    pub(crate) fn take_most_held(&self) -> usize {
        self.counts.most_held.swap(self.counts.held.load(Ordering::SeqCst), Ordering::SeqCst)
    }

    /// The longest payload, since this was asked last.
    pub(crate) fn take_largest_put(&self) -> usize {
        self.counts.largest_put.swap(0, Ordering::SeqCst)
    }

    /// Bytes that were read and are in memory.
    pub(crate) fn held(&self) -> usize {
        self.counts.held.load(Ordering::SeqCst)
    }

    /// How often something was read, since this was asked last.
    pub(crate) fn take_reads(&self) -> usize {
        self.counts.reads.swap(0, Ordering::SeqCst)
    }

    /// How many uploads in parts were begun, since this was asked last.
    pub(crate) fn take_uploads_begun(&self) -> usize {
        self.counts.uploads_begun.swap(0, Ordering::SeqCst)
    }

    /// Uploads in parts that were neither completed nor given up.
    pub(crate) fn uploads(&self) -> usize {
        *self.counts.uploads.borrow()
    }

    /// Waits until there are so many.
    pub(crate) async fn until_uploads(&self, wanted: usize) {
        self.counts.uploads.subscribe().wait_for(|uploads| *uploads == wanted).await.unwrap();
    }

    /// Waits until at least so many calls are stalled.
    pub(crate) async fn until_waiting(&self, wanted: usize) {
        self.counts.waiting.subscribe().wait_for(|waiting| *waiting >= wanted).await.unwrap();
    }

    /// Waits until no call is stalled.
    pub(crate) async fn until_none_waits(&self) {
        self.counts.waiting.subscribe().wait_for(|waiting| *waiting == 0).await.unwrap();
    }

    /// From now on it behaves like this.
    pub(crate) fn set_mood(&self, mood: Mood) {
        self.counts.mood.send_replace(mood);
    }

    async fn pass(&self, stalls: &[Mood]) {
        self.counts.waiting.send_modify(|waiting| *waiting += 1);
        let _waiting = Waiting(Arc::clone(&self.counts));
        drop(self.counts.mood.subscribe().wait_for(|mood| !stalls.contains(mood)).await.unwrap());
    }

    fn fails(&self, fail: Mood) -> Result<()> {
        if *self.counts.mood.borrow() == fail {
            return Err(Error::Generic { store: "counted", source: "it takes no parts".into() });
        }
        Ok(())
    }

    fn hold(&self, bytes: Bytes) -> Bytes {
        let held = self.counts.held.fetch_add(bytes.len(), Ordering::SeqCst) + bytes.len();
        self.counts.most_held.fetch_max(held, Ordering::SeqCst);
        Bytes::from_owner(Held { bytes, counts: Arc::clone(&self.counts) })
    }

    fn note_put(&self, payload: &PutPayload) {
        self.counts.largest_put.fetch_max(payload.content_length(), Ordering::SeqCst);
    }
}

struct Waiting(Arc<Counts>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.send_modify(|waiting| *waiting -= 1);
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.counts.held.fetch_sub(self.bytes.len(), Ordering::SeqCst);
    }
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "counted {}", self.inner)
    }
}

impl fmt::Debug for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[async_trait]
impl MultipartUpload for CountedUpload {
    fn put_part(&mut self, part: PutPayload) -> UploadPart {
        self.store.note_put(&part);
        let (store, sent) = (self.store.clone(), self.inner.put_part(part));
        async move {
            store.pass(&[Mood::StallsParts, Mood::StallsUploads]).await;
            store.fails(Mood::FailsParts)?;
            sent.await
        }
        .boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.store.fails(Mood::FailsCompletion)?;
        let completed = self.inner.complete().await?;
        self.store.counts.uploads.send_modify(|uploads| *uploads -= 1);
        Ok(completed)
    }

    async fn abort(&mut self) -> Result<()> {
        self.store.pass(&[Mood::StallsUploads]).await;
        self.inner.abort().await?;
        self.store.counts.uploads.send_modify(|uploads| *uploads -= 1);
        Ok(())
    }
}

#[async_trait]
impl ObjectStore for Counted {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.note_put(&payload);
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(&self, to: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.pass(&[Mood::StallsUploads]).await;
        let inner = self.inner.put_multipart_opts(to, options).await?;
        self.counts.uploads_begun.fetch_add(1, Ordering::SeqCst);
        self.counts.uploads.send_modify(|uploads| *uploads += 1);
        Ok(Box::new(CountedUpload { inner, store: self.clone() }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.counts.reads.fetch_add(1, Ordering::SeqCst);
        self.pass(&[Mood::StallsReads]).await;
        let got = self.inner.get_opts(location, options).await?;
        let (meta, range) = (got.meta.clone(), got.range.clone());
        let (attributes, extensions) = (got.attributes.clone(), got.extensions.clone());
        let store = self.clone();
        let payload = GetResultPayload::Stream(got.into_stream().map_ok(move |bytes| store.hold(bytes)).boxed());
        Ok(GetResult { payload, meta, range, attributes, extensions })
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
