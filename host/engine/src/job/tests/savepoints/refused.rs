//! What cannot begin from a savepoint, or is none.

use std::path::{Path, PathBuf};

use weir_protocol::Fault;
use weir_protocol::job_graph::CheckpointStorage;
use weir_protocol::job_spec::{FileSinkSpec, SinkConnector};
use weir_protocol::manifest::ObjectRef;
use weir_protocol::savepoint::{Refusal, Savepoint};
use weir_protocol::upgrade;

use super::super::operators::Faults;
use super::super::rig::{Rig, endless, keyed, output, uid, wait_for, wait_until};
use super::{another, ask, begin, check_goes_on, counting, counts, from, settled, taken};
use crate::job::{EngineError, JobState, Origin, SavepointAsk, SavepointStatus};

/// A savepoint of a job that runs on, where it is.
async fn savepoint(rig: &Rig, target: &Path) -> (crate::job::Engine, String) {
    let engine = rig.start(&Faults::default()).await;
    let job = engine.submit(counting(rig)).await.unwrap().id;
    wait_until(&engine, job, |status| status.checkpoints.completed >= 2).await;
    let location = taken(&engine, job, ask(target)).await;
    (engine, location)
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let found = entries.flat_map(|path| if path.is_dir() { files(&path, ending) } else { vec![path] });
    found.filter(|path| path.to_str().unwrap().ends_with(ending)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_flipped_bit_is_found_by_name_before_anything_begins() {
    let (rig, target) = (Rig::new(), tempfile::tempdir().unwrap());
    let (engine, location) = savepoint(&rig, target.path()).await;
    let (jobs, objects) = (engine.jobs().len(), rig.objects().await);
    let damaged = files(Path::new(&location), ".state").pop().unwrap();
    let whole = std::fs::read(&damaged).unwrap();
    for at in [0, whole.len() / 2, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[at] ^= 4;
        std::fs::write(&damaged, bytes).unwrap();
        let error = begin(&engine, another(&rig, &counting(&rig)), &from(&location)).await.unwrap_err();
        let file = damaged.file_name().unwrap().to_str().unwrap();
        assert!(error.fault() == Fault::Corrupt && error.to_string().contains(file), "{error}");
    }
    std::fs::remove_file(&damaged).unwrap();
    let error = begin(&engine, another(&rig, &counting(&rig)), &from(&location)).await.unwrap_err();
    assert!(error.fault() == Fault::Corrupt && error.to_string().contains("missing"), "{error}");
    std::fs::write(&damaged, whole).unwrap();
    let metadata = Path::new(&location).join("_metadata");
    let mut text = std::fs::read(&metadata).unwrap();
    let at = text.len() / 2;
    text[at] ^= 1;
    std::fs::write(&metadata, text).unwrap();
    let error = begin(&engine, another(&rig, &counting(&rig)), &from(&location)).await.unwrap_err();
    assert!(error.fault() == Fault::Corrupt && error.to_string().contains("_metadata"), "{error}");
    assert_eq!(engine.jobs().len(), jobs);
    let left: Vec<_> =
        rig.objects().await.into_iter().filter(|name| !objects.iter().any(|known| same_job(known, name))).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Whether both are of one job, or of none.
fn same_job(one: &str, other: &str) -> bool {
    let job = |name: &str| name.split('/').nth(1).map(ToOwned::to_owned);
    job(one) == job(other)
}

#[tokio::test(start_paused = true)]
async fn a_folder_without_its_document_is_no_savepoint_and_is_not_deleted() {
    let (rig, target) = (Rig::new(), tempfile::tempdir().unwrap());
    let (engine, location) = savepoint(&rig, target.path()).await;
    let (metadata, strange) = (Path::new(&location).join("_metadata"), Path::new(&location).join("diary.txt"));
    std::fs::write(&strange, "dear").unwrap();
    let error = engine.dispose_savepoint(&location).await.unwrap_err();
    assert!(error.to_string().contains("diary.txt") && metadata.exists(), "{error}");
    std::fs::remove_file(strange).unwrap();
    std::fs::remove_file(metadata).unwrap();
    let error = begin(&engine, another(&rig, &counting(&rig)), &from(&location)).await.unwrap_err();
    assert!(error.fault() == Fault::Request && error.to_string().contains("no savepoint"), "{error}");
    let error = engine.dispose_savepoint(&location).await.unwrap_err();
    assert!(error.to_string().contains("less than an hour"), "{error}");
    assert!(!files(Path::new(&location), ".state").is_empty(), "it may be one that is being taken");
    rig.clock.sleep(std::time::Duration::from_secs(2 * 60 * 60)).await;
    engine.dispose_savepoint(&location).await.unwrap();
    assert!(!Path::new(&location).exists());
    let missing = target.path().join("savepoint-nowhere");
    let error = engine.dispose_savepoint(missing.to_str().unwrap()).await.unwrap_err();
    assert!(error.to_string().contains("no savepoint") && !missing.exists(), "{error}");
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_is_refused_by_name() {
    let (rig, target) = (Rig::new(), tempfile::tempdir().unwrap());
    let (engine, location) = savepoint(&rig, target.path()).await;
    let spec = another(&rig, &counting(&rig));
    let refused = async |change: &dyn Fn(&mut weir_protocol::job_spec::JobSpec)| {
        let mut next = spec.clone();
        change(&mut next);
        match begin(&engine, next, &from(&location)).await {
            Err(EngineError::Unrestorable(refusal)) => refusal,
            other => panic!("{other:?}"),
        }
    };
    let refusal =
        refused(&|next| next.max_parallelism = weir_protocol::key_group::MaxParallelism::new(64).unwrap()).await;
    assert_eq!(refusal, Refusal::State(upgrade::Refusal::MaxParallelism { running: 128, wanted: 64 }));
    let removed = |next: &mut weir_protocol::job_spec::JobSpec| {
        next.operators[0].uid = uid("other");
        next.sinks[0].from = vec![output("other")];
    };
    assert_eq!(refused(&removed).await, Refusal::State(upgrade::Refusal::RemovedOperator { uid: uid("count") }));
    let removed = |next: &mut weir_protocol::job_spec::JobSpec| {
        next.sources[0].uid = uid("other");
        next.operators[0].inputs = vec![keyed("records", "other")];
    };
    assert_eq!(refused(&removed).await, Refusal::State(upgrade::Refusal::RemovedSource { uid: uid("numbers") }));
    let refusal = refused(&|next| next.operators[0].operator = "recount".to_owned()).await;
    assert!(matches!(refusal, Refusal::State(upgrade::Refusal::State { .. })), "{refusal}");
    let refusal = refused(&|next| next.sinks[0].connector = counting(&rig).sinks[0].connector.clone()).await;
    assert!(matches!(refusal, Refusal::Repeats { .. }), "{refusal}");

    let error = begin(&engine, counting(&rig), &from(&location)).await.unwrap_err();
    assert!(matches!(error, EngineError::Conflict { .. }), "another job of the same spec has the name: {error}");

    let mut next = spec.clone();
    (next.sources[0].uid, next.operators[0].uid) = (uid("others"), uid("other"));
    next.operators[0].inputs = vec![keyed("records", "others")];
    next.sinks[0].from = vec![output("other")];
    next.sinks[0].connector = counting(&rig).sinks[0].connector.clone();
    let origin = Origin { drops_state: true, inexact: true, ..from(&location) };
    let other = begin(&engine, next, &origin).await.unwrap().id;
    wait_for(&engine, other, JobState::Finished).await;
    super::check_counts(&rig.published(other), super::RECORDS, usize::try_from(super::KEYS).unwrap());
}

#[tokio::test(start_paused = true)]
async fn values_of_an_older_version_are_migrated_from_a_savepoint() {
    let (rig, target) = (Rig::new(), tempfile::tempdir().unwrap());
    let (engine, location) = savepoint(&rig, target.path()).await;
    let held = counts(&engine, &location).await;
    let mut spec = another(&rig, &counting(&rig));
    spec.operators[0].operator = "count-newer".to_owned();
    let other = begin(&engine, spec, &from(&location)).await.unwrap().id;
    wait_for(&engine, other, JobState::Finished).await;
    check_goes_on(&rig.published_at("of-another", other), held);
}

#[tokio::test(start_paused = true)]
async fn a_job_without_checkpoints_and_a_place_that_forgets_have_no_savepoint() {
    let rig = Rig::new();
    let engine = rig.start(&Faults::default()).await;
    let mut spec = endless(&rig);
    spec.checkpoint = None;
    let job = engine.submit(spec).await.unwrap().id;
    let error = engine.savepoint(job, ask(Path::new("/tmp"))).unwrap_err();
    assert!(error.fault() == Fault::Request && error.to_string().contains("[checkpoint]"), "{error}");
    engine.cancel(job).await.unwrap();
    wait_for(&engine, job, JobState::Canceled).await;
    let job = engine.submit(counting(&rig)).await.unwrap().id;
    for (target, says) in [("memory://", "forgets"), ("hdfs://x/y", "hdfs"), ("", "it is empty")] {
        let refused = engine.savepoint(job, SavepointAsk { target: target.to_owned(), ..ask(Path::new("")) });
        let refused = refused.expect_err("that is known at once");
        assert!(refused.fault() == Fault::Request && refused.to_string().contains(says), "{refused}");
    }
    let request = engine.savepoint(job, ask(Path::new("/proc/weir"))).unwrap();
    let SavepointStatus::Failed { fault, message } = settled(&engine, job, request).await else {
        panic!("it is there")
    };
    assert!(fault == Fault::Request && message.contains("/proc/weir"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_savepoint_is_named_by_its_folder_or_its_document_and_not_by_nothing() {
    let (rig, target) = (Rig::new(), tempfile::tempdir().unwrap());
    let (engine, location) = savepoint(&rig, target.path()).await;
    let document = format!("{location}/_metadata");
    assert_eq!(engine.open_savepoint(&document).await.unwrap().location, location);
    let begun = begin(&engine, another(&rig, &counting(&rig)), &from(&document)).await.unwrap().id;
    wait_for(&engine, begun, JobState::Finished).await;
    let nothing = begin(&engine, another(&rig, &counting(&rig)), &from("")).await.unwrap_err();
    assert!(nothing.fault() == Fault::Request && nothing.to_string().contains("it is empty"), "{nothing}");
    engine.dispose_savepoint(&document).await.unwrap();
    assert!(!Path::new(&location).exists());
}

/// A folder of somebody's with files that look unfinished, as editors and mail programs make them, hours old by the
/// engine's time.
async fn of_somebody(rig: &Rig, files: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    files.iter().for_each(|file| std::fs::write(folder.path().join(file), "dear").unwrap());
    rig.clock.sleep(std::time::Duration::from_secs(2 * 60 * 60)).await;
    folder
}

#[tokio::test(start_paused = true)]
async fn whoever_looks_into_a_folder_that_is_no_savepoint_leaves_it_as_it_is() {
    let rig = Rig::new();
    let engine = rig.start(&Faults::default()).await;
    for other in [None, Some("letter.txt")] {
        let files: Vec<_> = ["diary#1"].into_iter().chain(other).collect();
        let folder = of_somebody(&rig, &files).await;
        let location = folder.path().to_str().unwrap();
        engine.open_savepoint(location).await.unwrap_err();
        engine.dispose_savepoint(location).await.unwrap_err();
        begin(&engine, another(&rig, &counting(&rig)), &from(location)).await.unwrap_err();
        assert!(folder.path().join("diary#1").exists(), "beside {other:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_document_of_another_system_is_not_deleted() {
    let rig = Rig::new();
    let engine = rig.start(&Faults::default()).await;
    // Flink's begins like this, and often is all there is.
    for document in [&b"\x49\x60\x67\x2d\x00\x00\x00\x03 of Flink"[..], b"PAR1", b""] {
        let folder = of_somebody(&rig, &[]).await;
        let (metadata, location) = (folder.path().join("_metadata"), folder.path().to_str().unwrap());
        std::fs::write(&metadata, document).unwrap();
        let error = engine.dispose_savepoint(location).await.unwrap_err();
        assert!(error.fault() == Fault::Request && error.to_string().contains("not Weir's"), "{error}");
        assert_eq!(std::fs::read(&metadata).unwrap(), document);
        let error = engine.open_savepoint(location).await.unwrap_err();
        assert!(error.fault() == Fault::Request && error.to_string().contains("not Weir's"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_place_is_the_same_however_it_is_written() {
    let (rig, target) = (Rig::new(), tempfile::tempdir().unwrap());
    let (engine, location) = savepoint(&rig, target.path()).await;
    let place = rig.results().to_str().unwrap();
    let (parent, name) = (rig.results().parent().unwrap(), rig.results().file_name().unwrap().to_str().unwrap());
    let link = target.path().join("link");
    std::os::unix::fs::symlink(place, &link).unwrap();
    let spellings = [
        format!("{place}/"),
        format!("file://{place}"),
        format!("{}/./{name}", parent.display()),
        format!("{}/../{name}", link.display()),
        link.to_str().unwrap().to_owned(),
    ];
    for path in spellings {
        let mut spec = another(&rig, &counting(&rig));
        spec.sinks[0].connector = SinkConnector::Files(FileSinkSpec { path: path.clone() });
        let refused = begin(&engine, spec, &from(&location)).await;
        assert!(matches!(refused, Err(EngineError::Unrestorable(Refusal::Repeats { .. }))), "{path}: {refused:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_began_from_a_savepoint_and_published_is_not_followed_there_by_another_without_a_word() {
    let (rig, target) = (Rig::new(), tempfile::tempdir().unwrap());
    let engine = rig.start(&Faults::default()).await;
    let job = engine.submit(counting(&rig)).await.unwrap().id;
    wait_until(&engine, job, |status| status.checkpoints.completed >= 2).await;
    let location = taken(&engine, job, SavepointAsk { stops: true, ..ask(target.path()) }).await;
    let first = begin(&engine, counting(&rig), &from(&location)).await.unwrap().id;
    engine.cancel(first).await.unwrap();
    let status = wait_for(&engine, first, JobState::Canceled).await;
    assert_eq!(status.sinks[0].published, None, "it came to nothing, so that whoever tries again doubles nothing");
    let second = begin(&engine, counting(&rig), &from(&location)).await.unwrap().id;
    let mut renamed = counting(&rig);
    renamed.name = "renamed".parse().unwrap();
    let refused = begin(&engine, renamed.clone(), &from(&location)).await;
    assert!(matches!(refused, Err(EngineError::Unrestorable(_))), "the second may yet publish: {refused:?}");
    wait_until(&engine, second, |status| status.sinks[0].published.is_some()).await;
    engine.cancel(second).await.unwrap();
    wait_for(&engine, second, JobState::Canceled).await;
    drop(engine);
    let engine = rig.start(&Faults::default()).await;
    let refused = begin(&engine, counting(&rig), &from(&location)).await;
    assert!(matches!(refused, Err(EngineError::Unrestorable(_))), "{refused:?}");
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains(&second.to_string()) && refused.contains("--allow-inexact-results"), "{refused}");
    begin(&engine, another(&rig, &counting(&rig)), &from(&location)).await.unwrap();
    begin(&engine, counting(&rig), &Origin { inexact: true, ..from(&location) }).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_for_the_nodes_memory_is_not_copied_there() {
    let (rig, target) = (Rig::new(), tempfile::tempdir().unwrap());
    let (engine, location) = savepoint(&rig, target.path()).await;
    let metadata = Path::new(&location).join("_metadata");
    let mut savepoint = Savepoint::decode(&std::fs::read(&metadata).unwrap()).unwrap();
    savepoint.manifest = savepoint.manifest.with_state_in(|object| ObjectRef { bytes: 6 << 20, ..object.clone() });
    std::fs::write(&metadata, savepoint.encode()).unwrap();
    let mut spec = another(&rig, &counting(&rig));
    spec.state.storage = CheckpointStorage::JobManager;
    let error = begin(&engine, spec, &from(&location)).await.unwrap_err();
    assert!(error.fault() == Fault::Request && error.to_string().contains("5 MiB at most"), "{error}");
}
