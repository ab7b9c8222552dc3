//! An object store in memory, under the weather, that outlives every engine; and the places outside it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::DateTime;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};
use weir_engine::clock::Clock;
use weir_engine::store::{Places, StoreError};
use weir_protocol::chain::RunEntry;
use weir_protocol::id::EntryNumber;
use weir_protocol::time::Timestamp;

use super::weather::Weather;

/// What a store that must not be trusted gets wrong, to show that the checks can fail.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing.
    #[default]
    None,
    /// Of two creates of one entry of a `run/` chain both succeed, and the later one overwrites.
    CreatesTwice,
    /// Every fifth part of results is written without its first line.
    CutsParts,
    /// Deletions are answered, and nothing is deleted.
    KeepsAll,
}

/// A store; clones share everything.
#[derive(Debug, Clone)]
pub(super) struct SimulatedStore {
    name: &'static str,
    objects: Arc<InMemory>,
    history: Arc<Mutex<History>>,
    weather: Weather,
    flaw: Flaw,
}

/// What a listing does not show.
#[derive(Debug, Default)]
struct History {
    modified: BTreeMap<Path, Timestamp>,
    deleted: BTreeSet<String>,
    resurrected: BTreeSet<String>,
    ever_named: BTreeSet<String>,
}

impl SimulatedStore {
    pub(super) fn new(name: &'static str, weather: Weather, flaw: Flaw) -> Self {
        Self { name, objects: Arc::default(), history: Arc::default(), weather, flaw }
    }

    /// All objects as they lie there now.
    pub(super) fn contents(&self) -> BTreeMap<String, Bytes> {
        self.weather.settle();
        let listed = at_once(self.objects.list(None).try_collect::<Vec<_>>()).expect("memory can be listed");
        let read = |path: &Path| at_once(async { self.objects.get(path).await?.bytes().await });
        let objects = listed.into_iter().map(|object| object.location);
        objects.map(|path| (path.to_string(), read(&path).expect("it was listed"))).collect()
    }

    /// The objects that some entry of a `run/` chain has named.
    pub(super) fn ever_named(&self) -> BTreeSet<String> {
        self.history().ever_named.clone()
    }

    /// The objects that a late write made again after they had been deleted.
    pub(super) fn resurrected(&self) -> BTreeSet<String> {
        self.history().resurrected.clone()
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().expect("nothing panics while it holds this lock")
    }

    /// Notes what an entry names.
    fn note_named(&self, location: &Path, bytes: &Bytes) {
        let number = location.filename().and_then(|file| file.strip_suffix(".json")).and_then(|text| text.parse().ok());
        let Some(number) = number.filter(|_| location.as_ref().contains("/run/")) else { return };
        let Ok(stored) = RunEntry::decode(EntryNumber(number), bytes) else { return };
        let names = stored.entry.manifest.objects().map(|object| object.name.clone());
        self.history().ever_named.extend(names);
    }

    fn dated(&self, object: ObjectMeta) -> ObjectMeta {
        let at = self.history().modified.get(&object.location).copied().and_then(DateTime::from_timestamp_millis);
        ObjectMeta { last_modified: at.unwrap_or(object.last_modified), ..object }
    }

    fn put_now(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let mut options = options;
        let mut payload = payload;
        if self.flaw == Flaw::CreatesTwice && location.as_ref().contains("/run/") {
            options.mode = PutMode::Overwrite;
        }
        if self.flaw == Flaw::CutsParts && location.as_ref().ends_with("5-00000.out") {
            let bytes = Bytes::from(payload);
            let cut = bytes.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            payload = bytes.slice(cut..).into();
        }
        let put = at_once(self.objects.put_opts(location, payload.clone(), options))?;
        let mut history = self.history();
        history.modified.insert(location.clone(), self.weather.clock().now());
        if history.deleted.contains(location.as_ref()) {
            history.resurrected.insert(location.to_string());
            return Ok(put);
        }
        drop(history);
        self.note_named(location, &Bytes::from(payload));
        Ok(put)
    }

    fn delete_now(&self, location: &Path) -> Result<Path> {
        if self.flaw == Flaw::KeepsAll && location.as_ref().starts_with("jobs/") {
            return Ok(location.clone());
        }
        at_once(self.objects.delete(location))?;
        self.history().deleted.insert(location.to_string());
        Ok(location.clone())
    }

    fn listed(
        &self,
        what: String,
        list: BoxStream<'static, Result<ObjectMeta>>,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let this = self.clone();
        let list = async move {
            let all = this.weather.read(what, || at_once(list.try_collect::<Vec<_>>())).await?;
            let dated: Vec<_> = all.into_iter().map(|object| Ok(this.dated(object))).collect();
            Ok::<_, Error>(futures::stream::iter(dated))
        };
        futures::stream::once(list).try_flatten().boxed()
    }

    fn shown(&self, action: &str, location: &Path) -> String {
        let short: Vec<&str> = location.as_ref().split('/').collect();
        format!("{} {action} {}", self.name, short[short.len().saturating_sub(3)..].join("/"))
    }
}

/// A future of a store in memory is ready when it is first asked.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("memory makes nobody wait")
}

impl fmt::Display for SimulatedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "simulated {}", self.name)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for SimulatedStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let (this, location) = (self.clone(), location.clone());
        let what = self.shown("put", &location);
        self.weather.write(what, move || this.put_now(&location, payload, options)).await
    }

    async fn put_multipart_opts(
        &self,
        _location: &Path,
        _options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Err(Error::NotImplemented { operation: "multipart uploads".to_owned(), implementer: self.to_string() })
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let what = self.shown("get", location);
        self.weather.read(what, || at_once(self.objects.get_opts(location, options))).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let what = self.shown("get", location);
        self.weather.read(what, || at_once(self.objects.get_ranges(location, ranges))).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let this = self.clone();
        let delete = move |location: Path| {
            let this = this.clone();
            async move {
                let what = this.shown("delete", &location);
                let there = this.clone();
                this.weather.write(what, move || there.delete_now(&location)).await
            }
        };
        locations.and_then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (this, prefix) = (self.clone(), prefix.cloned());
        let what = self.shown("list", prefix.as_ref().unwrap_or(&Path::default()));
        let list = futures::stream::once(async move { this.objects.list(prefix.as_ref()) }).flatten();
        self.listed(what, list.boxed())
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        let (this, prefix, offset) = (self.clone(), prefix.cloned(), offset.clone());
        let what = self.shown("list after", &offset);
        let list = async move { this.objects.list_with_offset(prefix.as_ref(), &offset) };
        self.listed(what, futures::stream::once(list).flatten().boxed())
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let what = self.shown("list folders of", prefix.unwrap_or(&Path::default()));
        self.weather.read(what, || at_once(self.objects.list_with_delimiter(prefix))).await
    }

    async fn copy_opts(&self, _from: &Path, _to: &Path, _options: CopyOptions) -> Result<()> {
        Err(Error::NotImplemented { operation: "copies".to_owned(), implementer: self.to_string() })
    }

    async fn rename_opts(&self, _from: &Path, _to: &Path, _options: RenameOptions) -> Result<()> {
        Err(Error::NotImplemented { operation: "renames".to_owned(), implementer: self.to_string() })
    }
}

/// The places that sinks write to are folders of one store.
#[derive(Debug, Clone)]
pub(super) struct Outside(pub(super) SimulatedStore);

impl Places for Outside {
    fn open(&self, location: &str, _clock: &Clock) -> Result<Arc<dyn ObjectStore>, StoreError> {
        Ok(Arc::new(PrefixStore::new(self.0.clone(), location)))
    }
}
