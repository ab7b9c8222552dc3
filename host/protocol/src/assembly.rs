//! From the reports of all subtasks to a manifest.

use std::collections::{BTreeMap, BTreeSet};

use crate::coordinator::Complete;
use crate::id::{CheckpointId, SubtaskId};
use crate::manifest::{Manifest, OutboxPart, Outlet};
use crate::publication::Publication;
use crate::report::Work;

/// What every checkpoint of one attempt has in common.
#[derive(Debug, Clone)]
pub struct Assembly {
    restored: Manifest,
    recorded: CheckpointId,
}

impl Assembly {
    /// An attempt that began from `restored`, in a chain whose highest checkpoint is `highest`.
    #[must_use]
    pub fn new(restored: Manifest, highest: CheckpointId) -> Self {
        Self { restored, recorded: highest }
    }

    /// The manifest of a checkpoint that every subtask has contributed to. What a part of it was sealed for an earlier,
    /// recorded checkpoint is left out: an entry names it already.
    #[must_use]
    pub fn manifest(&self, complete: &Complete, publication: &Publication) -> Manifest {
        let mut manifest = Manifest {
            checkpoint: complete.checkpoint,
            taken_at: complete.at,
            sources: BTreeMap::new(),
            operators: BTreeMap::new(),
            outboxes: publication.outboxes(complete.checkpoint, self.sealed(complete)),
            rejected: self.restored.rejected,
            finished: BTreeSet::new(),
            parallelism: BTreeMap::new(),
            format: self.restored.format,
            key_group_function: self.restored.key_group_function.clone(),
            max_parallelism: self.restored.max_parallelism,
        };
        for (SubtaskId { uid, index }, report) in &complete.reports {
            manifest.rejected += report.rejected;
            *manifest.parallelism.entry(uid.clone()).or_default() += 1;
            if report.finished {
                manifest.finished.insert(SubtaskId { uid: uid.clone(), index: *index });
            }
            match &report.work {
                Work::Source(positions) => {
                    manifest.sources.entry(uid.clone()).or_default().extend(positions.clone());
                }
                Work::Operator(state) => manifest.operators.entry(uid.clone()).or_default().push(state.clone()),
                Work::Sink => {}
            }
        }
        manifest
    }

    /// Notes that a checkpoint's entry was won.
    pub fn recorded(&mut self, checkpoint: CheckpointId) {
        self.recorded = self.recorded.max(checkpoint);
    }

    /// What was sealed for each outlet since the last recorded checkpoint.
    fn sealed(&self, complete: &Complete) -> BTreeMap<Outlet, Vec<OutboxPart>> {
        let mut sealed: BTreeMap<Outlet, Vec<OutboxPart>> = BTreeMap::new();
        for (subtask, report) in &complete.reports {
            let is_new = |part: &&OutboxPart| part.epoch > self.recorded;
            let results = report.results.iter().filter(is_new).cloned();
            sealed.entry(Outlet::Sink(subtask.uid.clone())).or_default().extend(results);
            let dead_letters = report.dead_letters.iter().filter(is_new).cloned();
            sealed.entry(Outlet::DeadLetters).or_default().extend(dead_letters);
        }
        sealed
    }
}
