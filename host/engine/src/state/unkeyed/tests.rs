use std::collections::BTreeMap;

use proptest::prelude::*;
use weir_operator::batch::BytesColumn;

use super::*;
use weir_protocol::redistribution::Place;

use crate::state::Migration;

const SPLIT: StateId = StateId(1);
const UNION: StateId = StateId(2);
const RULES: StateId = StateId(3);

fn state(name: &str, kind: StateKind) -> StateDescription {
    StateDescription { name: name.to_owned(), kind, codec: "raw".into(), version: 1, ttl: None, properties: Vec::new() }
}

fn states() -> Vec<StateDescription> {
    vec![
        state("count", StateKind::KeyedValue),
        state("split", StateKind::OperatorSplit),
        state("all", StateKind::OperatorUnion),
        state("rules", StateKind::Broadcast),
    ]
}

fn place(index: u32, parallelism: u32) -> Place {
    Place { index, parallelism }
}

/// One call that writes.
fn call(store: &mut UnkeyedStore, write: impl FnOnce(&mut UnkeyedWrites, &UnkeyedState)) {
    let mut lent = store.lend();
    let mut writes = UnkeyedWrites::default();
    write(&mut writes, &lent);
    store.commit(&mut lent, writes);
    store.take_back(lent);
}

fn set(store: &mut UnkeyedStore, state: StateId, values: &[&str]) {
    let values: BytesColumn = values.iter().map(|value| value.as_bytes()).collect();
    call(store, |writes, state_before| writes.set_list(state, values, state_before));
}

fn put(store: &mut UnkeyedStore, entry: &str, value: Option<&str>) {
    call(store, |writes, before| writes.put_entry(RULES, entry.as_bytes(), value.map(str::as_bytes), before));
}

fn list(store: &UnkeyedStore, state: StateId) -> Vec<String> {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    store.state().list(state).map(|list| list.iter().map(text).collect()).unwrap_or_default()
}

fn rule(store: &UnkeyedStore, entry: &str) -> Option<Vec<u8>> {
    store.state().entry(RULES, entry.as_bytes()).map(|value| value.to_vec())
}

fn filled() -> UnkeyedStore {
    let mut store = UnkeyedStore::new(&states());
    set(&mut store, SPLIT, &["a", "", "c"]);
    set(&mut store, UNION, &["u"]);
    put(&mut store, "e", Some("v"));
    put(&mut store, "", Some(""));
    store
}

fn snapshot(store: &mut UnkeyedStore) -> Bytes {
    store.freeze().expect("something was written").encode()
}

#[test]
fn what_is_restored_is_what_was_frozen() {
    let mut store = filled();
    let frozen = store.freeze().unwrap();
    set(&mut store, SPLIT, &["later"]);
    put(&mut store, "e", Some("later"));
    let restored = UnkeyedStore::restore(&states(), place(0, 1), &[Some(frozen.encode())]).unwrap();
    assert_eq!(restored.state(), filled().state());
}

#[test]
fn only_what_was_written_makes_a_snapshot() {
    let mut store = filled();
    let bytes = snapshot(&mut store);
    assert!(store.freeze().is_none());
    call(&mut store, |_, _| {});
    assert!(store.freeze().is_none(), "a call that writes nothing changes nothing");
    let mut restored = UnkeyedStore::restore(&states(), place(0, 1), &[Some(bytes.clone())]).unwrap();
    assert!(restored.freeze().is_none(), "it is in the snapshot that it came from");
    let mut dealt = UnkeyedStore::restore(&states(), place(0, 2), &[Some(bytes)]).unwrap();
    assert!(dealt.freeze().is_some(), "it is in no snapshot of its own yet");
    let mut new = UnkeyedStore::restore(&states(), place(1, 2), &[None]).unwrap();
    assert!(new.freeze().is_none());
}

#[test]
fn what_becomes_empty_is_frozen_as_nothing() {
    let mut store = UnkeyedStore::new(&states());
    set(&mut store, SPLIT, &["a"]);
    put(&mut store, "e", Some("v"));
    assert!(!store.freeze().unwrap().is_empty());
    set(&mut store, SPLIT, &[]);
    put(&mut store, "e", None);
    assert!(store.freeze().unwrap().is_empty());
}

