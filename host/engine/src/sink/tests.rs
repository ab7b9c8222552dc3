use std::io::{self, Write};
use std::sync::Mutex;

use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use weir_protocol::job_spec::{FileSinkSpec, StdoutSpec};

use super::files::FilesAtOnce;
use super::folder::{Folder, list_name, part_name};
use super::publish_files::FilePublisher;
use super::*;
use crate::store::Everywhere;
use crate::store::troubled::{Moment, Troubled};

fn batch(values: &[Option<&str>]) -> Batch {
    let mut batch = Batch { rows: u32::try_from(values.len()).unwrap(), ..Batch::default() };
    values.iter().for_each(|value| batch.values.push(value.map(str::as_bytes)));
    batch
}

fn context(has_checkpoints: bool) -> SinkContext {
    let subtask = SubtaskId { uid: "out".parse().unwrap(), index: 1 };
    SinkContext { job: JobId(1), subtask, has_checkpoints, attempt: Nonce(7) }
}

fn outbox(checkpoint: u64, predecessor: Option<u64>, parts: &[(u32, &'static str)]) -> OpenOutbox {
    let part = |&(subtask, text): &(u32, &'static str)| OutboxPart {
        subtask,
        part: SealedPart { bytes: Bytes::from_static(text.as_bytes()), records: 1 },
    };
    OpenOutbox {
        checkpoint: CheckpointId(checkpoint),
        predecessor: predecessor.map(CheckpointId),
        parts: parts.iter().map(part).collect(),
    }
}

/// A folder in memory, and what is in it.
#[derive(Clone)]
struct Trial {
    objects: Arc<InMemory>,
}

impl Trial {
    fn new() -> Self {
        Self { objects: Arc::new(InMemory::new()) }
    }

    fn folder(&self) -> Folder {
        let objects: Arc<dyn ObjectStore> = Arc::<InMemory>::clone(&self.objects);
        Folder::over(objects, "trial".to_owned())
    }

    fn publisher(&self) -> FilePublisher {
        FilePublisher::over(self.folder())
    }

    async fn content(&self) -> Vec<(String, String)> {
        let mut content = Vec::new();
        for found in self.objects.list(None).try_collect::<Vec<_>>().await.unwrap() {
            let bytes = self.objects.get(&found.location).await.unwrap().bytes().await.unwrap();
            content.push((found.location.to_string(), String::from_utf8(bytes.to_vec()).unwrap()));
        }
        content
    }

    async fn remove(&self, name: &str) {
        self.objects.delete(&Path::from(name)).await.unwrap();
    }
}

fn open(connector: &SinkConnector, context: SinkContext, stdout: &LineWriter) -> Box<dyn Sink> {
    super::open(connector, context, stdout, (&Everywhere, &Clock::starting_at(0))).unwrap()
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn stdout_writes_a_line_a_record_at_once() {
    let written = Written::default();
    let spec = SinkConnector::Stdout(StdoutSpec { prefix: "> ".to_owned() });
    let mut sink = open(&spec, context(true), &LineWriter::new(written.clone()));
    sink.write(batch(&[Some("a"), None, Some("b")])).await.unwrap();
    assert_eq!(*written.0.lock().unwrap(), b"> a\n> b\n");
    assert_eq!((sink.seal(), sink.pending_bytes()), (None, 0));
}

#[tokio::test]
async fn a_sink_shows_its_last_records() {
    let mut sink = open(&SinkConnector::Blackhole, context(true), &LineWriter::stdout());
    let values: Vec<String> = (0..25).map(|number| number.to_string()).collect();
    let values: Vec<Option<&str>> = values.iter().map(|value| Some(value.as_str())).collect();
    sink.write(batch(&values[..4])).await.unwrap();
    assert_eq!(sink.recent().records(), ["0", "1", "2", "3"]);
    sink.write(batch(&values[4..])).await.unwrap();
    sink.write(batch(&[None, Some(&"é".repeat(1_000))])).await.unwrap();
    let recent = sink.recent().records();
    assert_eq!(recent[..9], ["17", "18", "19", "20", "21", "22", "23", "24", "(deletion)"]);
    assert_eq!(recent[9].chars().count(), RECENT_CHARS_MAX);
}

#[tokio::test]
async fn an_epoch_of_files_is_sealed_whole() {
    let spec = SinkConnector::Files(FileSinkSpec { path: "/nowhere".to_owned() });
    let mut sink = open(&spec, context(true), &LineWriter::stdout());
    assert_eq!(sink.seal(), None);
    sink.write(batch(&[Some("a"), None])).await.unwrap();
    sink.write(batch(&[Some(""), Some("b")])).await.unwrap();
    assert_eq!(sink.pending_bytes(), 5);
    sink.flush().await.unwrap();
    assert_eq!(sink.seal(), Some(SealedPart { bytes: Bytes::from_static(b"a\n\nb\n"), records: 3 }));
    assert_eq!((sink.seal(), sink.pending_bytes()), (None, 0));
    sink.write(batch(&[None])).await.unwrap();
    assert_eq!(sink.seal(), None, "deletions alone are no record");
}

#[tokio::test]
async fn without_checkpoints_parts_go_out_at_each_flush_under_the_attempts_name() {
    let trial = Trial::new();
    let mut sink = FilesAtOnce::over(trial.folder(), context(false));
    sink.flush().await.unwrap();
    for value in ["a", "b"] {
        sink.write(batch(&[Some(value)])).await.unwrap();
        sink.flush().await.unwrap();
    }
    assert_eq!((sink.seal(), sink.pending_bytes()), (None, 0));
    let nonce = Nonce(7);
    let expected = [("0", "a\n"), ("1", "b\n")]
        .map(|(number, text)| (format!("part-{nonce}-00001-000000000{number}.out"), text.to_owned()));
    assert_eq!(trial.content().await, expected);
}

#[tokio::test]
async fn an_outbox_becomes_parts_and_then_a_list() {
    let trial = Trial::new();
    let publisher = trial.publisher();
    assert_eq!(publisher.marker().await, Ok(None));
    publisher.publish(&outbox(3, None, &[(0, "a\n"), (2, "b\n")])).await.unwrap();
    publisher.publish(&outbox(5, Some(3), &[(0, "c\n")])).await.unwrap();
    assert_eq!(publisher.marker().await, Ok(Some(CheckpointId(5))));
    let names: Vec<String> = trial.content().await.into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "list-00000000000000000003.json",
            "list-00000000000000000005.json",
            "part-00000000000000000003-00000.out",
            "part-00000000000000000003-00002.out",
            "part-00000000000000000005-00000.out",
        ]
    );
    let name = part_name(CheckpointId(5), 0);
    let list = format!(r#"{{"checkpoint":5,"predecessor":3,"parts":[{{"name":"{name}","bytes":2,"records":1,"#);
    let checksum = format!(r#""checksum":"{:016x}"}}]}}"#, xxhash_rust::xxh3::xxh3_64(b"c\n"));
    assert_eq!(trial.content().await[1].1, list + &checksum);
}

#[tokio::test]
async fn publishing_again_after_any_interruption_is_publishing_once() {
    let (first, second) = (outbox(1, None, &[(0, "a\n")]), outbox(2, Some(1), &[(0, "b\n"), (1, "c\n")]));
    let whole = Trial::new();
    whole.publisher().publish(&first).await.unwrap();
    whole.publisher().publish(&second).await.unwrap();
    let done = [list_name(CheckpointId(2)), part_name(CheckpointId(2), 1), part_name(CheckpointId(2), 0)];
    for missing in 0..=done.len() {
        let trial = Trial::new();
        let publisher = trial.publisher();
        publisher.publish(&first).await.unwrap();
        publisher.publish(&second).await.unwrap();
        for name in &done[..missing] {
            trial.remove(name).await;
        }
        for publisher in [trial.publisher(), trial.publisher()] {
            publisher.publish(&first).await.unwrap();
            publisher.publish(&second).await.unwrap();
        }
        assert_eq!(trial.content().await, whole.content().await);
    }
}

#[tokio::test]
async fn other_content_under_a_name_is_never_overwritten() {
    for name in [part_name(CheckpointId(1), 0), list_name(CheckpointId(1))] {
        let trial = Trial::new();
        trial.objects.put(&Path::from(name.as_str()), "of somebody else".into()).await.unwrap();
        let error = trial.publisher().publish(&outbox(1, None, &[(0, "a\n")])).await.unwrap_err();
        assert_eq!(error.fault, Fault::Corrupt);
        assert!(error.message.contains(&name), "{error}");
        assert!(trial.content().await.contains(&(name, "of somebody else".to_owned())));
    }
    let trial = Trial::new();
    trial.publisher().publish(&outbox(1, None, &[(0, "a\n")])).await.unwrap();
    let error = trial.publisher().publish(&outbox(1, None, &[(0, "b\n")])).await.unwrap_err();
    assert_eq!(error.fault, Fault::Corrupt);
}

#[tokio::test]
async fn the_marker_moves_only_from_predecessor_to_successor() {
    let trial = Trial::new();
    trial.publisher().publish(&outbox(1, None, &[(0, "a\n")])).await.unwrap();
    trial.publisher().publish(&outbox(2, Some(1), &[(0, "b\n")])).await.unwrap();
    let before = trial.content().await;
    for refused in
        [outbox(3, None, &[(0, "x\n")]), outbox(3, Some(1), &[(0, "x\n")]), outbox(4, Some(3), &[(0, "x\n")])]
    {
        let error = trial.publisher().publish(&refused).await.unwrap_err();
        assert_eq!(error.fault, Fault::Corrupt, "{error}");
        assert_eq!(trial.content().await, before);
    }
    let publisher = trial.publisher();
    assert_eq!(publisher.marker().await, Ok(Some(CheckpointId(2))));
    trial.remove(&list_name(CheckpointId(2))).await;
    let error = publisher.publish(&outbox(3, Some(2), &[(0, "x\n")])).await.unwrap_err();
    assert!(error.message.contains("missing"), "{error}");
}

#[tokio::test]
async fn what_a_former_owner_publishes_late_is_gone_on_from() {
    let trial = Trial::new();
    let [first, second, third] = [(1, None, "a\n"), (2, Some(1), "b\n"), (3, Some(2), "c\n")]
        .map(|(id, before, text)| outbox(id, before, &[(0, text)]));
    let (former, publisher) = (trial.publisher(), trial.publisher());
    former.publish(&first).await.unwrap();
    assert_eq!(publisher.marker().await, Ok(Some(CheckpointId(1))));
    former.publish(&second).await.unwrap();
    publisher.publish(&second).await.unwrap();
    publisher.publish(&third).await.unwrap();
    assert_eq!(trial.publisher().marker().await, Ok(Some(CheckpointId(3))));
}

#[tokio::test]
async fn a_former_owner_that_publishes_during_the_listing_is_gone_on_from() {
    let trial = Trial::new();
    let (former, objects) = (trial.publisher(), Troubled::new(Arc::clone(&trial.objects) as _));
    let publisher = FilePublisher::over(Folder::over(Arc::new(objects.clone()), "trial".to_owned()));
    assert_eq!(publisher.marker().await, Ok(None));
    objects.intrude(Moment::Listing, async move {
        former.publish(&outbox(1, None, &[(0, "a\n")])).await.unwrap();
    });
    publisher.publish(&outbox(1, None, &[(0, "a\n")])).await.unwrap();
    publisher.publish(&outbox(2, Some(1), &[(0, "b\n")])).await.unwrap();
}

#[tokio::test]
async fn files_appear_below_the_path_of_the_sink() {
    let folder = tempfile::tempdir().unwrap();
    let connector = SinkConnector::Files(FileSinkSpec { path: format!("{}/deep/er/", folder.path().display()) });
    let clock = Clock::starting_at(0);
    let uid: Uid = "out".parse().unwrap();
    let publisher = publisher(&connector, JobId(1), &uid, (&Everywhere, &clock)).unwrap().unwrap();
    publisher.publish(&outbox(1, None, &[(0, "a\n")])).await.unwrap();
    let part = folder.path().join("deep/er").join(JobId(1).to_string()).join("out").join(part_name(CheckpointId(1), 0));
    assert_eq!(std::fs::read(part).unwrap(), b"a\n");
    std::fs::write(folder.path().join("file"), "").unwrap();
    let connector = SinkConnector::Files(FileSinkSpec { path: format!("{}/file", folder.path().display()) });
    let error = super::publisher(&connector, JobId(1), &uid, (&Everywhere, &clock)).err().unwrap();
    assert_eq!(error.fault, Fault::Request);
    assert!(error.message.contains("`out`"), "{error}");
}
