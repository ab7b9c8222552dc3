//! What the tests of jobs share: engines on one store, jobs, and what they published.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use tokio::runtime::Handle;
use weir_protocol::id::{EntryNumber, JobId, Uid};
use weir_protocol::job_graph::StateSpec;
use weir_protocol::job_spec::{
    CheckpointSpec, ErrorSpec, FileFormat, FileSinkSpec, FileSourceSpec, GeneratorSpec, InputSpec, JobSpec,
    KeyDistribution, KeySpec, LimitSpec, OperatorSpec, OutputRef, PartitionSpec, RestartSpec, SinkConnector, SinkSpec,
    SourceConnector, SourceSpec, StartPosition,
};
use weir_protocol::key_group::MaxParallelism;
use weir_protocol::manifest::Manifest;

use crate::clock::{Clock, Entropy};
use crate::job::{Engine, EngineConfig, JobState, JobStatus};
use crate::state::{LocalDisk, LocalDiskOptions};
use crate::store::{ChainName, Everywhere, Places, Prefix, Store};

use super::operators::{Faults, NativeOperators};

/// How long anything may take before a test gives up on it; far longer than it does.
const PATIENCE: Duration = Duration::from_secs(120);

/// A store that outlives engines, and a folder for results.
pub(super) struct Rig {
    store: Arc<InMemory>,
    results: tempfile::TempDir,
    pub(super) clock: Clock,
}

impl Rig {
    pub(super) fn new() -> Self {
        let results = tempfile::tempdir().unwrap();
        Self { store: Arc::new(InMemory::new()), results, clock: Clock::system() }
    }

    /// An engine on the store; another one may run, or have been dropped where it stood.
    pub(super) async fn start(&self, faults: &Faults) -> Engine {
        self.start_with_data(faults, Handle::current()).await
    }

    /// The same with a folder for local state, which nobody else uses.
    pub(super) async fn start_with_disk(&self, folder: &Path) -> Engine {
        self.start_with_disk_over(self.store(), folder).await
    }

    /// The same over another store.
    pub(super) async fn start_with_disk_over(&self, store: Arc<dyn ObjectStore>, folder: &Path) -> Engine {
        let config = config(store, self.clock, &Faults::default(), Handle::current());
        let options = LocalDiskOptions { write_buffer_bytes: 64 << 10, ..LocalDiskOptions::default() };
        let disk = LocalDisk::open(folder, options).unwrap();
        Engine::start(EngineConfig { disk: Some(disk), ..config }).await.unwrap()
    }

    /// The same with threads of their own for records.
    pub(super) async fn start_with_data(&self, faults: &Faults, data: Handle) -> Engine {
        self.start_over(self.store(), faults, data).await
    }

    /// The same with other places for results and savepoints.
    pub(super) async fn start_with_places(&self, places: Arc<dyn Places>) -> Engine {
        let config = config(self.store(), self.clock, &Faults::default(), Handle::current());
        Engine::start(EngineConfig { places, ..config }).await.unwrap()
    }

    /// The same over another store.
    pub(super) async fn start_over(&self, store: Arc<dyn ObjectStore>, faults: &Faults, data: Handle) -> Engine {
        start(store, self.clock, faults, data).await
    }

    pub(super) fn store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.store) as Arc<dyn ObjectStore>
    }

    /// An engine on a folder instead, which a test can take away.
    pub(super) async fn start_on(&self, folder: &Path) -> Engine {
        let store = Arc::new(LocalFileSystem::new_with_prefix(folder).unwrap());
        self.start_over(store, &Faults::default(), Handle::current()).await
    }

    /// The entries of a job's `run/` chain that are there.
    pub(super) async fn entries(&self, job: JobId) -> Vec<EntryNumber> {
        Store::new(self.store(), self.clock).entries(&ChainName::Run(job), EntryNumber(0)).await.unwrap()
    }

    /// The manifest of a job's newest entry.
    pub(super) async fn newest_manifest(&self, job: JobId) -> Manifest {
        let store = Store::new(self.store(), self.clock);
        crate::checkpoint::chain::newest(&store, job).await.unwrap().stored.entry.manifest
    }

    /// All lines that are public, file by file in the order of their names.
    pub(super) fn published(&self, job: JobId) -> Vec<String> {
        self.published_by(job, "out")
    }

    /// The same of another sink.
    pub(super) fn published_by(&self, job: JobId, sink: &str) -> Vec<String> {
        published_in(&self.results.path().join(job.to_string()).join(sink))
    }

    /// The same of a job whose sink has a folder of its own in that of all results.
    pub(super) fn published_at(&self, folder: &str, job: JobId) -> Vec<String> {
        published_in(&self.results().join(folder).join(job.to_string()).join("out"))
    }

    /// Where results go.
    pub(super) fn results(&self) -> &Path {
        self.results.path()
    }

    /// The names of all objects in the store.
    pub(super) async fn objects(&self) -> Vec<String> {
        let found = Store::new(self.store(), self.clock).list(&Prefix::everything()).await.unwrap();
        found.iter().map(|object| object.name.to_string()).collect()
    }

    /// Takes everything of a job away.
    pub(super) async fn forget(&self, job: JobId) {
        let store = Store::new(self.store(), self.clock);
        for object in store.list(&Prefix::everything()).await.unwrap() {
            if object.name.to_string().contains(&job.to_string()) {
                store.delete(&object.name).await.unwrap();
            }
        }
    }
}

