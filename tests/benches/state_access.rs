//! What one access to keyed state costs a component: Flink's micro-benchmarks of state, on both backends.
//!
//! The accesses are those of Flink's own benchmarks (flink-benchmarks, `org.apache.flink.state.benchmark`): 500,000 keys
//! that have state, maps of 10 entries, 100 values appended at once, 8-byte keys and values; the accesses to the whole of
//! a map count 10 times, as there. A record is an access, to a key that is drawn uniformly; what is measured is the CPU
//! time of the thread for batches of 1,024 records, from the batch as the exchange made it to the committed state,
//! cleaning and what leaves for the disk included.
//!
//! Flink's figures are those of Flink itself on the machine at hand, from the file that `FLINK` names: `make flink` writes
//! it, and `make bench` passes it on. Without one they are those that Flink published for lists (in operations a second,
//! on one thread of another machine); for values and maps, where it published ranges alone, the middle of the range stands
//! in. `ACCESS=map` tries those alone whose names begin so, `SECONDS=10` each of them for so long.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::sync::Arc;
use std::time::Duration;

use mimalloc::MiMalloc;
use tokio::runtime::Runtime;
use weir_engine::clock::thread_cpu_time;
use weir_engine::state::{LocalDisk, LocalDiskOptions, SpillTo, SubtaskState};
use weir_operator::attempt::{Attempts, Budget, Step};
use weir_operator::batch::{Batch, Keys};
use weir_operator::component::LoadedComponent;
use weir_operator::operator::{Factory, OpenContext};
use weir_operator::turn::{Turn, Work};
use weir_operator::unkeyed_state::UnkeyedState;
use weir_protocol::job_graph::StateBackend;
use weir_protocol::job_spec::{ErrorPolicy, LimitSpec};
use weir_protocol::key_group::MaxParallelism;
use weir_tests::figures::table;
use weir_tests::flink::FlinkFigures;
use weir_tests::guests;

/// As the node has it.
#[global_allocator]
static MEMORY: MiMalloc = MiMalloc;

const ROWS: u64 = 1_024;
const KEYS: u64 = 500_000;
/// Entries of each key's map.
const ENTRIES: u64 = 10;
/// The geometric means of how often Flink's figure there should be.
const GOALS: [(StateBackend, f64); 2] = [(StateBackend::HashMap, 4.0), (StateBackend::RocksDb, 10.0)];
/// What stands in for what Flink did not publish, in operations a second: the middle of its range.
const RANGES: [f64; 2] = [3.4e6, 0.26e6];

/// One of Flink's benchmarks.
struct Access {
    name: &'static str,
    /// What the keys hold before.
    filled_by: Option<&'static str>,
    has_batch_form: bool,
    /// Operations of one record.
    counts: u64,
    /// Thousands of operations a second, as Flink published them: heap and RocksDB.
    flink: Option<[f64; 2]>,
}

const fn access(name: &'static str, filled_by: Option<&'static str>, has_batch_form: bool) -> Access {
    Access { name, filled_by, has_batch_form, counts: 1, flink: None }
}

impl Access {
    const fn published(mut self, heap: f64, rocksdb: f64) -> Self {
        self.flink = Some([heap, rocksdb]);
        self
    }

    const fn counting(mut self, counts: u64) -> Self {
        self.counts = counts;
        self
    }
}

const VALUE: Option<&str> = Some("value-update");
const LIST: Option<&str> = Some("list-append");
const MAP: Option<&str> = Some("map-put-all");

