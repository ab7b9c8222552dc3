//! Entries made from decisions: most hold together, some are wrong in one place.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use weir_protocol::Fault;
use weir_protocol::chain::{DroppedOutbox, EntryHash, EntryKind, Owner, Retained, RunEntry, SpecEntry, Undone, Wanted};
use weir_protocol::id::{CheckpointId, EntryNumber, JobId, Name, Nonce, SubtaskId, Uid};
use weir_protocol::job_graph::{CheckpointStorage, StateBackend, StateSpec};
use weir_protocol::job_spec::{
    CheckpointSpec, ErrorPolicy, ErrorSpec, FileFormat, FileSinkSpec, FileSourceSpec, GeneratorSpec, InputSpec,
    JobSpec, KeyDistribution, KeySpec, LimitSpec, OperatorSpec, OutputRef, PartitionSpec, RestartSpec, SinkConnector,
    SinkSpec, SourceConnector, SourceSpec, StartPosition, StdoutSpec,
};
use weir_protocol::key_group::{KeyGroupRange, MaxParallelism};
use weir_protocol::manifest::{
    Blob, Checksum, Manifest, ObjectRef, Outbox, OutboxPart, Outlet, Positions, StateFile, SubtaskManifest,
};
use weir_protocol::savepoint::Ancestor;

use crate::choices::Choices;

fn uid(choices: &mut Choices<'_>) -> Uid {
    const NAMES: [&str; 6] = ["a", "count", "x.y", "x", "0-", "sink_1"];
    choices.pick(&NAMES).parse().expect("these are names")
}

fn max_parallelism(choices: &mut Choices<'_>) -> MaxParallelism {
    let groups = *choices.pick(&[128, 1, 7, 1 << 15]);
    MaxParallelism::new(groups).expect("these are within the bounds")
}

fn hash(choices: &mut Choices<'_>) -> EntryHash {
    EntryHash([choices.byte(); 32])
}

/// An entry of `run/`.
pub(super) fn run_entry(choices: &mut Choices<'_>) -> RunEntry {
    let number = EntryNumber(if choices.one_in(8) { choices.number() } else { choices.below(6) as u64 });
    let first = number == EntryNumber(0);
    let nonce = Nonce(choices.u64().into());
    let manifest = manifest(choices);
    let mut entry = RunEntry {
        number,
        parent: (!first).then(|| hash(choices)),
        nonce,
        owner: Owner { number, nonce },
        spec: EntryNumber(choices.number()),
        manifest_spec: None,
        kind: EntryKind::Start,
        at: choices.signed(),
        highest_checkpoint: CheckpointId(manifest.checkpoint.0.saturating_add(choices.below(3) as u64)),
        retained: retained(choices, number),
        published: published(&manifest),
        manifest,
    };
    if !first {
        entry.kind = kind(choices, &mut entry.manifest);
        if !entry.kind.begins_attempt() {
            entry.owner = Owner { number: EntryNumber(number.0 - 1), nonce: Nonce(choices.u64().into()) };
        }
        if !entry.kind.makes_manifest() && choices.one_in(3) {
            entry.manifest_spec = Some(EntryNumber(choices.number()));
        }
    }
    if choices.one_in(4) {
        spoil(&mut entry, choices);
    }
    entry
}

fn kind(choices: &mut Choices<'_>, manifest: &mut Manifest) -> EntryKind {
    match choices.below(7) {
        0 => EntryKind::Checkpoint,
        1 => EntryKind::Takeover,
        2 => EntryKind::RestoredFrom { entry: EntryNumber(choices.number()) },
        3 => {
            manifest.outboxes.clear();
            EntryKind::Finished
        }
        4 => {
            let left = manifest.outboxes.iter();
            let dropped =
                left.map(|outbox| DroppedOutbox { outlet: outbox.outlet.clone(), checkpoint: outbox.checkpoint });
            EntryKind::Cancelled { dropped: dropped.collect() }
        }
        5 => EntryKind::Failed { reason: choices.text(20), fault: Fault::Corrupt },
        _ => EntryKind::ClaimedBy { job: JobId(choices.u64().into()) },
    }
}

