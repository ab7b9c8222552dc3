//! Who has nothing left to do, with the old parallelism and with another one.

use std::collections::BTreeSet;

use weir_protocol::Fault;
use weir_protocol::finished::{Unfit, finished};
use weir_protocol::id::SubtaskId;
use weir_protocol::job_graph::JobGraph;
use weir_protocol::job_spec::{JobSpec, OutputRef, PartitionSpec};
use weir_protocol::manifest::Manifest;

use crate::job_graph::{components, job};
use crate::support::{checkpoint, subtask, uid};

const VERTICES: [&str; 5] = ["text", "split", "count", "counts", "odd"];

/// Checkpoint 3 of a job with two subtasks of everything, of which these had finished.
fn manifest(had_finished: &[(&str, u32)]) -> Manifest {
    let mut manifest = checkpoint(3, None, vec![]);
    manifest.parallelism = VERTICES.map(|name| (uid(name), 2)).into();
    manifest.finished = subtasks(had_finished);
    manifest
}

fn subtasks(names: &[(&str, u32)]) -> BTreeSet<SubtaskId> {
    names.iter().map(|(name, index)| subtask(name, *index)).collect()
}

/// Who is idle in the word count, once it was changed.
fn idle(change: impl FnOnce(&mut JobSpec), manifest: &Manifest) -> Result<BTreeSet<SubtaskId>, Unfit> {
    let mut job = job();
    change(&mut job);
    finished(&JobGraph::new(job, &components).expect("it holds together"), manifest)
}

fn rebalanced(job: &mut JobSpec) {
    job.operators[1].inputs[0].partition = PartitionSpec::Rebalance;
}

#[test]
fn whoever_had_finished_stays_idle_where_nothing_has_changed() {
    for had_finished in [&[][..], &[("text", 1)], &[("text", 1), ("split", 1), ("odd", 1)]] {
        assert_eq!(idle(|_| {}, &manifest(had_finished)), Ok(subtasks(had_finished)));
    }
    let all: Vec<_> = VERTICES.iter().flat_map(|name| [(*name, 0), (*name, 1)]).collect();
    assert_eq!(idle(|_| {}, &manifest(&all)), Ok(subtasks(&all)));
}

#[test]
fn an_index_of_a_source_means_another_share_at_another_parallelism() {
    let wider = |job: &mut JobSpec| {
        job.sources[0].parallelism = Some(3);
        rebalanced(job);
    };
    assert_eq!(idle(wider, &manifest(&[("text", 0)])), Ok(subtasks(&[])));
    let all = manifest(&[("text", 0), ("text", 1)]);
    assert_eq!(idle(wider, &all), Ok(subtasks(&[("text", 0), ("text", 1), ("text", 2)])));
}

#[test]
fn a_sink_that_is_sent_records_again_is_not_idle() {
    let had_finished = manifest(&[("text", 0), ("text", 1), ("split", 0), ("split", 1), ("odd", 0), ("odd", 1)]);
    let new_source = |job: &mut JobSpec| job.sinks[1].from = vec![OutputRef { uid: uid("text"), port: None }];
    let new_work = manifest(&[("text", 0), ("odd", 0)]);
    assert_eq!(idle(new_source, &new_work), Ok(subtasks(&[("text", 0), ("odd", 0)])));
    let wider = |job: &mut JobSpec| {
        new_source(job);
        job.sources[0].parallelism = Some(3);
        rebalanced(job);
    };
    assert_eq!(idle(wider, &new_work), Ok(subtasks(&[])), "rebalanced, it is sent what is left");
    let narrower = |job: &mut JobSpec| job.sinks[1].parallelism = Some(1);
    let rest = [("text", 0), ("text", 1), ("split", 0), ("split", 1), ("odd", 0)];
    assert_eq!(idle(narrower, &had_finished), Ok(subtasks(&rest)));
}

#[test]
fn an_operator_of_which_some_had_finished_goes_on_only_as_it_was() {
    let some = manifest(&[("text", 0), ("split", 0), ("odd", 0)]);
    let wider = |job: &mut JobSpec| {
        job.operators[1].parallelism = Some(3);
        rebalanced(job);
    };
    for refused in [idle(wider, &some), idle(rebalanced, &some)] {
        let unfit = refused.expect_err("`finish` would be called twice, or records be lost");
        assert_eq!(unfit.fault(), Fault::Request);
        assert!(unfit.to_string().starts_with("operator `split`: 1 of its 2 subtasks had finished"), "{unfit}");
    }
    let all = manifest(&[("text", 0), ("text", 1), ("split", 0), ("split", 1)]);
    let expected = [("text", 0), ("text", 1), ("split", 0), ("split", 1), ("split", 2)];
    assert_eq!(idle(wider, &all), Ok(subtasks(&expected)));
}

#[test]
fn no_parallelism_is_above_the_maximum_that_the_job_began_with() {
    let wide = |job: &mut JobSpec| {
        job.max_parallelism = 256.try_into().expect("it is within the bound");
        job.operators[0].parallelism = Some(129);
    };
    let unfit = idle(wide, &manifest(&[])).expect_err("there are 128 key groups");
    let text = unfit.to_string();
    assert!(text.contains("`count`: parallelism must be between 1 and 128, not 129, the maximum"), "{text}");
}
