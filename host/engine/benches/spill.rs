//! State larger than memory: a keyed count whose oldest records leave for the local RocksDB, beside plain RocksDB.
//!
//! CPU time of the whole process is what counts, so that work on other threads is not free. A batch has 1,024 records;
//! each distinct key of it is read and written once; a barrier comes every 512 batches. Beyond memory each way is measured
//! once it has settled: what is held, and what the caches hold, is what the keys that are drawn have made of it. Plain RocksDB has one sorted
//! multi-get and one write batch a batch of records, no log, and all of the memory as block cache and write buffers. It is
//! tried with the tables that Flink sets up where nothing is configured, and with Weir's own, so that what the tables do
//! and what the log does can be told apart. Keys have 20 bytes, values are 8-byte counts. `KEYS=1000000` tries fewer keys
//! than ten million.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::borrow::Borrow;
use std::path::Path;
use std::time::Duration;

use mimalloc::MiMalloc;
use rocksdb::{BlockBasedOptions, Cache, DB, DEFAULT_COLUMN_FAMILY_NAME, Options, WriteBatch, WriteOptions};
use weir_engine::clock::process_cpu_time;
use weir_engine::state::{LocalDisk, LocalDiskOptions, SpillTo, StateLimits, SubtaskState};
use weir_operator::batch::{Keys, OptionalColumn};
use weir_operator::keyed_state::{KeyedState, Read, StateId, Writes};
use weir_protocol::description::{StateDescription, StateKind};
use weir_protocol::key_group::MaxParallelism;

/// As the node has it.
#[global_allocator]
static MEMORY: MiMalloc = MiMalloc;

const ROWS: u64 = 1_024;
const COUNT: StateId = StateId(0);
const MAX: MaxParallelism = MaxParallelism::DEFAULT;
/// Batches between two barriers.
const EPOCH: usize = 512;
/// How long each way is measured, in CPU time.
const MEASURED: Duration = Duration::from_secs(10);
/// How long before that, where what is held depends on what was drawn.
const SETTLING: Duration = Duration::from_secs(20);

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("threads can be started");
    for keys in [1_000, 1_000_000] {
        within_memory(keys, folder.path(), &runtime);
    }
    let keys = std::env::var("KEYS").ok().and_then(|keys| keys.parse().ok()).unwrap_or(10_000_000);
    beyond_memory(keys, folder.path(), &runtime);
}

/// Whether being able to spill costs anything where there is no need to.
fn within_memory(keys: u64, folder: &Path, runtime: &tokio::runtime::Runtime) {
    let mut rates = Vec::new();
    for memory_bytes in [None, Some(1 << 30)] {
        let mut weir = Weir::new(memory_bytes, folder, runtime);
        fill(keys, |batch| weir.update(batch));
        let batches: Vec<_> = batches(keys, Draw::uniform).take(4_000).collect();
        rates.push(rate(&mut batches.iter().cycle(), MEASURED, |batch| weir.update(batch)));
    }
    let ratio = rates[1] / rates[0];
    println!(
        "{keys:>9} keys within memory: {:.2} M records/s without a disk, {:.2} with; ratio {ratio:.2}; {}",
        rates[0] / 1e6,
        rates[1] / 1e6,
        goal(ratio, 0.9)
    );
}

/// A budget for a tenth of what is held.
fn beyond_memory(keys: u64, folder: &Path, runtime: &tokio::runtime::Runtime) {
    // A record of the log takes 48 bytes, its place in the index 16 to 32.
    let memory_bytes = keys * 7;
    let mut weir = Weir::new(Some(memory_bytes), folder, runtime);
    let filled = cpu(|| fill(keys, |batch| weir.update(batch)));
    println!("{keys:>9} keys in {} MB, filled in {filled:.1?}; {} MB held", memory_bytes >> 20, weir.held() >> 20);
    let mut plain = [Tables::OfFlink, Tables::OfWeir].map(|tables| {
        let mut plain = Plain::new(folder, memory_bytes, tables);
        let filled = cpu(|| fill(keys, |batch| plain.update(batch)));
        println!("{:>9} the same in plain RocksDB with that much cache, {tables}, filled in {filled:.1?}", "");
        (tables, plain)
    });
    for (name, draw, least) in [("uniform", Draw::uniform as fn(&mut Draw, u64) -> u64, 1.3), ("Zipf", Draw::zipf, 5.0)]
    {
        let (before, ours) = settled_rate(keys, draw, |batch| weir.update(batch));
        println!(
            "{keys:>9} keys, {name}: {:.3} M records/s, {:.3} before it settled; {} MB held",
            ours / 1e6,
            before / 1e6,
            weir.held() >> 20
        );
        for (tables, plain) in &mut plain {
            let (_, theirs) = settled_rate(keys, draw, |batch| plain.update(batch));
            let ratio = ours / theirs;
            println!(
                "{:>9} plain RocksDB, {tables}: {:.3}; ratio {ratio:.2}; {}",
                "",
                theirs / 1e6,
                goal(ratio, least)
            );
        }
    }
}