fn retained(choices: &mut Choices<'_>, below: EntryNumber) -> Vec<Retained> {
    let kept = (0..below.0.min(4)).filter(|_| choices.one_in(2)).collect::<Vec<_>>();
    let entry = |number| Retained {
        number: EntryNumber(number),
        hash: hash(choices),
        checkpoint: CheckpointId(choices.number()),
    };
    kept.into_iter().map(entry).collect()
}

/// What the first outbox of each outlet follows.
fn published(manifest: &Manifest) -> BTreeMap<Outlet, CheckpointId> {
    let mut published = BTreeMap::new();
    for outbox in manifest.outboxes.iter().rev() {
        match outbox.predecessor {
            Some(predecessor) => published.insert(outbox.outlet.clone(), predecessor),
            None => published.remove(&outbox.outlet),
        };
    }
    published
}

fn manifest(choices: &mut Choices<'_>) -> Manifest {
    let max = max_parallelism(choices);
    let sources = (0..choices.below(3)).map(|_| (uid(choices), positions(choices))).collect();
    let mut manifest = Manifest::start(max, choices.signed(), sources);
    manifest.checkpoint = CheckpointId(choices.below(9) as u64);
    for _ in 0..choices.below(3) {
        let parallelism = u32::try_from(choices.below(usize::from(max.get()).min(4)) + 1).expect("at most 4");
        let subtasks = (0..parallelism).map(|index| subtask(choices, max, index, parallelism)).collect();
        manifest.operators.insert(uid(choices), subtasks);
    }
    let outlets = [Outlet::DeadLetters, Outlet::Sink(uid(choices))];
    manifest.outboxes = outlets.iter().flat_map(|outlet| outboxes(choices, outlet, manifest.checkpoint)).collect();
    manifest.rejected = choices.number();
    manifest.finished = (0..choices.below(3)).map(|_| subtask_id(choices)).collect::<BTreeSet<_>>();
    manifest.parallelism = (0..choices.below(3)).map(|_| (uid(choices), choices.u32())).collect();
    manifest
}

fn subtask_id(choices: &mut Choices<'_>) -> SubtaskId {
    SubtaskId { uid: uid(choices), index: choices.u32() % 5 }
}

fn positions(choices: &mut Choices<'_>) -> Positions {
    (0..choices.below(3)).map(|_| (choices.text(8), value(choices, 2))).collect()
}

/// Any JSON.
pub(crate) fn value(choices: &mut Choices<'_>, depth: usize) -> Value {
    match choices.below(if depth == 0 { 6 } else { 8 }) {
        0 => json!(choices.number()),
        1 => json!(choices.signed()),
        2 => json!(choices.text(6)),
        3 => Value::Null,
        4 => json!(choices.one_in(2)),
        5 => json!(f64::from_bits(choices.u64())),
        6 => (0..choices.below(4)).map(|_| value(choices, depth - 1)).collect(),
        _ => Value::Object((0..choices.below(4)).map(|_| (choices.text(5), value(choices, depth - 1))).collect()),
    }
}

fn blob(choices: &mut Choices<'_>) -> Blob {
    if choices.one_in(2) {
        return Blob::inline(&choices.bytes(30));
    }
    Blob::Object(ObjectRef {
        name: choices.text(12),
        made_by: EntryNumber(choices.number()),
        bytes: choices.number(),
        checksum: Checksum(choices.u64()),
    })
}

fn subtask(choices: &mut Choices<'_>, max: MaxParallelism, index: u32, parallelism: u32) -> SubtaskManifest {
    let key_groups = max.range(index, parallelism);
    let mut file = || {
        let clip = KeyGroupRange { start: choices.u16() % 200, end: choices.u16() % 200 };
        StateFile { blob: blob(choices), key_groups: if choices.one_in(3) { clip } else { key_groups } }
    };
    let base = Some(file());
    let files = vec![file(); choices.below(3)];
    SubtaskManifest {
        index,
        parallelism,
        key_groups,
        base: base.filter(|_| choices.one_in(2)),
        files,
        unkeyed: choices.one_in(3).then(|| blob(choices)),
        watermark: choices.signed(),
        processing_time: choices.signed(),
    }
}

