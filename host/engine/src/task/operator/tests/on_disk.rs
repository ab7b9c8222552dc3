//! Timers that outgrew their memory fire as those in memory do; a disk that fails ends the attempt.

use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use weir_protocol::Fault;

use super::*;
use crate::spawn::Runtime;
use crate::state::file::FileSlice;
use crate::state::{FrozenSegment, LocalDisk, LocalDiskOptions, SpillTo};
use crate::task::Sealed;

/// A task that holds nothing in memory, and what it handed over.
struct Spilling {
    bench: Bench,
    files: Vec<FileSlice>,
}

fn spilling(disk: &LocalDisk) -> SubtaskState {
    let runtime = Runtime::from(tokio::runtime::Handle::current());
    let (disk, name) = (disk.clone(), "alarm".to_owned());
    no_state().spilling(SpillTo { disk, runtime, folder: None, memory_bytes: 0, name })
}

impl Spilling {
    fn start(state: SubtaskState, watermark: Timestamp) -> Self {
        Self { bench: Bench::of(state, watermark), files: Vec::new() }
    }

    fn keep(&mut self, segment: Option<FrozenSegment>) {
        let key_groups = KeyGroupRange { start: 0, end: 128 };
        self.files.extend(segment.map(|segment| FileSlice { bytes: segment.encode(), key_groups }));
    }

    /// What comes out until `last` has.
    async fn until(&mut self, last: &str) -> Vec<String> {
        let mut read = Vec::new();
        while read.last().is_none_or(|read| read != last) {
            tokio::select! {
                element = self.bench.reader.next() => {
                    read.extend(in_short(&element.expect("it runs").expect("it has not ended").1));
                }
                Some(handed) = self.bench.handed.next() => match handed {
                    Handed::Segment(segment) => self.keep(Some(segment)),
                    Handed::Finished(_) => {}
                    Handed::Sealed(..) | Handed::Results(_) | Handed::Letters(_) => panic!("there was no barrier"),
                },
            }
        }
        read
    }

    async fn barrier(&mut self, checkpoint: u64) {
        self.bench.mark(Element::Barrier(Barrier { checkpoint: CheckpointId(checkpoint), at: 0 })).await;
        loop {
            match self.bench.handed.next().await {
                Some(Handed::Segment(segment)) => self.keep(Some(segment)),
                Some(Handed::Sealed(_, Sealed { kind: SealedKind::Operator { segment, .. }, .. })) => {
                    return self.keep(segment);
                }
                other => panic!("{other:?} at the wrong time"),
            }
        }
    }
}

fn alarms(at: std::ops::Range<i64>) -> Vec<String> {
    at.map(|at| format!("alarm {at}")).collect()
}

#[tokio::test]
async fn timers_on_disk_fire_in_order_and_once_across_a_restore() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let disk = LocalDisk::open(folder.path(), LocalDiskOptions::default()).expect("it is empty");
    let mut task = Spilling::start(spilling(&disk), NO_TIME);
    for part in 0..4 {
        let records: Vec<_> = (0..50).map(|row| format!("e{}", (row * 37 % 50) * 4 + part)).collect();
        task.bench.feed(&records.iter().map(String::as_str).collect::<Vec<_>>()).await;
        task.until("batch").await;
    }
    assert_eq!(std::fs::read_dir(folder.path()).expect("it can be listed").count(), 1, "they left for the disk");
    task.bench.mark(Element::Watermark(99)).await;
    assert_eq!(task.until("@99").await, [alarms(0..100), vec!["@99".to_owned()]].concat());
    task.barrier(1).await;
    let files = task.files.clone();
    task.bench.feed(&["e150", "e99"]).await;
    assert_eq!(task.until("alarm 99").await, ["#1", "batch", "alarm 99"]);
    drop(task);

    let restored = spilling(&disk).restored(&files, 0).expect("the files verify");
    let mut task = Spilling::start(restored, 99);
    task.bench.mark(Element::Watermark(149)).await;
    assert_eq!(task.until("@149").await, [alarms(100..150), vec!["@149".to_owned()]].concat());
    task.bench.mark(Element::Watermark(END_OF_TIME)).await;
    task.bench.mark(Element::End).await;
    assert_eq!(task.until("end").await, [alarms(150..200), vec!["end".to_owned()]].concat());
}

#[tokio::test]
async fn a_local_disk_that_is_damaged_ends_the_attempt_before_a_timer_is_missed() {
    const BEHIND: i64 = 10_000_000;
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let options = LocalDiskOptions { write_buffer_bytes: 64 << 10, ..LocalDiskOptions::default() };
    let disk = LocalDisk::open(folder.path(), options).expect("it is empty");
    let mut task = Spilling::start(spilling(&disk), NO_TIME);
    let mut next = 0;
    let table = loop {
        let records: Vec<_> = (next..next + 100).map(|at| format!("e{at}")).collect();
        task.bench.feed(&records.iter().map(String::as_str).collect::<Vec<_>>()).await;
        // What makes room is over when a watermark comes out.
        let watermark = next - BEHIND;
        task.bench.mark(Element::Watermark(watermark)).await;
        task.until(&format!("@{watermark}")).await;
        next += 100;
        // The first is whole once the next one is begun.
        if let [first, _, ..] = &tables(folder.path())[..]
            && let Ok(table) = std::fs::OpenOptions::new().write(true).open(first)
        {
            break table;
        }
        assert!(next < BEHIND, "nothing reaches the disk");
    };
    let bytes = table.metadata().expect("it is there").len();
    table.write_all_at(&vec![0; usize::try_from(bytes).expect("it is small")], 0).expect("it can be written");
    task.bench.mark(Element::Watermark(END_OF_TIME)).await;
    let _may_have_ended = task.bench.feeder.broadcast(Element::End).await;
    let ended = task.bench.task.join_next().await.expect("it ends").expect("it does not panic");
    let error = ended.expect_err("timers are missing");
    assert_eq!(error.fault, Fault::Unavailable);
    assert!(error.message.contains("could not read"), "{error:?}");
    assert!(error.message.contains(&*folder.path().to_string_lossy()), "{error:?}");
}

/// The files of a folder's RocksDBs that hold what was written, oldest first.
fn tables(folder: &std::path::Path) -> Vec<PathBuf> {
    let below =
        |folder: PathBuf| std::fs::read_dir(folder).expect("it can be listed").map(|entry| entry.unwrap().path());
    let files = below(folder.to_owned()).flat_map(below);
    let tables = files.filter(|file| file.extension().is_some_and(|extension| extension == "sst"));
    let mut tables: Vec<_> = tables.collect();
    tables.sort_unstable();
    tables
}