#[test]
fn a_state_that_is_not_declared_any_more_goes_on_from_snapshot_to_snapshot() {
    let old = snapshot(&mut filled());
    let fewer = &states()[..2];
    let mut without = UnkeyedStore::restore(fewer, place(0, 1), &[Some(old)]).unwrap();
    assert_eq!(without.state().iter().count(), 1);
    set(&mut without, SPLIT, &["new"]);
    let again = UnkeyedStore::restore(&states(), place(0, 1), &[Some(snapshot(&mut without))]).unwrap();
    assert_eq!((list(&again, SPLIT), list(&again, UNION)), (vec!["new".into()], vec!["u".into()]));
    assert_eq!(rule(&again, "e"), Some(b"v".to_vec()));
}

#[test]
fn a_state_declared_with_another_kind_is_refused_by_name() {
    let old = snapshot(&mut filled());
    for kind in [StateKind::OperatorUnion, StateKind::Broadcast, StateKind::KeyedList] {
        let mut states = states();
        states[1].kind = kind;
        let error = UnkeyedStore::restore(&states, place(0, 1), &[Some(old.clone())]).unwrap_err();
        assert_eq!(error.fault, Fault::Request);
        let expected = format!("state `split` is declared as {}, but what is held is", kind.name());
        assert!(error.message.contains(&expected), "{error}");
    }
}

#[test]
fn copies_of_a_broadcast_map_that_differ_are_refused_by_name_at_another_parallelism_only() {
    let mut other = filled();
    put(&mut other, "e", Some("other"));
    let old = [Some(snapshot(&mut filled())), Some(snapshot(&mut other))];
    let error = UnkeyedStore::restore(&states(), place(0, 1), &old).unwrap_err();
    assert_eq!(error.fault, Fault::Corrupt);
    assert!(error.message.contains("broadcast state `rules`") && error.message.contains("old subtasks 0 and 1"));
    let none = UnkeyedStore::restore(&states(), place(0, 3), &[old[0].clone(), None]).unwrap_err();
    assert_eq!(none.fault, Fault::Corrupt, "an empty copy is another copy");
    let own = UnkeyedStore::restore(&states(), place(1, 2), &[None, old[1].clone()]).unwrap();
    assert_eq!(rule(&own, "e"), Some(b"other".to_vec()));
}

#[test]
fn old_subtasks_that_hold_a_name_as_different_kinds_are_refused() {
    let mut states = states();
    states[1].kind = StateKind::OperatorUnion;
    let mut other = UnkeyedStore::new(&states);
    set(&mut other, SPLIT, &["x"]);
    let old = [Some(snapshot(&mut filled())), Some(snapshot(&mut other))];
    let error = UnkeyedStore::restore(&states, place(0, 1), &old).unwrap_err();
    assert_eq!(error.fault, Fault::Corrupt);
}

#[test]
fn a_snapshot_that_was_changed_anywhere_is_refused() {
    let sound = snapshot(&mut filled());
    for at in 0..sound.len() {
        for bit in 0..8 {
            let mut bytes = sound.to_vec();
            bytes[at] ^= 1 << bit;
            let error = UnkeyedStore::restore(&states(), place(0, 1), &[Some(bytes.into())]).unwrap_err();
            assert_eq!(error.fault, Fault::Corrupt);
        }
        let cut = sound.slice(..at);
        assert!(UnkeyedStore::restore(&states(), place(0, 1), &[Some(cut)]).is_err(), "cut at {at}");
    }
}

/// What verifies, and is nonsense all the same.
#[test]
fn every_length_order_and_kind_of_a_snapshot_is_checked() {
    let sound = snapshot(&mut filled());
    let body = &sound[..sound.len() - 8];
    let sealed = |body: &[u8]| {
        let checksum = xxhash_rust::xxh3::xxh3_64(body).to_le_bytes();
        Bytes::from([body, &checksum].concat())
    };
    let mut refused = 0;
    for at in 0..body.len() {
        for value in [0, 1, 2, 0x7f, 0xff] {
            let mut changed = body.to_vec();
            changed[at] = value;
            refused += usize::from(format::decode(&sealed(&changed)).is_err());
        }
        assert!(format::decode(&sealed(&body[..at])).is_err(), "cut at {at}");
    }
    assert!(refused > 50, "most changes make no sense: {refused}");
    assert!(format::decode(&sealed(&[body, b"x"].concat())).is_err());
}

