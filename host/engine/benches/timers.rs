//! What timers cost, registered and fired: in memory, with a disk to leave for that is not needed, and with a tenth of the
//! memory that they would fill.
//!
//! CPU time of the whole process is what counts, so that work on other threads is not free. Keys have 20 bytes; a call
//! registers a timer for each of its 1,024 keys; a barrier comes every 128 calls. Times are drawn at random, or they are a
//! fixed while after a clock that goes on (as sessions and windows have it), in which case each call fires what is due, too.
//! `TIMERS=10000000` tries more than a million.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::path::Path;
use std::time::Duration;

use mimalloc::MiMalloc;
use weir_engine::clock::process_cpu_time;
use weir_engine::state::{LocalDisk, LocalDiskOptions, SpillTo, StateLimits, SubtaskState};
use weir_operator::batch::Keys;
use weir_operator::keyed_state::{KeyedState, Writes};
use weir_operator::turn::{TimeDomain, TimerChange};
use weir_protocol::key_group::MaxParallelism;
use weir_protocol::time::{END_OF_TIME, Timestamp};

/// As the node has it.
#[global_allocator]
static MEMORY: MiMalloc = MiMalloc;

const ROWS: u32 = 1_024;
/// Calls between two barriers.
const EPOCH: u64 = 128;
const MAX: MaxParallelism = MaxParallelism::DEFAULT;
/// What a timer takes in memory, roughly.
const TIMER_BYTES: u64 = 140;

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("threads can be started");
    let timers: u64 = std::env::var("TIMERS").ok().and_then(|timers| timers.parse().ok()).unwrap_or(1_000_000);
    for (times, is_steady) in [("at random times", false), ("a while ahead", true)] {
        let ways = [
            ("in memory", None),
            ("with a disk", Some(1 << 40)),
            ("a tenth in memory", Some(timers * TIMER_BYTES / 10)),
        ];
        for (way, memory_bytes) in ways {
            let mut weir = Weir::new(memory_bytes, folder.path(), &runtime);
            let registered = cpu(|| weir.register(timers, is_steady));
            let held = weir.state.bytes_held() >> 20;
            let fired = cpu(|| weir.fire(END_OF_TIME));
            assert_eq!(weir.fired, timers, "each fires once");
            let rate = |time: Duration| timers as f64 / time.as_secs_f64() / 1e6;
            println!(
                "{timers:>9} timers {times}, {way}: {:.2} M/s registered, {held} MB held, {:.2} M/s registered and fired",
                rate(registered),
                rate(registered + fired)
            );
        }
    }
}

struct Weir<'a> {
    state: SubtaskState,
    runtime: &'a tokio::runtime::Runtime,
    calls: u64,
    random: u64,
    fired: u64,
}

impl<'a> Weir<'a> {
    fn new(memory_bytes: Option<u64>, folder: &Path, runtime: &'a tokio::runtime::Runtime) -> Self {
        let mut state = SubtaskState::new(&[], MAX, MAX.range(0, 1)).expect("no state");
        if let Some(memory_bytes) = memory_bytes {
            let disk = LocalDisk::open(&folder.join("weir"), LocalDiskOptions::default()).expect("it can be made");
            let name = "bench".to_owned();
            let control = runtime.handle().clone().into();
            state = state.spilling(SpillTo { disk, runtime: control, folder: None, memory_bytes, name });
            let garbage_bytes_min = (memory_bytes / 16).min(4 << 20);
            state = state.with_limits(StateLimits { garbage_bytes_min, ..StateLimits::default() });
        }
        Self { state, runtime, calls: 0, random: 1, fired: 0 }
    }

    fn register(&mut self, timers: u64, is_steady: bool) {
        for first in (0..timers).step_by(ROWS as usize) {
            let last = timers.min(first + u64::from(ROWS));
            let keys: Vec<_> = (first..last).map(|number| format!("key {number:016}").into_bytes()).collect();
            let keys = Keys::encode(keys.iter().map(Vec::as_slice));
            let changes = (0..).take(keys.count()).map(|key| {
                self.random =
                    self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let at = if is_steady { first + timers / 2 } else { self.random >> 40 };
                TimerChange { register: true, domain: TimeDomain::EventTime, key, at: at.cast_signed(), tag: 0 }
            });
            let changes: Vec<_> = changes.collect();
            self.state.select(&keys, 0).expect("keys can be selected");
            if let Some(fetch) = self.state.fetch_overwritten(&Writes::default(), &changes).expect("timers") {
                self.state.supply(fetch.now()).expect("the disk can be read");
            }
            self.state.apply_timers(&changes, &keys).expect("there is room");
            self.end_call();
            if is_steady {
                self.fire(first.cast_signed());
            }
        }
    }

    fn fire(&mut self, up_to: Timestamp) {
        loop {
            while let Some(fetch) = self.state.fetch_due(TimeDomain::EventTime, up_to, ROWS as usize) {
                self.state.supply(fetch.now()).expect("the disk can be read");
            }
            let Some(fired) = self.state.due(TimeDomain::EventTime, up_to, ROWS as usize) else { return };
            self.fired += fired.at.len() as u64;
            self.state.select(&fired.keys, 0).expect("keys can be selected");
            self.state.complete(&fired).expect("there is room");
            self.end_call();
        }
    }

    fn end_call(&mut self) {
        self.state.commit(&Writes::default()).expect("nothing was written");
        self.calls += 1;
        let is_barrier = self.calls.is_multiple_of(EPOCH);
        let segment = if is_barrier { self.state.freeze(0) } else { self.state.freeze_early(0) };
        segment.into_iter().for_each(|segment| drop(segment.encode()));
        self.runtime.block_on(self.state.make_room()).expect("the disk can be written");
    }
}

fn cpu(work: impl FnOnce()) -> Duration {
    let before = process_cpu_time();
    work();
    process_cpu_time() - before
}
