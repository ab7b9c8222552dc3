//! Damage to any durable object is found before anything is built on it, and named.

use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use weir_engine::checkpoint::chain::newest;
use weir_protocol::manifest::Manifest;

use super::counting_job::{World, expected};

/// What can happen to an object.
#[derive(Debug, Clone, Copy)]
enum Damage {
    Gone,
    CutShort,
    OneBit,
}

/// A job that stands in the middle: its newest entry names state files and unpublished results.
async fn half_way() -> (World, Arc<InMemory>) {
    let objects = Arc::new(InMemory::new());
    let world = World::new(Arc::clone(&objects) as _, Arc::new(InMemory::new()), 1);
    World { publishes: false, ..world.clone() }.run_until(50).await.unwrap();
    (world, objects)
}

async fn damage(objects: &InMemory, path: &Path, damage: Damage) {
    let bytes = objects.get(path).await.unwrap().bytes().await.unwrap();
    let mut changed = bytes.to_vec();
    match damage {
        Damage::Gone => return objects.delete(path).await.unwrap(),
        Damage::CutShort => changed.truncate(bytes.len() / 2),
        Damage::OneBit => changed[bytes.len() / 2] ^= 1,
    }
    objects.put(path, PutPayload::from(Bytes::from(changed))).await.unwrap();
}

async fn newest_manifest(world: &World) -> (Path, Manifest, usize) {
    let job = world.job().await.unwrap().unwrap();
    let newest = newest(&world.store, job).await.unwrap();
    let entry = Path::from(format!("jobs/{job}/run/{}.json", newest.stored.entry.number));
    (entry, newest.stored.entry.manifest, newest.retained.len())
}

#[tokio::test]
async fn a_damaged_object_of_each_kind_stops_the_job_and_is_named() {
    for how in [Damage::Gone, Damage::CutShort, Damage::OneBit] {
        for kind in ["state", "outbox", "json"] {
            let (world, objects) = half_way().await;
            let (entry, manifest, _) = newest_manifest(&world).await;
            let mut named = manifest.objects().map(|object| Path::from(object.name.clone()));
            let victim = match kind {
                "json" => entry,
                _ => named.find(|name| name.extension() == Some(kind)).expect("the newest entry names one"),
            };
            if kind == "json" && matches!(how, Damage::Gone) {
                // A chain cannot show that its newest entry is missing; what is public beyond it can.
                continue;
            }
            damage(&objects, &victim, how).await;
            let error = world.run().await.expect_err("nothing may be built on it");
            let text = format!("{error:#}");
            assert!(text.contains(victim.as_ref()), "{how:?} {kind}: {text}");
        }
    }
}

#[tokio::test]
async fn where_the_newest_entry_does_not_verify_the_one_that_does_is_named() {
    let (world, objects) = half_way().await;
    let (_, manifest, retained) = newest_manifest(&world).await;
    assert!(retained > 0);
    let job = world.job().await.unwrap().unwrap();
    let older = newest(&world.store, job).await.unwrap();
    let shared = |name: &str| {
        older.retained.values().any(|kept| kept.entry.manifest.objects().any(|object| object.name == name))
    };
    let own = manifest.objects().find(|object| object.name.ends_with(".state") && !shared(&object.name));
    damage(&objects, &Path::from(own.expect("its last segment is its own").name.clone()), Damage::OneBit).await;
    let error = format!("{:#}", world.run().await.unwrap_err());
    let sound = older.retained.keys().next_back().unwrap();
    assert!(error.contains(&format!("entry {sound}")), "{error}");
}

#[tokio::test]
async fn damage_to_what_only_older_entries_name_does_not_stop_the_job() {
    let (world, objects) = half_way().await;
    let job = world.job().await.unwrap().unwrap();
    let newest = newest(&world.store, job).await.unwrap();
    let older = Path::from(format!("jobs/{job}/run/{}.json", newest.stored.entry.retained[0].number));
    damage(&objects, &older, Damage::OneBit).await;
    world.run().await.unwrap();
    assert_eq!(world.shelf.lines().await, expected());
    let left: Vec<_> = objects.list(Some(&Path::from("jobs"))).try_collect().await.unwrap();
    assert!(!left.is_empty());
}

#[tokio::test]
async fn a_missing_newest_entry_is_noticed_by_the_sink_that_has_its_results() {
    let (world, objects) = half_way().await;
    world.run_until(60).await.unwrap();
    let (entry, _, _) = newest_manifest(&world).await;
    damage(&objects, &entry, Damage::Gone).await;
    let error = format!("{:#}", world.run().await.unwrap_err());
    assert!(error.contains("marker of `out`"), "{error}");
}
