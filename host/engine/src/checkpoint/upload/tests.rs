use std::sync::Arc;

use bytes::Bytes;
use object_store::memory::InMemory;
use tokio::runtime::Handle;
use weir_operator::batch::{Keys, OptionalColumn};
use weir_operator::keyed_state::{KeyedState, StateId, Writes};
use weir_operator::unkeyed_state::UnkeyedWrites;
use weir_protocol::Fault;
use weir_protocol::chain::Owner;
use weir_protocol::description::{StateDescription, StateKind};
use weir_protocol::id::{CheckpointId, EntryNumber, JobId, Nonce, SubtaskId, Uid};
use weir_protocol::key_group::{KeyGroupRange, MaxParallelism};
use weir_protocol::manifest::{Manifest, SubtaskManifest};
use weir_protocol::redistribution::Place;

use super::*;
use crate::checkpoint::StoredFiles;
use crate::checkpoint::restore::{restore_subtask, restore_unkeyed};
use crate::clock::Clock;
use crate::state::{SubtaskState, UnkeyedStore};
use crate::store::{DataKind, ObjectName, Prefix, Store};

const JOB: JobId = JobId(1);
const OWNER: Owner = Owner { number: EntryNumber(3), nonce: Nonce(4) };
const ALL: KeyGroupRange = KeyGroupRange { start: 0, end: 128 };

/// One subtask with one value state, and the store that its files go to.
struct Counter {
    store: Store,
    state: SubtaskState,
    uploader: StateUploader,
    unsaved: Unsaved,
}

fn uid() -> Uid {
    "count".parse().unwrap()
}

fn states() -> Vec<StateDescription> {
    let (name, codec) = ("n".to_owned(), "raw".to_owned());
    vec![StateDescription { name, kind: StateKind::KeyedValue, codec, version: 1, ttl: None, properties: Vec::new() }]
}

fn keys(keys: &[String]) -> Keys {
    Keys::encode(keys.iter().map(String::as_bytes))
}

impl Counter {
    fn new() -> Self {
        let store = Store::new(Arc::new(InMemory::new()), Clock::system());
        let subtask = SubtaskId { uid: uid(), index: 0 };
        let blobs = BlobWriter::new(store.clone(), JOB, OWNER, subtask, DataKind::State);
        let unsaved = Unsaved::default();
        let uploader = StateUploader::new(blobs, ALL, StateFiles::default(), unsaved.clone(), Handle::current().into());
        let state = SubtaskState::new(&states(), MaxParallelism::DEFAULT, ALL).unwrap();
        Self { store, state, uploader, unsaved }
    }

    fn write(&mut self, names: &[String], value: &[u8]) {
        self.state.select(&keys(names), 0).unwrap();
        let mut writes = Writes::default();
        for key in 0..names.len() {
            writes.value_writes_mut(StateId(0)).set(u32::try_from(key).unwrap(), Some(value));
        }
        self.state.commit(&writes).unwrap();
    }

    /// A checkpoint in which `names` have got the value.
    async fn checkpoint(&mut self, names: &[String], value: &[u8]) -> StateFiles {
        self.write(names, value);
        let segment = self.state.freeze(0);
        self.uploader.close(segment).await.unwrap()
    }

    fn stored(&self) -> StoredFiles {
        StoredFiles::new(self.store.clone(), JOB, Handle::current().into())
    }

    /// What a subtask that owns `key_groups` finds under each name after a restore.
    async fn restored(&self, files: &StateFiles, key_groups: KeyGroupRange, names: &[String]) -> Vec<Option<Vec<u8>>> {
        let manifest = manifest(files);
        let restored = restore_subtask(&self.stored(), &manifest, &uid(), key_groups, 1 << 20).await.unwrap();
        assert!(restored.listed.iter().all(|file| file.key_groups == key_groups));
        let empty = SubtaskState::new(&states(), MaxParallelism::DEFAULT, key_groups).unwrap();
        let mut state = empty.restored_from(restored.files, 0).unwrap();
        let owned = |name: &&String| {
            key_groups.contains(MaxParallelism::DEFAULT.key_group(weir_protocol::key_group::key_hash(name.as_bytes())))
        };
        let owned: Vec<String> = names.iter().filter(owned).cloned().collect();
        state.select(&keys(&owned), 0).unwrap();
        let mut found = OptionalColumn::default();
        let indices: Vec<u32> = (0..u32::try_from(owned.len()).unwrap()).collect();
        state.values(StateId(0), &indices, &mut found).unwrap();
        (0..owned.len()).map(|at| found.get(at).map(<[u8]>::to_vec)).collect()
    }
}

