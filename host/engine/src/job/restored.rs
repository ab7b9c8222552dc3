//! The state of one subtask: from a manifest to what its task begins with.
//!
//! Guarantees that no thread which must not block waits meanwhile, that it can be left between its steps, that memory
//! beside the state itself is bounded whatever the size of the files, and that what has to be written again and would
//! fill the memory is in the store before more of it is made: it belongs to the next checkpoint, and to none if that
//! never comes. Does not own which files count, nor what the restored state is used for.

use bytes::Bytes;
use weir_operator::keyed_state::StateError;
use weir_operator::operator::OpenContext;
use weir_protocol::Fault;
use weir_protocol::description::{OperatorDescription, StateDescription};
use weir_protocol::id::SubtaskId;
use weir_protocol::job_spec::OperatorSpec;
use weir_protocol::key_group::KeyGroupRange;
use weir_protocol::manifest::{Blob, SubtaskManifest};
use weir_protocol::redistribution::Place;
use weir_protocol::time::Timestamp;

use crate::checkpoint::StoredFiles;
use crate::checkpoint::restore::{RestoredSubtask, RestoredUnkeyed, restore_subtask, restore_unkeyed};
use crate::checkpoint::upload::StateUploader;
use crate::clock::Clock;
use crate::spawn::Runtime;
use crate::state::file::Reader;
use crate::state::{FrozenSegment, Migration, Progress, RestoreError, Restoring, SubtaskState, UnkeyedStore};
use crate::step::{self, Step};
use crate::store::DataKind;
use crate::task::{Seeds, TaskError};

use super::board::Board;
use super::deploy::{self, DeployError, Deployer};
use super::reporter::RETRY_DELAY;
use super::state_memory::state_memory;

/// Memory that files which are read may fill: a quarter of what the state may, within these bounds.
const READ_BYTES: std::ops::RangeInclusive<u64> = 4 << 20..=64 << 20;

/// What the task of an operator begins with.
pub(super) struct Restored {
    pub(super) state: SubtaskState,
    pub(super) unkeyed: UnkeyedStore,
    /// The newest snapshot of what belongs to no key.
    pub(super) own: Option<Blob>,
    pub(super) uploader: StateUploader,
    /// What the subtask's part of the next manifest says, but for what its checkpoint adds.
    pub(super) manifest: SubtaskManifest,
    /// It has not gone back since.
    pub(super) processing_time: Timestamp,
    pub(super) context: OpenContext,
    pub(super) seeds: Seeds,
}

impl Deployer<'_> {
    /// Restores the state of an operator's subtask.
    pub(super) async fn restore_subtask(
        &self,
        place: &deploy::Place<'_>,
        spec: &OperatorSpec,
        description: &OperatorDescription,
    ) -> Result<Restored, DeployError> {
        let (id, parallelism) = (&place.id, place.vertex.parallelism);
        let failed = |error: TaskError| DeployError::Subtask { subtask: id.clone(), error };
        let (store, runtime) = (&self.shared.store, &self.shared.control);
        let max = self.manifest.max_parallelism;
        let key_groups = max.range(id.index, parallelism);
        let (limits, spill_to) = state_memory(self.plan.graph.spec(), id, self.shared).map_err(failed)?;
        let memory = spill_to.as_ref().map_or(limits.live_bytes_max, |to| to.memory_bytes);
        let budget = (memory / 4).clamp(*READ_BYTES.start(), *READ_BYTES.end());
        let stored = StoredFiles::new(store.clone(), self.job, runtime.clone());
        let restored = restore_subtask(&stored, self.manifest, &id.uid, key_groups, budget).await?;
        let RestoredSubtask { files, listed, watermark, processing_time: held_at } = restored;
        let dealt = Place { index: id.index, parallelism };
        let RestoredUnkeyed { old, own } = restore_unkeyed(store, self.job, self.manifest, &id.uid, dealt).await?;
        let processing_time = held_at.max(self.shared.clock.now());
        let manifest = SubtaskManifest {
            index: id.index,
            parallelism,
            key_groups,
            base: listed.base.clone(),
            files: listed.files.clone(),
            unkeyed: own.clone(),
            watermark,
            processing_time: held_at,
        };
        let seeds = Seeds::new(self.job, id, self.owner.nonce, self.manifest.checkpoint);
        let context = self.open_context(place, spec, &seeds);
        let state = SubtaskState::new(&description.states, max, key_groups).map_err(|error| failed(error.into()))?;
        let empty = match (state.with_limits(limits), spill_to) {
            (state, Some(to)) => state.spilling(to),
            (state, None) => state,
        };
        let blobs = self.blobs(id, DataKind::State);
        let mut uploader = StateUploader::new(blobs, key_groups, listed, place.unsaved.clone(), runtime.clone());
        let migrator = self.factory(id).migrator(OpenContext { processing_time, ..context.clone() });
        let migration = Migration::new(migrator, &context.limits);
        let states = description.states.clone();
        let held = Held { states, empty, files, place: dealt, snapshots: old, migration, now: processing_time };
        Step::Restore.before(step::Place::of_subtask(id));
        let restored = held.restored(runtime, &mut uploader, (self.shared.clock, self.board)).await;
        let (state, unkeyed, rewritten) = restored.map_err(|error| unrestored(id, error))?;
        if rewritten > 0 {
            let (job, uid, subtask) = (self.job, &id.uid, id.index);
            tracing::info!(%job, %uid, subtask, "{rewritten} values of older versions were migrated");
        }
        Step::Restore.after(step::Place::of_subtask(id));
        Ok(Restored { state, unkeyed, own, uploader, manifest, processing_time, context, seeds })
    }
}

