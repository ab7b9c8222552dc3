//! From reports to a manifest: nothing that was sealed is lost, and nothing is named twice.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;
use weir_protocol::assembly::Assembly;
use weir_protocol::coordinator::Complete;
use weir_protocol::id::{CheckpointId, SubtaskId};
use weir_protocol::manifest::{Manifest, Outlet};
use weir_protocol::publication::Publication;
use weir_protocol::report::{Report, Work};

use crate::support::{newest, part, record, running, sink, started, state, subtask, uid};

fn complete(checkpoint: u64, reports: impl IntoIterator<Item = (SubtaskId, Report)>) -> Complete {
    let reports = reports.into_iter().collect();
    Complete { checkpoint: CheckpointId(checkpoint), at: 7, reports, last: false }
}

fn publication() -> Publication {
    let mut ownership = running(3);
    let confirmed = record(&mut ownership, Manifest { checkpoint: CheckpointId(1), ..started() });
    Publication::begin(confirmed, &newest(&ownership).entry)
}

#[test]
fn manifest_holds_what_every_subtask_reports() {
    let position = |split: &str, at: u64| Work::Source(BTreeMap::from([(split.to_owned(), serde_json::json!(at))]));
    let done = Report { finished: true, rejected: 2, ..Report::unchanged(position("b", 2)) };
    let reports = [
        (subtask("source", 0), Report { rejected: 3, ..Report::unchanged(position("a", 1)) }),
        (subtask("source", 1), done),
        (subtask("count", 0), Report::unchanged(Work::Operator(state(None, vec![])))),
        (subtask("sink", 0), Report::unchanged(Work::Sink)),
    ];
    let restored = Manifest { rejected: 10, ..started() };
    let manifest = Assembly::new(restored, CheckpointId(1)).manifest(&complete(2, reports), &publication());
    assert_eq!((manifest.checkpoint, manifest.taken_at, manifest.rejected), (CheckpointId(2), 7, 15));
    assert_eq!(manifest.sources[&uid("source")].len(), 2);
    assert_eq!(manifest.operators[&uid("count")], [state(None, vec![])]);
    assert_eq!(manifest.finished, BTreeSet::from([subtask("source", 1)]));
    assert_eq!(manifest.parallelism, BTreeMap::from([(uid("count"), 1), (uid("sink"), 1), (uid("source"), 2)]));
    assert_eq!(manifest.outboxes, [], "an epoch without records makes no outbox");
    assert_eq!(manifest.check(&BTreeMap::new()), Ok(()));
}

#[test]
fn part_sealed_for_an_aborted_checkpoint_goes_into_the_next_recorded_one() {
    let id = subtask("sink", 0);
    let results = vec![part(&id, 2, "aborted"), part(&id, 3, "kept")];
    let reports = [(id, Report { results: results.clone(), ..Report::unchanged(Work::Sink) })];
    let manifest = Assembly::new(started(), CheckpointId(1)).manifest(&complete(3, reports), &publication());
    assert_eq!(manifest.outboxes.len(), 1);
    assert_eq!((manifest.outboxes[0].checkpoint, &manifest.outboxes[0].parts), (CheckpointId(3), &results));
}

#[test]
fn part_of_a_recorded_checkpoint_is_not_named_again() {
    let id = subtask("sink", 0);
    let results = vec![part(&id, 2, "recorded"), part(&id, 3, "new")];
    let reports = [(id, Report { results: results.clone(), ..Report::unchanged(Work::Sink) })];
    let mut assembly = Assembly::new(started(), CheckpointId(1));
    assembly.recorded(CheckpointId(2));
    let manifest = assembly.manifest(&complete(3, reports), &publication());
    assert_eq!(manifest.outboxes[0].parts, results[1..]);
}

#[test]
fn dead_letters_of_all_subtasks_are_one_outbox() {
    let letters = |uid: &str| {
        let id = subtask(uid, 0);
        let dead_letters = vec![part(&id, 2, uid)];
        (id, Report { dead_letters, ..Report::unchanged(Work::Sink) })
    };
    let reports = [letters("b"), letters("a")];
    let manifest = Assembly::new(started(), CheckpointId(1)).manifest(&complete(2, reports), &publication());
    assert_eq!(manifest.outboxes.len(), 1);
    assert_eq!(manifest.outboxes[0].outlet, Outlet::DeadLetters);
    assert_eq!(manifest.outboxes[0].parts.len(), 2);
}

proptest! {
    /// One sink seals a part at each barrier; each checkpoint is recorded or aborted; the sink forgets what it hears was
    /// recorded, sometimes late.
    #[test]
    fn every_sealed_part_is_named_by_exactly_one_recorded_checkpoint(
        fates in vec((any::<bool>(), any::<bool>()), 1..20),
    ) {
        let id = subtask("sink", 0);
        let mut assembly = Assembly::new(started(), CheckpointId(1));
        let publication = publication();
        let (mut held, mut named, mut sealed) = (Vec::new(), Vec::new(), Vec::new());
        let last = fates.len();
        for (index, (recorded, heard)) in fates.into_iter().enumerate() {
            let checkpoint = index as u64 + 2;
            let new = part(&id, checkpoint, &checkpoint.to_string());
            held.push(new.clone());
            sealed.push(new);
            if recorded || index + 1 == last {
                let report = Report { results: held.clone(), ..Report::unchanged(Work::Sink) };
                let manifest = assembly.manifest(&complete(checkpoint, [(id.clone(), report)]), &publication);
                prop_assert_eq!(&manifest.outboxes[0].outlet, &sink());
                named.extend(manifest.outboxes[0].parts.clone());
                assembly.recorded(CheckpointId(checkpoint));
                if heard {
                    held.clear();
                }
            }
        }
        prop_assert_eq!(named, sealed);
    }
}
