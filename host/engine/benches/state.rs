//! What keyed state costs: one load and one store for each distinct key of 1,024-record batches, in CPU time of the
//! one thread that does it, barriers and cleaning included.
//!
//! Keys have 20 bytes and are drawn uniformly; values are 8-byte counts. A barrier comes every CPU-second; what it froze
//! is encoded outside the measured time, as it is on another thread in a job.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::time::Duration;

use mimalloc::MiMalloc;
use weir_engine::clock::thread_cpu_time;
use weir_engine::state::file::FileSlice;
use weir_engine::state::{StateLimits, SubtaskState};
use weir_operator::batch::{Keys, OptionalColumn};
use weir_operator::keyed_state::{KeyedState, StateId, Writes};
use weir_protocol::description::{StateDescription, StateKind};
use weir_protocol::key_group::{KeyGroupRange, MaxParallelism};

/// As the node has it.
#[global_allocator]
static MEMORY: MiMalloc = MiMalloc;

const ROWS: u64 = 1_024;
const PAUSES: usize = 100;
/// The longest synchronous phase of a checkpoint, in CPU time, all but one in a hundred.
const PAUSE_GOAL: Duration = Duration::from_millis(1);
/// No batch may wait longer for the growth of the index, or for cleaning.
const BATCH_GOAL: Duration = Duration::from_millis(5);
const RESTORE_GOAL: Duration = Duration::from_secs(10);
/// With values of 100 bytes, 1 GB of records.
const GIGABYTE_KEYS: u64 = 7_000_000;
const EPOCHS: u8 = 10;
const COUNT: StateId = StateId(0);
const MAX: MaxParallelism = MaxParallelism::DEFAULT;

fn main() {
    for keys in [1_000, 100_000, 1_000_000] {
        measure(keys);
    }
    gigabyte();
}

/// What barriers and a restore cost at 1 GB of state: values of 100 bytes, of which 0.1 %, 1 % and 10 % change.
fn gigabyte() {
    let limits = StateLimits { live_bytes_max: 8 << 30, ..StateLimits::default() };
    let mut state = SubtaskState::new(&[description()], MAX, all()).expect("one state").with_limits(limits);
    let whole = |first: u64| batch((first..GIGABYTE_KEYS.min(first + ROWS)).map(key));
    let starts = || (0..GIGABYTE_KEYS).step_by(1_024);
    let mut fill: Vec<_> = starts().map(|first| timed_store(&mut state, &whole(first), 0)).collect();
    println!("1 GB of state, {} MB live, filling: a batch takes {}", state.bytes_live() >> 20, quantiles(&mut fill));
    let longest = fill.last().expect("there were batches");
    println!("1 GB of state: longest batch {longest:?}; goal <= {BATCH_GOAL:?}: {}", met(*longest <= BATCH_GOAL));
    let (mut full, mut pause) = (bytes::Bytes::new(), Duration::ZERO);
    let encoding = timed(|| {
        let mut segment = None;
        pause = timed(|| segment = state.freeze(0));
        full = segment.expect("something was written").encode();
    });
    println!("1 GB of state, a full checkpoint: pause {pause:?}, {} MB encoded in {encoding:?}", full.len() >> 20);
    let mut random = 1;
    for part in [1_000, 100, 10] {
        let (mut pauses, mut bytes, mut encoding) = (Vec::new(), 0, Duration::ZERO);
        for round in 1..=EPOCHS {
            for _ in 0..GIGABYTE_KEYS / part / ROWS {
                let keys = batch((0..ROWS).map(|_| key(draw(&mut random) % GIGABYTE_KEYS)));
                timed_store(&mut state, &keys, round);
            }
            let mut segment = None;
            pauses.push(timed(|| segment = state.freeze(0)));
            encoding += timed(|| bytes += segment.take().expect("something was written").encode().len());
        }
        let (bytes, encoding) = (bytes / usize::from(EPOCHS), encoding / u32::from(EPOCHS));
        let longest = *pauses.iter().max().expect("there were epochs");
        println!(
            "1 GB of state, 1/{part} of its keys changed: pause at most {longest:?}, goal {PAUSE_GOAL:?}: {}; {:.1} MB, \
             {:.2} % of the full one, encoded in {encoding:?}",
            met(longest <= PAUSE_GOAL),
            bytes as f64 / 1e6,
            bytes as f64 * 100.0 / full.len() as f64
        );
    }
    drop(state);
    let file = [FileSlice { bytes: full, key_groups: all() }];
    let restored = timed(|| drop(SubtaskState::restore(&[description()], MAX, all(), &file, 0).expect("it verifies")));
    println!("1 GB of state: restored in {restored:?}; goal <= {RESTORE_GOAL:?}: {}", met(restored <= RESTORE_GOAL));
}

/// Writes 100 bytes for each key.
fn timed_store(state: &mut SubtaskState, keys: &Keys, round: u8) -> Duration {
    timed(|| {
        state.select(keys, 0).expect("keys can be selected");
        let mut writes = Writes::default();
        let written = writes.value_writes_mut(COUNT);
        for key in 0..u32::try_from(keys.count()).expect("at most 1,024") {
            let mut value = [round; 100];
            value[..4].copy_from_slice(&key.to_le_bytes());
            written.set(key, Some(&value));
        }
        state.commit(&writes).expect("there is room");
    })
}

const fn met(is_met: bool) -> &'static str {
    if is_met { "met" } else { "NOT met" }
}