fn manifest(files: &StateFiles) -> Manifest {
    let mut manifest = Manifest::start(MaxParallelism::DEFAULT, 0, std::collections::BTreeMap::new());
    let StateFiles { base, files } = files.clone();
    let subtask = SubtaskManifest {
        index: 0,
        parallelism: 1,
        key_groups: ALL,
        base,
        files,
        unkeyed: None,
        watermark: 7,
        processing_time: 8,
    };
    manifest.operators.insert(uid(), vec![subtask]);
    manifest
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|name| format!("key-{name}")).collect()
}

fn noise(seed: usize, bytes: usize) -> Vec<u8> {
    let mut state = seed as u64 + 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    (0..bytes).map(|_| next()).collect()
}

#[tokio::test]
async fn few_bytes_are_held_in_the_manifest_and_many_become_an_object_of_the_owner() {
    let mut counter = Counter::new();
    let files = counter.checkpoint(&names(1), b"1").await;
    assert_eq!(files.files[0].blob.object(), None);
    let files = counter.checkpoint(&names(1), &noise(0, 20_000)).await;
    let object = files.files[1].blob.object().unwrap();
    let name = ObjectName::of_manifest(JOB, &object.name).unwrap();
    assert_eq!((name.owner(), object.made_by), (Some(OWNER), OWNER.number));
    assert_eq!(counter.unsaved.bytes(), 0);
}

#[tokio::test]
async fn a_checkpoint_in_which_nothing_was_written_lists_the_same_files() {
    let mut counter = Counter::new();
    let files = counter.checkpoint(&names(3), b"1").await;
    assert_eq!(counter.uploader.close(counter.state.freeze(0)).await.unwrap(), files);
}

#[tokio::test]
async fn a_checkpoint_that_is_not_incremental_is_one_file_that_holds_everything() {
    let mut counter = Counter::new();
    counter.uploader = counter.uploader.incremental(false);
    for value in 1..=5 {
        let names = names(10 * usize::from(value));
        let files = counter.checkpoint(&names, &[value]).await;
        assert!(files.base.is_some() && files.files.is_empty(), "{files:?}");
        assert_eq!(counter.restored(&files, ALL, &names).await, vec![Some(vec![value]); names.len()]);
    }
}

#[tokio::test]
async fn what_is_closed_early_belongs_to_the_next_checkpoint() {
    let mut counter = Counter::new();
    counter.write(&names(3), b"1");
    let early = counter.state.freeze(0).unwrap();
    counter.uploader.close_early(early).await.unwrap();
    let files = counter.checkpoint(&names(1), b"2").await;
    assert_eq!(files.files.len(), 2);
    let values = counter.restored(&files, ALL, &names(3)).await;
    assert_eq!(values, [b"2", b"1", b"1"].map(|value| Some(value.to_vec())));
}

#[tokio::test]
async fn a_segment_closed_for_a_checkpoint_that_was_aborted_stays_listed() {
    let mut counter = Counter::new();
    let aborted = counter.checkpoint(&names(3), b"1").await;
    let next = counter.checkpoint(&names(1), b"2").await;
    assert_eq!(next.files[..1], aborted.files);
    let values = counter.restored(&next, ALL, &names(3)).await;
    assert_eq!(values, [b"2", b"1", b"1"].map(|value| Some(value.to_vec())));
}

#[tokio::test]
async fn many_files_become_a_base_that_covers_every_segment_closed_before() {
    let mut counter = Counter::new();
    let mut files = StateFiles::default();
    for at in 0..40 {
        files = counter.checkpoint(&names(at + 1), at.to_string().as_bytes()).await;
    }
    while files.base.is_none() {
        tokio::task::yield_now().await;
        files = counter.uploader.close(None).await.unwrap();
    }
    assert!(files.files.len() < 40, "the base stands in the place of what it covers");
    let values = counter.restored(&files, ALL, &names(40)).await;
    assert_eq!(values, vec![Some(b"39".to_vec()); 40]);
}

