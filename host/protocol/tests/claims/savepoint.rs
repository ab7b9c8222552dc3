//! What a savepoint is, and what may begin from it.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use weir_protocol::chain::{EntryKind, RunEntry};
use weir_protocol::id::{CheckpointId, JobId, Uid};
use weir_protocol::job_graph::JobGraph;
use weir_protocol::job_spec::{FileSinkSpec, JobSpec, SinkConnector, SourceConnector};
use weir_protocol::key_group::MaxParallelism;
use weir_protocol::manifest::Manifest;
use weir_protocol::savepoint::{Fork, Refusal, Savepoint};
use weir_protocol::upgrade;

use crate::job_graph::{components, job};
use crate::support::{checkpoint, newest, next, outbox, record, running, settle, subtask, uid};

/// What the word count left behind: its newest checkpoint names results that are not published.
fn entry(ends: bool) -> RunEntry {
    let mut ownership = running(3);
    let files = vec![crate::support::object("file", 0), crate::support::object("file", 0)];
    let mut manifest = checkpoint(1, None, files);
    manifest.outboxes = vec![outbox(1, None)];
    manifest.rejected = 3;
    manifest.sources = BTreeMap::from([(uid("text"), BTreeMap::new())]);
    record(&mut ownership, manifest.clone());
    if ends {
        let kind = EntryKind::Failed { reason: "it did".to_owned(), fault: weir_protocol::Fault::Guest };
        ownership.append(next(9, kind, manifest)).expect("a job may fail");
        settle(&mut ownership);
    }
    newest(&ownership).entry.clone()
}

fn spec() -> JobSpec {
    let mut spec = job();
    spec.sinks[0].connector = files("/here/");
    spec
}

fn files(path: &str) -> SinkConnector {
    SinkConnector::Files(FileSinkSpec { path: path.to_owned() })
}

fn savepoint(ends: bool) -> Savepoint {
    Savepoint::of(JobId(7), &entry(ends), spec(), 5).expect("there is a checkpoint")
}

fn begins(
    savepoint: &Savepoint,
    change: impl FnOnce(&mut JobSpec),
    (drops_state, inexact): (bool, bool),
) -> Result<Manifest, Refusal> {
    let mut to = spec();
    change(&mut to);
    let to = JobGraph::new(to, &components).expect("it holds together");
    let (held, migrating) = (BTreeMap::new(), BTreeSet::<Uid>::new());
    let place = |path: &str| path.trim_end_matches('/').to_owned();
    Fork { savepoint, to: &to, held: &held, migrating: &migrating, drops_state, inexact, place }.manifest()
}

fn elsewhere(spec: &mut JobSpec) {
    spec.sinks[0].connector = files("/there");
}

#[test]
fn a_savepoint_carries_no_results_and_says_what_its_job_left_unpublished() {
    let running = savepoint(false);
    assert_eq!((running.ended, running.unpublished.len()), (false, 0), "its job publishes them itself");
    let ended = savepoint(true);
    assert_eq!((ended.ended, ended.unpublished.len()), (true, 1));
    for savepoint in [running, ended] {
        assert!(savepoint.manifest.outboxes.is_empty());
        assert_eq!(Savepoint::decode(&savepoint.encode()), Ok(savepoint));
    }
}

#[test]
fn what_has_no_checkpoint_has_no_savepoint() {
    let mut entry = entry(false);
    entry.manifest.checkpoint = CheckpointId(0);
    assert_eq!(Savepoint::of(JobId(7), &entry, spec(), 5), None);
}

#[test]
fn a_document_that_claims_what_no_savepoint_does_is_refused() {
    let wrong: [fn(&mut Savepoint); 4] = [
        |savepoint| savepoint.manifest.checkpoint = CheckpointId(0),
        |savepoint| savepoint.manifest.outboxes = vec![outbox(1, None)],
        |savepoint| savepoint.ended = false,
        |savepoint| savepoint.spec.max_parallelism = MaxParallelism::new(3).expect("it is one"),
    ];
    for wrong in wrong {
        let mut savepoint = savepoint(true);
        wrong(&mut savepoint);
        Savepoint::decode(&savepoint.encode()).expect_err("it does not hold together");
    }
}