fn published_in(folder: &Path) -> Vec<String> {
    let Ok(found) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<_> = found.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "out"));
    files.sort();
    files.iter().flat_map(|path| lines(&std::fs::read_to_string(path).unwrap())).collect()
}

/// An engine without faults.
pub(super) async fn start_engine(store: Arc<dyn ObjectStore>, clock: Clock) -> Engine {
    start(store, clock, &Faults::default(), Handle::current()).await
}

async fn start(store: Arc<dyn ObjectStore>, clock: Clock, faults: &Faults, data: Handle) -> Engine {
    Engine::start(config(store, clock, faults, data)).await.unwrap()
}

fn config(store: Arc<dyn ObjectStore>, clock: Clock, faults: &Faults, data: Handle) -> EngineConfig {
    EngineConfig {
        store,
        clock,
        entropy: Entropy::system(),
        control: Handle::current().into(),
        data,
        disk_threads: Handle::current().into(),
        operators: Arc::new(NativeOperators::new(faults)),
        places: Arc::new(Everywhere),
        disk: None,
    }
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(ToOwned::to_owned).collect()
}

pub(super) fn uid(text: &str) -> Uid {
    text.parse().unwrap()
}

pub(super) fn output(text: &str) -> OutputRef {
    OutputRef { uid: uid(text), port: None }
}

pub(super) fn generator(name: &str, count: Option<u64>, rate: Option<u64>, keys: u64) -> SourceSpec {
    let distribution = KeyDistribution::RoundRobin;
    let spec = GeneratorSpec { rate, count, keys, distribution, value_bytes: 64 };
    SourceSpec { uid: uid(name), parallelism: None, connector: SourceConnector::Generator(spec) }
}

pub(super) fn keyed(input: &str, from: &str) -> InputSpec {
    InputSpec { input: input.to_owned(), from: output(from), partition: PartitionSpec::Hash(KeySpec::Carried) }
}

pub(super) fn operator(name: &str, operator: &str, inputs: Vec<InputSpec>) -> OperatorSpec {
    let config = serde_json::json!({});
    let component = "native".to_owned();
    OperatorSpec { uid: uid(name), component, operator: operator.to_owned(), parallelism: None, inputs, config }
}

/// generator → operator → files.
pub(super) fn generator_job(rig: &Rig, kind: &str, records: u64, keys: u64) -> JobSpec {
    JobSpec {
        name: "job".parse().unwrap(),
        max_parallelism: MaxParallelism::DEFAULT,
        parallelism: 2,
        checkpoint: Some(CheckpointSpec::every_ms(50)),
        state: StateSpec::default(),
        restart: RestartSpec::default(),
        errors: ErrorSpec::default(),
        limits: LimitSpec::default(),
        sources: vec![generator("numbers", Some(records), Some(20_000), keys)],
        operators: vec![operator("count", kind, vec![keyed("records", "numbers")])],
        sinks: vec![SinkSpec {
            uid: uid("out"),
            parallelism: Some(1),
            from: vec![output("count")],
            connector: SinkConnector::Files(FileSinkSpec { path: rig.results.path().to_str().unwrap().to_owned() }),
        }],
    }
}

/// The same without end, slowly.
pub(super) fn endless(rig: &Rig) -> JobSpec {
    let mut spec = generator_job(rig, "count", 0, 5);
    spec.sources = vec![generator("numbers", None, Some(5_000), 5)];
    spec
}

/// The same of the lines of a folder's files, which more may join; then it is idle.
pub(super) fn following(rig: &Rig, folder: &Path) -> JobSpec {
    let mut spec = endless(rig);
    spec.sources[0].connector = SourceConnector::Files(FileSourceSpec {
        paths: vec![folder.to_str().unwrap().to_owned()],
        format: FileFormat::Lines,
        follow: true,
        start: StartPosition::Beginning,
    });
    spec.operators[0].inputs[0].partition = PartitionSpec::Hash(KeySpec::Value);
    spec
}

/// Checks that for each key the counts 1, 2, 3 and so on were published, each once and in order, `records` in all.
pub(super) fn check_counts(lines: &[String], records: u64, keys: usize) {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for line in lines {
        let (key, count) = line.split_once('=').unwrap();
        let last = counts.entry(key).or_default();
        assert_eq!(count.parse::<u64>().unwrap(), *last + 1, "key {key}");
        *last += 1;
    }
    assert_eq!((counts.values().sum::<u64>(), counts.len()), (records, keys));
}

/// Waits, in the engine's time, until the job is in a state.
pub(super) async fn wait_for(engine: &Engine, job: JobId, state: JobState) -> JobStatus {
    wait_until(engine, job, |status| status.state == state).await
}

/// Waits, in the engine's time, until something holds of a job.
pub(super) async fn wait_until(engine: &Engine, job: JobId, holds: impl Fn(&JobStatus) -> bool) -> JobStatus {
    let clock = Clock::starting_at(0);
    while clock.elapsed() < PATIENCE {
        let status = engine.job(job).unwrap();
        if holds(&status) {
            return status;
        }
        assert!(!status.state.is_terminal(), "ended as {:?}: {:?}", status.state, status.failures);
        clock.sleep(Duration::from_millis(2)).await;
    }
    panic!("it never came: {:?}", engine.job(job));
}
