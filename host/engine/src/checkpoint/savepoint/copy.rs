//! Objects on their way from one store to another.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use weir_protocol::id::{EntryNumber, JobId};
use weir_protocol::manifest::{Checksum, Manifest, ObjectRef};
use weir_protocol::savepoint::Savepoint;
use xxhash_rust::xxh3::Xxh3;

use super::SavepointError;
use crate::checkpoint::blob::{missing, size_checked};
use crate::step::{Place, Step};
use crate::store::{ObjectName, PART_BYTES, Store, StoreError, part_bytes};

/// Objects that are copied at once. Of a large one a few parts are in memory.
const OBJECTS_AT_ONCE: usize = 3;

/// How much is copied so far; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Copied(Arc<AtomicU64>);

impl Copied {
    /// In bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// Copies what a savepoint names from its job's store, and then writes what it is. An error leaves no savepoint; what was
/// copied until then is [discarded](discard), unless the store is away.
///
/// # Errors
/// An object is missing or damaged, by name; what the stores say.
pub async fn copied_out(
    from: &Store,
    savepoint: &Savepoint,
    to: &Store,
    copied: &Copied,
) -> Result<(), SavepointError> {
    let objects = distinct(&savepoint.manifest, |name| Some(name.clone()), savepoint.job)?;
    let name = ObjectName::savepoint();
    let place = Place::of_job(savepoint.job);
    let written = async {
        copy_all((from, savepoint.job), to, objects.clone(), copied).await?;
        Step::Copy.before(place);
        to.put(&name, savepoint.encode().into()).await?;
        Step::Copy.after(place);
        Ok(())
    };
    let written = written.await;
    if written.is_err() {
        // It may be there, though the store did not say so.
        let copies = objects.into_iter().map(|(_, copy)| copy);
        discard(to, &[name].into_iter().chain(copies).collect::<Vec<_>>()).await;
    }
    written
}

/// Copies what a manifest names from a savepoint of job `from` to where `job`, which does not exist yet, keeps its own. Gives
/// the manifest with the names that the copies have, and those names. An error leaves nothing behind, unless the store is
/// away.
///
/// # Errors
/// As [`copied_out`].
pub async fn copied_in(
    (from, former): (&Store, JobId),
    manifest: Manifest,
    (to, job): (&Store, JobId),
    copied: &Copied,
) -> Result<(Manifest, Vec<ObjectName>), SavepointError> {
    let objects = distinct(&manifest, |name| name.inherited_by(job), former)?;
    let copies: Vec<ObjectName> = objects.iter().map(|(_, copy)| copy.clone()).collect();
    if let Err(error) = copy_all((from, former), to, objects.clone(), copied).await {
        discard(to, &copies).await;
        return Err(error);
    }
    let names: BTreeMap<&str, &ObjectName> = objects.iter().map(|(from, copy)| (from.name.as_str(), copy)).collect();
    let manifest = manifest.with_state_in(|object| {
        let name = names[object.name.as_str()].to_string();
        ObjectRef { name, made_by: EntryNumber(0), ..object.clone() }
    });
    Ok((manifest, copies))
}

/// Deletes what was copied for nothing, as far as the store lets it.
pub async fn discard(store: &Store, names: &[ObjectName]) {
    for name in names {
        if let Err(error) = store.delete(name).await {
            tracing::warn!(%error, "what was copied for nothing stays");
            return;
        }
    }
}

/// Each object of a manifest once, with the name of its copy.
fn distinct(
    manifest: &Manifest,
    copy: impl Fn(&ObjectName) -> Option<ObjectName>,
    job: JobId,
) -> Result<Vec<(ObjectRef, ObjectName)>, SavepointError> {
    let mut objects = BTreeMap::new();
    for object in manifest.objects() {
        let named = ObjectName::of_manifest(job, &object.name).and_then(|name| copy(&name));
        let named = named.ok_or_else(|| crate::checkpoint::BlobError::Foreign(object.name.clone()))?;
        objects.insert(&object.name, (object.clone(), named));
    }
    Ok(objects.into_values().collect())
}

async fn copy_all(
    (from, job): (&Store, JobId),
    to: &Store,
    objects: Vec<(ObjectRef, ObjectName)>,
    copied: &Copied,
) -> Result<(), SavepointError> {
    let copies = objects.into_iter().map(|(object, name)| {
        let (from, to, copied) = (from.clone(), to.clone(), copied.clone());
        async move { copy((&from, job), &object, (&to, &name), &copied).await }
    });
    stream::iter(copies).buffer_unordered(OBJECTS_AT_ONCE).try_collect().await
}

/// Copies an object. Where its bytes are not those that were written, there is no copy.
async fn copy(
    (from, job): (&Store, JobId),
    object: &ObjectRef,
    (to, name): (&Store, &ObjectName),
    copied: &Copied,
) -> Result<(), SavepointError> {
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
