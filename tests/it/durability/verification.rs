//! A changed bit in any durable object that leads to a checkpoint, or that it names, is found and named; nothing else is.

use std::sync::Arc;

use bytes::Bytes;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use tokio::runtime::Handle;
use weir_engine::checkpoint::chain::newest;
use weir_engine::checkpoint::inspect::{Holds, InspectError, Inspector, Verdict, Which};
use weir_protocol::id::{CheckpointId, JobId};

use super::counting_job::World;

/// A job that stands in the middle: its newest entry names state files and unpublished results.
async fn half_way() -> (World, Arc<InMemory>, JobId) {
    let objects = Arc::new(InMemory::new());
    let world = World::new(Arc::clone(&objects) as _, Arc::new(InMemory::new()), 1);
    World { publishes: false, ..world.clone() }.run_until(50).await.unwrap();
    let job = world.job().await.unwrap().unwrap();
    (world, objects, job)
}

async fn verdicts(world: &World, job: JobId, which: Which) -> Result<Vec<Verdict>, InspectError> {
    let runtime = Handle::current().into();
    let inspector = Inspector::new(world.store.clone(), world.clock, job, runtime, Holds::default());
    let mut verification = inspector.verify(which).await?;
    let mut verdicts = Vec::new();
    while let Some(verdict) = verification.next().await? {
        verdicts.push(verdict);
    }
    Ok(verdicts)
}

fn damaged(verdicts: &[Verdict]) -> Vec<(&str, &str)> {
    let damage = |verdict: &'_ Verdict| verdict.damage.is_some();
    let found = verdicts.iter().filter(|verdict| damage(verdict));
    found.map(|verdict| (verdict.kind.as_str(), verdict.object.as_str())).collect()
}

async fn read(objects: &InMemory, path: &Path) -> Vec<u8> {
    objects.get(path).await.unwrap().bytes().await.unwrap().to_vec()
}

async fn write(objects: &InMemory, path: &Path, bytes: Vec<u8>) {
    objects.put(path, PutPayload::from(Bytes::from(bytes))).await.unwrap();
}

/// Changes one bit, looks, and changes it back.
async fn with_changed_bit(objects: &InMemory, path: &Path, byte: usize, look: impl AsyncFnOnce()) {
    let bytes = read(objects, path).await;
    let mut changed = bytes.clone();
    changed[byte] ^= 1;
    write(objects, path, changed).await;
    look().await;
    write(objects, path, bytes).await;
}

#[tokio::test]
async fn a_whole_checkpoint_verifies_and_every_object_is_listed() {
    let (world, _, job) = half_way().await;
    let entry = newest(&world.store, job).await.unwrap().stored.entry;
    let found = verdicts(&world, job, Which::Newest).await.unwrap();
    assert_eq!(damaged(&found), []);
    let listed: Vec<&str> = found.iter().map(|verdict| verdict.object.as_str()).collect();
    for object in entry.manifest.objects() {
        assert_eq!(listed.iter().filter(|listed| **listed == object.name).count(), 1, "{}", object.name);
    }
    let of_kind = |kind: &str| found.iter().filter(|verdict| verdict.kind == kind).count();
    assert_eq!((of_kind("entry"), of_kind("spec"), of_kind("subtask")), (1 + entry.retained.len(), 1, 1));
    assert!(of_kind("state") > 1 && of_kind("outbox") > 1);
    let older = entry.retained.last().unwrap();
    let found = verdicts(&world, job, Which::Retained(older.checkpoint)).await.unwrap();
    assert_eq!((damaged(&found), found[1].object.contains(&older.number.to_string())), (vec![], true));
}

#[tokio::test]
async fn a_changed_bit_in_each_kind_of_object_is_found_and_named() {
    let (world, objects, job) = half_way().await;
    let newest = newest(&world.store, job).await.unwrap().stored.entry;
    let object = |ending: &str| {
        let found = newest.manifest.objects().find(|object| object.name.ends_with(ending)).expect("there is one");
        Path::from(found.name.clone())
    };
    let (file, results) = (object(".state"), object(".outbox"));
    let entry = Path::from(format!("jobs/{job}/run/{}.json", newest.number));
    let older = Path::from(format!("jobs/{job}/run/{}.json", newest.retained[0].number));
    let spec = Path::from(format!("jobs/{job}/spec/{}.json", newest.spec));
    let length = read(&objects, &file).await.len();
    // Head, a block, the index of blocks in the footer, the tail that ends it.
    let places = [0, 9, length / 2, length - 30, length - 15, length - 1].map(|byte| (&file, byte));
    for (victim, byte) in
        places.into_iter().chain([(&results, 10), (&entry, 20), (&entry, 300), (&older, 40), (&spec, 60)])
    {
        with_changed_bit(&objects, victim, byte, async || {
            let found = verdicts(&world, job, Which::Newest).await.unwrap();
            let damaged = damaged(&found);
            assert!(damaged.iter().any(|(_, object)| *object == victim.as_ref()), "{victim}, byte {byte}: {damaged:?}");
            let others = damaged.iter().filter(|(kind, object)| *object != victim.as_ref() && *kind != "subtask");
            assert_eq!(others.count(), 0, "{victim}, byte {byte}: {damaged:?}");
        })
        .await;
    }
    assert_eq!(damaged(&verdicts(&world, job, Which::Newest).await.unwrap()), []);
}

