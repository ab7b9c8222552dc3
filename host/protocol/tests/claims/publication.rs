//! What is published, in which order.

use std::collections::BTreeMap;

use weir_protocol::Fault;
use weir_protocol::chain::Ownership;
use weir_protocol::id::CheckpointId;
use weir_protocol::manifest::Outlet;
use weir_protocol::publication::Publication;

use crate::support::{checkpoint, newest, outbox, part, record, running, settle, sink, start, subtask};

/// A job with outboxes of checkpoints 1 and 2 that no entry confirms; taken over, so that nothing is known of them.
fn taken_over() -> (Ownership, Publication) {
    let mut first = running(3);
    let mut manifest = checkpoint(2, None, vec![]);
    manifest.outboxes = vec![outbox(1, None), outbox(2, Some(1))];
    record(&mut first, manifest);
    let mut second = Ownership::take_over(&start(2, 3), newest(&first).clone(), &BTreeMap::new()).expect("it runs");
    let confirmed = settle(&mut second);
    let publication = Publication::begin(confirmed, &newest(&second).entry);
    (second, publication)
}

fn due(publication: &Publication) -> Option<u64> {
    publication.due(&sink()).map(|outbox| outbox.checkpoint.0)
}

#[test]
fn outboxes_are_published_strictly_in_order() {
    let (_, mut publication) = taken_over();
    assert_eq!(due(&publication), Some(1));
    publication.published(&sink(), CheckpointId(1));
    assert_eq!(due(&publication), Some(2));
    publication.published(&sink(), CheckpointId(2));
    assert_eq!(due(&publication), None);
    assert_eq!(publication.confirmations(), BTreeMap::from([(sink(), CheckpointId(2))]));
}

#[test]
#[should_panic(expected = "`sink` is published in sequence")]
fn outbox_cannot_be_published_out_of_order() {
    let (_, mut publication) = taken_over();
    publication.published(&sink(), CheckpointId(2));
}

#[test]
fn marker_shows_what_an_earlier_attempt_published() {
    let cases = [(None, Some(1)), (Some(1), Some(2)), (Some(2), None)];
    for (marker, expected) in cases {
        let (_, mut publication) = taken_over();
        publication.on_marker(&sink(), marker.map(CheckpointId)).expect("the entries explain it");
        assert_eq!(due(&publication), expected, "{marker:?}");
    }
}

#[test]
fn marker_that_the_entries_do_not_explain_stops_the_job() {
    let (_, mut publication) = taken_over();
    let error = publication.on_marker(&sink(), Some(CheckpointId(9))).expect_err("nobody sealed 9");
    assert_eq!(error.fault(), Fault::Corrupt);
    assert!(error.to_string().starts_with("the marker of `sink` is 9, but"), "{error}");
    assert!(error.to_string().contains("none or 1 or 2"), "{error}");
}

#[test]
fn missing_marker_of_a_job_that_has_published_stops_it() {
    let (mut ownership, mut publication) = taken_over();
    publication.published(&sink(), CheckpointId(1));
    let mut manifest = checkpoint(3, None, vec![]);
    manifest.outboxes = publication.outstanding();
    let mut next = crate::support::next(9, weir_protocol::chain::EntryKind::Checkpoint, manifest);
    next.published = publication.confirmations();
    ownership.append(next).expect("it is sound");
    let confirmed = settle(&mut ownership);
    let mut publication = Publication::begin(confirmed, &newest(&ownership).entry);
    assert!(publication.on_marker(&sink(), None).is_err());
    assert_eq!(publication.on_marker(&sink(), Some(CheckpointId(1))), Ok(()));
}

#[test]
fn every_manifest_names_all_that_is_not_published_and_its_own_after_them() {
    let (_, mut publication) = taken_over();
    let sealed = || BTreeMap::from([(sink(), vec![part(&subtask("sink", 0), 3, "new")])]);
    let ids = |publication: &Publication| {
        let outboxes = publication.outboxes(CheckpointId(3), sealed());
        outboxes.iter().map(|outbox| (outbox.checkpoint.0, outbox.predecessor.map(|id| id.0))).collect::<Vec<_>>()
    };
    assert_eq!(ids(&publication), [(1, None), (2, Some(1)), (3, Some(2))]);
    publication.published(&sink(), CheckpointId(1));
    assert_eq!(ids(&publication), [(2, Some(1)), (3, Some(2))]);
    publication.published(&sink(), CheckpointId(2));
    assert_eq!(ids(&publication), [(3, Some(2))], "the predecessor outlives its outbox");
}

#[test]
fn outlets_do_not_wait_for_each_other() {
    let mut ownership = running(3);
    let mut manifest = checkpoint(1, None, vec![]);
    let mut letters = outbox(1, None);
    letters.outlet = Outlet::DeadLetters;
    manifest.outboxes = vec![letters, outbox(1, None)];
    let confirmed = record(&mut ownership, manifest);
    let mut publication = Publication::begin(confirmed, &newest(&ownership).entry);
    publication.published(&sink(), CheckpointId(1));
    assert_eq!(publication.outlets_due().collect::<Vec<_>>(), [&Outlet::DeadLetters]);
    assert_eq!(publication.outstanding_bytes(), 7);
}
