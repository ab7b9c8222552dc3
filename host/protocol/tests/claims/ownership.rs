//! What an owner of a chain may append, by example.

use std::collections::BTreeMap;

use weir_protocol::chain::{CreateOutcome, EntryKind, LookOutcome, NextError, Ownership, Step};
use weir_protocol::id::{CheckpointId, EntryNumber, Nonce};

use crate::support::{checkpoint, newest, next, outbox, record, running, settle, sink, start, started};

#[test]
fn job_begins_with_entry_0_that_holds_the_start_positions() {
    let ownership = running(3);
    let entry = &newest(&ownership).entry;
    assert_eq!((entry.number, &entry.kind, entry.parent), (EntryNumber(0), &EntryKind::Start, None));
    assert_eq!(entry.manifest, started());
    assert_eq!(ownership.owner().number, EntryNumber(0));
}

#[test]
fn owner_creates_only_the_number_after_its_last() {
    let mut ownership = running(3);
    for id in 1..=4 {
        let parent = newest(&ownership).hash;
        record(&mut ownership, checkpoint(id, None, vec![]));
        let entry = &newest(&ownership).entry;
        assert_eq!((entry.number, entry.parent), (EntryNumber(id), Some(parent)));
    }
}

#[test]
fn takeover_repeats_the_manifest_and_makes_an_owner_of_its_own() {
    let mut first = running(3);
    record(&mut first, checkpoint(1, None, vec![]));
    let mut second = Ownership::take_over(&start(2, 3), newest(&first).clone(), &BTreeMap::new()).expect("it runs");
    settle(&mut second);
    let entry = &newest(&second).entry;
    assert_eq!((entry.number, &entry.kind), (EntryNumber(2), &EntryKind::Takeover));
    assert_eq!(entry.manifest, newest(&first).entry.manifest);
    assert_eq!((second.owner().number, second.owner().nonce), (EntryNumber(2), Nonce(2)));
    assert_eq!(second.highest_checkpoint(), CheckpointId(1));
}

#[test]
fn nothing_else_is_sent_while_an_entry_is_undecided() {
    let mut ownership = running(3);
    let sent = ownership.append(next(7, EntryKind::Checkpoint, checkpoint(1, None, vec![]))).expect("it is sound");
    let other = || next(8, EntryKind::Checkpoint, checkpoint(2, None, vec![]));
    assert_eq!(ownership.append(other()), Err(NextError::Undecided(EntryNumber(1))));
    ownership.on_create(CreateOutcome::Unknown);
    assert_eq!(ownership.append(other()), Err(NextError::Undecided(EntryNumber(1))));
    assert_eq!(ownership.on_look(LookOutcome::Absent), sent, "the same bytes again");
    ownership.on_create(CreateOutcome::Created);
    assert_eq!(ownership.append(other()), Err(NextError::Undecided(EntryNumber(1))), "not listed yet");
}

#[test]
fn entry_stands_only_if_nothing_is_above_it() {
    let listed = [(Some(1), true), (Some(2), false), (Some(9), false), (None, false)];
    for (highest, stands) in listed {
        let mut ownership = running(3);
        ownership.append(next(7, EntryKind::Checkpoint, checkpoint(1, None, vec![]))).expect("it is sound");
        assert_eq!(ownership.on_create(CreateOutcome::Created), Step::List { from: EntryNumber(1) });
        let step = ownership.on_list(highest.map(EntryNumber));
        assert_eq!(matches!(step, Step::Stands(_)), stands, "{highest:?}");
        assert_eq!(matches!(step, Step::Lost { .. }), !stands, "{highest:?}");
    }
}

#[test]
fn who_lost_appends_nothing_more() {
    let mut ownership = running(3);
    ownership.append(next(7, EntryKind::Checkpoint, checkpoint(1, None, vec![]))).expect("it is sound");
    ownership.on_create(CreateOutcome::AlreadyExists);
    assert_eq!(ownership.on_look(LookOutcome::Found(Nonce(99))), Step::Lost { to: EntryNumber(1) });
    let more = ownership.append(next(8, EntryKind::Checkpoint, checkpoint(2, None, vec![])));
    assert_eq!(more, Err(NextError::Lost(EntryNumber(1))));
}

#[test]
fn nothing_follows_the_end_of_a_job() {
    let mut ownership = running(3);
    ownership.append(next(7, EntryKind::Finished, started())).expect("nothing is unpublished");
    settle(&mut ownership);
    let more = ownership.append(next(8, EntryKind::Checkpoint, checkpoint(1, None, vec![])));
    assert_eq!(more, Err(NextError::Ended(EntryNumber(1))));
    let again = Ownership::take_over(&start(2, 3), newest(&ownership).clone(), &BTreeMap::new());
    assert_eq!(again.expect_err("it ended"), NextError::Ended(EntryNumber(1)));
}

#[test]
fn checkpoint_ids_rise_along_the_chain() {
    let mut ownership = running(3);
    record(&mut ownership, checkpoint(5, None, vec![]));
    for id in [4, 5] {
        let error =
            ownership.append(next(7, EntryKind::Checkpoint, checkpoint(id, None, vec![]))).expect_err("it is low");
        assert!(error.to_string().contains("is not above 5"), "{error}");
    }
}

#[test]
fn sealed_results_are_named_until_they_are_confirmed() {
    let mut ownership = running(3);
    let mut first = checkpoint(1, None, vec![]);
    first.outboxes = vec![outbox(1, None)];
    record(&mut ownership, first);

    let forgotten = next(7, EntryKind::Checkpoint, checkpoint(2, None, vec![]));
    let error = ownership.append(forgotten.clone()).expect_err("outbox 1 is gone");
    assert!(error.to_string().contains("neither published nor named"), "{error}");

    let mut invented = forgotten.clone();
    invented.published.insert(sink(), CheckpointId(2));
    let error = ownership.append(invented).expect_err("outbox 2 was never named");
    assert!(error.to_string().contains("no entry named it"), "{error}");

    let mut confirmed = forgotten;
    confirmed.published.insert(sink(), CheckpointId(1));
    ownership.append(confirmed).expect("outbox 1 is published");
    settle(&mut ownership);

    let error = ownership.append(next(8, EntryKind::Checkpoint, checkpoint(3, None, vec![]))).expect_err("taken back");
    assert!(error.to_string().contains("neither published nor named"), "{error}");
}