fn measure(keys: u64) {
    let mut state = SubtaskState::new(&[description()], MAX, all()).expect("one state");
    let mut scratch = Scratch::default();
    let whole = (0..keys).step_by(1_024).map(|first| batch((first..keys.min(first + ROWS)).map(key)));
    let whole: Vec<_> = whole.collect();
    let mut fill: Vec<_> = whole.iter().map(|keys| timed(|| update(&mut state, keys, &mut scratch))).collect();
    println!("{keys:>9} keys, filling: a batch takes {}", quantiles(&mut fill));
    freeze(&mut state);
    let mut random = 1;
    let batches: Vec<_> = (0..2_000).map(|_| batch((0..ROWS).map(|_| key(draw(&mut random) % keys)))).collect();
    let file = throughput(keys, &mut state, &batches, &mut scratch);
    pauses(keys, &mut state, &whole, &mut scratch);
    restore(keys, file);
}

/// Runs 5 CPU-seconds; the last checkpoint file.
fn throughput(keys: u64, state: &mut SubtaskState, batches: &[Keys], scratch: &mut Scratch) -> FileSlice {
    let (mut total, mut since_barrier, mut records) = (Duration::ZERO, Duration::ZERO, 0);
    let mut batch_times = Vec::new();
    let mut file = None;
    for batch in batches.iter().cycle() {
        let took = timed(|| update(state, batch, scratch));
        batch_times.push(took);
        total += took;
        since_barrier += took;
        records += ROWS;
        if since_barrier >= Duration::from_secs(1) {
            since_barrier = Duration::ZERO;
            file = Some(freeze(state));
        }
        if total >= Duration::from_secs(5) {
            break;
        }
    }
    let distinct: usize = batches.iter().map(Keys::count).sum();
    println!(
        "{keys:>9} keys: {:.2} M records/s, {:.0} ns a distinct key; {} MB live, {} MB held",
        millions(records) / total.as_secs_f64(),
        total.as_secs_f64() * 1e9 / millions(records) / 1e6 * (ROWS as f64 * batches.len() as f64 / distinct as f64),
        state.bytes_live() >> 20,
        state.bytes_held() >> 20,
    );
    println!("{keys:>9} keys: a batch takes {}", quantiles(&mut batch_times));
    file.expect("there were barriers")
}

/// The synchronous phase after an epoch that changed every key, which is as much as an epoch can leave to freeze.
fn pauses(keys: u64, state: &mut SubtaskState, whole: &[Keys], scratch: &mut Scratch) {
    let pause = |_| {
        whole.iter().for_each(|keys| update(state, keys, scratch));
        let mut segment = None;
        timed(|| segment = state.freeze(0))
    };
    let mut pauses: Vec<_> = (0..PAUSES).map(pause).collect();
    let found = quantiles(&mut pauses);
    let met = met(pauses[PAUSES * 99 / 100] <= PAUSE_GOAL);
    println!("{keys:>9} keys, all changed: a freeze takes {found}; goal p99 <= {PAUSE_GOAL:?}: {met}");
}

fn freeze(state: &mut SubtaskState) -> FileSlice {
    let mut segment = None;
    let pause = timed(|| segment = state.freeze(0));
    let segment = segment.expect("something was written");
    let mut bytes = bytes::Bytes::new();
    let encoding = timed(|| bytes = segment.encode());
    println!(
        "{:>14} barrier: {pause:?} for {} MB; encoded in {encoding:?} to {} MB",
        "",
        segment.bytes() >> 20,
        bytes.len() >> 20
    );
    FileSlice { bytes, key_groups: all() }
}

fn restore(keys: u64, file: FileSlice) {
    let files = [file];
    let took = timed(|| drop(SubtaskState::restore(&[description()], MAX, all(), &files, 0).expect("it verifies")));
    println!("{keys:>9} keys: the last file is restored in {took:?}");
}

#[derive(Default)]
struct Scratch {
    indices: Vec<u32>,
    values: OptionalColumn,
}

/// What a counting operator does with a batch.
fn update(state: &mut SubtaskState, keys: &Keys, scratch: &mut Scratch) {
    let count = u32::try_from(keys.count()).expect("at most 1,024");
    scratch.indices.clear();
    scratch.indices.extend(0..count);
    scratch.values.clear();
    state.select(keys, 0).expect("keys can be selected");
    state.values(COUNT, &scratch.indices, &mut scratch.values).expect("a value state");
    let mut counts = OptionalColumn::default();
    counts.values.data.reserve(keys.count() * 8);
    counts.values.offsets.reserve(keys.count());
    for value in scratch.values.iter() {
        let before = value.map_or(0, |value| u64::from_le_bytes(value.try_into().expect("8 bytes")));
        counts.push(Some(&(before + 1).to_le_bytes()));
    }
    let mut writes = Writes::default();
    writes.value_writes_mut(COUNT).set_all(counts);
    state.admit(&writes, &[], None).expect("there is room");
    state.commit(&writes).expect("it was admitted");
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

fn all() -> KeyGroupRange {
    MAX.range(0, 1)
}

fn key(number: u64) -> Vec<u8> {
    format!("key-{number:016}").into_bytes()
}

fn batch(keys: impl Iterator<Item = Vec<u8>>) -> Keys {
    let keys: Vec<_> = keys.collect();
    Keys::encode(keys.iter().map(Vec::as_slice))
}

/// The next of a fixed sequence that looks random.
fn draw(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 20
}

/// The CPU time that this thread spends on something.
fn timed(work: impl FnOnce()) -> Duration {
    let before = thread_cpu_time();
    work();
    thread_cpu_time() - before
}

fn millions(records: u64) -> f64 {
    records as f64 / 1e6
}

fn quantiles(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let at = |part: usize| times[(times.len() * part / 1000).min(times.len() - 1)];
    format!("p50 {:?}, p99 {:?}, p99.9 {:?}, max {:?}", at(500), at(990), at(999), at(1000))
}
