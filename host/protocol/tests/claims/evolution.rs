//! What becomes of each state when another version of its operator goes on with it.

use proptest::prelude::*;
use weir_protocol::Fault;
use weir_protocol::description::{StateDescription, StateKind, TtlDescription};
use weir_protocol::evolution::{Change, Conflict, HeldState, evolution};

const KINDS: [StateKind; 6] = [
    StateKind::KeyedValue,
    StateKind::KeyedList,
    StateKind::KeyedMap,
    StateKind::OperatorSplit,
    StateKind::OperatorUnion,
    StateKind::Broadcast,
];

fn state(name: &str, version: u32) -> StateDescription {
    let (kind, codec, ttl) = (StateKind::KeyedValue, "json".to_owned(), None);
    StateDescription { name: name.into(), kind, codec, version, ttl, properties: Vec::new() }
}

fn migrating_from(versions: &str, state: StateDescription) -> StateDescription {
    let property = (StateDescription::MIGRATES_FROM.to_owned(), versions.to_owned());
    StateDescription { properties: vec![property], ..state }
}

fn held(states: &[StateDescription]) -> Vec<HeldState> {
    states.iter().map(HeldState::from).collect()
}

fn refused(held: HeldState, declared: &StateDescription, exports_migration: bool) -> String {
    let conflict = evolution(&[held], std::slice::from_ref(declared), exports_migration).expect_err("it is a conflict");
    assert_eq!(conflict.fault(), Fault::Request);
    conflict.to_string()
}

#[test]
fn every_state_is_kept_migrated_added_or_dropped() {
    let before = [state("kept", 1), state("migrated", 1), state("dropped", 9)];
    let after = [state("kept", 1), state("migrated", 3), state("added", 2)];
    let changes = evolution(&held(&before), &after, true).expect("no conflict");
    let expected = [
        ("added", Change::Added),
        ("dropped", Change::Dropped),
        ("kept", Change::Kept),
        ("migrated", Change::Migrated { from: 1 }),
    ];
    assert_eq!(changes.into_iter().collect::<Vec<_>>(), expected.map(|(name, change)| (name.to_owned(), change)));
}

#[test]
fn conflict_names_the_state_the_old_the_new_and_the_mend() {
    let before = HeldState::from(&state("total", 2));
    let list = StateDescription { kind: StateKind::KeyedList, ..state("total", 2) };
    let text = refused(before.clone(), &list, true);
    assert!(["`total`", "keyed-list", "keyed-value", "another name"].iter().all(|part| text.contains(part)), "{text}");
    let postcard = StateDescription { codec: "postcard".into(), ..state("total", 2) };
    let text = refused(before.clone(), &postcard, true);
    assert!(["`json`", "`postcard`", "raise its version"].iter().all(|part| text.contains(part)), "{text}");
    let text = refused(before.clone(), &state("total", 1), true);
    assert!(["version 1", "version 2", "above 2"].iter().all(|part| text.contains(part)), "{text}");
    let text = refused(before, &state("total", 3), false);
    assert!(["version 3", "version 2", "`migration`"].iter().all(|part| text.contains(part)), "{text}");
}

#[test]
fn codec_may_change_with_a_raised_version() {
    let after = StateDescription { codec: "postcard".into(), ..state("total", 2) };
    let changes = evolution(&held(&[state("total", 1)]), &[after], true).expect("no conflict");
    assert_eq!(changes["total"], Change::Migrated { from: 1 });
}

#[test]
fn a_component_that_says_from_which_versions_it_migrates_is_taken_at_its_word() {
    let after = migrating_from("2, 3", state("total", 4));
    let change = |version| HeldState::from(&state("total", version)).change(&after, true);
    assert_eq!(change(2), Ok(Change::Migrated { from: 2 }));
    assert_eq!(change(3), Ok(Change::Migrated { from: 3 }));
    assert_eq!(change(4), Ok(Change::Kept));
    let text = change(1).expect_err("it was not listed").to_string();
    assert!(text.contains("only from versions 2, 3"), "{text}");
    let nothing = migrating_from("", state("total", 2));
    assert!(matches!(
        HeldState::from(&state("total", 1)).change(&nothing, true),
        Err(Conflict::NoMigration { takes, .. }) if takes.is_empty()
    ));
}

#[test]
fn a_time_to_live_may_come_and_go() {
    let ttl = Some(TtlDescription { duration_ms: 1, refresh_on_read: false, return_expired: false });
    let (with, without) = (StateDescription { ttl, ..state("last", 1) }, state("last", 1));
    for (before, after) in [(&with, &without), (&without, &with)] {
        assert_eq!(HeldState::from(before).change(after, false), Ok(Change::Kept));
    }
}

#[test]
fn a_state_that_is_held_in_two_versions_is_migrated_from_the_older_whichever_comes_first() {
    let (one, two) = (state("total", 1), state("total", 2));
    for before in [held(&[one.clone(), two.clone()]), held(&[two.clone(), one])] {
        let change = |version| evolution(&before, &[state("total", version)], true).expect("no conflict")["total"];
        assert_eq!((change(2), change(3)), (Change::Migrated { from: 1 }, Change::Migrated { from: 1 }));
    }
}

fn any_state() -> impl Strategy<Value = StateDescription> {
    let (name, kind) = (prop::sample::select(vec!["a", "b", "c"]), prop::sample::select(KINDS.to_vec()));
    let codec = prop::sample::select(vec!["json", "postcard"]);
    (name, kind, codec, 0_u32..4).prop_map(|(name, kind, codec, version)| StateDescription {
        kind,
        codec: codec.into(),
        ..state(name, version)
    })
}

proptest! {
    #[test]
    fn values_are_read_as_they_are_only_in_the_declared_form(
        before in prop::collection::vec(any_state(), 0..6),
        after in any_state(),
        exports_migration: bool,
    ) {
        let forms = before.iter().filter(|state| state.name == after.name);
        let is_same = |state: &StateDescription| (state.kind, &state.codec, state.version) == (after.kind, &after.codec, after.version);
        let evolved = evolution(&held(&before), std::slice::from_ref(&after), exports_migration);
        let change = evolved.as_ref().ok().map(|changes| changes[&after.name]);
        prop_assert_eq!(change == Some(Change::Added), forms.clone().count() == 0 && evolved.is_ok());
        if change == Some(Change::Kept) {
            prop_assert!(forms.clone().all(is_same));
        }
        if let Some(Change::Migrated { from }) = change {
            prop_assert!(exports_migration && from < after.version);
            prop_assert_eq!(forms.clone().map(|state| state.version).min(), Some(from));
        }
        if forms.clone().all(is_same) {
            prop_assert!(evolved.is_ok());
        }
        if let Ok(changes) = &evolved {
            let is_dropped = |name: &String| changes.get(name) == Some(&Change::Dropped);
            prop_assert!(before.iter().all(|state| is_dropped(&state.name) == (state.name != after.name)));
        }
    }
}
