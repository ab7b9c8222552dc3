//! Merges end with whoever wanted them, leave nothing behind, and are not begun more often than is good.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use object_store::memory::InMemory;
use tokio::task::yield_now;

use super::*;
use crate::checkpoint::stored::tests::{ALL, blobs, uploaded};
use crate::checkpoint::upload::{StateFiles, StateUploader, Unsaved};
use crate::store::counted::{Counted, Mood};

/// An uploader of 40 MB in files, that are due to be merged.
fn due(stored: &StoredFiles, runtime: &Runtime, files: &StateFiles) -> StateUploader {
    StateUploader::new(blobs(stored, 5), ALL, files.clone(), Unsaved::default(), runtime.clone())
}

fn runtime() -> Runtime {
    tokio::runtime::Handle::current().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_that_is_stopped_or_whose_uploader_is_gone_ends_and_leaves_no_upload_behind() {
    let objects = Counted::new(Arc::new(InMemory::new()));
    let (stored, files) = uploaded(&objects).await;
    for (mood, waiting) in [(Mood::StallsParts, 4), (Mood::StallsReads, 1)] {
        for is_stopped in [true, false] {
            objects.set_mood(mood);
            let mut uploader = due(&stored, &runtime(), &files);
            uploader.close(None).await.unwrap();
            // Parts are on their way a few at once.
            objects.until_waiting(waiting).await;
            if is_stopped {
                uploader.stop().await;
                assert_eq!((objects.uploads(), objects.held()), (0, 0));
            }
            drop(uploader);
            objects.until_none_waits().await;
            objects.until_uploads(0).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_whose_parts_are_refused_leaves_no_upload_behind() {
    let objects = Counted::new(Arc::new(InMemory::new()));
    let (stored, files) = uploaded(&objects).await;
    objects.set_mood(Mood::FailsParts);
    let failed = due(&stored, &runtime(), &files).incremental(false).close(None).await;
    assert!(failed.is_err() && objects.take_uploads_begun() == 1 && objects.uploads() == 0, "{failed:?}");
    objects.set_mood(Mood::Fine);
    let merged = due(&stored, &runtime(), &files).incremental(false).close(None).await.unwrap();
    assert!(merged.base.is_some() && objects.take_uploads_begun() == 1 && objects.uploads() == 0);
}

#[tokio::test]
async fn no_more_merges_run_than_the_node_has_cores() {
    let objects = Counted::new(Arc::new(InMemory::new()));
    let (stored, mut files) = uploaded(&objects).await;
    // These are read whole, as soon as a merge may begin.
    files.files.truncate(2);
    let runtime = runtime();
    let turns = join_all((0..runtime.cores()).map(|_| runtime.turn())).await;
    let mut uploader = due(&stored, &runtime, &files);
    uploader.close(None).await.unwrap();
    for _ in 0..100 {
        yield_now().await;
    }
    assert_eq!(objects.take_reads(), 0);
    drop(turns);
    while uploader.close(None).await.unwrap().base.is_none() {
        yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_merge_that_fails_is_begun_again_later_and_later() {
    let objects = Counted::new(Arc::new(InMemory::new()));
    let (stored, files) = uploaded(&objects).await;
    let clock = Clock::system();
    let mut uploader = due(&stored, &runtime(), &files);
    objects.set_mood(Mood::FailsParts);
    for _ in 0..1_000 {
        uploader.close(None).await.unwrap();
        clock.sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(objects.take_uploads_begun(), 7);
    objects.set_mood(Mood::Fine);
    let mut waited = 0;
    while uploader.close(None).await.unwrap().base.is_none() {
        clock.sleep(Duration::from_secs(1)).await;
        waited += 1;
    }
    assert!(waited <= 64, "{waited} s were waited for");
}