#[tokio::test]
async fn the_part_of_a_file_that_is_damaged_is_named() {
    let (world, objects, job) = half_way().await;
    let manifest = newest(&world.store, job).await.unwrap().stored.entry.manifest;
    let file = manifest.objects().find(|object| object.name.ends_with(".state")).expect("there is one");
    let path = Path::from(file.name.clone());
    let length = usize::try_from(file.bytes).unwrap();
    let parts = [(0, "does not begin"), (length / 2, "block 0"), (length - 30, "footer"), (length - 1, "does not end")];
    for (byte, part) in parts {
        with_changed_bit(&objects, &path, byte, async || {
            let found = verdicts(&world, job, Which::Newest).await.unwrap();
            let damage = found.iter().find(|verdict| verdict.object == file.name).and_then(|it| it.damage.clone());
            assert!(damage.as_ref().is_some_and(|damage| damage.contains(part)), "byte {byte}: {damage:?}");
        })
        .await;
    }
}

#[tokio::test]
async fn an_object_that_is_missing_or_cut_is_named() {
    let (world, objects, job) = half_way().await;
    let manifest = newest(&world.store, job).await.unwrap().stored.entry.manifest;
    for ending in [".state", ".outbox"] {
        let object = manifest.objects().find(|object| object.name.ends_with(ending)).expect("there is one");
        let path = Path::from(object.name.clone());
        let bytes = read(&objects, &path).await;
        write(&objects, &path, bytes[..bytes.len() - 1].to_vec()).await;
        let found = verdicts(&world, job, Which::Newest).await.unwrap();
        let damage = |found: &[Verdict]| {
            found.iter().find(|verdict| verdict.object == object.name).and_then(|verdict| verdict.damage.clone())
        };
        assert!(damage(&found).unwrap().contains("bytes, not"), "{found:?}");
        objects.delete(&path).await.unwrap();
        let found = verdicts(&world, job, Which::Newest).await.unwrap();
        assert!(damage(&found).unwrap().contains("missing"), "{found:?}");
        write(&objects, &path, bytes).await;
    }
}

/// Each of the two verifies by itself.
#[tokio::test]
async fn an_entry_in_the_place_of_another_is_found() {
    let (world, objects, job) = half_way().await;
    let other = World::new(Arc::new(InMemory::new()), Arc::new(InMemory::new()), 2);
    World { publishes: false, ..other.clone() }.run_until(50).await.unwrap();
    let other_job = other.job().await.unwrap().unwrap();
    let entry = newest(&world.store, job).await.unwrap().stored.entry;
    let older = &entry.retained[0];
    let of = |job: JobId| Path::from(format!("jobs/{job}/run/{}.json", older.number));
    let theirs = newest(&other.store, other_job).await.unwrap().retained;
    // One of the same number, if the other job keeps it still.
    let stranger = theirs.get(&older.number).or(theirs.values().next()).expect("it keeps some").entry.encode();
    write(&objects, &of(job), stranger).await;
    let found = verdicts(&world, job, Which::Newest).await.unwrap();
    assert_eq!(damaged(&found), [("entry", of(job).as_ref())]);
    let found = verdicts(&world, job, Which::Retained(older.checkpoint)).await.unwrap();
    assert_eq!(damaged(&found), [("entry", of(job).as_ref())], "and nothing that it names is believed");
}

#[tokio::test]
async fn a_checkpoint_that_is_not_retained_is_refused_with_those_that_are() {
    let (world, _, job) = half_way().await;
    let refused = verdicts(&world, job, Which::Retained(CheckpointId(999))).await.unwrap_err();
    assert!(refused.to_string().starts_with("checkpoint 999 is not retained; retained are: "), "{refused}");
}
