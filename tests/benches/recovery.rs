//! How long a job with 1 GB of state is away: from the start of a node to the first record that it processes again.
//!
//! Generator → exchange → one keyed operator → blackhole, two subtasks each, a folder of the local disk as the object
//! store. The job meets 7 million keys and takes checkpoints all the while; then the engine stops, and another one starts
//! on the same store. Time is on the clock. `noise` holds 100 bytes a key that cannot be compressed, `count` a number of
//! 8 bytes. `KEYS=70000` tries it small.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mimalloc::MiMalloc;
use tokio::runtime::{Builder, Runtime};
use weir_engine::clock::{Clock, Entropy};
use weir_engine::job::{Engine, EngineConfig, VertexKind};
use weir_engine::state::{LocalDisk, LocalDiskOptions};
use weir_engine::store::{Everywhere, open};
use weir_operator::abilities::{Abilities, ValueState};
use weir_operator::batch::{Batch, OptionalColumn};
use weir_operator::native::{NativeError, NativeFactory, NativeOperator};
use weir_operator::operator::{Factory, OpenContext};
use weir_protocol::description::{
    Columns, InputDescription, InputKind, OperatorDescription, StateDescription, StateKind,
};
use weir_protocol::id::JobId;
use weir_protocol::job_graph::{StateBackend, StateSpec};
use weir_protocol::job_spec::{JobSpec, KeyDistribution};
use weir_tests::counting;
use weir_tests::keyed_job::{KeyedJob, OneOperator};

/// As the node has it.
#[global_allocator]
static MEMORY: MiMalloc = MiMalloc;

const GOAL: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(2);
const PARALLELISM: u32 = 2;

fn main() {
    let keys = std::env::var("KEYS").ok().and_then(|keys| keys.parse().ok()).unwrap_or(7_000_000);
    let [control, data] = [1, 2].map(|threads| {
        Builder::new_multi_thread().worker_threads(threads).enable_all().build().expect("a runtime starts")
    });
    for (name, factory) in [("noise", noise()), ("count", counting::count())] {
        for backend in [StateBackend::HashMap, StateBackend::RocksDb] {
            let folder = tempfile::tempdir().expect("a temporary folder can be made");
            let setup = Setup { name, keys, factory: Arc::clone(&factory), backend, control: &control, data: &data };
            control.block_on(setup.measure(folder.path()));
        }
    }
}

struct Setup<'a> {
    name: &'static str,
    keys: u64,
    factory: Arc<dyn Factory>,
    backend: StateBackend,
    control: &'a Runtime,
    data: &'a Runtime,
}

impl Setup<'_> {
    async fn measure(&self, folder: &Path) {
        let clock = Clock::system();
        let engine = self.start(folder, clock).await;
        let job = engine.submit(self.job()).await.expect("the job holds together").id;
        while Self::records(&engine, job) < self.keys {
            clock.sleep(POLL).await;
        }
        let completed = || engine.job(job).expect("it was submitted").checkpoints.completed;
        // One may be on its way; the one after it holds all keys.
        let enough = completed() + 2;
        while completed() < enough {
            clock.sleep(POLL).await;
        }
        let status = engine.job(job).expect("it was submitted");
        let last = status.checkpoints.history.iter().find_map(|last| last.duration_ms).unwrap_or_default();
        let bytes: u64 =
            status.vertices.iter().flat_map(|vertex| &vertex.subtasks).map(|subtask| subtask.state().bytes).sum();
        engine.stop().await;
        drop(engine);
        let start = clock.elapsed();
        let engine = self.start(folder, clock).await;
        while Self::records(&engine, job) == 0 {
            clock.sleep(POLL).await;
        }
        let away = clock.elapsed() - start;
        let met = if away <= GOAL { "met" } else { "NOT met" };
        println!(
            "{}, {:?}: {} keys, {} MB of state; last checkpoint took {last} ms; from start to first record {away:.2?}, \
             goal {GOAL:?}: {met}",
            self.name,
            self.backend,
            self.keys,
            bytes / 1_000_000,
        );
        engine.stop().await;
    }

    async fn start(&self, folder: &Path, clock: Clock) -> Engine {
        let store = folder.join("store");
        let disk = LocalDisk::open(&folder.join("state"), LocalDiskOptions::default()).expect("it can be made");
        let config = EngineConfig {
            store: open(store.to_str().expect("it is UTF-8"), &clock).expect("a folder is a store"),
            clock,
            entropy: Entropy::system(),
            control: self.control.handle().clone().into(),
            disk_threads: self.control.handle().clone().into(),
            data: self.data.handle().clone(),
            operators: Arc::new(OneOperator(Arc::clone(&self.factory))),
            places: Arc::new(Everywhere),
            disk: Some(disk),
        };
        Engine::start(config).await.expect("the store is there")
    }

    /// Records that the operator has processed in this engine's life.
    fn records(engine: &Engine, job: JobId) -> u64 {
        let status = engine.job(job).expect("it was submitted");
        assert!(status.failures.is_empty(), "{:?}", status.failures);
        let operators = status.vertices.iter().filter(|vertex| vertex.kind == VertexKind::Operator);
        operators.flat_map(|vertex| &vertex.subtasks).map(|subtask| subtask.records_in.get()).sum()
    }

    fn job(&self) -> JobSpec {
        let job = KeyedJob {
            factory: &*self.factory,
            config: serde_json::json!({}),
            keys: self.keys,
            distribution: KeyDistribution::RoundRobin,
            value_bytes: 64,
            parallelism: PARALLELISM,
            checkpoint_ms: 2_000,
            state: StateSpec { backend: self.backend, ..StateSpec::default() },
        };
        job.spec()
    }
}

/// Keeps 100 bytes for each key that follow from it and look random.
fn noise() -> Arc<dyn Factory> {
    let state = StateDescription {
        name: "noise".to_owned(),
        kind: StateKind::KeyedValue,
        codec: "bytes".to_owned(),
        version: 1,
        ttl: None,
        properties: Vec::new(),
    };
    let columns = Columns { keys: false, values: false, timestamps: false };
    let description = OperatorDescription {
        name: "noise".to_owned(),
        doc: String::new(),
        inputs: vec![InputDescription { name: "records".to_owned(), kind: InputKind::Keyed, columns }],
        outputs: vec!["main".to_owned()],
        states: vec![state],
        config_schema: String::new(),
        properties: Vec::new(),
    };
    Arc::new(NativeFactory::new(description, || Noise { state: None }))
}

struct Noise {
    state: Option<ValueState>,
}

impl NativeOperator for Noise {
    fn open(&mut self, _context: &OpenContext, abilities: &mut Abilities) -> Result<(), NativeError> {
        self.state = Some(abilities.value_state("noise")?);
        Ok(())
    }

    fn process(&mut self, _input: u32, batch: &Batch, abilities: &mut Abilities) -> Result<(), NativeError> {
        let keys = batch.keys.as_ref().expect("the input is keyed");
        let mut column = OptionalColumn::default();
        keys.distinct.iter().for_each(|key| column.push(Some(&bytes_of(key))));
        abilities.store(self.state.expect("`open` made it"), column)?;
        Ok(())
    }
}

fn bytes_of(key: &[u8]) -> [u8; 100] {
    let mut state = key.iter().fold(1_u64, |state, byte| (state ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
    let mut bytes = [0; 100];
    bytes.fill_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    });
    bytes
}
