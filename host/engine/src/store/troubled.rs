//! For tests: a store in which others act at the worst moment, and which may not say what it did.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// Clones share their troubles.
#[derive(Clone)]
pub(crate) struct Troubled {
    inner: Arc<dyn ObjectStore>,
    is_silent: Arc<AtomicBool>,
    is_full: Arc<AtomicBool>,
    intrusion: Arc<Mutex<Option<(Moment, BoxFuture<'static, ()>)>>>,
}

/// When somebody else acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Just before the next entry of a `run/` chain is created.
    Entry,
    /// Just before the next entry of a `spec/` chain is created.
    Wish,
    /// Just before the next listing.
    Listing,
    /// Just before the next checkpoint file is written.
    File,
}

impl Troubled {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>) -> Self {
        Self { inner, is_silent: Arc::default(), is_full: Arc::default(), intrusion: Arc::default() }
    }

    /// From now on calls that concern `run/` chains are performed and not answered; or answered again.
    pub(crate) fn set_silent(&self, is_silent: bool) {
        self.is_silent.store(is_silent, Ordering::Relaxed);
    }

    /// From now on there is no room for checkpoint files; or there is again.
    pub(crate) fn set_full(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::Relaxed);
    }

    /// Does this at the next such moment.
    pub(crate) fn intrude(&self, moment: Moment, deed: impl Future<Output = ()> + Send + 'static) {
        *self.intrusion.lock().unwrap() = Some((moment, Box::pin(deed)));
    }

    fn intrusion(&self, moment: Moment) -> Option<BoxFuture<'static, ()>> {
        let mut intrusion = self.intrusion.lock().unwrap();
        intrusion.take_if(|(when, _)| *when == moment).map(|(_, deed)| deed)
    }

    fn answer<T>(&self, location: &Path, result: Result<T>) -> Result<T> {
        let is_unanswered = self.is_silent.load(Ordering::Relaxed) && is_of_a_run_chain(location);
        if is_unanswered { Err(Error::Generic { store: "troubled", source: "no answer".into() }) } else { result }
    }
}

fn is_of_a_run_chain(location: &Path) -> bool {
    is_of(location, "run")
}

fn is_of(location: &Path, chain: &str) -> bool {
    location.parts().any(|part| part.as_ref() == chain)
}

impl fmt::Display for Troubled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "troubled {}", self.inner)
    }
}

impl fmt::Debug for Troubled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[async_trait]
impl ObjectStore for Troubled {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let is_file = location.as_ref().ends_with(".state");
        let moments = [
            (Moment::Entry, is_of_a_run_chain(location)),
            (Moment::Wish, is_of(location, "spec")),
            (Moment::File, is_file),
        ];
        for (moment, _) in moments.into_iter().filter(|(_, has_come)| *has_come) {
            if let Some(deed) = self.intrusion(moment) {
                deed.await;
            }
        }
        if self.is_full.load(Ordering::Relaxed) && is_file {
            return Err(Error::Generic { store: "troubled", source: "No space left on device".into() });
        }
        let put = self.inner.put_opts(location, payload, options).await;
        self.answer(location, put)
    }

    async fn put_multipart_opts(&self, to: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(to, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let got = self.inner.get_opts(location, options).await;
        self.answer(location, got)
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (this, prefix) = (self.clone(), prefix.cloned());
        let listed = async move {
            if let Some(deed) = this.intrusion(Moment::Listing) {
                deed.await;
            }
            match this.answer(prefix.as_ref().unwrap_or(&Path::default()), Ok(())) {
                Ok(()) => this.inner.list(prefix.as_ref()),
                Err(error) => stream::once(async { Err(error) }).boxed(),
            }
        };
        stream::once(listed).flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
