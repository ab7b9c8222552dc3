//! Uploads while the store is away.

use std::sync::Arc;

use bytes::Bytes;
use object_store::memory::InMemory;
use tokio::runtime::Handle;
use weir_engine::checkpoint::read_blob;
use weir_engine::checkpoint::upload::{BlobWriter, PartUploader, StateFiles, StateUploader, UnkeyedUploader, Unsaved};
use weir_engine::clock::{Clock, Entropy};
use weir_engine::state::{SubtaskState, UnkeyedStore};
use weir_engine::store::{DataKind, Prefix, Store};
use weir_operator::batch::Keys;
use weir_operator::keyed_state::{KeyedState, StateId, Writes};
use weir_operator::unkeyed_state::UnkeyedWrites;
use weir_protocol::Fault;
use weir_protocol::chain::Owner;
use weir_protocol::description::{StateDescription, StateKind};
use weir_protocol::id::{CheckpointId, EntryNumber, JobId, Nonce, SubtaskId};
use weir_protocol::key_group::{KeyGroupRange, MaxParallelism};
use weir_protocol::redistribution::Place;
use weir_tests::faulty_store::{FaultyStore, Outcome};

use super::counting_job::{states, uid};

const JOB: JobId = JobId(7);
const ALL: KeyGroupRange = KeyGroupRange { start: 0, end: 128 };

/// A store whose first call fails however often it is tried, and everything else succeeds.
fn away_at_first(how: Outcome) -> Store {
    Store::new(Arc::new(FaultyStore::failing(Arc::new(InMemory::new()), 0..4, how)), Clock::system())
}

fn writer(store: &Store, kind: DataKind) -> BlobWriter {
    let owner = Owner { number: EntryNumber(0), nonce: Nonce(1) };
    BlobWriter::new(store.clone(), JOB, owner, SubtaskId { uid: uid("count"), index: 0 }, kind)
}

fn noise(seed: u64) -> Vec<u8> {
    let entropy = Entropy::seeded(seed);
    (0..3_000).flat_map(|_| entropy.bits64().to_be_bytes()).collect()
}

fn write(state: &mut SubtaskState, value: u64) {
    state.select(&Keys::encode([b"key".as_slice()]), 0).unwrap();
    let mut writes = Writes::default();
    writes.value_writes_mut(StateId(0)).set(0, Some(&noise(value)));
    state.commit(&writes).unwrap();
}

#[tokio::test]
async fn a_segment_that_the_store_refused_goes_with_the_next_checkpoint_in_its_order() {
    for how in [Outcome::Failed, Outcome::AppliedUnanswered] {
        let (store, unsaved) = (away_at_first(how), Unsaved::default());
        let blobs = writer(&store, DataKind::State);
        let mut files =
            StateUploader::new(blobs, ALL, StateFiles::default(), unsaved.clone(), Handle::current().into());
        let mut state = SubtaskState::new(&states(), MaxParallelism::DEFAULT, ALL).unwrap();
        write(&mut state, 1);
        let refused = files.close(state.freeze(0)).await.unwrap_err();
        assert_eq!(refused.fault(), Fault::Unavailable);
        assert!(unsaved.bytes() > 24_000, "what is not in the store is counted");
        write(&mut state, 2);
        let listed = files.close(state.freeze(0)).await.unwrap();
        assert_eq!((listed.files.len(), unsaved.bytes()), (2, 0));
        let names: Vec<_> = listed.files.iter().map(|file| file.blob.object().unwrap().name.clone()).collect();
        assert!(names.is_sorted(), "oldest first: {names:?}");
    }
}

#[tokio::test]
async fn results_that_the_store_refused_go_with_the_next_checkpoint() {
    let (store, unsaved) = (away_at_first(Outcome::Failed), Unsaved::default());
    let mut parts = PartUploader::new(writer(&store, DataKind::Outbox), unsaved.clone());
    let refused = parts.seal(CheckpointId(1), Some((Bytes::from(noise(1)), 1))).await.unwrap_err();
    assert_eq!((refused.fault(), unsaved.bytes()), (Fault::Unavailable, 24_000));
    let listed = parts.seal(CheckpointId(2), None).await.unwrap();
    assert_eq!(listed.iter().map(|part| part.epoch).collect::<Vec<_>>(), [CheckpointId(1)]);
    assert_eq!(store.list(&Prefix::data(JOB)).await.unwrap().len(), 1);
}

/// Without it a checkpoint that would try again might never come: there is no room for one.
#[tokio::test]
async fn what_the_store_refused_is_taken_without_another_checkpoint() {
    let (store, unsaved) = (away_at_first(Outcome::Failed), Unsaved::default());
    let mut parts = PartUploader::new(writer(&store, DataKind::Outbox), unsaved.clone());
    parts.seal(CheckpointId(1), Some((Bytes::from(noise(1)), 1))).await.unwrap_err();
    assert!(parts.has_unsaved());
    parts.retry().await.unwrap();
    assert!(!parts.has_unsaved() && unsaved.bytes() == 0);
    assert_eq!(parts.seal(CheckpointId(2), None).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_an_attempt_leaves_unsaved_does_not_count_against_the_next() {
    let (store, unsaved) = (away_at_first(Outcome::Failed), Unsaved::default());
    let mut parts = PartUploader::new(writer(&store, DataKind::Outbox), unsaved.clone());
    parts.seal(CheckpointId(1), Some((Bytes::from(noise(1)), 1))).await.unwrap_err();
    drop(parts);
    assert!(unsaved.has_room() && unsaved.bytes() == 0);
}

/// Each snapshot holds everything, so an older one that the store refused is not needed any more.
#[tokio::test]
async fn a_snapshot_that_the_store_refused_is_replaced_by_the_next() {
    let (store, unsaved) = (away_at_first(Outcome::Failed), Unsaved::default());
    let mut snapshots =
        UnkeyedUploader::new(writer(&store, DataKind::Unkeyed), None, unsaved.clone(), Handle::current().into());
    let states = vec![StateDescription { kind: StateKind::OperatorUnion, ..states().remove(0) }];
    let mut state = UnkeyedStore::new(&states);
    let mut set = |value| {
        let mut lent = state.lend();
        let mut writes = UnkeyedWrites::default();
        writes.set_list(StateId(0), [noise(value).as_slice()].into_iter().collect(), &lent);
        state.commit(&mut lent, writes);
        state.take_back(lent);
        state.freeze()
    };
    assert_eq!(snapshots.close(set(1)).await.unwrap_err().fault(), Fault::Unavailable);
    assert!(snapshots.has_unsaved() && unsaved.bytes() > 24_000);
    let blob = snapshots.close(set(2)).await.unwrap().unwrap();
    assert_eq!((snapshots.has_unsaved(), unsaved.bytes()), (false, 0));
    let old = vec![Some(read_blob(&store, JOB, &blob).await.unwrap())];
    let restored = UnkeyedStore::restore(&states, Place { index: 0, parallelism: 1 }, &old).unwrap();
    assert_eq!(restored.state().list(StateId(0)).unwrap().get(0), noise(2));
}