fn outboxes(choices: &mut Choices<'_>, outlet: &Outlet, newest: CheckpointId) -> Vec<Outbox> {
    let mut last = choices.one_in(2).then_some(CheckpointId(0));
    let mut outboxes = Vec::new();
    for checkpoint in (1..=newest.0).map(CheckpointId) {
        if choices.one_in(3) {
            let part = |epoch| OutboxPart {
                subtask: subtask_id(choices),
                epoch,
                blob: blob(choices),
                records: choices.number(),
            };
            let parts = (last.map_or(0, |last| last.0 + 1)..=checkpoint.0).map(CheckpointId).map(part).collect();
            outboxes.push(Outbox { outlet: outlet.clone(), checkpoint, predecessor: last, parts });
            last = Some(checkpoint);
        }
    }
    outboxes
}

/// Changes one thing; it may hold together all the same.
fn spoil(entry: &mut RunEntry, choices: &mut Choices<'_>) {
    let manifest = &mut entry.manifest;
    match choices.below(14) {
        0 => entry.parent = entry.parent.is_none().then(|| EntryHash::of(b"")),
        1 => entry.kind = EntryKind::Start,
        2 => entry.kind = EntryKind::Takeover,
        3 => entry.kind = EntryKind::Finished,
        4 => entry.kind = EntryKind::Cancelled { dropped: Vec::new() },
        5 => entry.owner.number = EntryNumber(choices.number()),
        6 => entry.owner.nonce = entry.nonce,
        7 => entry.retained.reverse(),
        8 => entry.highest_checkpoint = CheckpointId(choices.number()),
        9 => manifest.format = choices.u32(),
        10 => manifest.key_group_function = choices.text(12),
        11 => drop(manifest.outboxes.pop()),
        12 => manifest.outboxes.reverse(),
        _ => {
            if let Some(subtasks) = manifest.operators.values_mut().next() {
                subtasks.rotate_left(1);
                subtasks.pop();
            }
        }
    }
}

/// An entry of `spec/`.
pub(super) fn spec_entry(choices: &mut Choices<'_>) -> SpecEntry {
    let number = EntryNumber(choices.number());
    let has_parent = (number != EntryNumber(0)) != choices.one_in(8);
    let wanted = if choices.one_in(3) { Wanted::Cancel } else { Wanted::Deploy(Box::new(job_spec(choices))) };
    SpecEntry {
        number,
        parent: has_parent.then(|| hash(choices)),
        nonce: Nonce(choices.u64().into()),
        at: choices.signed(),
        wanted,
        undoes: choices.one_in(4).then(|| Undone { spec: EntryNumber(choices.number()), reason: choices.text(8) }),
        began_from: choices.one_in(4).then(|| Ancestor {
            location: choices.text(8),
            job: JobId(choices.u64().into()),
            checkpoint: CheckpointId(choices.number()),
        }),
    }
}

/// A whole job, within the bounds of its types; nothing more is promised.
fn job_spec(choices: &mut Choices<'_>) -> JobSpec {
    JobSpec {
        name: uid(choices) as Name,
        max_parallelism: max_parallelism(choices),
        parallelism: choices.u32() % 4 + 1,
        checkpoint: choices.one_in(2).then(|| checkpoint_spec(choices)),
        state: state_spec(choices),
        restart: RestartSpec {
            attempts_max: choices.u32(),
            delay_ms: choices.number(),
            delay_ms_max: choices.number(),
        },
        errors: ErrorSpec {
            policy: *choices.pick(&[ErrorPolicy::DeadLetter, ErrorPolicy::Fail, ErrorPolicy::Skip]),
            budget: choices.number(),
        },
        limits: LimitSpec {
            memory_bytes_max: choices.number(),
            call_cpu_ms_max: choices.number(),
            row_cpu_us_max: choices.number(),
            emitted_bytes_max: choices.number(),
            state_bytes_max: choices.one_in(2).then(|| choices.number()),
        },
        sources: (0..choices.below(3)).map(|_| source_spec(choices)).collect(),
        operators: (0..choices.below(3)).map(|_| operator_spec(choices)).collect(),
        sinks: (0..choices.below(3)).map(|_| sink_spec(choices)).collect(),
    }
}

