use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use object_store::memory::InMemory;
use weir_protocol::Fault;
use weir_protocol::chain::Owner;
use weir_protocol::id::{CheckpointId, EntryNumber, JobId, Nonce, SubtaskId};

use super::counted::{Counted, Mood};
use super::flawed::{Flaw, Flawed};
use super::*;
use crate::clock::Entropy;

fn memory() -> Store {
    Store::new(Arc::new(InMemory::new()), Clock::system())
}

fn subtask() -> SubtaskId {
    SubtaskId { uid: "count".parse().unwrap(), index: 3 }
}

fn data_name() -> ObjectName {
    let owner = Owner { number: EntryNumber(7), nonce: Nonce(0xabc) };
    ObjectName::data(JobId(5), owner, &subtask(), 9, DataKind::State)
}

#[test]
fn a_folder_that_cannot_be_made_is_refused_with_the_one_that_takes_none() {
    let refused = open("/proc/nope/store", &Clock::system()).unwrap_err().to_string();
    assert!(refused.contains("`/proc/nope/store`") && refused.contains("nothing can be made in `/proc`"), "{refused}");
    let refused = DataFolder::lock(std::path::Path::new("/proc/nope")).unwrap_err().to_string();
    assert!(refused.contains("nothing can be made in `/proc`"), "{refused}");
}

#[test]
fn names_are_those_of_the_durable_layout() {
    let job = JobId(5);
    let run = ChainName::Run(job);
    let names = [
        (ObjectName::component("c0ffee"), "components/c0ffee.wasm"),
        (ObjectName::component_description("c0ffee"), "components/c0ffee.json"),
        (
            ObjectName::entry(&ChainName::Component("word-count".parse().unwrap()), EntryNumber(2)),
            "component-names/word-count/00000000000000000002.json",
        ),
        (
            ObjectName::entry(&ChainName::Spec(job), EntryNumber(0)),
            "jobs/00000000000000000000000000000005/spec/00000000000000000000.json",
        ),
        (
            ObjectName::entry(&run, EntryNumber(u64::MAX)),
            "jobs/00000000000000000000000000000005/run/18446744073709551615.json",
        ),
        (
            data_name(),
            "jobs/00000000000000000000000000000005/data/00000000000000000007-00000000000000000000000000000abc/count/3-9.state",
        ),
        (
            ObjectName::dead_letters(job, CheckpointId(4), &subtask()),
            "jobs/00000000000000000000000000000005/dead-letters/00000000000000000004-count-3.ndjson",
        ),
    ];
    for (name, text) in names {
        assert_eq!(name.to_string(), text);
    }
}

#[test]
fn a_manifest_can_name_only_its_own_jobs_data() {
    let name = data_name();
    assert_eq!(ObjectName::of_manifest(JobId(5), &name.to_string()), Some(name.clone()));
    assert_eq!(ObjectName::of_manifest(JobId(6), &name.to_string()), None);
    let spec = ObjectName::entry(&ChainName::Spec(JobId(5)), EntryNumber(0));
    assert_eq!(ObjectName::of_manifest(JobId(5), &spec.to_string()), None);
    assert_eq!(ObjectName::of_manifest(JobId(5), "../../etc/passwd"), None);
}

#[test]
fn the_owner_can_be_read_from_a_name_again() {
    assert_eq!(data_name().owner(), Some(Owner { number: EntryNumber(7), nonce: Nonce(0xabc) }));
    assert_eq!(ObjectName::component("c0ffee").owner(), None);
}

#[tokio::test]
async fn a_chain_lists_its_own_numbers_in_order_from_the_first_asked_for() {
    let store = memory();
    let chain = ChainName::Run(JobId(1));
    for number in [0, 9, 10, 11] {
        store.put(&ObjectName::entry(&chain, EntryNumber(number)), Bytes::new()).await.unwrap();
    }
    store.put(&ObjectName(chain.prefix().0.join("00000000000000000012.json.bak")), Bytes::new()).await.unwrap();
    let from = async |first| store.entries(&chain, EntryNumber(first)).await.unwrap();
    assert_eq!(from(0).await, [0, 9, 10, 11].map(EntryNumber));
    assert_eq!(from(10).await, [10, 11].map(EntryNumber));
    assert_eq!(from(12).await, []);
}

#[tokio::test]
async fn only_the_first_create_of_a_name_succeeds() {
    let store = memory();
    assert_eq!(store.put_if_absent(&data_name(), Bytes::from_static(b"a")).await, Creation::Created);
    assert_eq!(store.put_if_absent(&data_name(), Bytes::from_static(b"b")).await, Creation::AlreadyExists);
    assert_eq!(store.get(&data_name()).await.unwrap().unwrap(), "a");
}

#[tokio::test]
async fn deleting_what_is_not_there_is_no_error() {
    memory().delete(&data_name()).await.unwrap();
}

#[tokio::test]
async fn the_stores_that_ship_pass_the_probe_and_it_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    for location in ["memory://", folder.path().to_str().unwrap()] {
        let store = Store::new(open(location, &clock).unwrap(), clock);
        store.probe(&Entropy::system()).await.unwrap();
        assert_eq!(store.list(&Prefix::probe()).await.unwrap(), []);
    }
}

