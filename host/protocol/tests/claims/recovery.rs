//! What a job goes on from.

use std::collections::BTreeMap;

use proptest::prelude::*;
use weir_protocol::Fault;
use weir_protocol::chain::{EntryKind, SpecEntry, Wanted};
use weir_protocol::id::{CheckpointId, EntryNumber, JobId, Nonce};
use weir_protocol::key_group::MaxParallelism;
use weir_protocol::manifest::{StateFile, SubtaskManifest};
use weir_protocol::recovery::{Recovery, Stopped, recover, restore};
use weir_protocol::time::NO_TIME;

use crate::job_graph::job;
use crate::support::{checkpoint, newest, object, record, running, sink, state};

fn spec(wanted: Wanted) -> SpecEntry {
    SpecEntry { number: EntryNumber(0), parent: None, nonce: Nonce(0), at: 0, wanted, undoes: None, began_from: None }
}

#[test]
fn job_without_a_run_entry_never_began() {
    let spec = spec(Wanted::Deploy(Box::new(job())));
    assert_eq!(recover(&spec, None), Recovery::NeverBegan);
}

#[test]
fn running_job_is_taken_over_and_cancelled_one_is_ended() {
    let ownership = running(3);
    let entry = &newest(&ownership).entry;
    let deployed = spec(Wanted::Deploy(Box::new(job())));
    assert_eq!(recover(&deployed, Some(entry)), Recovery::Run(&job()));
    assert_eq!(recover(&spec(Wanted::Cancel), Some(entry)), Recovery::Cancel);
}

#[test]
fn ended_job_stays_ended_whatever_is_wanted() {
    let ends = [
        EntryKind::Finished,
        EntryKind::Cancelled { dropped: vec![] },
        EntryKind::Failed { reason: "no".to_owned(), fault: Fault::Bug },
        EntryKind::ClaimedBy { job: JobId(1) },
    ];
    for kind in ends {
        let mut entry = newest(&running(3)).entry.clone();
        entry.kind = kind;
        for wanted in [Wanted::Cancel, Wanted::Deploy(Box::new(job()))] {
            assert_eq!(recover(&spec(wanted), Some(&entry)), Recovery::Ended(&entry.kind));
        }
    }
}

#[test]
fn damage_stops_the_job_and_names_the_newest_entry_that_verifies_and_what_was_published_since() {
    let mut ownership = running(3);
    let mut entries = Vec::new();
    for id in 1..=2 {
        record(&mut ownership, checkpoint(id, None, vec![]));
        entries.push(newest(&ownership).entry.clone());
    }
    let damage = "object jobs/x/data/y.state is gone".to_owned();
    let markers = BTreeMap::from([(sink(), CheckpointId(3))]);
    let older: Vec<_> = entries.iter().collect();
    let stopped = Stopped::new(EntryNumber(3), damage.clone(), &older, &markers);
    assert_eq!(stopped.verified, Some(EntryNumber(2)));
    let text = stopped.to_string();
    assert!(text.contains("jobs/x/data/y.state") && text.contains("`sink` up to checkpoint 3"), "{text}");

    let current = BTreeMap::from([(sink(), CheckpointId(2))]);
    assert_eq!(Stopped::new(EntryNumber(3), damage.clone(), &older, &current).published_since, BTreeMap::new());
    let hopeless = Stopped::new(EntryNumber(3), damage, &[], &markers);
    assert!(hopeless.to_string().contains("no retained entry verifies"), "{hopeless}");
}

#[test]
fn subtask_is_restored_from_its_base_and_then_its_files_in_order() {
    let old = state(Some(object("base", 0)), vec![object("one", 0), object("two", 0)]);
    let restored = restore(std::slice::from_ref(&old), old.key_groups);
    let names: Vec<_> =
        restored.files.iter().filter_map(|file| file.blob.object()).map(|object| &object.name).collect();
    assert_eq!(names, ["base", "one", "two"]);
    assert_eq!((restored.watermark, restored.processing_time), (5, 1_000));
}

#[test]
fn subtask_without_a_past_starts_anew() {
    let restored = restore(&[], MaxParallelism::DEFAULT.range(0, 1));
    assert_eq!((restored.files, restored.watermark, restored.processing_time), (vec![], NO_TIME, NO_TIME));
}

/// The subtasks of an operator, each with one file of its own key groups.
fn subtasks(max: MaxParallelism, parallelism: u32) -> Vec<SubtaskManifest> {
    let subtask = |index| {
        let key_groups = max.range(index, parallelism);
        let file = StateFile { blob: object(&index.to_string(), 0), key_groups };
        SubtaskManifest {
            index,
            parallelism,
            key_groups,
            base: Some(file),
            files: vec![],
            unkeyed: None,
            watermark: i64::from(index),
            processing_time: i64::from(index),
        }
    };
    (0..parallelism).map(subtask).collect()
}

proptest! {
    #[test]
    fn at_any_new_parallelism_every_key_group_is_read_exactly_once(
        max in 1_u32..300,
        before in 1_u32..20,
        after in 1_u32..20,
    ) {
        let max = MaxParallelism::new(max).expect("within the bound");
        let (before, after) = (before.min(max.get().into()), after.min(max.get().into()));
        let old = subtasks(max, before);
        let mut read = vec![0; max.get().into()];
        for index in 0..after {
            let own = max.range(index, after);
            let restored = restore(&old, own);
            for file in &restored.files {
                prop_assert_eq!(file.key_groups.clip(own), file.key_groups, "clipped to the own range");
                file.key_groups.groups().for_each(|group| read[usize::from(group)] += 1);
            }
            let least = old.iter().filter(|old| !old.key_groups.clip(own).is_empty()).map(|old| old.watermark).min();
            prop_assert_eq!(Some(restored.watermark), least);
        }
        prop_assert_eq!(read, vec![1; max.get().into()]);
    }
}
