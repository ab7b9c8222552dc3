//! The background of one subtask: what it sealed becomes durable, then it is reported.
//!
//! As the engine does it: in the order of the barriers, one at a time; what the store does not take costs the checkpoint
//! and is kept for the next; files are merged into a new base beside all that, which takes the place of what it covers
//! at a later barrier.

mod files;
mod handed;

use std::collections::VecDeque;
use std::rc::Rc;

use weir_protocol::chain::Owner;
use weir_protocol::coordinator::Event;
use weir_protocol::id::{CheckpointId, SubtaskId};
use weir_protocol::manifest::{Blob, Checksum, ObjectRef, OutboxPart, Positions};
use weir_protocol::report::{Report, Work};

use crate::call::{Answer, Op, Tag};
use crate::data::Content;
use crate::operator::Sealed;
use crate::rules::Mutant;
use crate::world::{ActorId, Message, World, note};

use handed::HandedWork;

pub(crate) use files::{Files, fold_onto};
pub(crate) use handed::Handed;

/// How long after the store was away it is tried again.
const RETRY_DELAY: u64 = 12;

#[derive(Debug)]
pub(crate) struct Reporter {
    who: ActorId,
    node: usize,
    task: usize,
    subtask: SubtaskId,
    owner: Owner,
    pub(crate) kind: Kind,
    /// The newest checkpoint that an entry records.
    pub(crate) recorded: CheckpointId,
    passed: CheckpointId,
    queue: VecDeque<Handed>,
    current: Option<Handed>,
    is_busy: bool,
    unsaved: VecDeque<(CheckpointId, Rc<Content>)>,
    sequence: u32,
    attempt_failed: bool,
    /// When what it reported last arrives.
    told_at: u64,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Source(Positions),
    Operator(Box<Files>),
    /// Parts that are in the store, and that no entry is known to name.
    Sink(Vec<OutboxPart>),
}

impl Reporter {
    pub(crate) fn new(
        (who, node): (ActorId, usize),
        (task, subtask): (usize, SubtaskId),
        owner: Owner,
        kind: Kind,
        highest: CheckpointId,
    ) -> Self {
        Self {
            who,
            node,
            task,
            subtask,
            owner,
            kind,
            recorded: highest,
            passed: highest,
            queue: VecDeque::new(),
            current: None,
            is_busy: false,
            unsaved: VecDeque::new(),
            sequence: 0,
            attempt_failed: false,
            told_at: 0,
        }
    }

    /// What a subtask that had finished before reports again.
    pub(crate) fn repeated(&self) -> Handed {
        match &self.kind {
            Kind::Source(positions) => Handed::source(None, positions.clone()),
            Kind::Operator(files) => {
                let watermark = files.manifest.watermark;
                Handed::operator(Sealed { checkpoint: None, segment: None, watermark, states: Rc::default() })
            }
            Kind::Sink(_) => Handed::sink(None, Vec::new()),
        }
    }

    pub(crate) fn hand(&mut self, handed: Handed, world: &mut World) {
        self.queue.push_back(handed);
        self.go_on(world);
    }

    /// Whether the attempt cannot go on: what a subtask leaves at its end could not be made durable.
    pub(crate) const fn has_failed(&self) -> bool {
        self.attempt_failed
    }

