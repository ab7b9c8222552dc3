//! What a running job may become, and what it goes back to.

use std::collections::{BTreeMap, BTreeSet};

use weir_protocol::Fault;
use weir_protocol::chain::{EntryKind, Ownership, RunEntry, SpecEntry, Start, Undone, Wanted};
use weir_protocol::evolution::{Change, Conflict, HeldState};
use weir_protocol::finished::Unfit;
use weir_protocol::id::{EntryNumber, Nonce, Uid};
use weir_protocol::job_graph::JobGraph;
use weir_protocol::job_spec::{FileSinkSpec, JobSpec, PartitionSpec, SinkConnector, SourceConnector};
use weir_protocol::key_group::MaxParallelism;
use weir_protocol::upgrade::{Changes, Fate, Refusal, Upgrade, former};

use crate::job_graph::{components, job};
use crate::support::{checkpoint, newest, next, record, running, settle, start, subtask, uid};

/// The newest entry of the word count, whose operator `count` holds one file.
fn entry() -> RunEntry {
    let mut ownership = running(3);
    record(&mut ownership, checkpoint(1, None, vec![crate::support::object("file", 0)]));
    newest(&ownership).entry.clone()
}

fn graph(spec: JobSpec) -> JobGraph {
    JobGraph::new(spec, &components).expect("it holds together")
}

/// What becomes of the word count at this entry, where results have been published to these places.
fn changes(
    change: impl FnOnce(&mut JobSpec),
    (newest, places, drops_state): (&RunEntry, &BTreeMap<Uid, SinkConnector>, bool),
) -> Result<Changes, Refusal> {
    let mut to = job();
    change(&mut to);
    let (from, to, left, migrating) = (graph(job()), graph(to), BTreeMap::new(), BTreeSet::new());
    Upgrade { from: &from, to: &to, newest, places, left: &left, migrating: &migrating, drops_state }.changes()
}

fn changed(change: impl FnOnce(&mut JobSpec)) -> Result<Changes, Refusal> {
    changes(change, (&entry(), &BTreeMap::new(), false))
}

fn files(path: &str) -> SinkConnector {
    SinkConnector::Files(FileSinkSpec { path: path.to_owned() })
}

/// Counts under another uid.
fn recounts(spec: &mut JobSpec) {
    spec.operators[0].uid = uid("recount");
    spec.sinks[0].from[0].uid = uid("recount");
}

#[test]
fn a_job_that_stays_what_it_is_changes_nothing() {
    let changes = changed(|_| {}).expect("nothing is wrong with it");
    assert!(!changes.any(), "{changes:?}");
    assert_eq!(changes.vertices.len(), 5);
}

#[test]
fn whatever_changes_is_said() {
    let changes = changed(|spec| {
        spec.operators[0].parallelism = Some(7);
        spec.operators[1].config = serde_json::json!({"odd": true});
        spec.sinks.pop();
        spec.restart.attempts_max = 1;
    });
    let changes = changes.expect("a job may become that");
    let said: Vec<_> = changes
        .vertices
        .iter()
        .map(|change| (change.uid.as_str(), change.fate, change.parallelism_before, change.parallelism))
        .collect();
    let expected = [
        ("text", Fate::Kept, Some(2), Some(2)),
        ("split", Fate::Changed, Some(2), Some(2)),
        ("count", Fate::Kept, Some(2), Some(7)),
        ("counts", Fate::Kept, Some(2), Some(2)),
        ("odd", Fate::Removed, Some(2), None),
    ];
    assert_eq!((said.as_slice(), changes.settings, changes.any()), (&expected[..], true, true));
}

#[test]
fn key_groups_are_those_of_the_checkpoint_whatever_the_running_spec_says() {
    let mut entry = entry();
    entry.manifest.max_parallelism = MaxParallelism::new(64).expect("it is within the bounds");
    let refused = changes(|_| {}, (&entry, &BTreeMap::new(), false));
    assert_eq!(refused, Err(Refusal::MaxParallelism { running: 64, wanted: 128 }));
}

#[test]
fn state_is_dropped_only_where_that_is_allowed_though_nobody_declared_it() {
    // `count` declares no state: what the checkpoint holds are its timers.
    assert_eq!(changed(recounts), Err(Refusal::RemovedOperator { uid: uid("count") }));
    let changes = changes(recounts, (&entry(), &BTreeMap::new(), true)).expect("it is allowed");
    assert_eq!(changes.vertices.last().map(|last| (last.uid.as_str(), last.fate)), Some(("count", Fate::Removed)));
    let mut bare = entry();
    bare.manifest.operators.clear();
    self::changes(recounts, (&bare, &BTreeMap::new(), false)).expect("there is nothing to lose");
}

