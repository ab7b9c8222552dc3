//! An object store that fails as real ones do.
//!
//! Wraps a working store. Each call is either performed or not, and either answered or not: a create that timed out may
//! have happened. Faults are drawn from a seed, or are one death: from some call on nothing is performed any more, which
//! is what a crash of the process looks like to what is durable.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::watch;

/// A store with faults. Clones share them.
#[derive(Debug, Clone)]
pub struct FaultyStore {
    inner: Arc<dyn ObjectStore>,
    faults: Arc<Mutex<Faults>>,
    dead: Arc<watch::Sender<bool>>,
}

/// What becomes of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Performed and answered.
    Answered,
    /// Performed, but the caller sees an error.
    AppliedUnanswered,
    /// Not performed, and the caller sees an error.
    Failed,
}

#[derive(Debug)]
struct Faults {
    calls: u64,
    plan: Plan,
}

#[derive(Debug)]
enum Plan {
    None,
    Seeded { random: Box<StdRng>, per_mille: u64 },
    Failing { calls: Range<u64>, how: Outcome },
    Dying { calls: u64, last: Outcome },
}

impl FaultyStore {
    /// No faults; counts calls.
    #[must_use]
    pub fn sound(inner: Arc<dyn ObjectStore>) -> Self {
        Self::new(inner, Plan::None)
    }

    /// `per_mille` of a thousand calls fail, one half of them performed, and before each call others may run; all that
    /// follows from the seed.
    #[must_use]
    pub fn seeded(inner: Arc<dyn ObjectStore>, seed: u64, per_mille: u64) -> Self {
        Self::new(inner, Plan::Seeded { random: Box::new(StdRng::seed_from_u64(seed)), per_mille })
    }

    /// Sound but for these calls, counted from 0, which end as `how` says.
    #[must_use]
    pub fn failing(inner: Arc<dyn ObjectStore>, calls: Range<u64>, how: Outcome) -> Self {
        Self::new(inner, Plan::Failing { calls, how })
    }

    /// The first `calls` calls are sound, the next one ends as `last` says, and all others fail.
    #[must_use]
    pub fn dying(inner: Arc<dyn ObjectStore>, calls: u64, last: Outcome) -> Self {
        Self::new(inner, Plan::Dying { calls, last })
    }

    fn new(inner: Arc<dyn ObjectStore>, plan: Plan) -> Self {
        let (dead, _) = watch::channel(false);
        Self { inner, faults: Arc::new(Mutex::new(Faults { calls: 0, plan })), dead: Arc::new(dead) }
    }

    /// Another store of the same process: it counts, fails and dies with this one.
    #[must_use]
    pub fn beside(&self, inner: Arc<dyn ObjectStore>) -> Self {
        Self { inner, ..self.clone() }
    }

    /// Waits until the store has died; for ever if it does not.
    pub async fn died(&self) {
        self.dead.subscribe().wait_for(|dead| *dead).await.expect("the sender lives as long as this");
    }

    /// How many calls were made so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.faults.lock().expect("nothing panics while it holds this lock").calls
    }

    fn next(&self) -> (Outcome, u64) {
        self.faults.lock().expect("nothing panics while it holds this lock").next()
    }

    /// Performs a call, or not, and answers, or not.
    async fn through<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        let (outcome, yields) = self.next();
        for _ in 0..yields {
            tokio::task::yield_now().await;
        }
        let result = match outcome {
            Outcome::Answered => return call.await,
            Outcome::AppliedUnanswered => call.await.and(Err(fault("performed, then the answer was lost"))),
            Outcome::Failed => Err(fault("not performed")),
        };
        self.note_death();
        result
    }

    fn note_death(&self) {
        let dying =
            matches!(self.faults.lock().expect("nothing panics while it holds this lock").plan, Plan::Dying { .. });
        self.dead.send_replace(dying);
    }

    /// Listings change nothing, so either fault is an error in place of the listing.
    fn listed(&self, list: BoxStream<'static, Result<ObjectMeta>>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.next().0 {
            Outcome::Answered => list,
            Outcome::AppliedUnanswered | Outcome::Failed => {
                self.note_death();
                futures::stream::once(async { Err(fault("not listed")) }).boxed()
            }
        }
    }
}

impl Faults {
    /// What becomes of the next call, and how often others may run before it.
    fn next(&mut self) -> (Outcome, u64) {
        let call = self.calls;
        self.calls += 1;
        match &mut self.plan {
            Plan::None => (Outcome::Answered, 0),
            Plan::Seeded { random, per_mille } => {
                let yields = random.next_u64() % 4;
                let outcome = match random.next_u64() % 1_000 {
                    drawn if drawn >= *per_mille => Outcome::Answered,
                    drawn if drawn % 2 == 0 => Outcome::AppliedUnanswered,
                    _ => Outcome::Failed,
                };
                (outcome, yields)
            }
            Plan::Failing { calls, how } if calls.contains(&call) => (*how, 0),
            Plan::Failing { .. } => (Outcome::Answered, 0),
            Plan::Dying { calls, .. } if call < *calls => (Outcome::Answered, 0),
            Plan::Dying { calls, last } if call == *calls => (*last, 0),
            Plan::Dying { .. } => (Outcome::Failed, 0),
        }
    }
}

fn fault(what: &str) -> Error {
    Error::Generic { store: "faulty", source: format!("an injected fault: {what}").into() }
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "faulty {}", self.inner)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for FaultyStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.through(self.inner.put_opts(location, payload, options)).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.through(self.inner.put_multipart_opts(location, options)).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.through(self.inner.get_opts(location, options)).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.through(self.inner.get_ranges(location, ranges)).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let this = self.clone();
        let delete = move |location: Path| {
            let this = this.clone();
            async move {
                let one = futures::stream::iter([Ok(location.clone())]).boxed();
                let deleted = this.inner.delete_stream(one).try_collect::<Vec<_>>();
                this.through(deleted).await.map(|_| location)
            }
        };
        locations.and_then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listed(self.inner.list(prefix))
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listed(self.inner.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.through(self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.through(self.inner.copy_opts(from, to, options)).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.through(self.inner.rename_opts(from, to, options)).await
    }
}
