//! How many records a second a whole job gets through: generator → exchange → keyed count → blackhole, with a
//! checkpoint each second to an object store in memory.
//!
//! All of the job's subtasks run on one thread, all that coordinates and uploads on another; keys are drawn uniformly,
//! values have 100 bytes. A job is measured after it has warmed up, in which it meets (nearly) all its keys. `per core`
//! is records for each second of the task thread's CPU time, `per second` for each second on the clock, which says the
//! same where nothing else runs. Native code and component take turns, and their ratio is of one turn.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::sync::Arc;
use std::time::Duration;

use mimalloc::MiMalloc;
use object_store::memory::InMemory;
use tokio::runtime::{Builder, Handle, Runtime};
use weir_engine::clock::{Clock, Entropy, thread_cpu_time};
use weir_engine::job::{Engine, EngineConfig, VertexKind};
use weir_engine::spawn::TaskGroup;
use weir_engine::store::Everywhere;
use weir_operator::operator::Factory;
use weir_protocol::id::JobId;
use weir_protocol::job_graph::StateSpec;
use weir_protocol::job_spec::{JobSpec, KeyDistribution};
use weir_tests::figures::{grouped, median, table};
use weir_tests::keyed_job::{KeyedJob, OneOperator};
use weir_tests::{counting, guests};

/// As the node has it.
#[global_allocator]
static MEMORY: MiMalloc = MiMalloc;

const TURNS: usize = 3;
const WARM_UP: Duration = Duration::from_secs(1);
const MEASURED: Duration = Duration::from_secs(4);

fn main() {
    let component = guests::load(guests::KEYED_COUNT).expect("it is admitted");
    let native = Contender { name: "native", factory: counting::count() };
    let batch = Contender { name: "component, batch form", factory: component.factory("batch").expect("it is there") };
    let [control, data] = [runtime("control"), runtime("data")];
    for emits in [false, true] {
        for keys in [1_000, 1_000_000] {
            let emitting = if emits { "one result a record" } else { "no results" };
            println!("generator, exchange, keyed count, blackhole: {} keys, {emitting}, one core", grouped(keys));
            let setup = Setup { keys, emits, control: control.handle(), data: data.handle() };
            println!("{}", control.block_on(compare([&native, &batch], &setup)));
        }
    }
}

fn runtime(name: &str) -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1).thread_name(name).enable_all().build().expect("a runtime starts")
}

/// An operator, by what it is made of.
struct Contender {
    name: &'static str,
    factory: Arc<dyn Factory>,
}

/// What all jobs of one table have in common.
struct Setup<'a> {
    keys: u64,
    emits: bool,
    control: &'a Handle,
    data: &'a Handle,
}

/// What one job did while it was measured.
#[derive(Debug)]
struct Run {
    records: u64,
    elapsed: Duration,
    cpu: Duration,
    checkpoints: u64,
    /// The mean synchronous phase of a checkpoint.
    freeze: Duration,
}

async fn compare(contenders: [&Contender; 2], setup: &Setup<'_>) -> String {
    let mut runs = [Vec::new(), Vec::new()];
    for _ in 0..TURNS {
        for (contender, runs) in contenders.iter().zip(&mut runs) {
            runs.push(setup.run(contender).await);
        }
    }
    let header = ["operator", "M records/s per core", "per second", "x native", "checkpoints", "freeze"];
    let rows = contenders.iter().zip(&runs).map(|(contender, own)| row(contender, own, &runs[0]));
    table(&std::iter::once(header.map(str::to_owned).to_vec()).chain(rows).collect::<Vec<_>>())
}

fn row(contender: &Contender, runs: &[Run], native: &[Run]) -> Vec<String> {
    let of = |figure: &dyn Fn(&Run) -> f64| median(runs.iter().map(figure));
    let ratio = median(runs.iter().zip(native).map(|(run, native)| run.core_ns() / native.core_ns()));
    vec![
        contender.name.to_owned(),
        format!("{:.2}", of(&|run| 1e3 / run.core_ns())),
        format!("{:.2}", of(&|run| run.records as f64 / run.elapsed.as_secs_f64() / 1e6)),
        format!("{ratio:.2}"),
        format!("{}", of(&|run| run.checkpoints as f64)),
        format!("{:.0} µs", of(&|run| run.freeze.as_secs_f64() * 1e6)),
    ]
}

impl Run {
    /// CPU time of the task thread for each record.
    fn core_ns(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e9 / self.records as f64
    }
}

impl Setup<'_> {
    async fn run(&self, contender: &Contender) -> Run {
        let clock = Clock::system();
        let config = EngineConfig {
            store: Arc::new(InMemory::new()),
            clock,
            entropy: Entropy::system(),
            control: self.control.clone().into(),
            disk_threads: self.control.clone().into(),
            data: self.data.clone(),
            operators: Arc::new(OneOperator(Arc::clone(&contender.factory))),
            places: Arc::new(Everywhere),
            disk: None,
        };
        let engine = Engine::start(config).await.expect("the store is there");
        let job = engine.submit(self.job(contender)).await.expect("the job holds together").id;
        while self.reading(clock, &engine, job).await.records < self.keys * 3 {
            clock.sleep(Duration::from_millis(50)).await;
        }
        clock.sleep(WARM_UP).await;
        let before = self.reading(clock, &engine, job).await;
        clock.sleep(MEASURED).await;
        let after = self.reading(clock, &engine, job).await;
        engine.stop().await;
        after.since(&before)
    }

    /// How far the job is: looked at from the task thread itself, between two slices of its tasks.
    async fn reading(&self, clock: Clock, engine: &Engine, job: JobId) -> Reading {
        let status = engine.job(job).expect("it was submitted");
        assert!(status.failures.is_empty(), "{:?}", status.failures);
        let checkpoints = status.checkpoints.completed;
        let count = status.vertices.iter().find(|vertex| vertex.kind == VertexKind::Operator).expect("there is one");
        let Some(metrics) = count.subtasks.first().cloned() else { return Reading::default() };
        let mut group = TaskGroup::new(self.data.clone());
        group.spawn("reading", async move {
            Reading {
                records: metrics.records_in.get(),
                at: clock.elapsed(),
                cpu: thread_cpu_time(),
                checkpoints,
                freeze: Duration::from_nanos(metrics.freeze_nanos.get()),
            }
        });
        group.next().await.expect("one task was started").expect("it does not panic").1
    }

    fn job(&self, contender: &Contender) -> JobSpec {
        let job = KeyedJob {
            factory: &*contender.factory,
            config: serde_json::json!({ "emit": self.emits }),
            keys: self.keys,
            distribution: KeyDistribution::Uniform,
            value_bytes: 100,
            parallelism: 1,
            checkpoint_ms: 1_000,
            state: StateSpec::default(),
        };
        job.spec()
    }
}

/// What counters and clocks stood at.
#[derive(Debug, Default)]
struct Reading {
    records: u64,
    at: Duration,
    cpu: Duration,
    checkpoints: u64,
    freeze: Duration,
}

impl Reading {
    fn since(&self, before: &Self) -> Run {
        let checkpoints = self.checkpoints - before.checkpoints;
        Run {
            records: self.records - before.records,
            elapsed: self.at - before.at,
            cpu: self.cpu - before.cpu,
            checkpoints,
            freeze: (self.freeze - before.freeze) / u32::try_from(checkpoints.max(1)).expect("few"),
        }
    }
}
