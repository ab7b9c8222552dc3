//! For tests: a store that gets one thing wrong, as servers are known to.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// What it gets wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// The condition is ignored, as fake GCS servers do.
    OverwritesOnCreate,
    /// Two creates at one moment both win, one after the other does not.
    LooksThenWrites,
    /// Listings are of what was there a while ago.
    ListsLate,
    /// What was deleted can still be read.
    KeepsDeleted,
    /// It says that it does not know the condition.
    KnowsNoCondition,
    /// No flaw: both of two creates at one moment may be told that the name exists, and only one did it.
    LosesAnswers,
    /// No flaw: the first two creates send each other back.
    SendsBothBack,
}

#[derive(Debug)]
pub(crate) struct Flawed {
    flaw: Flaw,
    inner: Arc<InMemory>,
    creates: AtomicU32,
}

impl Flawed {
    pub(crate) fn new(flaw: Flaw) -> Self {
        Self { flaw, inner: Arc::default(), creates: AtomicU32::new(0) }
    }

    async fn create(&self, to: &Path, payload: PutPayload, nth: u32) -> Result<PutResult> {
        let overwrite = PutOptions::from(PutMode::Overwrite);
        let exists = || Error::AlreadyExists { path: to.to_string(), source: "it exists".into() };
        match self.flaw {
            Flaw::OverwritesOnCreate => self.inner.put_opts(to, payload, overwrite).await,
            Flaw::LooksThenWrites if nth < 2 => self.inner.put_opts(to, payload, overwrite).await,
            Flaw::KnowsNoCondition => {
                let source = "501: <Code>NotImplemented</Code>".into();
                Err(Error::Generic { store: "flawed", source })
            }
            Flaw::SendsBothBack if nth < 2 => Err(exists()),
            Flaw::LosesAnswers => {
                self.inner.put_opts(to, payload, PutMode::Create.into()).await?;
                Err(exists())
            }
            Flaw::LooksThenWrites | Flaw::SendsBothBack | Flaw::ListsLate | Flaw::KeepsDeleted => {
                self.inner.put_opts(to, payload, PutMode::Create.into()).await
            }
        }
    }
}

impl fmt::Display for Flawed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "flawed://{:?}", self.flaw)
    }
}

#[async_trait]
impl ObjectStore for Flawed {
    async fn put_opts(&self, to: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        match options.mode {
            PutMode::Create => self.create(to, payload, self.creates.fetch_add(1, Ordering::Relaxed)).await,
            PutMode::Overwrite | PutMode::Update(_) => self.inner.put_opts(to, payload, options).await,
        }
    }

    async fn put_multipart_opts(&self, to: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(to, options).await
    }

    async fn get_opts(&self, from: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(from, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        if self.flaw == Flaw::KeepsDeleted { locations } else { self.inner.delete_stream(locations) }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        if self.flaw == Flaw::ListsLate { stream::empty().boxed() } else { self.inner.list(prefix) }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