#[test]
fn the_layout_does_not_change() {
    let mut store = UnkeyedStore::new(&states());
    set(&mut store, SPLIT, &["a", ""]);
    put(&mut store, "e", Some("v"));
    let hex: String = snapshot(&mut store).iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = concat!(
        "776569722e757374",
        "0100",
        "0200",
        "03",
        "01000000",
        "0500",
        "72756c6573",
        "0300",
        "726177",
        "01000000",
        "0165",
        "0176",
        "01",
        "01000000",
        "0500",
        "73706c6974",
        "0300",
        "726177",
        "02000000",
        "0161",
        "00",
    );
    assert_eq!(hex[..hex.len() - 16], *expected);
}

/// All subtasks of an operator, with the snapshots that a manifest would name for each.
struct Fleet {
    subtasks: Vec<UnkeyedStore>,
    snapshots: Vec<Option<Bytes>>,
}

/// What they should hold.
#[derive(Clone, Default)]
struct Model {
    split: Vec<Vec<String>>,
    union: Vec<Vec<String>>,
    rules: BTreeMap<String, String>,
}

#[derive(Debug, Clone)]
enum Step {
    Split(usize, Vec<String>),
    Union(usize, Vec<String>),
    /// Every subtask is given it, as the records of a broadcast input are.
    Rule(String, Option<String>),
    Freeze,
    Crash(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let values = || prop::collection::vec("[a-z]{0,3}", 0..5);
    prop_oneof![
        4 => (0_usize..5, values()).prop_map(|(subtask, values)| Step::Split(subtask, values)),
        2 => (0_usize..5, values()).prop_map(|(subtask, values)| Step::Union(subtask, values)),
        3 => ("[a-e]?", prop::option::weighted(0.7, "[a-z]{0,3}")).prop_map(|(entry, value)| Step::Rule(entry, value)),
        4 => Just(Step::Freeze),
        2 => (1_u32..6).prop_map(Step::Crash),
    ]
}

impl Fleet {
    fn start() -> Self {
        Self { subtasks: vec![UnkeyedStore::new(&states())], snapshots: vec![None] }
    }

    fn freeze(&mut self) {
        for (subtask, snapshot) in self.subtasks.iter_mut().zip(&mut self.snapshots) {
            if let Some(frozen) = subtask.freeze() {
                *snapshot = Some(frozen.encode()).filter(|_| !frozen.is_empty());
            }
        }
    }

    /// All die, and others restore what was frozen last; those at another parallelism freeze at once, as the next
    /// barrier would.
    fn crash(&mut self, parallelism: u32) {
        let restored = (0..parallelism)
            .map(|index| UnkeyedStore::restore(&states(), place(index, parallelism), &self.snapshots).unwrap());
        let restored: Vec<_> = restored.collect();
        if self.subtasks.len() != restored.len() {
            self.snapshots = vec![None; restored.len()];
        }
        self.subtasks = restored;
        self.freeze();
    }

