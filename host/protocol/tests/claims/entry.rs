//! Entries and the manifests in them: what is written is what is read, and what does not hold together is refused.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use weir_protocol::chain::{DroppedOutbox, EntryHash, EntryKind, Owner, Retained, RunEntry, SpecEntry, Undone, Wanted};
use weir_protocol::document::DocumentError;
use weir_protocol::id::{CheckpointId, EntryNumber, JobId, Nonce};
use weir_protocol::manifest::{Blob, Checksum, InlineBytes, Manifest, ObjectRef, Outlet};
use weir_protocol::savepoint::Ancestor;

use crate::support::{checkpoint, object, outbox, sink, start, started, state, subtask, uid};

/// Entry 4, checkpoint 3 of the owner of entry 2.
fn entry() -> RunEntry {
    let mut manifest = checkpoint(3, Some(object("base", 2)), vec![object("file", 2)]);
    manifest.operators.get_mut(&uid("count")).expect("it is there")[0].unkeyed = Some(object("unkeyed", 2));
    manifest.outboxes = vec![outbox(2, Some(1)), outbox(3, Some(2))];
    RunEntry {
        number: EntryNumber(4),
        parent: Some(EntryHash::of(b"entry 3")),
        nonce: Nonce(44),
        owner: Owner { number: EntryNumber(2), nonce: Nonce(22) },
        spec: EntryNumber(0),
        manifest_spec: None,
        kind: EntryKind::Checkpoint,
        at: 1_500,
        highest_checkpoint: CheckpointId(3),
        retained: vec![Retained {
            number: EntryNumber(3),
            hash: EntryHash::of(b"entry 3"),
            checkpoint: CheckpointId(2),
        }],
        published: BTreeMap::from([(sink(), CheckpointId(1))]),
        manifest,
    }
}

#[test]
fn sound_entry_is_read_as_it_was_written() {
    let bytes = entry().encode();
    let stored = RunEntry::decode(EntryNumber(4), &bytes).expect("it is sound");
    assert_eq!((stored.entry, stored.hash), (entry(), EntryHash::of(&bytes)));
}

#[test]
fn unsound_entries_are_refused() {
    type Change = fn(&mut RunEntry);
    let cases: &[(&str, Change)] = &[
        ("only entry 0 has no parent", |entry| entry.parent = None),
        ("starts the job", |entry| entry.kind = EntryKind::Start),
        ("who begins an attempt", |entry| entry.kind = EntryKind::Takeover),
        ("who begins an attempt", |entry| entry.owner = Owner { number: entry.number, nonce: entry.nonce }),
        ("its owner comes after it", |entry| entry.owner.number = EntryNumber(5)),
        ("not in order", |entry| entry.retained.push(entry.retained[0].clone())),
        ("retains a later entry", |entry| entry.retained[0].number = EntryNumber(4)),
        ("above the highest", |entry| entry.highest_checkpoint = CheckpointId(2)),
        ("finishes with unpublished results", |entry| entry.kind = EntryKind::Finished),
        ("drops other outboxes", |entry| entry.kind = EntryKind::Cancelled { dropped: vec![] }),
        ("has format 9", |entry| entry.manifest.format = 9),
        ("key group function `md5`", |entry| entry.manifest.key_group_function = "md5".to_owned()),
        ("outbox 2 of `sink` does not follow", |entry| entry.published.clear()),
        ("outbox 3 of `sink` does not follow", |entry| {
            entry.manifest.outboxes.remove(0);
        }),
        ("outbox 9 of `sink` is out of order", |entry| entry.manifest.outboxes[1].checkpoint = CheckpointId(9)),
        ("holds a part of another checkpoint", |entry| {
            entry.manifest.outboxes[1].parts[0].epoch = CheckpointId(2);
        }),
        ("subtask 0 of operator `count`", |entry| {
            let subtasks = entry.manifest.operators.get_mut(&uid("count")).expect("it is there");
            subtasks[0].key_groups.end = 7;
        }),
        ("subtask 0 of operator `count`", |entry| {
            let subtasks = entry.manifest.operators.get_mut(&uid("count")).expect("it is there");
            subtasks.push(state(None, vec![]));
        }),
        ("operator `count`: parallelism", |entry| {
            entry.manifest.operators.insert(uid("count"), vec![]);
        }),
    ];
    for (claim, change) in cases {
        let mut entry = entry();
        change(&mut entry);
        let error = RunEntry::decode(entry.number, &entry.encode()).expect_err(claim);
        assert!(error.to_string().contains(claim), "{error} instead of {claim}");
    }
}

#[test]
fn cancelled_job_names_exactly_what_it_drops() {
    let mut entry = entry();
    let dropped = [2, 3].map(|n| DroppedOutbox { outlet: sink(), checkpoint: CheckpointId(n) });
    entry.kind = EntryKind::Cancelled { dropped: dropped.to_vec() };
    assert_eq!(entry.check(), Ok(()));
}

#[test]
fn entry_under_another_number_is_refused() {
    let error = RunEntry::decode(EntryNumber(5), &entry().encode()).expect_err("it is entry 4");
    assert!(matches!(error, DocumentError::Unsound(_)), "{error}");
}