#[tokio::test]
async fn a_store_that_loses_creates_or_lists_late_is_refused_by_name() {
    for (flaw, reason) in [
        (Flaw::OverwritesOnCreate, "two creates of one name win"),
        (Flaw::LooksThenWrites, "two creates of one name win"),
        (Flaw::ListsLate, "listing does not show"),
        (Flaw::KeepsDeleted, "after it was deleted"),
        (Flaw::KnowsNoCondition, "no create-if-absent"),
    ] {
        let store = Store::new(Arc::new(Flawed::new(flaw)), Clock::system());
        let error = store.probe(&Entropy::system()).await.unwrap_err();
        assert_eq!(error.fault(), Fault::Request, "{flaw:?}: {error}");
        let text = error.to_string();
        assert!(text.contains(&format!("flawed://{flaw:?}")) && text.contains(reason), "{flaw:?}: {text}");
    }
}

#[tokio::test]
async fn a_store_whose_answers_are_lost_or_that_sends_both_back_passes_the_probe() {
    for flaw in [Flaw::LosesAnswers, Flaw::SendsBothBack] {
        let store = Store::new(Arc::new(Flawed::new(flaw)), Clock::system());
        store.probe(&Entropy::system()).await.unwrap();
        assert_eq!(store.list(&Prefix::probe()).await.unwrap(), [], "{flaw:?}");
    }
}

#[tokio::test]
async fn a_large_object_is_written_in_parts_and_read_back_whole() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let bytes: Bytes = (0..(20 << 20) + 7_u32).map(|byte| byte.to_le_bytes()[0]).collect();
    for location in ["memory://", folder.path().to_str().unwrap()] {
        let store = Store::new(open(location, &clock).unwrap(), clock);
        store.put(&data_name(), bytes.clone()).await.unwrap();
        assert!(store.get(&data_name()).await.unwrap().unwrap() == bytes, "{location}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_object_that_cannot_be_written_leaves_no_parts_behind() {
    for mood in [Mood::FailsParts, Mood::FailsCompletion] {
        let objects = Counted::new(Arc::new(InMemory::new()));
        let store = Store::new(Arc::new(objects.clone()), Clock::system());
        objects.set_mood(mood);
        let error = store.put(&data_name(), vec![0; 5 * PART_BYTES].into()).await.unwrap_err();
        assert_eq!(error.fault(), Fault::Unavailable, "{error}");
        assert_eq!((objects.take_uploads_begun(), objects.uploads()), (ATTEMPTS_MAX as usize, 0), "{mood:?}");
    }
}

#[test]
fn another_kind_of_store_is_refused_by_name() {
    let error = open("hdfs://namenode:40010/weir", &Clock::system()).unwrap_err();
    assert_eq!(error.fault(), Fault::Request);
    assert!(error.to_string().contains("hdfs://"), "{error}");
}

#[test]
fn an_environments_values_are_not_shown() {
    let environment = Environment::from_iter([("AWS_SECRET_ACCESS_KEY", "geheim")]);
    assert_eq!(format!("{environment:?}"), r#"["AWS_SECRET_ACCESS_KEY"]"#);
}

#[test]
fn opening_a_folder_sweeps_leftovers_of_dead_writers_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let below = folder.path().join("jobs/1");
    std::fs::create_dir_all(&below).unwrap();
    let files = ["0.json", "0.json#1", "0.json#draft"].map(|file| below.join(file));
    for file in &files {
        std::fs::write(file, "x").unwrap();
    }
    let exists = || files.iter().map(|file| file.exists()).collect::<Vec<_>>();
    let now = Clock::system();
    open(folder.path().to_str().unwrap(), &now).unwrap();
    assert_eq!(exists(), [true, true, true], "a leftover younger than the grace time may have a living writer");
    let grace = Timestamp::try_from(LEFTOVER_GRACE.as_millis()).unwrap();
    open(folder.path().to_str().unwrap(), &Clock::starting_at(now.now() + grace + 1_000)).unwrap();
    assert_eq!(exists(), [true, false, true]);
}

#[test]
fn a_data_folder_in_use_is_refused_with_its_path_and_the_holders_pid() {
    let folder = tempfile::tempdir().unwrap();
    let held = DataFolder::lock(folder.path()).unwrap();
    let error = DataFolder::lock(folder.path()).unwrap_err().to_string();
    assert!(error.contains(folder.path().to_str().unwrap()), "{error}");
    assert!(error.contains(&std::process::id().to_string()), "{error}");
    drop(held);
    DataFolder::lock(folder.path()).unwrap();
}

#[test]
fn opening_a_folder_bears_writers_that_finish_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let unfinished: Vec<_> = (0..200).map(|number| folder.path().join(format!("entry#{number}"))).collect();
    let opened = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !opened.load(Ordering::Relaxed) {
                unfinished.iter().for_each(|file| std::fs::write(file, "half").unwrap());
                unfinished.iter().for_each(|file| std::fs::remove_file(file).unwrap());
            }
        });
        let clock = Clock::system();
        let results: Vec<_> = (0..1_000).map(|_| open(folder.path().to_str().unwrap(), &clock)).collect();
        opened.store(true, Ordering::Relaxed);
        let refused = results.into_iter().find_map(Result::err);
        assert!(refused.is_none(), "{refused:?}");
    });
}
