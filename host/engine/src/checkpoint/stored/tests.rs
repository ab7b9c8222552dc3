//! What is read part by part is what was written, in bounded memory; and what does not verify is named.

use std::sync::Arc;

use object_store::memory::InMemory;
use tokio::runtime::Handle;
use tokio::task::block_in_place;
use weir_operator::batch::{Keys, OptionalColumn};
use weir_operator::keyed_state::{KeyedState, Read, StateId, Writes};
use weir_protocol::chain::Owner;
use weir_protocol::description::{StateDescription, StateKind};
use weir_protocol::id::{EntryNumber, Nonce, SubtaskId};
use weir_protocol::key_group::{KeyGroup, MaxParallelism};

use super::*;
use crate::checkpoint::upload::{BlobWriter, StateFiles, StateUploader, Unsaved};
use crate::clock::Clock;
use crate::state::file::{FileRecord, RecordKind, Writer};
use crate::state::{LocalDisk, LocalDiskOptions, SpillTo, SubtaskState};
use crate::store::DataKind;
use crate::store::counted::{Counted, Mood};

const JOB: JobId = JobId(1);
pub(in crate::checkpoint) const ALL: KeyGroupRange = KeyGroupRange { start: 0, end: 128 };
/// What a subtask's state may fill; there is twenty times as much.
const MEMORY: u64 = 2 << 20;
const KEYS: u32 = 4_000;
const VALUE_BYTES: usize = 10_000;
/// Keys of one epoch.
const EPOCH: u32 = 250;

fn empty() -> SubtaskState {
    let states = [StateDescription {
        name: "noise".to_owned(),
        kind: StateKind::KeyedValue,
        codec: "raw".to_owned(),
        version: 1,
        ttl: None,
        properties: Vec::new(),
    }];
    SubtaskState::new(&states, MaxParallelism::DEFAULT, ALL).unwrap()
}

fn keys(numbers: Range<u32>) -> Keys {
    let keys: Vec<_> = numbers.map(|number| number.to_string()).collect();
    Keys::encode(keys.iter().map(String::as_bytes))
}

/// Nothing that could be compressed.
fn value(key: u32) -> Vec<u8> {
    let mut state = u64::from(key) + 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    (0..VALUE_BYTES).map(|_| next()).collect()
}

/// The writer of an owner's files.
pub(in crate::checkpoint) fn blobs(stored: &StoredFiles, owner: u64) -> BlobWriter {
    let owner = Owner { number: EntryNumber(owner), nonce: Nonce(4) };
    let subtask = SubtaskId { uid: "noise".parse().unwrap(), index: 0 };
    BlobWriter::new(stored.store.clone(), JOB, owner, subtask, DataKind::State)
}

/// What a subtask uploaded to a store: 40 MB, and nothing goes on behind it.
pub(in crate::checkpoint) async fn uploaded(objects: &Counted) -> (StoredFiles, StateFiles) {
    uploaded_in(objects, KEYS, EPOCH).await
}

/// The same of so many keys, so many in each file.
async fn uploaded_in(objects: &Counted, all: u32, epoch: u32) -> (StoredFiles, StateFiles) {
    let store = Store::new(Arc::new(objects.clone()), Clock::system());
    let stored = StoredFiles::new(store, JOB, Handle::current().into());
    let mut blobs = blobs(&stored, 3);
    let mut state = empty();
    let mut files = StateFiles::default();
    for first in (0..all).step_by(epoch as usize) {
        state.select(&keys(first..first + epoch), 0).unwrap();
        let mut writes = Writes::default();
        (0..epoch).for_each(|key| writes.value_writes_mut(StateId(0)).set(key, Some(&value(first + key))));
        state.commit(&writes).unwrap();
        let blob = blobs.write(&state.freeze(0).unwrap().encode()).await.unwrap();
        files.files.push(StateFile { blob, key_groups: ALL });
    }
    (stored, files)
}

/// Whether every value is there.
fn check(state: &mut SubtaskState) {
    for first in (0..KEYS).step_by(EPOCH as usize) {
        state.select(&keys(first..first + EPOCH), 0).unwrap();
        if let Some(fetch) = state.fetch(&Read::Values(StateId(0), None)).unwrap() {
            state.supply(fetch.now()).unwrap();
        }
        let mut found = OptionalColumn::default();
        state.values(StateId(0), &(0..EPOCH).collect::<Vec<_>>(), &mut found).unwrap();
        for key in 0..EPOCH {
            assert!(found.get(key as usize) == Some(&value(first + key)), "key {}", first + key);
        }
        block_in_place(|| Handle::current().block_on(state.make_room())).unwrap();
    }
}