proptest! {
    #[test]
    fn any_flipped_bit_of_the_document_is_found(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let mut bytes = savepoint(true).encode();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(Savepoint::decode(&bytes).is_err());
    }
}

#[test]
fn a_job_begins_with_the_state_and_positions_and_with_no_results_and_no_count_of_its_own() {
    let savepoint = savepoint(false);
    let manifest = begins(&savepoint, elsewhere, (false, false)).expect("it fits");
    assert_eq!(manifest, Manifest { rejected: 0, ..savepoint.manifest.clone() });
}

#[test]
fn results_that_would_be_in_one_place_twice_need_a_word() {
    let running = savepoint(false);
    let refusal = begins(&running, |_| {}, (false, false)).expect_err("its job runs on");
    assert!(matches!(&refusal, Refusal::Repeats { uid, .. } if *uid == crate::support::uid("counts")), "{refusal}");
    let same_under_another_uid = |spec: &mut JobSpec| {
        spec.sinks[0].uid = uid("others");
        spec.sinks[0].connector = files("/here");
    };
    begins(&running, same_under_another_uid, (false, false)).expect_err("the place is the same");
    begins(&running, |_| {}, (false, true)).expect("it is allowed");
    let exact = Savepoint { unpublished: Vec::new(), ..savepoint(true) };
    begins(&exact, |_| {}, (false, false)).expect("its job ended there, with everything published");
}

#[test]
fn results_that_nobody_will_publish_need_a_word() {
    let left = savepoint(true);
    let refusal = begins(&left, elsewhere, (false, false)).expect_err("they are nowhere");
    assert!(matches!(refusal, Refusal::Unpublished { checkpoint: CheckpointId(1), .. }), "{refusal}");
    begins(&left, elsewhere, (false, true)).expect("it is allowed");
}

#[test]
fn what_the_job_has_no_place_for_is_dropped_only_where_that_is_allowed() {
    let savepoint = savepoint(false);
    let recounts = |spec: &mut JobSpec| {
        elsewhere(spec);
        spec.operators[0].uid = uid("recount");
        spec.sinks[0].from[0].uid = uid("recount");
    };
    let removed = upgrade::Refusal::RemovedOperator { uid: uid("count") };
    assert_eq!(begins(&savepoint, recounts, (false, false)), Err(Refusal::State(removed)));
    let manifest = begins(&savepoint, recounts, (true, false)).expect("it is allowed");
    assert!(manifest.operators.is_empty(), "nothing of it is copied");
}

#[test]
fn positions_of_another_connector_mean_nothing() {
    let mut savepoint = savepoint(false);
    savepoint.spec.sources[0].connector = SourceConnector::Generator(weir_protocol::job_spec::GeneratorSpec {
        rate: None,
        count: None,
        keys: 1,
        distribution: weir_protocol::job_spec::KeyDistribution::RoundRobin,
        value_bytes: 64,
    });
    let refusal = begins(&savepoint, elsewhere, (false, false)).expect_err("they are numbers");
    assert!(matches!(refusal, Refusal::State(upgrade::Refusal::SourceType { .. })), "{refusal}");
}

#[test]
fn finished_work_is_as_it_was() {
    let mut savepoint = savepoint(false);
    savepoint.manifest.parallelism = BTreeMap::from([(uid("count"), 2)]);
    savepoint.manifest.finished = BTreeSet::from([subtask("count", 1), subtask("gone", 0)]);
    let refusal = begins(&savepoint, elsewhere, (false, false)).expect_err("`count` would have to go on");
    assert!(matches!(refusal, Refusal::State(upgrade::Refusal::Unfit(_))), "{refusal}");
    savepoint.manifest.finished.remove(&subtask("count", 1));
    let manifest = begins(&savepoint, elsewhere, (false, false)).expect("nobody knows `gone`");
    assert!(manifest.finished.is_empty());
}