fn unrestored(subtask: &SubtaskId, error: RestoreError) -> DeployError {
    let subtask = subtask.clone();
    match error {
        RestoreError::File(error) => DeployError::Blob(error.into()),
        RestoreError::State(error) => DeployError::Subtask { subtask, error: error.into() },
        RestoreError::Migration { fault, message } => {
            DeployError::Migration { subtask, error: TaskError::new(fault, message) }
        }
    }
}

/// What a checkpoint holds for one subtask, and what becomes of it.
struct Held {
    /// As the operator declares them.
    states: Vec<StateDescription>,
    /// What is to hold the keyed state; it holds nothing yet.
    empty: SubtaskState,
    /// Its files, oldest first.
    files: Vec<(Reader, KeyGroupRange)>,
    /// Which subtask it is.
    place: Place,
    /// The snapshots of the old subtasks.
    snapshots: Vec<Option<Bytes>>,
    /// What rewrites values of older versions.
    migration: Migration,
    /// The processing time, which does not go back.
    now: Timestamp,
}

impl Held {
    /// Restores everything; what is written again goes to the uploader, or is in the open segment. Beside it how many values
    /// were rewritten.
    ///
    /// # Errors
    /// [`RestoreError`]; also where the store does not take what is written again.
    async fn restored(
        self,
        runtime: &Runtime,
        uploader: &mut StateUploader,
        told: (Clock, &Board),
    ) -> Result<(SubtaskState, UnkeyedStore, u64), RestoreError> {
        let Self { states, empty, files, place, snapshots, migration, now } = self;
        let begin = move || step(empty.restoring(files, migration, now)?);
        let (mut restoring, mut progress) = on_a_thread(runtime, begin).await??;
        while let Progress::More(closed) = progress {
            if let Some(closed) = closed {
                save(closed, uploader, told).await?;
            }
            (restoring, progress) = on_a_thread(runtime, move || step(restoring)).await??;
        }
        let (state, mut migration) = restoring.finish();
        let restore = move || {
            let unkeyed = UnkeyedStore::restore_migrated(&states, place, &snapshots, &mut migration)?;
            Ok::<_, RestoreError>((unkeyed, migration.rewritten()))
        };
        let (unkeyed, rewritten) = on_a_thread(runtime, restore).await??;
        Ok((state, unkeyed, rewritten))
    }
}

/// Uploads what is written again. Where the store is away this waits for it, and people are told: all that was restored
/// would be again.
async fn save(
    closed: FrozenSegment,
    uploader: &mut StateUploader,
    (clock, board): (Clock, &Board),
) -> Result<(), StateError> {
    let mut saved = uploader.close_early(closed).await;
    let mut is_told = false;
    while let Err(error) = saved {
        let (fault, message) = (error.fault(), error.to_string());
        if fault != Fault::Unavailable {
            return Err(StateError { fault, message });
        }
        // Once: each try is another object.
        if !is_told {
            board.waits(clock.now(), fault, &format!("{message}; what was restored waits until the store has it"));
            is_told = true;
        }
        clock.sleep(RETRY_DELAY).await;
        saved = uploader.retry().await;
    }
    Ok(())
}

fn step(mut restoring: Restoring) -> Result<(Restoring, Progress), RestoreError> {
    let progress = restoring.step()?;
    Ok((restoring, progress))
}

