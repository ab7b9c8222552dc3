//! A cloud's object store that knows where it is, so that its errors can say so.

use std::fmt;

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result,
};
use std::sync::Arc;

use super::denial::explained;
use crate::store::location::CloudLocation;

/// Its errors are [explained]; all else is the store's own.
#[derive(Debug)]
pub(super) struct Named {
    objects: PrefixStore<Arc<dyn ObjectStore>>,
    location: CloudLocation,
}

impl Named {
    pub(super) fn new(objects: PrefixStore<Arc<dyn ObjectStore>>, location: CloudLocation) -> Self {
        Self { objects, location }
    }

    fn explain<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| explained(&self.location, error))
    }

    fn explain_all<T: Send + 'static>(&self, results: BoxStream<'static, Result<T>>) -> BoxStream<'static, Result<T>> {
        let location = self.location.clone();
        results.map_err(move |error| explained(&location, error)).boxed()
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.location.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for Named {
    async fn put_opts(&self, to: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.explain(self.objects.put_opts(to, payload, options).await)
    }

    async fn put_multipart_opts(&self, to: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.explain(self.objects.put_multipart_opts(to, options).await)
    }

    async fn get_opts(&self, from: &Path, options: GetOptions) -> Result<GetResult> {
        self.explain(self.objects.get_opts(from, options).await)
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.explain_all(self.objects.delete_stream(locations))
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.explain_all(self.objects.list(prefix))
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.explain_all(self.objects.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.explain(self.objects.list_with_delimiter(prefix).await)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.explain(self.objects.copy_opts(from, to, options).await)
    }
}