    /// What was sealed and not reported, and what is not in the store.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.len() + self.unsaved.len()
    }

    pub(crate) fn unsaved_weight(&self) -> u64 {
        let queued = self.queue.iter().map(|handed| match &handed.work {
            HandedWork::Operator(sealed) => {
                sealed.segment.as_ref().map_or(0, |segment| 1 + segment.changes.len() as u64)
            }
            HandedWork::Sink(part) => part.len() as u64,
            HandedWork::Source(_) => 0,
        });
        queued.sum::<u64>() + self.unsaved.iter().map(|(_, content)| content.weight()).sum::<u64>()
    }

    /// Does the next thing, if nothing is on its way.
    fn go_on(&mut self, world: &mut World) {
        while !self.is_busy {
            if self.current.is_none() {
                let Some(handed) = self.queue.pop_front() else { return };
                self.begin(handed);
            }
            if let Some((_, content)) = self.unsaved.front().cloned() {
                self.put(content, Tag::Put(self.task), world);
            } else if self.put_base(world) {
                return;
            } else {
                self.merge_if_due(world);
                self.report(world);
            }
        }
    }

    fn begin(&mut self, mut handed: Handed) {
        let epoch = handed.checkpoint.unwrap_or(self.passed.next());
        self.passed = handed.checkpoint.unwrap_or(self.passed);
        match &mut handed.work {
            HandedWork::Source(_) => {}
            HandedWork::Operator(sealed) => {
                if let Some(segment) = sealed.segment.clone() {
                    self.unsaved.push_back((epoch, Rc::new(Content::State(segment))));
                }
            }
            HandedWork::Sink(part) if !part.is_empty() => {
                self.unsaved.push_back((epoch, Rc::new(Content::Results(part.clone()))));
            }
            HandedWork::Sink(_) => {}
        }
        self.current = Some(handed);
    }

    fn put(&mut self, content: Rc<Content>, tag: Tag, world: &mut World) {
        let (name, made_by) = (self.name(world), self.owner.number);
        let op = Op::Put { name, made_by, content };
        if world.lacks(Mutant::AcknowledgeBeforeUpload) && matches!(tag, Tag::Put(_)) {
            world.call(self.who, Tag::Nothing, op);
            return self.saved(world);
        }
        self.is_busy = true;
        world.call(self.who, tag, op);
    }

    /// The name that the last put used: a number is used once, also where there was no answer.
    fn name(&mut self, world: &World) -> String {
        self.sequence += 1;
        self.current_name(world)
    }

    fn current_name(&self, world: &World) -> String {
        let Self { subtask, sequence, owner, .. } = self;
        if world.lacks(Mutant::NamesWithoutOwner) {
            return format!("{subtask}/{sequence}");
        }
        format!("{}-{}/{subtask}/{sequence}", owner.number.0, owner.nonce.0)
    }

    fn blob(&self, content: &Content, world: &World) -> Blob {
        Blob::Object(ObjectRef {
            name: self.current_name(world),
            made_by: self.owner.number,
            bytes: content.weight(),
            checksum: Checksum(0),
        })
    }

    /// A put was answered.
    pub(crate) fn on_put(&mut self, answer: &Answer, world: &mut World) {
        self.is_busy = false;
        if matches!(answer, Answer::Failed) {
            return self.declined(world);
        }
        self.saved(world);
        self.save_on(world);
    }

    /// What was in front is in the store, under the name that the last put used: it is listed from now on.
    fn saved(&mut self, world: &World) {
        let (epoch, content) = self.unsaved.pop_front().expect("it was being saved");
        let blob = self.blob(&content, world);
        match &mut self.kind {
            Kind::Operator(files) => files.push(blob, epoch),
            Kind::Sink(parts) => {
                let (subtask, records) = (self.subtask.clone(), content.weight());
                parts.push(OutboxPart { subtask, epoch, blob, records });
            }
            Kind::Source(_) => unreachable!("a source seals nothing"),
        }
    }

    /// Goes on with the checkpoint, or, between two, with what was kept.
    fn save_on(&mut self, world: &mut World) {
        if self.current.is_none() && self.queue.is_empty() {
            self.retry(world);
        } else {
            self.go_on(world);
        }
    }

    pub(crate) fn retry(&mut self, world: &mut World) {
        if self.is_busy || self.current.is_some() {
            return;
        }
        if let Some((_, content)) = self.unsaved.front().cloned() {
            self.put(content, Tag::Put(self.task), world);
        }
    }

    /// The store is away: this costs the checkpoint; at the end, the attempt.
    fn declined(&mut self, world: &mut World) {
        world.tell(self.who, RETRY_DELAY, Message::Retry(self.task));
        match self.current.take() {
            Some(Handed { checkpoint: Some(checkpoint), .. }) => {
                note!(world, format!("{} @{}", self.subtask, self.node), "declines {checkpoint}");
                let (subtask, reason) = (self.subtask.clone(), "the store is away".to_owned());
                self.tell(Event::Declined { checkpoint, subtask, reason }, world);
            }
            Some(Handed { checkpoint: None, .. }) => self.attempt_failed = true,
            None => {}
        }
        self.go_on(world);
    }

    fn report(&mut self, world: &mut World) {
        let Handed { checkpoint, work } = self.current.take().expect("something is being reported");
        let finished = checkpoint.is_none();
        let mut changed = finished;
        let (work, results) = match (work, &mut self.kind) {
            (HandedWork::Source(positions), Kind::Source(known)) => {
                changed |= positions != *known;
                known.clone_from(&positions);
                (Work::Source(positions), Vec::new())
            }
            (HandedWork::Operator(sealed), Kind::Operator(files)) => {
                changed |= sealed.segment.is_some() || sealed.watermark != files.manifest.watermark;
                files.manifest.watermark = sealed.watermark;
                if world.plan.disk && !finished {
                    let place = (files.manifest.index, files.manifest.parallelism);
                    world.nodes[self.node].disk.insert(place, (files.listed(), sealed.states));
                }
                (Work::Operator(files.manifest.clone()), Vec::new())
            }
            (HandedWork::Sink(part), Kind::Sink(parts)) => {
                changed |= !part.is_empty();
                parts.retain(|part| part.epoch > self.recorded);
                (Work::Sink, parts.clone())
            }
            _ => unreachable!("a subtask seals what its kind seals"),
        };
        let report = Report { changed, finished, work, results, dead_letters: Vec::new(), rejected: 0 };
        self.acknowledge(checkpoint, report, world);
    }

    fn acknowledge(&mut self, checkpoint: Option<CheckpointId>, report: Report, world: &mut World) {
        let (subtask, report) = (self.subtask.clone(), Box::new(report));
        let Some(checkpoint) = checkpoint else {
            return self.tell(Event::Finished { subtask, passed: self.passed, report }, world);
        };
        let event = Event::Acknowledged { checkpoint, subtask, report };
        if !world.is_quiet() && world.chance.per_mille(world.plan.faults_per_mille / 10) {
            world.totals.lost_acknowledgements += 1;
            return;
        }
        if !world.is_quiet() && world.chance.per_mille(world.plan.faults_per_mille / 5) {
            world.totals.doubled_acknowledgements += 1;
            self.tell(event.clone(), world);
        }
        self.tell(event, world);
    }

    fn tell(&mut self, event: Event, world: &mut World) {
        world.tell_in_order(self.who, &mut self.told_at, Message::Coordinate(event));
    }

    /// Without the rule: what was sealed for a checkpoint that is given up is part of no later one.
    pub(crate) fn forget(&mut self, checkpoint: CheckpointId) {
        self.unsaved.retain(|(epoch, _)| *epoch != checkpoint || self.is_busy);
        match &mut self.kind {
            Kind::Source(_) => {}
            Kind::Operator(files) => files.forget(checkpoint),
            Kind::Sink(parts) => parts.retain(|part| part.epoch != checkpoint),
        }
    }
}
