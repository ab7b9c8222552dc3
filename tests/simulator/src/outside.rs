//! The sink's outside: what is published, and the marker that says how far.
//!
//! Either a table, which takes an outbox in one transaction and can fence earlier owners, or files: parts under names
//! that follow from their identity, then a list that names them. What counts as published is what readers see
//! atomically: transactions, and parts that a list names.

use std::collections::BTreeMap;

use weir_protocol::id::{CheckpointId, EntryNumber, SubtaskId};

use crate::call::{Answer, Op, Publish};
use crate::data::Outcome;
use crate::rules::Mutant;
use crate::world::{World, note};

#[derive(Debug)]
pub(crate) struct Outside {
    files: bool,
    pub(crate) marker: Option<CheckpointId>,
    fence: EntryNumber,
    parts: BTreeMap<(CheckpointId, SubtaskId), Vec<Outcome>>,
    lists: BTreeMap<CheckpointId, Vec<SubtaskId>>,
}

impl Outside {
    pub(crate) const fn new(files: bool) -> Self {
        let fence = EntryNumber(0);
        Self { files, marker: None, fence, parts: BTreeMap::new(), lists: BTreeMap::new() }
    }
}

impl World {
    pub(crate) fn perform_outside(&mut self, op: Op) -> Answer {
        match op {
            Op::Marker => Answer::Marker(self.outside.marker),
            Op::Fence { owner } => {
                self.outside.fence = self.outside.fence.max(owner);
                Answer::Done
            }
            Op::Publish(publish) => self.publish(&publish),
            Op::Part { checkpoint, part: (subtask, results) } => self.publish_part(checkpoint, subtask, results),
            Op::List(publish) => self.publish_list(publish),
            Op::Create { .. }
            | Op::Entries(_)
            | Op::Numbers { .. }
            | Op::Spec
            | Op::Put { .. }
            | Op::Read(_)
            | Op::Delete(_)
            | Op::DeleteEntry(_)
            | Op::Objects
            | Op::Pin(_)
            | Op::Unpin(_)
            | Op::Pins
            | Op::CreateSlot { .. }
            | Op::Slots { .. }
            | Op::DeleteSlot(_) => unreachable!("the store performs what is inside"),
        }
    }

    /// `update … where seq = predecessor`, with the results.
    fn publish(&mut self, publish: &Publish) -> Answer {
        let Publish { owner, checkpoint, predecessor, parts } = publish;
        if !self.lacks(Mutant::NoPredecessor) {
            if *owner < self.outside.fence {
                return Answer::Refused;
            }
            if self.outside.marker >= Some(*checkpoint) {
                return Answer::Done;
            }
            if self.outside.marker != *predecessor {
                return Answer::Refused;
            }
        }
        self.outside.marker = self.outside.marker.max(Some(*checkpoint));
        note!(self, "outside", "published {checkpoint}");
        self.totals.publications += 1;
        self.check_published(*checkpoint, parts);
        Answer::Done
    }

    fn publish_part(&mut self, checkpoint: CheckpointId, subtask: SubtaskId, results: Vec<Outcome>) -> Answer {
        let name = (checkpoint, subtask);
        match self.outside.parts.get(&name) {
            Some(there) if *there != results => {
                self.broken("published-is-immutable", format!("part {checkpoint} of {} differs", name.1));
            }
            Some(_) => {}
            None => {
                self.outside.parts.insert(name, results);
            }
        }
        Answer::Done
    }

    fn publish_list(&mut self, publish: Publish) -> Answer {
        let Publish { owner: _, checkpoint, predecessor: _, parts } = publish;
        let subtasks: Vec<_> = parts.into_iter().map(|(subtask, _)| subtask).collect();
        if let Some(there) = self.outside.lists.get(&checkpoint) {
            if *there != subtasks {
                self.broken("published-is-immutable", format!("list {checkpoint} differs"));
            }
            return Answer::Done;
        }
        self.outside.lists.insert(checkpoint, subtasks.clone());
        self.outside.marker = self.outside.marker.max(Some(checkpoint));
        note!(self, "outside", "listed {checkpoint}");
        self.totals.publications += 1;
        let mut named = Vec::new();
        for subtask in subtasks {
            match self.outside.parts.get(&(checkpoint, subtask.clone())) {
                Some(results) => named.push((subtask, results.clone())),
                None => self.broken(
                    "published-whole",
                    format!("list {checkpoint} names a part of {subtask} that is not there"),
                ),
            }
        }
        self.check_published(checkpoint, &named);
        Answer::Done
    }

    /// Whether outboxes are published as files.
    pub(crate) const fn publishes_files(&self) -> bool {
        self.outside.files
    }
}