#[test]
fn spec_entry_is_read_as_it_was_written() {
    let entry = SpecEntry {
        number: EntryNumber(1),
        parent: Some(EntryHash::of(b"entry 0")),
        nonce: start(9, 3).nonce,
        at: 5,
        wanted: Wanted::Cancel,
        undoes: Some(Undone { spec: EntryNumber(0), reason: "it traps".to_owned() }),
        began_from: None,
    };
    assert!(
        !String::from_utf8(entry.encode()).expect("it is JSON").contains("began"),
        "as it was before there was that"
    );
    let ancestor = Ancestor { location: "s3://b/savepoint-1".to_owned(), job: JobId(3), checkpoint: CheckpointId(4) };
    let first = SpecEntry { number: EntryNumber(0), parent: None, began_from: Some(ancestor), ..entry.clone() };
    assert_eq!(SpecEntry::decode(EntryNumber(0), &first.encode()).expect("it is sound").entry, first);
    assert_eq!(SpecEntry::decode(EntryNumber(1), &entry.encode()).expect("it is sound").entry, entry);
    assert!(SpecEntry::decode(EntryNumber(0), &entry.encode()).is_err(), "it has a parent");
}

#[test]
fn manifest_layout_is_this() {
    let mut manifest = checkpoint(1, None, vec![Blob::inline(b"state")]);
    manifest.outboxes = vec![outbox(1, None)];
    manifest.finished.insert(subtask("source", 0));
    manifest.parallelism.insert(uid("source"), 1);
    let expected = serde_json::json!({
        "format": 1,
        "checkpoint": 1,
        "taken_at": 1_000,
        "key_group_function": "xxh3-64-mod",
        "max_parallelism": 128,
        "sources": {"source": {"a.txt": {"offset": 0}}},
        "operators": {"count": [{
            "index": 0, "parallelism": 1, "key_groups": {"start": 0, "end": 128},
            "base": null,
            "files": [{"blob": {"inline": "c3RhdGU="}, "key_groups": {"start": 0, "end": 128}}],
            "watermark": 5, "processing_time": 1_000,
        }]},
        "outboxes": [{
            "outlet": "sink", "checkpoint": 1, "predecessor": null,
            "parts": [{
                "subtask": {"uid": "sink", "index": 0}, "epoch": 1,
                "blob": {"inline": "cmVzdWx0Cg=="}, "records": 1,
            }],
        }],
        "rejected": 0,
        "finished": [{"uid": "source", "index": 0}],
        "parallelism": {"source": 1},
    });
    assert_eq!(serde_json::to_value(&manifest).expect("plain data"), expected);
}

#[test]
fn object_whose_bytes_differ_does_not_verify() {
    let object =
        ObjectRef { name: "jobs/x".to_owned(), made_by: EntryNumber(0), bytes: 5, checksum: Checksum::of(b"state") };
    assert_eq!(object.verify(b"state"), Ok(()));
    for damaged in [&b"stale"[..], b"stat", b"states", b""] {
        let error = object.verify(damaged).expect_err("it differs");
        assert!(error.to_string().starts_with("object jobs/x does not verify"), "{error}");
    }
}

#[test]
fn dead_letters_are_an_outlet_that_no_uid_can_name() {
    let text = serde_json::to_string(&Outlet::DeadLetters).expect("plain data");
    assert_eq!(text, "\"!dead-letters\"");
    assert_eq!(serde_json::from_str::<Outlet>(&text).expect("as written"), Outlet::DeadLetters);
    assert!("!dead-letters".parse::<weir_protocol::id::Uid>().is_err());
}

fn blob() -> impl Strategy<Value = Blob> {
    prop_oneof![
        vec(any::<u8>(), 0..40).prop_map(|bytes| Blob::Inline(InlineBytes(bytes.into()))),
        ("[a-z/0-9]{1,20}", any::<u64>(), any::<u64>(), any::<u64>()).prop_map(|(name, made_by, bytes, checksum)| {
            Blob::Object(ObjectRef { name, made_by: EntryNumber(made_by), bytes, checksum: Checksum(checksum) })
        }),
    ]
}

fn manifest() -> impl Strategy<Value = Manifest> {
    let states = btree_map("[a-z][a-z0-9.-]{0,9}", (option::of(blob()), vec(blob(), 0..4), any::<i64>()), 0..4);
    let positions = btree_map(".{0,12}", any::<u64>(), 0..4);
    (states, positions, 1_u64.., any::<u64>()).prop_map(|(states, positions, id, rejected)| {
        let mut manifest = started();
        let position = |(split, offset)| (split, serde_json::json!({ "offset": offset }));
        manifest.sources.insert(uid("files"), positions.into_iter().map(position).collect());
        for (name, (base, files, watermark)) in states {
            let mut subtask = state(base, files);
            subtask.watermark = watermark;
            manifest.operators.insert(uid(&name), vec![subtask]);
        }
        (manifest.checkpoint, manifest.rejected) = (CheckpointId(id), rejected);
        manifest
    })
}

proptest! {
    #[test]
    fn every_sound_manifest_is_read_as_it_was_written(manifest in manifest()) {
        let mut entry = entry();
        entry.published.clear();
        (entry.highest_checkpoint, entry.manifest) = (manifest.checkpoint, manifest);
        let stored = RunEntry::decode(entry.number, &entry.encode()).expect("it is sound");
        prop_assert_eq!(stored.entry, entry);
    }

    #[test]
    fn manifest_counts_the_bytes_of_all_it_holds_and_names(sizes in vec(0_usize..100, 0..6)) {
        let files = sizes.iter().map(|size| Blob::inline(&vec![0; *size])).collect();
        prop_assert_eq!(checkpoint(1, None, files).bytes(), sizes.iter().sum::<usize>() as u64);
    }
}