    fn check(&self, model: &Model) {
        for (index, subtask) in self.subtasks.iter().enumerate() {
            assert_eq!(list(subtask, SPLIT), model.split[index], "split list of {index}");
            assert_eq!(list(subtask, UNION), model.union[index], "union list of {index}");
            let mut rules = weir_operator::keyed_state::Entries::default();
            let all = weir_operator::keyed_state::EntryRange { start: None, end: None, limit: 99 };
            subtask.state().scan(RULES, all, &mut rules);
            let found = rules.entries.iter().zip(rules.values.iter());
            let expected = model.rules.iter().map(|(entry, value)| (entry.as_bytes(), value.as_bytes()));
            assert!(found.eq(expected), "rules of {index}");
        }
    }
}

impl Model {
    /// The claim in its simplest words: at another parallelism, split elements are dealt round, and union ones go to all.
    fn crash(self, parallelism: usize) -> Self {
        if self.split.len() == parallelism {
            return self;
        }
        let mut split = vec![Vec::new(); parallelism];
        for (at, element) in self.split.concat().into_iter().enumerate() {
            split[at % parallelism].push(element);
        }
        Self { split, union: vec![self.union.concat(); parallelism], rules: self.rules }
    }
}

fn texts(values: &[String]) -> Vec<&str> {
    values.iter().map(String::as_str).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_every_subtask_holds_what_the_model_says(steps in prop::collection::vec(step(), 1..40)) {
        let mut fleet = Fleet::start();
        let mut model = Model { split: vec![vec![]], union: vec![vec![]], ..Model::default() };
        let mut at_barrier = model.clone();
        for step in steps {
            let subtasks = fleet.subtasks.len();
            match step {
                Step::Split(subtask, values) => {
                    set(&mut fleet.subtasks[subtask % subtasks], SPLIT, &texts(&values));
                    model.split[subtask % subtasks] = values;
                }
                Step::Union(subtask, values) => {
                    // Lists double with each change of parallelism until the operator writes its own again.
                    set(&mut fleet.subtasks[subtask % subtasks], UNION, &texts(&values));
                    model.union[subtask % subtasks] = values;
                }
                Step::Rule(entry, value) => {
                    fleet.subtasks.iter_mut().for_each(|subtask| put(subtask, &entry, value.as_deref()));
                    match value {
                        Some(value) => model.rules.insert(entry, value),
                        None => model.rules.remove(&entry),
                    };
                }
                Step::Freeze => {
                    fleet.freeze();
                    at_barrier = model.clone();
                }
                Step::Crash(parallelism) => {
                    if at_barrier.union.iter().map(Vec::len).sum::<usize>() > 5_000 {
                        continue;
                    }
                    fleet.crash(parallelism);
                    at_barrier = at_barrier.crash(parallelism as usize);
                    model = at_barrier.clone();
                }
            }
            fleet.check(&model);
        }
    }
}

/// Doubles each value, and notes how many it was given.
#[derive(Clone, Default)]
struct Doubling(std::sync::Arc<std::sync::atomic::AtomicUsize>);

impl weir_operator::migrator::Migrator for Doubling {
    fn migrate(
        &mut self,
        state: &str,
        from_version: u32,
        values: &BytesColumn,
    ) -> Result<BytesColumn, weir_operator::operator::CallError> {
        assert_eq!((state == "count", from_version), (false, 1));
        self.0.fetch_add(values.len(), std::sync::atomic::Ordering::Relaxed);
        Ok(values.iter().map(|value| value.repeat(2)).collect::<Vec<_>>().iter().map(Vec::as_slice).collect())
    }
}

fn version(version: u32) -> Vec<StateDescription> {
    states().into_iter().map(|state| StateDescription { version, ..state }).collect()
}

/// What the subtask at `place` has of these snapshots under version 2, and how many values were rewritten for it.
fn migrated(place: Place, old: &[Option<Bytes>]) -> (UnkeyedStore, usize) {
    let doubling = Doubling::default();
    let mut migration = Migration::new(Some(Box::new(doubling.clone())), &Default::default());
    let store = UnkeyedStore::restore_migrated(&version(2), place, old, &mut migration).unwrap();
    (store, doubling.0.load(std::sync::atomic::Ordering::Relaxed))
}

#[test]
fn values_of_an_older_version_are_rewritten_once_and_are_in_the_next_snapshot() {
    let old = Some(snapshot(&mut filled()));
    let (mut store, rewritten) = migrated(place(0, 1), &[old]);
    let check = |store: &UnkeyedStore| {
        assert_eq!(
            (list(store, SPLIT), list(store, UNION)),
            (["aa", "", "cc"].map(String::from).to_vec(), vec!["uu".into()])
        );
        assert_eq!((rule(store, "e"), rule(store, "")), (Some(b"vv".to_vec()), Some(Vec::new())));
    };
    check(&store);
    assert_eq!(rewritten, 6);
    let (mut again, rewritten) = migrated(place(0, 1), &[Some(snapshot(&mut store))]);
    check(&again);
    assert!(rewritten == 0 && again.freeze().is_none(), "they are in the snapshot that it came from");
}

#[test]
fn with_another_parallelism_each_subtask_rewrites_what_it_gets() {
    let old = [Some(snapshot(&mut filled())), Some(snapshot(&mut filled()))];
    let mut split = Vec::new();
    for index in 0..3 {
        let (store, rewritten) = migrated(place(index, 3), &old);
        split.extend(list(&store, SPLIT));
        assert_eq!((list(&store, UNION), rule(&store, "e")), (vec!["uu".into(); 2], Some(b"vv".to_vec())));
        assert_eq!(rewritten, 2 + 2 + 2);
    }
    split.sort();
    assert_eq!(split, ["", "", "aa", "aa", "cc", "cc"]);
}

#[test]
fn an_older_version_without_a_migrator_is_refused_by_name() {
    let old = [Some(snapshot(&mut filled()))];
    let error = UnkeyedStore::restore(&version(2), place(0, 1), &old).unwrap_err();
    assert_eq!(error.fault, Fault::Request);
    assert!(error.message.contains("`all`") && error.message.contains("`migration`"), "{error}");
}