/// In Flink's order; `add` is to a key that has no state yet.
const ACCESSES: [Access; 20] = [
    access("value-update", VALUE, true),
    access("value-add", None, true),
    access("value-get", VALUE, true),
    access("list-update", LIST, false).published(2_510.8, 471.9),
    access("list-add", None, true).published(4_622.6, 483.1),
    access("list-append", LIST, true).published(3_024.0, 315.5),
    access("list-get", LIST, true).published(2_478.6, 143.9),
    access("list-get-and-iterate", LIST, true).published(2_408.5, 143.0),
    access("list-add-all", LIST, true).published(625.1, 269.5),
    access("map-update", MAP, true),
    access("map-add", None, true),
    access("map-get", MAP, true),
    access("map-contains", MAP, true),
    access("map-is-empty", MAP, false),
    access("map-keys", MAP, false).counting(ENTRIES),
    access("map-values", MAP, false).counting(ENTRIES),
    access("map-entries", MAP, false).counting(ENTRIES),
    access("map-iterator", MAP, false).counting(ENTRIES),
    access("map-remove", MAP, true),
    access("map-put-all", MAP, true),
];

fn main() {
    let component = guests::load(guests::STATE_ACCESS).expect("it is admitted");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("threads can be started");
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let only = std::env::var("ACCESS").ok();
    let disk = LocalDisk::open(folder.path(), LocalDiskOptions::default()).expect("it can be made");
    let seconds = std::env::var("SECONDS").map_or(1, |seconds| seconds.parse().expect("SECONDS is a number"));
    let measured = Duration::from_secs(seconds);
    let here = FlinkFigures::read();
    println!("Flink's figures: {}\n", if here.is_some() { "measured on this machine" } else { "published" });
    for (index, (backend, goal)) in GOALS.into_iter().enumerate() {
        println!("one access for each record, {KEYS} keys, backend {backend:?}; million operations a second and core");
        let setup = Setup { component: &component, runtime: &runtime, disk: &disk, backend, measured };
        let mut rows = vec![["access", "record form", "batch form", "Flink", "x Flink"].map(str::to_owned).to_vec()];
        let mut ratios = Vec::new();
        for access in ACCESSES.iter().filter(|access| only.as_ref().is_none_or(|only| access.name.starts_with(only))) {
            let record = setup.measure("record", access);
            let batch = access.has_batch_form.then(|| setup.measure("batch", access));
            let published = access.flink.map_or(RANGES[index], |published| published[index] * 1e3);
            let flink = here.as_ref().map_or(published, |here| here.of(access.name, backend));
            let ratio = batch.unwrap_or(record).max(record) / flink;
            ratios.push(ratio);
            let shown = |rate: f64| format!("{:.2}", rate / 1e6);
            let mark = if here.is_some() || access.flink.is_some() { "" } else { "~" };
            let flink = format!("{mark}{}", shown(flink));
            rows.push(vec![
                access.name.to_owned(),
                shown(record),
                batch.map(shown).unwrap_or_default(),
                flink,
                format!("{ratio:.1}"),
            ]);
        }
        println!("{}", table(&rows));
        let mean = (ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / ratios.len() as f64).exp();
        let met = if mean >= goal { "met" } else { "NOT met" };
        println!("geometric mean: {mean:.1} x Flink; goal {goal}: {met}\n");
    }
}

/// What all accesses of one table have in common.
struct Setup<'a> {
    component: &'a Arc<LoadedComponent>,
    runtime: &'a Runtime,
    disk: &'a LocalDisk,
    backend: StateBackend,
    /// For how long.
    measured: Duration,
}