/// Bytes that files which are open may hold: what they were allowed, and what the smallest windows come to.
fn allowed(budget: u64, files: usize) -> usize {
    usize::try_from(budget + 2 * WINDOW_BYTES_MIN * files as u64).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn state_of_twenty_times_its_memory_is_merged_and_restored_in_bounded_memory() {
    let objects = Counted::new(Arc::new(InMemory::new()));
    let (stored, files) = uploaded(&objects).await;
    assert!(files.bytes() > 19 * MEMORY, "{} bytes were uploaded", files.bytes());
    objects.take_most_held();
    objects.take_largest_put();
    let count = files.iter().count();
    let unsaved = Unsaved::default();
    let uploader = StateUploader::new(blobs(&stored, 5), ALL, files.clone(), unsaved, stored.runtime.clone());
    let merged = uploader.incremental(false).close(None).await.unwrap();
    assert!(merged.base.is_some() && merged.files.is_empty());
    let held = objects.take_most_held();
    assert!(held < allowed(16 << 20, count), "merging {count} files held {held} bytes");
    assert_eq!(objects.take_largest_put(), 8 << 20);
    let folder = tempfile::tempdir().unwrap();
    let disk = LocalDisk::open(folder.path(), LocalDiskOptions::default()).unwrap();
    for files in [files, merged] {
        let files: Vec<_> = files.iter().cloned().collect();
        let opened = stored.open(&files, MEMORY).await.unwrap();
        let (disk, runtime) = (disk.clone(), stored.runtime.clone());
        let to = SpillTo { disk, runtime, folder: None, memory_bytes: MEMORY, name: "noise".to_owned() };
        let mut restored = block_in_place(|| empty().spilling(to).restored_from(opened, 0)).unwrap();
        let held = objects.take_most_held();
        assert!(held < allowed(MEMORY, files.len()), "restoring {} files held {held} bytes", files.len());
        assert!(restored.bytes_held() < 2 * MEMORY, "{} bytes are held", restored.bytes_held());
        check(&mut restored);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_reads_as_it_does_of_the_whole_wherever_it_lies() {
    let (bytes, noise) = (1_000_000, value(1).repeat(100));
    let store = Store::new(Arc::new(InMemory::new()), Clock::system());
    let owner = Owner { number: EntryNumber(3), nonce: Nonce(4) };
    let name = ObjectName::data(JOB, owner, &SubtaskId { uid: "noise".parse().unwrap(), index: 0 }, 0, DataKind::State);
    store.put(&name, noise.clone().into()).await.unwrap();
    let files = StoredFiles::new(store, JOB, Handle::current().into());
    for (reads_ahead, window_bytes) in [(true, 1_000), (true, 70_000), (false, 10_000), (true, 2_000_000)] {
        let (files, name, text, read) = (files.clone(), name.clone(), name.to_string(), Mutex::default());
        let file = StoredFile { files, name, text, bytes, window_bytes, reads_ahead, read };
        let noise = noise.clone();
        block_in_place(move || {
            let mut at = 0;
            let mut random = 1_u64;
            while at < bytes {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                // Mostly one behind the other, as blocks are; now and then something is skipped, or the end is read.
                let place = match random >> 60 {
                    0 => bytes - 500..bytes,
                    1 => at + (random >> 40) % 50_000..at + (random >> 40) % 50_000 + 10,
                    _ => at..at + 1 + (random >> 40) % 3_000,
                };
                let place = place.start.min(bytes)..place.end.min(bytes);
                let at_byte = |at: u64| usize::try_from(at).unwrap();
                let wanted = &noise[at_byte(place.start)..at_byte(place.end)];
                assert!(file.read(place.clone()).unwrap() == wanted, "{place:?} with windows of {window_bytes}");
                at = if place.end == bytes { at + 1_000 } else { place.end };
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_damaged_cut_or_gone_is_named_though_it_is_read_part_by_part() {
    let objects = Counted::new(Arc::new(InMemory::new()));
    let (stored, files) = uploaded(&objects).await;
    let files: Vec<_> = files.iter().cloned().collect();
    let object = files[0].blob.object().unwrap();
    let name = ObjectName::of_manifest(JOB, &object.name).unwrap();
    let whole = stored.store.get(&name).await.unwrap().unwrap();
    let mut flipped = whole.to_vec();
    flipped[whole.len() / 2] ^= 1;
    let mut cut = whole.to_vec();
    cut.truncate(whole.len() / 2);
    for bad in [Some(flipped), Some(cut), None] {
        match bad {
            Some(bad) => stored.store.put(&name, bad.into()).await.unwrap(),
            None => stored.store.delete(&name).await.unwrap(),
        }
        let opened = stored.open(&files, MEMORY).await;
        let read = block_in_place(|| Ok::<_, BlobError>(empty().restored_from(opened?, 0)?));
        let error = read.unwrap_err();
        assert!(error.fault() == Fault::Corrupt && error.to_string().contains(&object.name), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_whose_key_groups_follow_each_other_are_not_in_memory_at_the_same_time() {
    const BUDGET: u64 = 4 << 20;
    let objects = Counted::new(Arc::new(InMemory::new()));
    let (stored, files) = uploaded(&objects).await;
    // As if each file had been another subtask's.
    let slice = |(file, number): (&StateFile, u16)| StateFile {
        key_groups: KeyGroupRange { start: 8 * number, end: 8 * number + 8 },
        ..file.clone()
    };
    let files: Vec<_> = files.iter().zip(0..).map(slice).collect();
    objects.take_most_held();
    let opened = stored.open(&files, BUDGET).await.unwrap();
    assert_eq!(objects.held(), 0, "of what is only opened nothing stays");
    let restored = block_in_place(|| empty().restored_from(opened, 0)).unwrap();
    assert!(restored.bytes_in_all() > u64::from(KEYS / 16) * VALUE_BYTES as u64 / 2);
    let held = objects.take_most_held();
    assert!(held < allowed(BUDGET, 1), "{held} bytes were held");
    assert_eq!(objects.held(), 0, "nor of what was read to its end");
}

#[tokio::test(flavor = "multi_thread")]
async fn small_files_are_not_all_in_memory_where_there_are_very_many() {
    const BUDGET: u64 = 1 << 20;
    const FILES: u32 = 800;
    let objects = Counted::new(Arc::new(InMemory::new()));
    let (stored, files) = uploaded_in(&objects, FILES, 1).await;
    let files: Vec<_> = files.iter().cloned().collect();
    assert!(files.iter().all(|file| file.blob.object().is_some() && file.blob.bytes() <= SMALL_BYTES));
    let opened = stored.open(&files, BUDGET).await.unwrap();
    let held = objects.held();
    // Some are, since that takes fewer reads.
    assert!((1..=BUDGET / SMALL_SHARE).contains(&(held as u64)), "{held} bytes stay of what is only opened");
    objects.take_most_held();
    let restored = block_in_place(|| empty().restored_from(opened, 0)).unwrap();
    assert!(restored.bytes_in_all() > u64::from(FILES) * VALUE_BYTES as u64);
    let held = objects.take_most_held();
    assert!(held as u64 <= BUDGET, "{held} bytes were held");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_files_are_opened_at_the_same_time_and_in_few_reads() {
    let objects = Counted::new(Arc::new(InMemory::new()));
    let (stored, files) = uploaded(&objects).await;
    let files: Vec<_> = files.iter().cloned().collect();
    objects.set_mood(Mood::StallsReads);
    objects.take_reads();
    let opening = stored.open(&files, MEMORY);
    let goes_on = async {
        objects.until_waiting(OPENED_AT_ONCE).await;
        objects.set_mood(Mood::Fine);
    };
    assert_eq!(tokio::join!(opening, goes_on).0.unwrap().len(), files.len());
    // Its length, its head and its end.
    assert_eq!(objects.take_reads(), 3 * files.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_verifies_and_cannot_be_what_it_says_is_named() {
    let objects = Counted::new(Arc::new(InMemory::new()));
    let (stored, mut files) = uploaded(&objects).await;
    files.files.truncate(2);
    let header = stored.open_whole(&files.files[0].blob).await.unwrap().header().clone();
    let mut writer = Writer::new(header);
    for key in [b"1".as_slice(), b"2"] {
        let group = KeyGroup(127);
        let value = &value(1)[..];
        writer.push(&FileRecord { group, row: 0, kind: RecordKind::Put, key, entry: b"", value });
    }
    let blob = blobs(&stored, 7).write(&writer.finish()).await.unwrap();
    let name = blob.object().unwrap().name.clone();
    files.files.insert(1, StateFile { blob, key_groups: ALL });
    for budget in [1 << 30, 1] {
        let files: Vec<_> = files.iter().cloned().collect();
        let opened = stored.open(&files, budget).await.unwrap();
        let error = block_in_place(|| empty().restored_from(opened, 0)).unwrap_err();
        assert!(error.fault == Fault::Corrupt && error.message.contains(&name), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_does_not_verify_is_named_though_the_file_was_read_whole() {
    let objects = Counted::new(Arc::new(InMemory::new()));
    let (stored, files) = uploaded(&objects).await;
    let whole = read_blob(&stored.store, JOB, &files.files[0].blob).await.unwrap();
    let mut flipped = whole.to_vec();
    flipped[whole.len() / 2] ^= 1;
    // Whoever wrote it wrote the checksum of what is damaged.
    let blob = blobs(&stored, 7).write(&flipped.into()).await.unwrap();
    let name = blob.object().unwrap().name.clone();
    let files = [StateFile { blob, key_groups: ALL }];
    let opened = stored.open(&files, 1 << 30).await.unwrap();
    let error = block_in_place(|| empty().restored_from(opened, 0)).unwrap_err();
    assert!(error.fault == Fault::Corrupt && error.message.contains(&name), "{error:?}");
}
