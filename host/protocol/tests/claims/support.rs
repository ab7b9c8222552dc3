//! Small makers of the data that claims are about.

use std::collections::BTreeMap;

use weir_protocol::chain::{Confirmed, CreateOutcome, EntryKind, Next, Ownership, RunEntry, Start, Step, Stored};
use weir_protocol::id::{CheckpointId, EntryNumber, Nonce, SubtaskId, Uid};
use weir_protocol::key_group::MaxParallelism;
use weir_protocol::manifest::{
    Blob, Checksum, Manifest, ObjectRef, Outbox, OutboxPart, Outlet, StateFile, SubtaskManifest,
};

pub(crate) fn uid(text: &str) -> Uid {
    text.parse().expect("a name")
}

pub(crate) fn subtask(text: &str, index: u32) -> SubtaskId {
    SubtaskId { uid: uid(text), index }
}

pub(crate) fn sink() -> Outlet {
    Outlet::Sink(uid("sink"))
}

/// An object made by the owner of entry `made_by`.
pub(crate) fn object(name: &str, made_by: u64) -> Blob {
    Blob::Object(ObjectRef { name: name.to_owned(), made_by: EntryNumber(made_by), bytes: 1, checksum: Checksum(1) })
}

/// A part of an outbox, sealed at the barrier of `epoch`.
pub(crate) fn part(of: &SubtaskId, epoch: u64, text: &str) -> OutboxPart {
    OutboxPart { subtask: of.clone(), epoch: CheckpointId(epoch), blob: Blob::inline(text.as_bytes()), records: 1 }
}

/// An outbox of [`sink`] with one part.
pub(crate) fn outbox(checkpoint: u64, predecessor: Option<u64>) -> Outbox {
    Outbox {
        outlet: sink(),
        checkpoint: CheckpointId(checkpoint),
        predecessor: predecessor.map(CheckpointId),
        parts: vec![part(&subtask("sink", 0), checkpoint, "result\n")],
    }
}

/// The start positions of a job with one source.
pub(crate) fn started() -> Manifest {
    let positions = BTreeMap::from([("a.txt".to_owned(), serde_json::json!({"offset": 0}))]);
    Manifest::start(MaxParallelism::DEFAULT, 1_000, BTreeMap::from([(uid("source"), positions)]))
}

/// The whole state of operator `count`, with parallelism 1.
pub(crate) fn state(base: Option<Blob>, files: Vec<Blob>) -> SubtaskManifest {
    let key_groups = MaxParallelism::DEFAULT.range(0, 1);
    let file = |blob| StateFile { blob, key_groups };
    SubtaskManifest {
        index: 0,
        parallelism: 1,
        key_groups,
        base: base.map(file),
        files: files.into_iter().map(file).collect(),
        unkeyed: None,
        watermark: 5,
        processing_time: 1_000,
    }
}

/// Checkpoint `id` of a job whose operator has this state.
pub(crate) fn checkpoint(id: u64, base: Option<Blob>, files: Vec<Blob>) -> Manifest {
    let mut manifest = started();
    manifest.checkpoint = CheckpointId(id);
    manifest.operators = BTreeMap::from([(uid("count"), vec![state(base, files)])]);
    manifest
}

/// How an attempt begins that keeps `retained` checkpoints.
pub(crate) fn start(nonce: u128, retained: u32) -> Start {
    Start {
        nonce: Nonce(nonce),
        at: 0,
        spec: EntryNumber(0),
        checkpoints_retained: retained,
        new_sources: BTreeMap::new(),
    }
}

/// The next entry, with nothing published.
pub(crate) fn next(nonce: u128, kind: EntryKind, manifest: Manifest) -> Next {
    Next { nonce: Nonce(nonce), at: 0, kind, manifest, published: BTreeMap::new() }
}

/// Lets the entry under way be created and stand, in a store without faults.
pub(crate) fn settle(ownership: &mut Ownership) -> Confirmed {
    let step = ownership.on_create(CreateOutcome::Created);
    let Step::List { from } = step else { unreachable!("{step:?} after a create") };
    let step = ownership.on_list(Some(from));
    let Step::Stands(confirmed) = step else { unreachable!("{step:?} after a listing") };
    confirmed
}

/// A job whose entry 0 stands.
pub(crate) fn running(retained: u32) -> Ownership {
    let mut ownership = Ownership::start(&start(1, retained), started()).expect("entry 0 holds together");
    settle(&mut ownership);
    ownership
}

/// Appends a checkpoint, and lets it stand.
pub(crate) fn record(ownership: &mut Ownership, manifest: Manifest) -> Confirmed {
    let nonce = 1_000 + u128::from(manifest.checkpoint.0);
    ownership.append(next(nonce, EntryKind::Checkpoint, manifest)).expect("the checkpoint holds together");
    settle(ownership)
}

/// The newest entry of an owner.
pub(crate) fn newest(ownership: &Ownership) -> &Stored<RunEntry> {
    ownership.newest().expect("entry 0 was won")
}
