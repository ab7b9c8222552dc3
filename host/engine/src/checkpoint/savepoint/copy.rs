//! Objects on their way from one store to another.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use weir_protocol::Fault;
use weir_protocol::id::{EntryNumber, JobId};
use weir_protocol::manifest::{Checksum, Manifest, ObjectRef};
use weir_protocol::savepoint::Savepoint;
use xxhash_rust::xxh3::Xxh3;

use super::{SavepointError, SavepointPlace};
use crate::checkpoint::BlobError;
use crate::checkpoint::blob::{missing, size_checked};
use crate::step::{Place, Step};
use crate::store::{ObjectName, PART_BYTES, Prefix, Store, StoreError, is_local, part_bytes};

/// Objects that are copied at once. Of a large one a few parts are in memory.
const OBJECTS_AT_ONCE: usize = 3;

/// How much is copied so far, and whether the rest is still wanted; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Copied {
    bytes: Arc<AtomicU64>,
    is_given_up: Arc<AtomicBool>,
}

impl Copied {
    /// In bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// No more is wanted. What is copied at that moment ends with an error, once nothing of it is on its way.
    pub fn give_up(&self) {
        self.is_given_up.store(true, Ordering::SeqCst);
    }

    fn is_wanted(&self) -> Result<(), SavepointError> {
        match self.is_given_up.load(Ordering::SeqCst) {
            true => Err(SavepointError::new(Fault::Unavailable, "what was to be copied is not wanted any more")),
            false => Ok(()),
        }
    }

    fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// Objects that go from one store to another, each once, and the names that they have there.
#[derive(Debug)]
pub struct Copies {
    /// Whose they are, and whose they become.
    from: JobId,
    to: JobId,
    objects: Vec<(ObjectRef, ObjectName)>,
}

impl Copies {
    /// Of all that a savepoint names, from its job's store, under the same names.
    ///
    /// # Errors
    /// It names what is none of the job's.
    pub fn out(savepoint: &Savepoint) -> Result<Self, SavepointError> {
        Self::of(&savepoint.manifest, (savepoint.job, savepoint.job), |name| Some(name.clone()))
    }

    /// Of what a job that does not exist yet needs of another's savepoint, under names of its own.
    ///
    /// # Errors
    /// The manifest names what is none of the other's.
    pub fn inherited(manifest: &Manifest, (from, to): (JobId, JobId)) -> Result<Self, SavepointError> {
        Self::of(manifest, (from, to), |name| name.inherited_by(to))
    }

    fn of(
        manifest: &Manifest,
        (from, to): (JobId, JobId),
        copy: impl Fn(&ObjectName) -> Option<ObjectName>,
    ) -> Result<Self, SavepointError> {
        let mut objects = BTreeMap::new();
        for object in manifest.objects() {
            let named = ObjectName::of_manifest(from, &object.name).and_then(|name| copy(&name));
            let named = named.ok_or_else(|| BlobError::Foreign(object.name.clone()))?;
            objects.insert(&object.name, (object.clone(), named));
        }
        Ok(Self { from, to, objects: objects.into_values().collect() })
    }

    /// The manifest, with the copies in the place of what was copied.
    #[must_use]
    pub fn named_in(&self, manifest: Manifest) -> Manifest {
        let names: BTreeMap<&str, &ObjectName> =
            self.objects.iter().map(|(object, copy)| (object.name.as_str(), copy)).collect();
        manifest.with_state_in(|object| {
            let name = names[object.name.as_str()].to_string();
            ObjectRef { name, made_by: EntryNumber(0), ..object.clone() }
        })
    }

    /// Makes them. An error leaves nothing behind, unless the store is away. Who does not wait for the end leaves what is on
    /// its way, which may come whatever is deleted before.
    ///
    /// # Errors
    /// An object is missing or damaged, by name; what the stores say; they are [given up](Copied::give_up).
    pub async fn make(&self, from: &Store, to: &Store, copied: &Copied) -> Result<(), SavepointError> {
        let made = self.copy_all(from, to, copied).await;
        if made.is_err() {
            self.discard(to).await;
        }
        made
    }

    /// After an error, too, each that was begun is waited for: a folder's threads write on though nobody waits for them.
    async fn copy_all(&self, from: &Store, to: &Store, copied: &Copied) -> Result<(), SavepointError> {
        let (mut rest, mut on_their_way) = (self.objects.iter(), FuturesUnordered::new());
        let mut made = Ok(());
        loop {
            while made.is_ok()
                && on_their_way.len() < OBJECTS_AT_ONCE
                && let Some((object, name)) = rest.next()
            {
                on_their_way.push(copy((from, self.from), object, (to, name), copied));
            }
            let Some(ended) = on_their_way.next().await else { return made.and(copied.is_wanted()) };
            if ended.is_err() {
                copied.give_up();
            }
            made = made.and(ended);
        }
    }

