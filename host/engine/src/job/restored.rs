//! The state of one subtask: from what was read of a checkpoint to what its task begins with.
//!
//! Guarantees that no thread which must not block waits meanwhile, that it can be left after each call of user code, and that what has to be written again and would fill
//! the memory is in the store before more of it is made: it belongs to the next checkpoint, and to none if that never
//! comes. Does not own which files count, nor what the restored state is used for.

use bytes::Bytes;
use weir_operator::keyed_state::StateError;
use weir_protocol::Fault;
use weir_protocol::description::StateDescription;
use weir_protocol::redistribution::Place;
use weir_protocol::time::Timestamp;

use crate::checkpoint::upload::StateUploader;
use crate::spawn::{Runtime, TaskGroup};
use crate::state::file::FileSlice;
use crate::state::{Migration, Progress, RestoreError, Restoring, SubtaskState, UnkeyedStore};

/// What a checkpoint holds for one subtask, and what becomes of it.
pub(crate) struct Held {
    /// As the operator declares them.
    pub(crate) states: Vec<StateDescription>,
    /// What is to hold the keyed state; it holds nothing yet.
    pub(crate) empty: SubtaskState,
    /// Its files, oldest first.
    pub(crate) files: Vec<FileSlice>,
    /// Which subtask it is.
    pub(crate) place: Place,
    /// The snapshots of the old subtasks.
    pub(crate) snapshots: Vec<Option<Bytes>>,
    /// What rewrites values of older versions.
    pub(crate) migration: Migration,
    /// The processing time, which does not go back.
    pub(crate) now: Timestamp,
}

impl Held {
    /// Restores everything; what is written again goes to the uploader, or is in the open segment.
    ///
    /// # Errors
    /// [`RestoreError`]; also where the store does not take what is written again.
    pub(crate) async fn restored(
        self,
        runtime: &Runtime,
        uploader: &mut StateUploader,
    ) -> Result<(SubtaskState, UnkeyedStore), RestoreError> {
        let Self { states, empty, files, place, snapshots, migration, now } = self;
        let begin = move || step(empty.restoring(&files, migration, now)?);
        let (mut restoring, mut progress) = on_a_blocking_thread(runtime, begin).await??;
        while let Progress::More(closed) = progress {
            if let Some(closed) = closed {
                let saved = uploader.close_early(closed).await;
                saved.map_err(|error| StateError { fault: error.fault(), message: error.to_string() })?;
            }
            (restoring, progress) = on_a_blocking_thread(runtime, move || step(restoring)).await??;
        }
        let (state, mut migration) = restoring.finish();
        let restore = move || {
            let unkeyed = UnkeyedStore::restore_migrated(&states, place, &snapshots, &mut migration)?;
            Ok::<_, RestoreError>((unkeyed, migration.rewritten()))
        };
        let (unkeyed, rewritten) = on_a_blocking_thread(runtime, restore).await??;
        if rewritten > 0 {
            tracing::info!(subtask = place.index, values = rewritten, "values of older versions were migrated");
        }
        Ok((state, unkeyed))
    }
}

fn step(mut restoring: Restoring) -> Result<(Restoring, Progress), RestoreError> {
    let progress = restoring.step()?;
    Ok((restoring, progress))
}

async fn on_a_blocking_thread<T: Send + 'static>(
    runtime: &Runtime,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StateError> {
    let mut group = TaskGroup::new(runtime.clone());
    group.spawn_blocking("restore state", work);
    let ended = group.next().await.expect("one task was started, and nobody aborts it");
    let ended = ended.map_err(|panicked| StateError { fault: Fault::Bug, message: panicked.to_string() })?;
    Ok(ended.1)
}