fn state_spec(choices: &mut Choices<'_>) -> StateSpec {
    StateSpec {
        backend: *choices.pick(&[StateBackend::HashMap, StateBackend::RocksDb]),
        storage: *choices.pick(&[CheckpointStorage::Store, CheckpointStorage::JobManager]),
        incremental: choices.one_in(2),
        local_dir: choices.one_in(2).then(|| choices.text(9)),
        memory_bytes: choices.one_in(2).then(|| choices.number()),
    }
}

fn checkpoint_spec(choices: &mut Choices<'_>) -> CheckpointSpec {
    CheckpointSpec {
        interval_ms: choices.number(),
        timeout_ms: choices.number(),
        min_pause_ms: choices.number(),
        max_concurrent: choices.u32(),
        retained: choices.u32(),
        tolerable_failures: choices.u32(),
    }
}

fn parallelism(choices: &mut Choices<'_>) -> Option<u32> {
    choices.one_in(2).then(|| choices.u32() % 5)
}

fn source_spec(choices: &mut Choices<'_>) -> SourceSpec {
    let connector = if choices.one_in(2) {
        SourceConnector::Files(FileSourceSpec {
            paths: (0..choices.below(3)).map(|_| choices.text(9)).collect(),
            format: *choices.pick(&[FileFormat::Lines, FileFormat::Ndjson]),
            follow: choices.one_in(2),
            start: *choices.pick(&[StartPosition::Beginning, StartPosition::End]),
        })
    } else {
        SourceConnector::Generator(GeneratorSpec {
            rate: choices.one_in(2).then(|| choices.number()),
            count: choices.one_in(2).then(|| choices.number()),
            keys: choices.number(),
            distribution: *choices.pick(&[KeyDistribution::RoundRobin, KeyDistribution::Uniform]),
            value_bytes: choices.u32(),
        })
    };
    SourceSpec { uid: uid(choices), parallelism: parallelism(choices), connector }
}

fn output_ref(choices: &mut Choices<'_>) -> OutputRef {
    OutputRef { uid: uid(choices), port: choices.one_in(2).then(|| choices.text(5)) }
}

fn operator_spec(choices: &mut Choices<'_>) -> OperatorSpec {
    let input = |choices: &mut Choices<'_>| InputSpec {
        input: choices.text(5),
        from: output_ref(choices),
        partition: partition(choices),
    };
    OperatorSpec {
        uid: uid(choices),
        component: choices.text(10),
        operator: choices.text(5),
        parallelism: parallelism(choices),
        inputs: (0..choices.below(3)).map(|_| input(choices)).collect(),
        config: value(choices, 3),
    }
}

fn partition(choices: &mut Choices<'_>) -> PartitionSpec {
    match choices.below(7) {
        0 => PartitionSpec::Forward,
        1 => PartitionSpec::Rebalance,
        2 => PartitionSpec::Broadcast,
        3 => PartitionSpec::Hash(KeySpec::Carried),
        4 => PartitionSpec::Hash(KeySpec::Value),
        5 => PartitionSpec::Hash(KeySpec::Constant(choices.text(6))),
        _ => PartitionSpec::Hash(KeySpec::Field((0..choices.below(3)).map(|_| choices.text(4)).collect())),
    }
}

fn sink_spec(choices: &mut Choices<'_>) -> SinkSpec {
    let connector = match choices.below(3) {
        0 => SinkConnector::Blackhole,
        1 => SinkConnector::Stdout(StdoutSpec { prefix: choices.text(6) }),
        _ => SinkConnector::Files(FileSinkSpec { path: choices.text(9) }),
    };
    SinkSpec {
        uid: uid(choices),
        parallelism: parallelism(choices),
        from: (0..choices.below(3)).map(|_| output_ref(choices)).collect(),
        connector,
    }
}
