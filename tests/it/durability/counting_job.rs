//! A job in small: a source that counts up, an operator that counts by key, a sink. It uses the engine's real state,
//! uploads, chain, publication and collection, and does by hand what tasks and the coordinator do.
//!
//! Every third checkpoint is given up after its barrier, so that what it sealed must go with the next.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use object_store::ObjectStore;
use serde_json::json;
use tokio::runtime::Handle;
use weir_engine::checkpoint::StoredFiles;
use weir_engine::checkpoint::chain::{ChainError, RunOwner, SpecChain, newest};
use weir_engine::checkpoint::collect::Collector;
use weir_engine::checkpoint::publish::Publications;
use weir_engine::checkpoint::restore::{restore_subtask, stopped, stopped_at_entry};
use weir_engine::checkpoint::upload::{BlobWriter, PartUploader, StateUploader, Unsaved};
use weir_engine::clock::{Clock, Entropy};
use weir_engine::sink::Publisher;
use weir_engine::spawn::Runtime;
use weir_engine::state::SubtaskState;
use weir_engine::store::{DataKind, ObjectName, Prefix, Store};
use weir_operator::batch::{Keys, OptionalColumn};
use weir_operator::keyed_state::{KeyedState, StateId, Writes};
use weir_protocol::Fault;
use weir_protocol::assembly::Assembly;
use weir_protocol::chain::{Confirmed, EntryKind, Next};
use weir_protocol::coordinator::Complete;
use weir_protocol::description::{StateDescription, StateKind};
use weir_protocol::id::{CheckpointId, EntryNumber, JobId, SubtaskId, Uid};
use weir_protocol::job_graph::StateSpec;
use weir_protocol::job_spec::{CheckpointSpec, ErrorSpec, JobSpec, LimitSpec, RestartSpec};
use weir_protocol::key_group::{KeyGroupRange, MaxParallelism};
use weir_protocol::manifest::{Manifest, OutboxPart, SubtaskManifest};
use weir_protocol::report::{Report, Work};

use super::shelf::{Shelf, Silent};

/// Records in all.
pub(super) const RECORDS: u64 = 90;
const RECORDS_EACH_EPOCH: u64 = 6;
const CHECKPOINTS: u64 = RECORDS / RECORDS_EACH_EPOCH;
const GIVEN_UP_EVERY: u64 = 3;
const KEYS: u64 = 4;
/// Incompressible, so that a segment and a part are objects and not inlined.
const PADDING: usize = 4_000;
const ALL: KeyGroupRange = KeyGroupRange { start: 0, end: 128 };

/// The stores and the time that one process has.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) entropy: Entropy,
    pub(super) shelf: Arc<Shelf>,
    /// Whether the sink answers.
    pub(super) publishes: bool,
}

/// What one attempt holds.
struct Attempt {
    world: World,
    owner: RunOwner,
    publications: Publications,
    collector: Collector,
    assembly: Assembly,
    state: SubtaskState,
    files: StateUploader,
    parts: PartUploader,
    position: u64,
    checkpoint: CheckpointId,
}

/// What an uninterrupted run publishes: each record with its key's count, in order.
pub(super) fn expected() -> Vec<String> {
    (0..RECORDS).map(|record| line(record, record / KEYS + 1)).collect()
}

fn line(record: u64, count: u64) -> String {
    let noise = padding(record);
    let noise: String = noise[..900].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{record} {} {count} {noise}", record % KEYS)
}

fn padding(seed: u64) -> Vec<u8> {
    let entropy = Entropy::seeded(seed);
    (0..PADDING / 8).flat_map(|_| entropy.bits64().to_be_bytes()).collect()
}

pub(super) fn uid(name: &str) -> Uid {
    name.parse().expect("it is a name")
}

fn subtask(name: &str) -> SubtaskId {
    SubtaskId { uid: uid(name), index: 0 }
}

pub(super) fn states() -> Vec<StateDescription> {
    let (name, codec) = ("n".to_owned(), "raw".to_owned());
    vec![StateDescription { name, kind: StateKind::KeyedValue, codec, version: 1, ttl: None, properties: Vec::new() }]
}