struct Weir<'a> {
    state: SubtaskState,
    runtime: &'a tokio::runtime::Runtime,
    batches: usize,
    all: Vec<u32>,
    found: OptionalColumn,
}

impl<'a> Weir<'a> {
    fn new(memory_bytes: Option<u64>, folder: &Path, runtime: &'a tokio::runtime::Runtime) -> Self {
        let mut state = SubtaskState::new(&[description()], MAX, MAX.range(0, 1)).expect("one state");
        if let Some(memory_bytes) = memory_bytes {
            let small = usize::try_from(memory_bytes / 4).expect("it fits").min(64 << 20);
            let options =
                LocalDiskOptions { block_cache_bytes: small, write_buffer_bytes: small / 2, ..Default::default() };
            let disk = LocalDisk::open(&folder.join("weir"), options).expect("it can be made");
            let name = "bench".to_owned();
            let control = runtime.handle().clone().into();
            state = state.spilling(SpillTo { disk, runtime: control, folder: None, memory_bytes, name });
            let garbage_bytes_min = (memory_bytes / 16).min(4 << 20);
            state = state.with_limits(StateLimits { garbage_bytes_min, ..StateLimits::default() });
        }
        Self { state, runtime, batches: 0, all: Vec::new(), found: OptionalColumn::default() }
    }

    fn update(&mut self, keys: &Keys) {
        self.state.select(keys, 0).expect("keys can be selected");
        if let Some(fetch) = self.state.fetch(&Read::Values(COUNT, None)).expect("a value state") {
            self.state.supply(fetch.now()).expect("the disk can be read");
        }
        self.all.clear();
        self.all.extend(0..u32::try_from(keys.count()).expect("at most 1,024"));
        self.found.clear();
        self.state.values(COUNT, &self.all, &mut self.found).expect("a value state");
        let mut counts = OptionalColumn::default();
        self.found.iter().for_each(|value| counts.push(Some(&next(value))));
        let mut writes = Writes::default();
        writes.value_writes_mut(COUNT).set_all(counts);
        if let Some(fetch) = self.state.fetch_overwritten(&writes, &[]).expect("a value state") {
            self.state.supply(fetch.now()).expect("the disk can be read");
        }
        self.state.admit(&writes, &[], None).expect("there is room");
        self.state.commit(&writes).expect("it was admitted");
        self.batches += 1;
        if self.batches.is_multiple_of(EPOCH) {
            self.state.freeze(0).into_iter().for_each(|segment| drop(segment.encode()));
        } else {
            self.state.freeze_early(0).into_iter().for_each(|segment| drop(segment.encode()));
        }
        self.runtime.block_on(self.state.make_room()).expect("the disk can be written");
    }

    fn held(&self) -> u64 {
        self.state.bytes_held()
    }
}

/// How plain RocksDB lays out what it holds.
#[derive(Clone, Copy)]
enum Tables {
    /// As Flink does where nothing is configured (but for Snappy, LZ4 stands in): compressed blocks and no filters.
    OfFlink,
    /// As Weir does: decision 7.
    OfWeir,
}

impl std::fmt::Display for Tables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::OfFlink => "tables as Flink's",
            Self::OfWeir => "tables as Weir's",
        })
    }
}

struct Plain {
    db: DB,
    batches: usize,
}

impl Plain {
    fn new(folder: &Path, memory_bytes: u64, tables: Tables) -> Self {
        let bytes = usize::try_from(memory_bytes).expect("it fits");
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(&Cache::new_lru_cache(bytes / 4 * 3));
        table.set_cache_index_and_filter_blocks(true);
        table.set_pin_l0_filter_and_index_blocks_in_cache(true);
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_write_buffer_size(bytes / 4);
        options.set_max_background_jobs(2);
        match tables {
            Tables::OfFlink => {
                options.set_compression_type(rocksdb::DBCompressionType::Lz4);
                options.set_level_compaction_dynamic_level_bytes(false);
            }
            Tables::OfWeir => {
                table.set_block_size(2 << 10);
                table.set_index_block_restart_interval(16);
                table.set_bloom_filter(10.0, false);
                options.set_level_compaction_dynamic_level_bytes(true);
                options.set_optimize_filters_for_hits(true);
                options.set_memtable_prefix_bloom_ratio(0.1);
                options.set_memtable_whole_key_filtering(true);
                options.set_compression_type(rocksdb::DBCompressionType::None);
            }
        }
        options.set_block_based_table_factory(&table);
        let family = rocksdb::ColumnFamilyDescriptor::new(DEFAULT_COLUMN_FAMILY_NAME, options.clone());
        let folder = folder.join(tables.to_string());
        let db = DB::open_cf_descriptors(&options, folder, [family]).expect("it can be made");
        Self { db, batches: 0 }
    }