    /// Makes those of `next` that are not among these, which were made already; and then deletes those of these that are
    /// not among `next`. An error leaves nothing behind, unless the store is away.
    ///
    /// # Errors
    /// As [`make`](Self::make).
    pub async fn followed_by(
        self,
        next: Self,
        (from, to): (&Store, &Store),
        copied: &Copied,
    ) -> Result<Self, SavepointError> {
        if let Err(error) = next.without(&self).make(from, to, copied).await {
            self.discard(to).await;
            return Err(error);
        }
        self.without(&next).discard(to).await;
        Ok(next)
    }

    fn without(&self, others: &Self) -> Self {
        let others: BTreeSet<&ObjectName> = others.objects.iter().map(|(_, copy)| copy).collect();
        let rest = self.objects.iter().filter(|(_, copy)| !others.contains(copy));
        Self { objects: rest.cloned().collect(), ..*self }
    }

    /// Whether all of them are there: to copy much takes long, and somebody may have taken what was copied first for left
    /// behind.
    ///
    /// # Errors
    /// The first that is not; what the store says.
    pub async fn are_there(&self, to: &Store) -> Result<(), SavepointError> {
        let found = to.list(&Prefix::data(self.to)).await?;
        let sizes: BTreeMap<&ObjectName, u64> = found.iter().map(|found| (&found.name, found.bytes)).collect();
        let is_gone = |(object, copy): &&(ObjectRef, ObjectName)| sizes.get(copy) != Some(&object.bytes);
        match self.objects.iter().find(is_gone) {
            Some((_, copy)) => Err(StoreError::Missing { object: copy.to_string() }.into()),
            None => Ok(()),
        }
    }

    /// Writes what they are, if all of them are there. An error leaves no savepoint; the copies go, unless the store is away,
    /// or the savepoint may yet come to be.
    ///
    /// # Errors
    /// One of them is not there; what the store says.
    pub async fn become_savepoint(
        &self,
        savepoint: &Savepoint,
        SavepointPlace { location, store }: &SavepointPlace,
    ) -> Result<(), SavepointError> {
        if let Err(error) = self.are_there(store).await {
            self.discard(store).await;
            return Err(error);
        }
        let (name, bytes, place) = (ObjectName::savepoint(), Bytes::from(savepoint.encode()), Place::of_job(self.from));
        Step::Copy.before(place);
        let Err(error) = store.put(&name, bytes.clone()).await else {
            Step::Copy.after(place);
            return Ok(());
        };
        if store.get(&name).await.is_ok_and(|found| found == Some(bytes)) {
            return Ok(());
        }
        if is_local(location) {
            store.delete(&name).await?;
            self.discard(store).await;
            return Err(error.into());
        }
        // A write on its way to a cloud may come after everything that is done here.
        let message = format!(
            "{error}; the savepoint `{location}` may be there nevertheless, or come to be: look for it, or delete what is \
             left of it in an hour"
        );
        Err(SavepointError::new(error.fault(), message))
    }