async fn on_a_thread<T: Send + 'static>(
    runtime: &Runtime,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StateError> {
    let worked = runtime.waiting("restore state", work).await;
    worked.map_err(|panicked| StateError { fault: Fault::Bug, message: panicked.to_string() })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use object_store::memory::InMemory;
    use tokio::runtime::Handle;
    use weir_operator::batch::Keys;
    use weir_operator::keyed_state::{KeyedState, StateId, Writes};
    use weir_protocol::chain::Owner;
    use weir_protocol::description::{StateKind, TtlDescription};
    use weir_protocol::id::{EntryNumber, JobId, Nonce};
    use weir_protocol::job_graph::StateSpec;
    use weir_protocol::job_spec::{ErrorSpec, JobSpec, LimitSpec, RestartSpec};
    use weir_protocol::key_group::MaxParallelism;
    use xxhash_rust::xxh3::xxh3_64;

    use super::super::{JobState, JobStatus};
    use super::*;
    use crate::checkpoint::upload::{BlobWriter, StateFiles, Unsaved};
    use crate::state::{LocalDisk, LocalDiskOptions, SpillTo};
    use crate::store::Store;
    use crate::store::troubled::Troubled;

    const ALL: KeyGroupRange = KeyGroupRange { start: 0, end: 128 };

    fn states(ttl: Option<TtlDescription>) -> Vec<StateDescription> {
        let (name, codec) = ("n".to_owned(), "raw".to_owned());
        vec![StateDescription { name, kind: StateKind::KeyedValue, codec, version: 1, ttl, properties: Vec::new() }]
    }

    fn empty(states: &[StateDescription]) -> SubtaskState {
        SubtaskState::new(states, MaxParallelism::DEFAULT, ALL).unwrap()
    }

    /// A file of 4 MB whose values bear no stamp.
    fn unstamped() -> Bytes {
        let mut state = empty(&states(None));
        let keys: Vec<_> = (0..2_000_u32).map(u32::to_le_bytes).collect();
        state.select(&Keys::encode(keys.iter().map(<[u8; 4]>::as_slice)), 0).unwrap();
        let mut writes = Writes::default();
        // Nothing that could be compressed: what is small enough is part of the manifest, and waits for no store.
        let noise: Vec<u8> = (0..250_u64).flat_map(|at| xxh3_64(&at.to_le_bytes()).to_le_bytes()).collect();
        for key in 0..2_000_u32 {
            let value: Vec<u8> = noise.iter().map(|byte| byte.wrapping_mul(key.to_le_bytes()[0] | 1)).collect();
            writes.value_writes_mut(StateId(0)).set(key, Some(&value));
        }
        state.commit(&writes).unwrap();
        state.freeze(0).unwrap().encode()
    }

    fn spec() -> JobSpec {
        JobSpec {
            name: "job".parse().unwrap(),
            max_parallelism: MaxParallelism::DEFAULT,
            parallelism: 1,
            checkpoint: None,
            state: StateSpec::default(),
            restart: RestartSpec::default(),
            errors: ErrorSpec::default(),
            limits: LimitSpec::default(),
            sources: Vec::new(),
            operators: Vec::new(),
            sinks: Vec::new(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_restore_that_writes_again_waits_for_a_store_that_is_away_and_says_so_once() {
        let (clock, runtime) = (Clock::system(), Runtime::from(Handle::current()));
        let objects = Troubled::new(Arc::new(InMemory::new()));
        let store = Store::new(Arc::new(objects.clone()), clock);
        let owner = Owner { number: EntryNumber(3), nonce: Nonce(4) };
        let subtask = SubtaskId { uid: "n".parse().unwrap(), index: 0 };
        let blobs = BlobWriter::new(store, JobId(1), owner, subtask, DataKind::State);
        let unsaved = Unsaved::default();
        let mut uploader = StateUploader::new(blobs, ALL, StateFiles::default(), unsaved, runtime.clone());
        let folder = tempfile::tempdir().unwrap();
        let disk = LocalDisk::open(folder.path(), LocalDiskOptions::default()).unwrap();
        let to = SpillTo { disk, runtime: runtime.clone(), folder: None, memory_bytes: 1 << 20, name: "n".to_owned() };
        let states =
            states(Some(TtlDescription { duration_ms: 1 << 40, refresh_on_read: false, return_expired: false }));
        let held = Held {
            empty: empty(&states).spilling(to),
            states,
            files: vec![(Reader::open(unstamped()).unwrap(), ALL)],
            place: Place { index: 0, parallelism: 1 },
            snapshots: vec![None],
            migration: Migration::new(None, &LimitSpec::default()),
            now: 5,
        };
        objects.set_full(true);
        let mends = async {
            clock.sleep(Duration::from_secs(100)).await;
            objects.set_full(false);
        };
        let board = Board::new(JobStatus::new(JobId(1), Arc::new(spec()), 0, JobState::Restarting));
        let (restored, ()) = tokio::join!(held.restored(&runtime, &mut uploader, (clock, &board)), mends);
        restored.unwrap();
        let told = board.copy().failures;
        assert!(told.len() == 1 && told[0].message.contains("No space left on device"), "{told:?}");
        assert!(uploader.close(None).await.unwrap().files.len() > 3);
    }
}