#[test]
fn a_uid_stays_that_of_a_source_an_operator_or_a_sink() {
    let swapped = |spec: &mut JobSpec| {
        spec.sources[0].uid = uid("odd");
        spec.operators[1].inputs[0].from.uid = uid("odd");
        spec.sinks[1].uid = uid("text");
    };
    let refusal = changed(swapped).expect_err("both would be something else").to_string();
    assert!(refusal.contains("`odd` is the uid of a sink of the job, and would be that of a source"), "{refusal}");
}

#[test]
fn a_sink_goes_on_only_where_its_marker_is() {
    let published = BTreeMap::from([(uid("counts"), files("/here"))]);
    let to = |path: &'static str| {
        let published = &published;
        move |name: &'static str| {
            let change = |spec: &mut JobSpec| {
                spec.sinks[0].uid = uid(name);
                spec.sinks[0].connector = files(path);
            };
            changes(change, (&entry(), published, false)).err()
        }
    };
    assert_eq!(to("/here")("counts"), None, "back to where it published once");
    assert_eq!(to("/there")("other"), None, "another sink");
    let refusal = to("/there")("counts").expect("the marker is elsewhere").to_string();
    assert!(refusal.contains("sink `counts` publishes to `/here`") && refusal.contains("`/there`"), "{refusal}");
}

#[test]
fn files_that_were_settled_when_the_job_was_accepted_stay_so() {
    let other_paths = |follow: bool| {
        move |spec: &mut JobSpec| {
            let SourceConnector::Files(files) = &mut spec.sources[0].connector else { unreachable!("it reads files") };
            files.paths = vec!["elsewhere".to_owned()];
            files.follow = follow;
        }
    };
    assert_eq!(changed(other_paths(false)), Err(Refusal::SourcePaths { uid: uid("text") }));
    changed(other_paths(true)).expect("new files are looked for");
}

#[test]
fn what_has_ended_is_not_changed() {
    let mut entry = entry();
    entry.manifest.finished = BTreeSet::from([subtask("text", 0)]);
    entry.manifest.parallelism = BTreeMap::from([(uid("text"), 2)]);
    let follows = |spec: &mut JobSpec| {
        let SourceConnector::Files(files) = &mut spec.sources[0].connector else { unreachable!("it reads files") };
        files.follow = true;
    };
    let refused = changes(follows, (&entry, &BTreeMap::new(), false));
    assert_eq!(refused, Err(Refusal::EndedSource { uid: uid("text") }));

    entry.manifest.finished.insert(subtask("split", 0));
    let wider = |spec: &mut JobSpec| {
        spec.operators[1].parallelism = Some(3);
        spec.operators[1].inputs[0].partition = PartitionSpec::Rebalance;
    };
    let refused = changes(wider, (&entry, &BTreeMap::new(), false));
    assert!(matches!(refused, Err(Refusal::Unfit(Unfit::PartlyFinished { .. }))), "{refused:?}");
}

#[test]
fn a_conflict_of_states_names_the_operator() {
    use weir_protocol::description::{OperatorDescription, StateDescription, StateKind};
    let with_state = |codec: &str| {
        let state = StateDescription {
            name: "n".to_owned(),
            kind: StateKind::KeyedValue,
            codec: codec.to_owned(),
            version: 1,
            ttl: None,
            properties: Vec::new(),
        };
        let components = move |component: &str| -> Option<Vec<OperatorDescription>> {
            let mut operators = components(component)?;
            operators.iter_mut().for_each(|operator| operator.states = vec![state.clone()]);
            Some(operators)
        };
        JobGraph::new(job(), &components).expect("it holds together")
    };
    let (from, same, other) = (with_state("u64"), with_state("u64"), with_state("json"));
    let (newest, places, migrating) = (&entry(), &BTreeMap::new(), &BTreeSet::new());
    let becomes = |from, to, left: &BTreeMap<_, _>| {
        Upgrade { from, to, newest, places, left, migrating, drops_state: false }.changes()
    };
    let to = |to| becomes(&from, to, &BTreeMap::new());
    let kept = to(&same).expect("it is the same");
    assert_eq!(kept.vertices[2].states, BTreeMap::from([("n".to_owned(), Change::Kept)]));
    let refused = to(&other);
    assert!(
        matches!(&refused, Err(Refusal::State { uid, conflict: Conflict::Codec { .. } }) if *uid == self::uid("split")),
        "{refused:?}"
    );
    // What an earlier version left is not forgotten because the running one does not declare it.
    let undeclared = graph(job());
    let held = HeldState { name: "n".to_owned(), kind: StateKind::KeyedValue, codec: "u64".to_owned(), version: 1 };
    let left = BTreeMap::from([(uid("split"), vec![held])]);
    let changes = becomes(&undeclared, &same, &left).expect("it is what was left");
    let kept = changes.vertices.iter().find(|vertex| vertex.uid == uid("split")).expect("it is there");
    assert_eq!(kept.states, BTreeMap::from([("n".to_owned(), Change::Kept)]));
    let refused = becomes(&undeclared, &other, &left);
    assert!(matches!(&refused, Err(Refusal::State { conflict: Conflict::Codec { .. }, .. })), "{refused:?}");
}