    fn update(&mut self, keys: &Keys) {
        let mut sorted: Vec<&[u8]> = keys.distinct.iter().collect();
        sorted.sort_unstable();
        let family = self.db.cf_handle(DEFAULT_COLUMN_FAMILY_NAME).expect("it was opened by that name");
        let mut batch = WriteBatch::default();
        let found = self.db.batched_multi_get_cf(&family, sorted.iter().copied(), true);
        for (key, value) in sorted.iter().zip(found) {
            batch.put(key, next(value.expect("it can be read").as_deref()));
        }
        let mut unlogged = WriteOptions::default();
        unlogged.disable_wal(true);
        self.db.write_opt(batch, &unlogged).expect("it can be written");
        self.batches += 1;
        if self.batches.is_multiple_of(EPOCH) {
            self.db.flush().expect("it can be written");
        }
    }
}

fn next(count: Option<&[u8]>) -> [u8; 8] {
    let before = count.map_or(0, |count| u64::from_le_bytes(count.try_into().expect("8 bytes")));
    (before + 1).to_le_bytes()
}

fn fill(keys: u64, mut update: impl FnMut(&Keys)) {
    for first in (0..keys).step_by(1_024) {
        // A stride that meets every key once, in an order that is none.
        update(&batch((first..keys.min(first + ROWS)).map(|number| number * 7_919_177 % keys)));
    }
}

/// The same while it settles, and then.
fn settled_rate(keys: u64, draw: fn(&mut Draw, u64) -> u64, mut update: impl FnMut(&Keys)) -> (f64, f64) {
    let mut batches = batches(keys, draw);
    [SETTLING, MEASURED].map(|measured| rate(&mut batches, measured, |batch| update(batch))).into()
}

/// Records for each CPU-second of the process.
fn rate<B: Borrow<Keys>>(
    batches: &mut impl Iterator<Item = B>,
    measured: Duration,
    mut update: impl FnMut(&Keys),
) -> f64 {
    let (mut took, mut records) = (Duration::ZERO, 0);
    for batch in batches {
        took += cpu(|| update(batch.borrow()));
        records += ROWS;
        if took >= measured {
            break;
        }
    }
    records as f64 / took.as_secs_f64()
}

fn batches(keys: u64, draw: fn(&mut Draw, u64) -> u64) -> impl Iterator<Item = Keys> {
    let mut random = Draw(1);
    std::iter::repeat_with(move || batch((0..ROWS).map(|_| draw(&mut random, keys))))
}

fn batch(numbers: impl Iterator<Item = u64>) -> Keys {
    let keys: Vec<_> = numbers.map(|number| format!("key-{number:016}").into_bytes()).collect();
    Keys::encode(keys.iter().map(Vec::as_slice))
}

/// A fixed sequence that looks random.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 20
    }

    fn uniform(&mut self, keys: u64) -> u64 {
        self.next() % keys
    }

    /// Key `k` with a probability in proportion to 1 / (k + 1), spread over the numbers.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the power lies between 1 and `keys`")]
    fn zipf(&mut self, keys: u64) -> u64 {
        let part = self.next() as f64 / (1_u64 << 44) as f64;
        let rank = (keys as f64).powf(part) as u64;
        rank.min(keys - 1) * 7_919_177 % keys
    }
}

fn description() -> StateDescription {
    StateDescription {
        name: "count".to_owned(),
        kind: StateKind::KeyedValue,
        codec: "u64".to_owned(),
        version: 1,
        ttl: None,
        properties: Vec::new(),
    }
}

/// The CPU time that all threads spend meanwhile.
fn cpu(work: impl FnOnce()) -> Duration {
    let before = process_cpu_time();
    work();
    process_cpu_time() - before
}

fn goal(ratio: f64, least: f64) -> String {
    format!("goal {least}: {}", if ratio >= least { "met" } else { "NOT met" })
}