pub(super) fn spec() -> JobSpec {
    JobSpec {
        name: uid("counting"),
        max_parallelism: MaxParallelism::DEFAULT,
        parallelism: 1,
        checkpoint: Some(CheckpointSpec { retained: 2, ..CheckpointSpec::every_ms(1) }),
        state: StateSpec::default(),
        restart: RestartSpec::default(),
        errors: ErrorSpec::default(),
        limits: LimitSpec::default(),
        sources: Vec::new(),
        operators: Vec::new(),
        sinks: Vec::new(),
    }
}

/// Creates a job: it exists when this returns.
pub(super) async fn create(specs: &SpecChain, entropy: &Entropy) -> Result<RunOwner, ChainError> {
    let mut owner = specs.begin_job(entropy, 0, spec(), (start_manifest(), None)).await?;
    owner.settle().await?;
    Ok(owner)
}

pub(super) fn start_manifest() -> Manifest {
    let positions = BTreeMap::from([("0".to_owned(), json!(0))]);
    Manifest::start(MaxParallelism::DEFAULT, 0, BTreeMap::from([(uid("numbers"), positions)]))
}

impl World {
    pub(super) fn new(objects: Arc<dyn ObjectStore>, results: Arc<dyn ObjectStore>, seed: u64) -> Self {
        Self::at(objects, results, seed, Clock::system())
    }

    pub(super) fn at(objects: Arc<dyn ObjectStore>, results: Arc<dyn ObjectStore>, seed: u64, clock: Clock) -> Self {
        let shelf = Arc::new(Shelf::new(results));
        Self { store: Store::new(objects, clock), clock, entropy: Entropy::seeded(seed), shelf, publishes: true }
    }

