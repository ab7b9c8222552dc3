//! What checkpoints and a restore cost at 1 GB of state, with either backend: 7 million keys with values of 100 bytes that
//! cannot be compressed, one subtask, a folder of the local disk as the object store.
//!
//! A checkpoint's time is from its barrier until all of it is in the store, on the clock, merges that go on in the
//! background included; its pause is the CPU time of the task's thread at the barrier. `incremental` checkpoints hold
//! what has changed, `full` ones everything. A restore's time is on the clock, too. `KEYS=70000` tries it small.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::path::Path;
use std::time::Duration;

use mimalloc::MiMalloc;
use tokio::runtime::{Builder, Runtime};
use weir_engine::checkpoint::StoredFiles;
use weir_engine::checkpoint::upload::{BlobWriter, StateFiles, StateUploader, Unsaved};
use weir_engine::clock::{Clock, thread_cpu_time};
use weir_engine::state::{FrozenSegment, LocalDisk, LocalDiskOptions, SpillTo, StateLimits, SubtaskState};
use weir_engine::store::{DataKind, Store, open};
use weir_operator::batch::Keys;
use weir_operator::keyed_state::{KeyedState, StateId, Writes};
use weir_protocol::chain::Owner;
use weir_protocol::description::{StateDescription, StateKind};
use weir_protocol::id::{EntryNumber, JobId, Nonce, SubtaskId};
use weir_protocol::key_group::MaxParallelism;

/// As the node has it.
#[global_allocator]
static MEMORY: MiMalloc = MiMalloc;

const JOB: JobId = JobId(1);
const VALUE: StateId = StateId(0);
const MAX: MaxParallelism = MaxParallelism::DEFAULT;
const ROWS: u64 = 1_024;
/// What a key and its value take in a checkpoint file.
const KEY_BYTES: u64 = 125;
const PAUSE_GOAL: Duration = Duration::from_millis(1);
const RESTORE_GOAL: Duration = Duration::from_secs(10);
/// As much as a job file gives by default.
const ROCKSDB_MEMORY: u64 = 256 << 20;
/// Memory for files that are read, as a job has it.
const READ_BYTES: u64 = 64 << 20;

fn main() {
    let keys = std::env::var("KEYS").ok().and_then(|keys| keys.parse().ok()).unwrap_or(7_000_000);
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads can be started");
    for backend in ["hashmap", "rocksdb"] {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        measure(backend, keys, folder.path(), &runtime);
    }
}

fn measure(backend: &str, keys: u64, folder: &Path, runtime: &Runtime) {
    println!("{backend}: {keys} keys, {} MB of keys and values", keys * KEY_BYTES / 1_000_000);
    let clock = Clock::system();
    let took = |since: Duration| clock.elapsed() - since;
    let objects = open(folder.join("store").to_str().expect("it is UTF-8"), &clock).expect("a folder is a store");
    let store = Store::new(objects, clock);
    let stored = StoredFiles::new(store.clone(), JOB, runtime.handle().clone().into());
    let start = clock.elapsed();
    let state = empty(backend, folder, runtime);
    let uploader = uploader(&store, 1, StateFiles::default(), runtime);
    let mut subtask = Subtask { state, uploader, runtime, files: StateFiles::default() };
    let starts: Vec<u64> = (0..keys).step_by(1_024).collect();
    for (at, first) in starts.iter().enumerate() {
        // A stride that meets every key once, in an order that is none: it shares no factor with numbers of keys.
        subtask.write((*first..keys.min(first + ROWS)).map(|number| number * 7_919_173 % keys), 0);
        if at % 256 == 255 {
            subtask.checkpoint();
        }
    }
    subtask.checkpoint();
    println!("{backend}: filled in {:.1?}", took(start));
    let mut random = 1;
    for (part, rounds) in [(1_000, 100), (100, 10), (10, 3)] {
        let (mut pauses, mut times, mut bytes) = (Vec::new(), Vec::new(), 0);
        for round in 1..=rounds {
            for first in (0..keys / part).step_by(1_024) {
                let rows = ROWS.min(keys / part - first);
                subtask.write((0..rows).map(|_| draw(&mut random) % keys), round);
            }
            let (pause, time) = timed(&mut subtask, clock);
            pauses.push(pause);
            times.push(time);
            bytes += subtask.uploader.take_written();
        }
        pauses.sort_unstable();
        let pause = pauses[pauses.len() * 99 / 100];
        let met = if pause <= PAUSE_GOAL { "met" } else { "NOT met" };
        println!(
            "{backend}: incremental, 1/{part} of the keys changed: durable after {}; {:.1} MB each; pause p99 {pause:?}, \
             goal {PAUSE_GOAL:?}: {met}",
            quantiles(&mut times),
            bytes as f64 / rounds as f64 / 1e6
        );
    }
    let Subtask { state, files, .. } = subtask;
    let uploader = self::uploader(&store, 2, files, runtime).incremental(false);
    let mut subtask = Subtask { state, uploader, runtime, files: StateFiles::default() };
    let mut times = Vec::new();
    for round in 0..3 {
        (0..keys / 100 / ROWS).for_each(|_| subtask.write((0..ROWS).map(|_| draw(&mut random) % keys), round));
        times.push(timed(&mut subtask, clock).1);
    }
    let bytes = subtask.files.bytes() as f64 / 1e6;
    println!("{backend}: full, 1/100 of the keys changed: durable after {}; {bytes:.1} MB each", quantiles(&mut times));
    let files: Vec<_> = subtask.files.iter().cloned().collect();
    drop(subtask);
    let start = clock.elapsed();
    let opened = runtime.block_on(stored.open(&files, READ_BYTES)).expect("the files are there");
    let restored = empty(backend, folder, runtime).restored_from(opened, 0).expect("they verify");
    let time = took(start);
    let met = if time <= RESTORE_GOAL { "met" } else { "NOT met" };
    let held = restored.bytes_held() >> 20;
    println!("{backend}: restored in {time:.2?}, goal {RESTORE_GOAL:?}: {met}; {held} MiB held");
}

