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

/// What comes of it; where it waits for nothing that will happen, time passes, and the test fails.
async fn before_long<F: Future>(future: F) -> F::Output {
    let clock = Clock::system();
    tokio::select! {
        biased;
        output = future => output,
        () = clock.sleep(Duration::from_secs(3_600)) => panic!("it waits for ever"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_merge_that_is_stopped_does_not_wait_long_for_a_store_that_is_away() {
    let objects = Counted::new(Arc::new(InMemory::new()));
    let (stored, files) = uploaded(&objects).await;
    let mut uploader = due(&stored, &runtime(), &files);
    objects.set_mood(Mood::StallsParts);
    uploader.close(None).await.unwrap();
    objects.until_waiting(1).await;
    objects.set_mood(Mood::StallsUploads);
    let (clock, asked) = (Clock::system(), Clock::system().now());
    before_long(uploader.stop()).await;
    let waited = Duration::from_millis(u64::try_from(clock.now() - asked).unwrap());
    assert!(waited < 2 * ABORT_WAIT, "{waited:?}");
}

/// Time is real here, since a thread waits meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_merge_that_is_stopped_ends_though_the_store_never_says_whether_an_upload_is_begun() {
    let objects = Counted::new(Arc::new(InMemory::new()));
    let (stored, files) = uploaded(&objects).await;
    let mut uploader = due(&stored, &runtime(), &files);
    objects.set_mood(Mood::StallsUploads);
    uploader.close(None).await.unwrap();
    objects.until_waiting(1).await;
    uploader.stop().await;
    assert_eq!(objects.held(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_merge_that_waits_for_a_place_ends_when_it_is_stopped() {
    let objects = Counted::new(Arc::new(InMemory::new()));
    let (stored, mut files) = uploaded(&objects).await;
    // These are read whole, which takes no place.
    files.files.truncate(2);
    let mut uploader = due(&stored, &runtime().with_places(0), &files);
    objects.take_reads();
    uploader.close(None).await.unwrap();
    let mut reads = 0;
    while reads < 2 {
        yield_now().await;
        reads += objects.take_reads();
    }
    for _ in 0..100 {
        yield_now().await;
    }
    before_long(uploader.stop()).await;
}

#[tokio::test(start_paused = true)]
async fn a_merge_that_a_checkpoint_waits_for_waits_for_no_other() {
    let objects = Counted::new(Arc::new(InMemory::new()));
    let (stored, mut files) = uploaded(&objects).await;
    files.files.truncate(2);
    let runtime = runtime();
    let _turns = join_all((0..runtime.cores()).map(|_| runtime.turn())).await;
    let mut uploader = due(&stored, &runtime, &files).incremental(false);
    let listed = before_long(uploader.close(None)).await.unwrap();
    assert!(listed.base.is_some() && listed.files.is_empty());
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
async fn no_more_merges_run_in_the_background_than_the_node_has_cores() {
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