    /// The job that exists, if one does.
    pub(super) async fn job(&self) -> Result<Option<JobId>> {
        for folder in self.store.folders(&Prefix::jobs()).await? {
            let job = folder.parse()?;
            match newest(&self.store, job).await {
                Ok(_) | Err(ChainError::Damaged { .. }) => return Ok(Some(job)),
                Err(ChainError::NoJob(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }

    /// Whether the job has finished.
    pub(super) async fn has_finished(&self) -> bool {
        let Some(job) = self.job().await.unwrap() else { return false };
        newest(&self.store, job).await.unwrap().stored.entry.kind == EntryKind::Finished
    }

    /// Begins the job, or takes it over, and runs it to its end.
    pub(super) async fn run(&self) -> Result<()> {
        self.run_until(RECORDS).await
    }

    /// The same, but stops where it stands after a checkpoint at or behind this record.
    pub(super) async fn run_until(&self, record: u64) -> Result<()> {
        let Some(mut attempt) = self.begin().await? else { return Ok(()) };
        while attempt.position < record.min(RECORDS) {
            attempt.epoch().await?;
        }
        if record >= RECORDS { attempt.finish().await } else { Ok(()) }
    }

    /// As a server would after each failure: tries until the job has finished.
    pub(super) async fn run_whatever_fails(&self) {
        for _ in 0..1_000 {
            match self.run().await {
                Ok(()) => return,
                Err(error) => {
                    let corrupt = error.downcast_ref::<ChainError>().is_some_and(|e| e.fault() == Fault::Corrupt);
                    assert!(!corrupt, "nothing was damaged: {error:#}");
                }
            }
        }
        panic!("the job does not get on");
    }

    async fn begin(&self) -> Result<Option<Attempt>> {
        let Some(job) = self.job().await? else {
            let specs = SpecChain::new(self.store.clone(), self.clock, self.entropy.job_id());
            let owner = create(&specs, &self.entropy).await?;
            return self.restore(owner).await.map(Some);
        };
        let newest = match newest(&self.store, job).await {
            Ok(newest) => newest,
            Err(error) if error.fault() == Fault::Corrupt => {
                bail!(stopped_at_entry(&self.store, job, &error).await?);
            }
            Err(error) => return Err(error.into()),
        };
        if newest.stored.entry.kind == EntryKind::Finished {
            return Ok(None);
        }
        let specs = SpecChain::new(self.store.clone(), self.clock, job);
        let number = newest.stored.entry.spec;
        let start = specs.start(&self.entropy, number, &specs.deployed(number).await?);
        let leftovers = newest.leftovers.clone();
        let mut owner = RunOwner::take_over(self.store.clone(), self.clock, newest, &start)?;
        owner.settle().await?;
        owner.find_dropped(&leftovers).await;
        self.restore(owner).await.map(Some)
    }

    async fn restore(&self, mut owner: RunOwner) -> Result<Attempt> {
        let (world, job) = (self.clone(), owner.job());
        let confirmed = owner.settle().await?;
        let entry = owner.newest().expect("an entry stands").entry.clone();
        let stored = StoredFiles::new(self.store.clone(), job, Handle::current().into());
        let restored = restore_subtask(&stored, &entry.manifest, &uid("count"), ALL, 1 << 20).await;
        let restored = match restored {
            Ok(restored) => restored,
            Err(error) if error.fault() == Fault::Corrupt => {
                bail!(stopped(&self.store, &newest(&self.store, job).await?, &error).await);
            }
            Err(error) => return Err(error.into()),
        };
        let state = SubtaskState::new(&states(), MaxParallelism::DEFAULT, ALL)?.restored_from(restored.files, 0)?;
        let sink: Arc<dyn Publisher> = if self.publishes { Arc::clone(&self.shelf) as _ } else { Arc::new(Silent) };
        let sinks = BTreeMap::from([(uid("out"), sink)]);
        let (runtime, clock, store) = (Runtime::from(Handle::current()), self.clock, &self.store);
        let blobs = |name, kind| BlobWriter::new(self.store.clone(), job, owner.owner(), subtask(name), kind);
        let unsaved = Unsaved::default();
        let position = entry.manifest.sources[&uid("numbers")]["0"].as_u64().context("a position is a number")?;
        Ok(Attempt {
            world,
            publications: Publications::begin(store, clock, job, &sinks, (confirmed, &entry), runtime.clone())?,
            collector: Collector::new(self.store.clone(), clock, job, runtime.clone()),
            assembly: Assembly::new(entry.manifest.clone(), entry.highest_checkpoint),
            state,
            files: StateUploader::new(blobs("count", DataKind::State), ALL, restored.listed, unsaved.clone(), runtime),
            parts: PartUploader::new(blobs("out", DataKind::Outbox), unsaved),
            position,
            checkpoint: entry.highest_checkpoint,
            owner,
        })
    }
}

impl Attempt {
    /// Some records, then a barrier; then the checkpoint is recorded, published and collected, or given up.
    async fn epoch(&mut self) -> Result<()> {
        let lines = self.process()?;
        self.checkpoint = self.checkpoint.next();
        let segment = self.state.freeze(0);
        let files = self.files.close(segment).await?;
        let records = lines.lines().count() as u64;
        let parts = self.parts.seal(self.checkpoint, Some((Bytes::from(lines), records))).await?;
        let is_last = self.position == RECORDS;
        if self.checkpoint.0.is_multiple_of(GIVEN_UP_EVERY) && !is_last {
            return Ok(());
        }
        let state = SubtaskManifest {
            index: 0,
            parallelism: 1,
            key_groups: ALL,
            base: files.base,
            files: files.files,
            unkeyed: None,
            watermark: 0,
            processing_time: 0,
        };
        let complete = self.complete(state, parts, is_last);
        let (manifest, published) = self.publications.assemble(&self.assembly, &complete);
        let confirmed = self.append(EntryKind::Checkpoint, manifest, published).await?;
        self.publications.stands(confirmed, &self.owner.newest().expect("an entry stands").entry)?;
        self.assembly.recorded(self.checkpoint);
        self.parts.recorded(self.checkpoint);
        self.collector.collect(&mut self.owner, confirmed);
        self.collector.finish(&mut self.owner).await;
        // Only every other checkpoint waits until its results are public, so that some are recorded meanwhile.
        if self.world.publishes && self.checkpoint.0.is_multiple_of(2) {
            self.publications.drained().await?;
        }
        Ok(())
    }

    fn process(&mut self) -> Result<String> {
        let mut lines = String::new();
        let until = (self.position + RECORDS_EACH_EPOCH).min(RECORDS);
        for record in self.position..until {
            let keys = Keys::encode([(record % KEYS).to_string().as_bytes()]);
            self.state.select(&keys, 0)?;
            let mut values = OptionalColumn::default();
            self.state.values(StateId(0), &[0], &mut values)?;
            let before = values.get(0).map_or(0, |value| u64::from_be_bytes(value[..8].try_into().expect("8 bytes")));
            let count = before + 1;
            let mut writes = Writes::default();
            let value = [count.to_be_bytes().to_vec(), padding(record)].concat();
            writes.value_writes_mut(StateId(0)).set(0, Some(&value));
            self.state.commit(&writes)?;
            lines += &format!("{}\n", line(record, count));
        }
        self.position = until;
        Ok(lines)
    }

    fn complete(&self, state: SubtaskManifest, parts: Vec<OutboxPart>, last: bool) -> Complete {
        let positions = BTreeMap::from([("0".to_owned(), json!(self.position))]);
        let changed = |work| Report { changed: true, ..Report::unchanged(work) };
        let mut sink = changed(Work::Sink);
        sink.results = parts;
        let reports = BTreeMap::from([
            (subtask("numbers"), changed(Work::Source(positions))),
            (subtask("count"), changed(Work::Operator(state))),
            (subtask("out"), sink),
        ]);
        Complete { checkpoint: self.checkpoint, at: self.world.clock.now(), reports, last }
    }

    async fn append(
        &mut self,
        kind: EntryKind,
        manifest: Manifest,
        published: BTreeMap<weir_protocol::manifest::Outlet, CheckpointId>,
    ) -> Result<Confirmed> {
        let (nonce, at) = (self.world.entropy.nonce(), self.world.clock.now());
        Ok(self.owner.append(Next { nonce, at, kind, manifest, published }).await?)
    }

    async fn finish(mut self) -> Result<()> {
        self.publications.drained().await?;
        let newest = self.owner.newest().expect("an entry stands").entry.manifest.clone();
        let manifest = Manifest { outboxes: Vec::new(), ..newest };
        let published = self.publications.published();
        let confirmed = self.append(EntryKind::Finished, manifest, published).await?;
        for _ in 0..2 {
            self.collector.collect(&mut self.owner, confirmed);
            self.collector.finish(&mut self.owner).await;
        }
        Ok(())
    }
}

/// Checks that the store holds nothing but what the newest entry and those that it retains name. What the last attempt
/// made and never named stays until the next: a file of a checkpoint that was given up, merged before another named it.
pub(super) async fn assert_no_garbage(world: &World) {
    let job = world.job().await.unwrap().expect("the job exists");
    let newest = newest(&world.store, job).await.unwrap();
    assert_eq!(newest.leftovers, Vec::<EntryNumber>::new(), "entries that were dropped are gone");
    let owner = newest.stored.entry.owner;
    let manifests = newest.retained.values().map(|kept| &kept.entry.manifest).chain([&newest.stored.entry.manifest]);
    let named: BTreeSet<_> =
        manifests.flat_map(|manifest| manifest.objects().map(|object| object.name.clone())).collect();
    let found = world.store.list(&Prefix::data(job)).await.unwrap();
    let unnamed: Vec<_> = found.iter().filter(|object| !named.contains(&object.name.to_string())).collect();
    assert_eq!(found.len() - unnamed.len(), named.len(), "what is named is there");
    let is_own_file = |name: &ObjectName| name.owner() == Some(owner) && name.file().ends_with(".state");
    assert!(unnamed.iter().all(|object| is_own_file(&object.name)), "{unnamed:?}");
    let given_up = CHECKPOINTS / GIVEN_UP_EVERY;
    assert!(unnamed.len() as u64 <= given_up, "{unnamed:?}");
}