/// The pause of a checkpoint, and how long it takes to be durable.
fn timed(subtask: &mut Subtask<'_>, clock: Clock) -> (Duration, Duration) {
    let (start, before) = (clock.elapsed(), thread_cpu_time());
    let segment = subtask.state.freeze(0);
    let pause = thread_cpu_time() - before;
    subtask.close(segment);
    (pause, clock.elapsed() - start)
}

struct Subtask<'a> {
    state: SubtaskState,
    uploader: StateUploader,
    runtime: &'a Runtime,
    files: StateFiles,
}

impl Subtask<'_> {
    /// Writes a new value for each of the keys.
    fn write(&mut self, numbers: impl Iterator<Item = u64>, round: u64) {
        let keys: Vec<_> = numbers.map(|number| format!("key-{number:016}").into_bytes()).collect();
        let keys = Keys::encode(keys.iter().map(Vec::as_slice));
        self.state.select(&keys, 0).expect("keys can be selected");
        let mut writes = Writes::default();
        let written = writes.value_writes_mut(VALUE);
        for (key, name) in (0..).zip(keys.distinct.iter()) {
            written.set(key, Some(&noise(name, round)));
        }
        if let Some(fetch) = self.state.fetch_overwritten(&writes, &[]).expect("a value state") {
            self.state.supply(fetch.now()).expect("the disk can be read");
        }
        self.state.admit(&writes, &[], None).expect("there is room");
        self.state.commit(&writes).expect("it was admitted");
        if let Some(segment) = self.state.freeze_early(0) {
            self.runtime.block_on(self.uploader.close_early(segment)).expect("the store takes it");
        }
        self.runtime.block_on(self.state.make_room()).expect("the disk can be written");
    }

    fn checkpoint(&mut self) {
        let segment = self.state.freeze(0);
        self.close(segment);
        self.uploader.take_written();
    }

    fn close(&mut self, segment: Option<FrozenSegment>) {
        self.files = self.runtime.block_on(self.uploader.close(segment)).expect("the store takes it");
    }
}

fn empty(backend: &str, folder: &Path, runtime: &Runtime) -> SubtaskState {
    let description = StateDescription {
        name: "value".to_owned(),
        kind: StateKind::KeyedValue,
        codec: "bytes".to_owned(),
        version: 1,
        ttl: None,
        properties: Vec::new(),
    };
    let state = SubtaskState::new(&[description], MAX, MAX.range(0, 1)).expect("one state");
    if backend == "hashmap" {
        return state.with_limits(StateLimits { live_bytes_max: 8 << 30, ..StateLimits::default() });
    }
    let disk = LocalDisk::open(&folder.join("state"), LocalDiskOptions::default()).expect("it can be made");
    let (runtime, name) = (runtime.handle().clone().into(), "bench".to_owned());
    state.spilling(SpillTo { disk, runtime, folder: None, memory_bytes: ROCKSDB_MEMORY, name })
}

fn uploader(store: &Store, owner: u64, files: StateFiles, runtime: &Runtime) -> StateUploader {
    let owner = Owner { number: EntryNumber(owner), nonce: Nonce(1) };
    let subtask = SubtaskId { uid: "bench".parse().expect("a uid"), index: 0 };
    let blobs = BlobWriter::new(store.clone(), JOB, owner, subtask, DataKind::State);
    StateUploader::new(blobs, MAX.range(0, 1), files, Unsaved::default(), runtime.handle().clone().into())
}

/// 100 bytes that look random, and follow from the key.
fn noise(key: &[u8], round: u64) -> [u8; 100] {
    let mut state = key.iter().fold(round + 1, |state, byte| (state ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
    let mut bytes = [0; 100];
    bytes.fill_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    });
    bytes
}

/// The next of a fixed sequence that looks random.
fn draw(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 20
}

fn quantiles(times: &mut [Duration]) -> String {
    times.sort_unstable();
    format!("{:.0?} (median; {:.0?} at most)", times[times.len() / 2], times[times.len() - 1])
}
