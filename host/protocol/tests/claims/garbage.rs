//! What may be deleted, by example.

use std::collections::{BTreeMap, BTreeSet};

use weir_protocol::chain::{Confirmed, Ownership, RunEntry, Step, Stored};
use weir_protocol::garbage::{Deletion, Listed, dropped, orphans};
use weir_protocol::id::EntryNumber;

use crate::support::{checkpoint, newest, object, record, running, settle, start};

fn deletion(objects: &[&str], entries: &[u64]) -> Deletion {
    Deletion {
        objects: objects.iter().map(|&name| name.to_owned()).collect(),
        entries: entries.iter().copied().map(EntryNumber).collect(),
    }
}

#[test]
fn only_what_no_kept_entry_names_goes() {
    let mut ownership = running(2);
    record(&mut ownership, checkpoint(1, None, vec![object("one", 0), object("shared", 0)]));
    record(&mut ownership, checkpoint(2, None, vec![object("two", 0), object("shared", 0)]));
    let confirmed = record(&mut ownership, checkpoint(3, None, vec![object("three", 0), object("shared", 0)]));
    assert_eq!(dropped(&ownership, confirmed), deletion(&["one"], &[0, 1]));
}

#[test]
fn state_that_belongs_to_no_key_is_named_like_files() {
    let mut ownership = running(1);
    let with = |id, name| {
        let mut manifest = checkpoint(id, None, vec![]);
        manifest.operators.values_mut().flatten().for_each(|subtask| subtask.unkeyed = Some(object(name, 0)));
        manifest
    };
    record(&mut ownership, with(1, "old"));
    let confirmed = record(&mut ownership, with(2, "new"));
    assert_eq!(dropped(&ownership, confirmed).objects, ["old"]);
}

#[test]
fn what_could_not_be_deleted_is_tried_again_and_what_was_is_not() {
    let mut ownership = running(1);
    record(&mut ownership, checkpoint(1, None, vec![object("one", 0)]));
    let confirmed = record(&mut ownership, checkpoint(2, None, vec![]));
    assert_eq!(dropped(&ownership, confirmed), deletion(&["one"], &[0, 1]));
    ownership.deleted(EntryNumber(0));
    let confirmed = record(&mut ownership, checkpoint(3, None, vec![]));
    assert_eq!(dropped(&ownership, confirmed), deletion(&["one"], &[1, 2]));
}

#[test]
fn what_a_newer_owner_made_is_never_touched() {
    let mut ownership = running(1);
    record(&mut ownership, checkpoint(1, None, vec![object("ours", 0), object("newer", 7)]));
    let confirmed = record(&mut ownership, checkpoint(2, None, vec![]));
    assert_eq!(dropped(&ownership, confirmed).objects, ["ours"]);
}

/// An owner with one checkpoint, and one that takes over from it; `retained` is what that one can read.
fn taken_over(readable: bool) -> Ownership {
    let mut first = running(2);
    record(&mut first, checkpoint(1, None, vec![object("one", 0)]));
    let one = newest(&first).clone();
    record(&mut first, checkpoint(2, None, vec![object("two", 0)]));
    let retained: BTreeMap<EntryNumber, Stored<RunEntry>> =
        if readable { BTreeMap::from([(EntryNumber(1), one)]) } else { BTreeMap::new() };
    let mut second = Ownership::take_over(&start(2, 2), newest(&first).clone(), &retained).expect("it runs");
    settle(&mut second);
    second
}

#[test]
fn nothing_goes_while_a_kept_entry_is_unknown() {
    let mut ownership = taken_over(false);
    let confirmed = record(&mut ownership, checkpoint(3, None, vec![]));
    assert_eq!(ownership.kept().keys().copied().collect::<Vec<_>>(), [EntryNumber(3)]);
    assert_eq!(dropped(&ownership, confirmed).entries, [1, 2].map(EntryNumber), "the unknown one is dropped by now");

    let ownership = taken_over(false);
    let confirmed = stands(&ownership);
    assert_eq!(dropped(&ownership, confirmed), Deletion::default());
}

/// The proof that the newest entry stands, once more.
fn stands(ownership: &Ownership) -> Confirmed {
    let Step::Stands(confirmed) = ownership.step() else { unreachable!("nothing was appended since") };
    confirmed
}

#[test]
fn entry_that_an_earlier_owner_dropped_and_did_not_delete_is_found_again() {
    let mut first = running(1);
    record(&mut first, checkpoint(1, None, vec![object("one", 0)]));
    let one = newest(&first).clone();
    record(&mut first, checkpoint(2, None, vec![object("two", 0)]));
    let mut second = Ownership::take_over(&start(2, 1), newest(&first).clone(), &BTreeMap::new()).expect("it runs");
    let confirmed = settle(&mut second);
    second.found_dropped(&one.entry);
    second.found_dropped(&newest(&second).entry.clone());
    assert_eq!(dropped(&second, confirmed), deletion(&["one"], &[1, 2]));
}

#[test]
fn orphans_are_old_unnamed_and_not_of_a_newer_owner() {
    let ownership = taken_over(true);
    let confirmed = stands(&ownership);
    let listed =
        |name: &str, made_by: u64, modified| Listed { name: name.to_owned(), made_by: EntryNumber(made_by), modified };
    let objects = [
        listed("one", 0, 0),
        listed("two", 0, 0),
        listed("earlier", 0, 0),
        listed("own", 3, 0),
        listed("held", 3, 0),
        listed("newer", 4, 0),
        listed("young", 0, 950),
    ];
    let held = BTreeSet::from(["held".to_owned()]);
    assert_eq!(orphans(&ownership, confirmed, &objects, &held, 1_000, 100), ["earlier", "own"]);
}

#[test]
#[should_panic(expected = "only the newest entry says what is garbage")]
fn proof_of_an_older_entry_deletes_nothing() {
    let mut ownership = running(1);
    let old = record(&mut ownership, checkpoint(1, None, vec![]));
    record(&mut ownership, checkpoint(2, None, vec![]));
    assert_eq!(dropped(&ownership, old), Deletion::default());
}