impl Setup<'_> {
    /// Operations a second.
    fn measure(&self, form: &str, access: &Access) -> f64 {
        self.runtime.block_on(async {
            let factory = self.component.factory(form).expect("it has both forms");
            let description = factory.description();
            let max = MaxParallelism::DEFAULT;
            let mut state = SubtaskState::new(&description.states, max, max.range(0, 1)).expect("three states");
            if self.backend == StateBackend::RocksDb {
                state = state.spilling(self.spill_to());
            }
            let first = if let Some(filled_by) = access.filled_by {
                let mut lane =
                    Lane::new(&self.component.factory("batch").expect("it has both forms"), filled_by, state);
                for batch in batches(0, |number| number) {
                    lane.process(batch).await;
                }
                state = lane.into_state();
                drop(state.freeze(0));
                0
            } else {
                KEYS
            };
            let verb = access.name.replace("-add", if access.name.starts_with("list") { "-append" } else { "-update" });
            let name = if access.name == "list-add-all" { access.name } else { &verb };
            let mut lane = Lane::new(&factory, name, state);
            let mut random = Draw(1);
            if access.filled_by.is_some() {
                let drawn = batches(0, |_| random.next() % KEYS);
                for batch in drawn.iter().cycle() {
                    lane.process(batch.clone()).await;
                    if lane.took >= self.measured {
                        break;
                    }
                }
            } else {
                for batch in batches(first, |number| number) {
                    lane.process(batch).await;
                }
            }
            (lane.records * access.counts) as f64 / lane.took.as_secs_f64()
        })
    }

    fn spill_to(&self) -> SpillTo {
        let disk = self.disk.clone();
        let runtime = self.runtime.handle().clone().into();
        SpillTo { disk, runtime, folder: None, memory_bytes: SpillTo::MEMORY_BYTES, name: "bench".to_owned() }
    }
}

/// An operator with its state.
struct Lane {
    attempts: Attempts,
    state: Option<Box<SubtaskState>>,
    took: Duration,
    records: u64,
}

impl Lane {
    fn new(factory: &Arc<dyn Factory>, access: &str, state: SubtaskState) -> Self {
        let context = OpenContext {
            uid: "access".to_owned(),
            job: "bench".to_owned(),
            config: serde_json::json!({ "access": access }).to_string(),
            subtask: 0,
            parallelism: 1,
            seed: 1,
            processing_time: 0,
            unkeyed: UnkeyedState::default(),
            limits: LimitSpec::default(),
        };
        let attempts = Attempts::new(Arc::clone(factory), context, ErrorPolicy::Fail, Budget::new(0, 0));
        Self { attempts, state: Some(Box::new(state)), took: Duration::ZERO, records: 0 }
    }

    /// One batch, as the task loop has it processed.
    async fn process(&mut self, batch: Batch) {
        self.records += u64::from(batch.rows);
        let before = thread_cpu_time();
        let mut turn = Turn::new(Work::Batch { input: 0, batch });
        turn.state = self.state.take().map(|state| state as _);
        self.attempts.start(&mut turn);
        loop {
            match self.attempts.step(&mut turn).await {
                Step::Commit => {
                    let effects = std::mem::take(&mut turn.effects);
                    turn.state
                        .as_deref_mut()
                        .expect("the input is keyed")
                        .commit(&effects.writes)
                        .expect("there is room");
                }
                Step::Done => break,
                Step::DeadLetter(letter) => unreachable!("{letter:?}"),
                Step::Fails(failure) => unreachable!("{failure}"),
            }
        }
        let state: Box<dyn std::any::Any> = turn.state.take().expect("the turn gives it back");
        let mut state: Box<SubtaskState> = state.downcast().expect("it is the engine's");
        state.make_room().await.expect("the disk can be written");
        self.state = Some(state);
        self.took += thread_cpu_time() - before;
    }

    fn into_state(self) -> SubtaskState {
        *self.state.expect("no turn is under way")
    }
}

/// As many records as there are keys, of the keys that `number` gives for 0, 1, 2, ..., from `first` on.
fn batches(first: u64, mut number: impl FnMut(u64) -> u64) -> Vec<Batch> {
    let mut batch = |from: u64| {
        let rows = ROWS.min(KEYS - from);
        let keys: Vec<_> = (from..from + rows).map(|at| (first + number(at)).to_le_bytes()).collect();
        let keys = Keys::encode(keys.iter().map(<[u8; 8]>::as_slice));
        Batch { rows: u32::try_from(rows).expect("few rows"), keys: Some(keys), ..Batch::default() }
    };
    (0..KEYS).step_by(1_024).map(&mut batch).collect()
}

/// A fixed sequence that looks random.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 20
    }
}
