//! For tests: a store in which others act at the worst moment, and which may not say what it did.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tokio::runtime::Handle;

/// Clones share their troubles.
#[derive(Clone)]
pub(crate) struct Troubled {
    inner: Arc<dyn ObjectStore>,
    is_silent: Arc<AtomicBool>,
    is_full: Arc<AtomicBool>,
    intrusion: Arc<Mutex<Option<(Moment, BoxFuture<'static, ()>)>>>,
    /// Documents of savepoints that were answered with an error and are still on their way; `None`: they come at once.
    late: Arc<Mutex<Option<Vec<(Path, PutPayload)>>>>,
    calls: Arc<AtomicU64>,
    /// The last call, and whether it is performed.
    death: Arc<Mutex<Option<(u64, bool)>>>,
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
    /// Just before the next checkpoint file is written, which it is though nobody waits for it any more: a folder is written
    /// to by threads, and a request to a cloud may be answered to nobody.
    File,
}

impl Troubled {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>) -> Self {
        Self {
            inner,
            is_silent: Arc::default(),
            is_full: Arc::default(),
            intrusion: Arc::default(),
            late: Arc::default(),
            calls: Arc::default(),
            death: Arc::default(),
        }
    }

    /// How many calls there were so far.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// After so many calls more it is as if the process had died: nothing is performed any more. The one that it dies in
    /// may yet be.
    pub(crate) fn die_after(&self, calls: u64, performs_last: bool) {
        *self.death.lock().unwrap() = Some((self.calls() + calls, performs_last));
    }

    /// From now on what says that a savepoint is one is answered with an error, and comes [later](Self::come).
    pub(crate) fn delay_documents(&self) {
        *self.late.lock().unwrap() = Some(Vec::new());
    }

    /// What was late comes.
    pub(crate) async fn come(&self) {
        let late = self.late.lock().unwrap().take().unwrap();
        for (location, payload) in late {
            self.inner.put_opts(&location, payload, PutOptions::default()).await.unwrap();
        }
    }

    /// Performs a call and answers it, as far as the process lives.
    async fn through<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        let death = *self.death.lock().unwrap();
        match death {
            Some((last, _)) if number > last => Err(no_answer()),
            Some((last, performs_last)) if number == last => {
                if performs_last {
                    call.await?;
                }
                Err(no_answer())
            }
            Some(_) | None => call.await,
        }
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
        if is_unanswered { Err(no_answer()) } else { result }
    }
}

fn no_answer() -> Error {
    Error::Generic { store: "troubled", source: "no answer".into() }
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
        let moments = [(Moment::Entry, is_of_a_run_chain(location)), (Moment::Wish, is_of(location, "spec"))];
        for (moment, _) in moments.into_iter().filter(|(_, has_come)| *has_come) {
            if let Some(deed) = self.intrusion(moment) {
                deed.await;
            }
        }
        if is_file && let Some(deed) = self.intrusion(Moment::File) {
            let (this, location) = (self.clone(), location.clone());
            let written = Handle::current().spawn(async move {
                deed.await;
                this.put_opts(&location, payload, options).await
            });
            return written.await.unwrap();
        }
        if self.is_full.load(Ordering::Relaxed) && is_file {
            return Err(Error::Generic { store: "troubled", source: "No space left on device".into() });
        }
        if let Some(late) = self.late.lock().unwrap().as_mut().filter(|_| location.as_ref() == "_metadata") {
            late.push((location.clone(), payload));
            return Err(no_answer());
        }
        let put = self.through(self.inner.put_opts(location, payload, options)).await;
        self.answer(location, put)
    }

    async fn put_multipart_opts(&self, to: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.through(self.inner.put_multipart_opts(to, options)).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let got = self.through(self.inner.get_opts(location, options)).await;
        self.answer(location, got)
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let this = self.clone();
        let delete = move |location: Path| {
            let this = this.clone();
            async move {
                let one = stream::iter([Ok(location.clone())]).boxed();
                let deleted = this.inner.delete_stream(one).try_collect::<Vec<_>>();
                this.through(deleted).await.map(|_| location)
            }
        };
        locations.and_then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (this, prefix) = (self.clone(), prefix.cloned());
        let listed = async move {
            if let Some(deed) = this.intrusion(Moment::Listing) {
                deed.await;
            }
            let listed = this.through(async { Ok(()) }).await;
            match this.answer(prefix.as_ref().unwrap_or(&Path::default()), listed) {
                Ok(()) => this.inner.list(prefix.as_ref()),
                Err(error) => stream::once(async { Err(error) }).boxed(),
            }
        };
        stream::once(listed).flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.through(self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