#[tokio::test]
async fn files_that_outweigh_the_base_are_merged_before_they_are_many() {
    let mut counter = Counter::new();
    let mut files = StateFiles::default();
    for at in 0..3 {
        files = counter.checkpoint(&names(1), &noise(at, 60_000)).await;
    }
    while files.base.is_none() {
        tokio::task::yield_now().await;
        files = counter.uploader.close(None).await.unwrap();
    }
    assert_eq!(counter.restored(&files, ALL, &names(1)).await, [Some(noise(2, 60_000))]);
}

#[tokio::test]
async fn state_that_shrinks_gets_a_base_without_what_is_gone_though_nothing_else_happens() {
    let mut counter = Counter::new();
    counter.write(&names(1), b"stays");
    for at in 1..40 {
        counter.write(&[at.to_string()], &noise(at, 10_000));
    }
    let before = counter.uploader.close(counter.state.freeze(0)).await.unwrap().bytes();
    let gone: Vec<_> = (1..40).map(|at: usize| at.to_string()).collect();
    counter.state.select(&keys(&gone), 0).unwrap();
    let mut writes = Writes::default();
    (0..39).for_each(|key| writes.value_writes_mut(StateId(0)).set(key, None));
    counter.state.commit(&writes).unwrap();
    let mut files = counter.uploader.close(counter.state.freeze(0)).await.unwrap();
    while files.base.is_none() {
        tokio::task::yield_now().await;
        files = counter.uploader.close(None).await.unwrap();
    }
    assert!(files.bytes() < before / 100, "{} of {before} bytes stay", files.bytes());
    assert_eq!(counter.restored(&files, ALL, &names(1)).await, [Some(b"stays".to_vec())]);
}

#[tokio::test]
async fn two_halves_of_a_subtask_restore_each_its_own_key_groups() {
    let mut counter = Counter::new();
    counter.checkpoint(&names(50), b"1").await;
    let files = counter.checkpoint(&names(20), b"2").await;
    let halves = [KeyGroupRange { start: 0, end: 64 }, KeyGroupRange { start: 64, end: 128 }];
    let mut found = 0;
    for half in halves {
        let values = counter.restored(&files, half, &names(50)).await;
        assert!(values.iter().all(Option::is_some));
        found += values.len();
    }
    assert_eq!(found, 50);
}

#[tokio::test]
async fn a_damaged_file_is_named_by_restore_and_by_merge() {
    let mut counter = Counter::new();
    let files = counter.checkpoint(&names(1), &noise(0, 60_000)).await;
    let object = files.files[0].blob.object().unwrap().name.clone();
    let name = ObjectName::of_manifest(JOB, &object).unwrap();
    counter.store.put(&name, Bytes::from_static(b"bad")).await.unwrap();
    let error = restore_subtask(&counter.stored(), &manifest(&files), &uid(), ALL, 1 << 20).await.unwrap_err();
    assert!(error.fault() == Fault::Corrupt && error.to_string().contains(&object), "{error}");
    counter.checkpoint(&names(1), &noise(1, 60_000)).await;
    let error = loop {
        tokio::task::yield_now().await;
        if let Err(error) = counter.uploader.close(None).await {
            break error;
        }
    };
    assert!(error.fault() == Fault::Corrupt && error.to_string().contains(&object), "{error}");
}

#[tokio::test]
async fn results_stay_listed_until_an_entry_records_them() {
    let store = Store::new(Arc::new(InMemory::new()), Clock::system());
    let subtask = SubtaskId { uid: "out".parse().unwrap(), index: 2 };
    let blobs = BlobWriter::new(store.clone(), JOB, OWNER, subtask, DataKind::Outbox);
    let mut parts = PartUploader::new(blobs, Unsaved::default());
    let epochs =
        |parts: Vec<weir_protocol::manifest::OutboxPart>| parts.iter().map(|part| part.epoch.0).collect::<Vec<_>>();
    let sealed = || Some((Bytes::from(noise(0, 9_000)), 1));
    assert_eq!(epochs(parts.seal(CheckpointId(5), sealed()).await.unwrap()), [5]);
    assert_eq!(epochs(parts.seal(CheckpointId(6), sealed()).await.unwrap()), [5, 6]);
    parts.recorded(CheckpointId(5));
    assert_eq!(epochs(parts.seal(CheckpointId(7), None).await.unwrap()), [6]);
    parts.recorded(CheckpointId(7));
    assert!(parts.seal(CheckpointId(8), None).await.unwrap().is_empty());
    assert_eq!(store.list(&Prefix::data(JOB)).await.unwrap().len(), 2);
}