#[test]
fn entries_say_under_which_spec_their_manifest_was_made_until_a_checkpoint_is_taken() {
    let mut first = running(3);
    record(&mut first, checkpoint(1, None, vec![]));
    let positions = BTreeMap::from([("0".to_owned(), serde_json::json!(7))]);
    let new_sources = BTreeMap::from([(uid("new"), positions.clone()), (uid("source"), BTreeMap::new())]);
    let changed = Start { spec: EntryNumber(4), new_sources, ..start(2, 3) };
    let mut second = Ownership::take_over(&changed, newest(&first).clone(), &BTreeMap::new()).expect("it runs");
    settle(&mut second);
    let taken_over = newest(&second).entry.clone();
    assert_eq!((taken_over.spec, taken_over.made_under()), (EntryNumber(4), EntryNumber(0)));
    assert_eq!(taken_over.manifest.sources[&uid("new")], positions);
    let known = &newest(&first).entry.manifest.sources[&uid("source")];
    assert_eq!(&taken_over.manifest.sources[&uid("source")], known, "what is known stays");

    let elsewhere = BTreeMap::from([("0".to_owned(), serde_json::json!(1))]);
    let new_sources = BTreeMap::from([(uid("new"), elsewhere.clone())]);
    let again = Start { spec: EntryNumber(5), new_sources, ..start(3, 3) };
    let mut third = Ownership::take_over(&again, newest(&second).clone(), &BTreeMap::new()).expect("it runs");
    settle(&mut third);
    assert_eq!(newest(&third).entry.made_under(), EntryNumber(0), "nothing was recorded since");
    assert_eq!(newest(&third).entry.manifest.sources[&uid("new")], elsewhere, "what came to nothing begins anew");
    record(&mut third, checkpoint(2, None, vec![]));
    assert_eq!(newest(&third).entry.made_under(), EntryNumber(5));
    third.append(next(9, EntryKind::Finished, newest(&third).entry.manifest.clone())).expect("it ends");
    settle(&mut third);
    assert_eq!(newest(&third).entry.made_under(), EntryNumber(5));
}

fn wanted(number: u64, wanted: Wanted) -> SpecEntry {
    SpecEntry {
        number: EntryNumber(number),
        parent: None,
        nonce: Nonce(0),
        at: 0,
        wanted,
        undoes: None,
        began_from: None,
    }
}

#[test]
fn a_job_goes_back_to_what_its_newest_checkpoint_was_taken_under_and_once() {
    let deploy = |number| wanted(number, Wanted::Deploy(Box::new(job())));
    let mut entry = entry();
    assert_eq!(former(&deploy(0), &entry), None, "it was not changed");
    assert_eq!(former(&deploy(2), &entry), Some(EntryNumber(0)), "nobody has taken it over since");
    (entry.spec, entry.manifest_spec) = (EntryNumber(2), Some(EntryNumber(1)));
    assert_eq!(former(&deploy(2), &entry), Some(EntryNumber(1)), "it was taken over as what it was changed to");
    entry.manifest_spec = None;
    assert_eq!(former(&deploy(2), &entry), None, "a checkpoint was taken");
    let undone = Undone { spec: EntryNumber(2), reason: "it traps".to_owned() };
    assert_eq!(former(&SpecEntry { undoes: Some(undone), ..deploy(3) }, &entry), None, "it is the way back");
    assert_eq!(former(&wanted(3, Wanted::Cancel), &entry), None);
    entry.kind = EntryKind::Failed { reason: "no".to_owned(), fault: Fault::Bug };
    assert_eq!(former(&deploy(3), &entry), None, "it has ended");
}