    /// Deletes them, as far as the store lets it.
    pub async fn discard(&self, to: &Store) {
        for (_, copy) in &self.objects {
            if let Err(error) = to.delete(copy).await {
                tracing::warn!(%error, "what was copied for nothing stays");
                return;
            }
        }
    }
}

/// Copies an object. Where its bytes are not those that were written, there is no copy.
async fn copy(
    (from, job): (&Store, JobId),
    object: &ObjectRef,
    (to, name): (&Store, &ObjectName),
    copied: &Copied,
) -> Result<(), SavepointError> {
    copied.is_wanted()?;
    let place = Place::of_job(job);
    Step::Copy.before(place);
    let source = size_checked(from, job, object).await?;
    if object.bytes <= PART_BYTES as u64 {
        let bytes = from.get(&source).await?.ok_or_else(|| missing(object))?;
        verify(object, Checksum::of(&bytes))?;
        copied.add(bytes.len());
        to.put(name, bytes).await?;
    } else {
        copy_in_parts(from, &source, object, (to, name), copied).await?;
    }
    Step::Copy.after(place);
    Ok(())
}

async fn copy_in_parts(
    from: &Store,
    source: &ObjectName,
    object: &ObjectRef,
    (to, name): (&Store, &ObjectName),
    copied: &Copied,
) -> Result<(), SavepointError> {
    let part = part_bytes(object.bytes);
    let mut parts = to.put_in_parts(name, part).await?;
    let written = async {
        let (mut hash, mut at) = (Xxh3::new(), 0);
        while at < object.bytes {
            copied.is_wanted()?;
            let end = object.bytes.min(at + part as u64);
            let bytes: Bytes = from.get_part(source, at..end).await?.ok_or_else(|| missing(object))?;
            hash.update(&bytes);
            copied.add(bytes.len());
            while !parts.has_room() {
                parts.sent().await?;
            }
            parts.put(bytes);
            at = end;
        }
        verify(object, Checksum(hash.digest()))?;
        Ok(parts.complete().await?)
    };
    let written: Result<(), SavepointError> = written.await;
    if written.is_err() {
        parts.abort().await;
    }
    written
}

fn verify(object: &ObjectRef, found: Checksum) -> Result<(), StoreError> {
    if found == object.checksum {
        return Ok(());
    }
    let reason = format!("its bytes have checksum {found}, not {}", object.checksum);
    Err(StoreError::Damaged { object: object.name.clone(), reason })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use object_store::memory::InMemory;

    use super::*;
    use crate::clock::Clock;
    use crate::store::troubled::{Moment, Troubled};

    const JOB: JobId = JobId(7);

    /// A store with an object of so many bytes, and a place for its copy.
    async fn stored(bytes: usize) -> (Store, Store, Copies, ObjectName) {
        let store = || Store::new(Arc::new(InMemory::new()), Clock::system());
        let (from, to) = (store(), store());
        let name = format!("jobs/{JOB}/data/{}-{:032x}/count/0-1.state", EntryNumber(1), 5);
        let content: Vec<u8> = (0..=250).cycle().take(bytes).collect();
        let object = ObjectRef {
            name: name.clone(),
            bytes: bytes as u64,
            checksum: Checksum::of(&content),
            made_by: EntryNumber(1),
        };
        let name = ObjectName::of_manifest(JOB, &name).unwrap();
        from.put(&name, content.into()).await.unwrap();
        (from, to, Copies { from: JOB, to: JOB, objects: vec![(object, name.clone())] }, name)
    }

    #[tokio::test]
    async fn an_object_is_copied_whole_in_however_many_parts_and_counted() {
        for bytes in [0, 1, PART_BYTES, PART_BYTES + 1, 5 * PART_BYTES + 7] {
            let (from, to, copies, name) = stored(bytes).await;
            let copied = Copied::default();
            copies.make(&from, &to, &copied).await.unwrap();
            assert_eq!(to.get(&name).await.unwrap(), from.get(&name).await.unwrap());
            assert_eq!(copied.bytes(), bytes as u64);
        }
    }

    #[tokio::test]
    async fn a_flipped_bit_in_whichever_part_leaves_no_copy() {
        for (bytes, at) in [(1, 0), (PART_BYTES, 9), (5 * PART_BYTES, 9), (5 * PART_BYTES + 7, 5 * PART_BYTES + 6)] {
            let (from, to, copies, name) = stored(bytes).await;
            let mut content = from.get(&name).await.unwrap().unwrap().to_vec();
            content[at] ^= 1;
            from.put(&name, content.into()).await.unwrap();
            let error = copies.make(&from, &to, &Copied::default()).await.unwrap_err();
            assert!(error.fault == Fault::Corrupt && error.message.contains("checksum"), "{error}");
            assert_eq!(to.get(&name).await.unwrap(), None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_on_its_way_when_another_copy_fails_is_gone_once_that_is_said() {
        let (from, _, mut copies, name) = stored(9).await;
        let mut damaged = copies.objects[0].clone();
        damaged.0.checksum = Checksum(1);
        damaged.1 = ObjectName::of_manifest(JOB, &name.to_string().replace("0-1", "0-2")).unwrap();
        copies.objects.push(damaged);
        let (clock, slow) = (Clock::starting_at(0), Troubled::new(Arc::new(InMemory::new())));
        slow.intrude(Moment::File, async move { clock.sleep(Duration::from_secs(1)).await });
        let to = Store::new(Arc::new(slow), clock);
        let error = copies.make(&from, &to, &Copied::default()).await.unwrap_err();
        assert!(error.message.contains("checksum"), "{error}");
        clock.sleep(Duration::from_secs(2)).await;
        assert_eq!(to.list(&Prefix::everything()).await.unwrap(), []);
    }
}