const LIST: StateId = StateId(0);

fn list_states() -> Vec<StateDescription> {
    let (name, codec) = ("list".to_owned(), "raw".to_owned());
    let kind = StateKind::OperatorSplit;
    vec![StateDescription { name, kind, codec, version: 1, ttl: None, properties: Vec::new() }]
}

/// One subtask with one split list, and the store that its snapshots go to.
fn lister(store: &Store, index: u32) -> (UnkeyedStore, UnkeyedUploader) {
    let blobs = BlobWriter::new(store.clone(), JOB, OWNER, SubtaskId { uid: uid(), index }, DataKind::Unkeyed);
    (UnkeyedStore::new(&list_states()), UnkeyedUploader::new(blobs, None, Unsaved::default(), Handle::current().into()))
}

fn set_list(state: &mut UnkeyedStore, elements: &[Vec<u8>]) {
    let mut lent = state.lend();
    let mut writes = UnkeyedWrites::default();
    writes.set_list(LIST, elements.iter().map(Vec::as_slice).collect(), &lent);
    state.commit(&mut lent, writes);
    state.take_back(lent);
}

#[tokio::test]
async fn the_newest_snapshot_is_named_until_there_is_another_or_nothing_to_name() {
    let store = Store::new(Arc::new(InMemory::new()), Clock::system());
    let (mut state, mut uploader) = lister(&store, 0);
    assert_eq!(uploader.close(state.freeze()).await.unwrap(), None);
    set_list(&mut state, &[noise(0, 20_000)]);
    let first = uploader.close(state.freeze()).await.unwrap();
    assert!(first.as_ref().is_some_and(|blob| blob.object().is_some_and(|object| object.name.ends_with(".unkeyed"))));
    assert_eq!(uploader.close(state.freeze()).await.unwrap(), first);
    set_list(&mut state, &[noise(1, 20_000)]);
    assert_ne!(uploader.close(state.freeze()).await.unwrap(), first);
    set_list(&mut state, &[]);
    assert_eq!(uploader.close(state.freeze()).await.unwrap(), None);
}

#[tokio::test]
async fn snapshots_of_others_are_read_only_where_the_parallelism_is_another_one() {
    let store = Store::new(Arc::new(InMemory::new()), Clock::system());
    let mut whole = manifest(&StateFiles::default());
    let old = whole.operators.get_mut(&uid()).unwrap();
    for index in 0..2 {
        let (mut state, mut uploader) = lister(&store, index);
        set_list(&mut state, &[noise(usize::try_from(index).unwrap(), 20_000)]);
        let unkeyed = uploader.close(state.freeze()).await.unwrap();
        let subtask = SubtaskManifest { index, parallelism: 2, unkeyed, ..old[0].clone() };
        old.push(subtask);
    }
    old.remove(0);
    let read = async |index, parallelism| {
        let restored = restore_unkeyed(&store, JOB, &whole, &uid(), Place { index, parallelism }).await?;
        let state = UnkeyedStore::restore(&list_states(), Place { index, parallelism }, &restored.old).unwrap();
        let elements: Vec<_> =
            state.state().list(LIST).map(|list| list.iter().map(<[u8]>::to_vec).collect()).unwrap_or_default();
        Ok::<_, BlobError>((elements, restored.own))
    };
    assert_eq!(read(1, 2).await.unwrap(), (vec![noise(1, 20_000)], whole.operators[&uid()][1].unkeyed.clone()));
    assert_eq!(read(0, 1).await.unwrap(), (vec![noise(0, 20_000), noise(1, 20_000)], None));
    assert_eq!(read(2, 3).await.unwrap(), (vec![], None));
    let object = whole.operators[&uid()][0].unkeyed.as_ref().unwrap().object().unwrap().name.clone();
    let name = ObjectName::of_manifest(JOB, &object).unwrap();
    store.put(&name, Bytes::from_static(b"bad")).await.unwrap();
    assert!(read(1, 2).await.is_ok());
    for (index, parallelism) in [(0, 2), (2, 3)] {
        let error = read(index, parallelism).await.unwrap_err();
        assert!(error.fault() == Fault::Corrupt && error.to_string().contains(&object), "{error}");
    }
}
