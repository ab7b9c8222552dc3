//! From a manifest to tasks that run.

use std::collections::BTreeSet;
use std::rc::Rc;

use weir_protocol::alignment::Alignment;
use weir_protocol::assembly::Assembly;
use weir_protocol::coordinator::Coordinator;
use weir_protocol::id::{CheckpointId, SubtaskId, Uid};
use weir_protocol::job_spec::CheckpointSpec;
use weir_protocol::key_group::KeyGroupRange;
use weir_protocol::manifest::{Manifest, Positions, StateFile, SubtaskManifest};
use weir_protocol::recovery::{Restored, restore};
use weir_protocol::unaligned::Unaligned;
use weir_protocol::watermark::WatermarkMerge;

use super::own::uid;
use super::{Attempt, Goal};
use crate::call::{Answer, Op, Tag};
use crate::data::{Channel, Content, INGEST, max_parallelism};
use crate::operator::{Gate, Operator, States};
use crate::plane::{Input, Plane, Task, Work};
use crate::reporter::{Files, Kind, Reporter, fold_onto};
use crate::rules::Mutant;
use crate::source::Source;
use crate::world::{World, note};

/// What is known of the tasks to be.
#[derive(Debug)]
pub(super) struct Deploying {
    manifest: Manifest,
    /// The operator's subtasks, as far as their state was read.
    read: Vec<Option<Read>>,
}

/// The state of a subtask, and what was on its way to and from it.
type Read = (States, Vec<Rc<Channel>>);

pub(crate) fn operator_uid() -> Uid {
    "join".parse().expect("it is a name")
}

fn sink_uid() -> Uid {
    "out".parse().expect("it is a name")
}

impl Attempt {
    /// Begins to read what the tasks start from.
    pub(super) fn deploy(&mut self, world: &mut World) {
        let manifest = self.newest().manifest.clone();
        self.parallelism = self.wanted;
        let before = manifest.operators.get(&operator_uid()).map(Vec::len);
        let operator_finished = manifest.finished.iter().any(|subtask| subtask.uid == operator_uid());
        if let Some(before) = before.map(|before| u32::try_from(before).expect("it is small")) {
            // What had finished stays as it is: whose keys it had is in nobody else's hands.
            if operator_finished {
                self.parallelism = before;
            }
            world.totals.rescales += u64::from(before != self.parallelism);
        }
        let subtasks = usize::try_from(self.parallelism).expect("it is small");
        self.deploying = Some(Deploying { manifest, read: (0..subtasks).map(|_| None).collect() });
        for index in 0..subtasks {
            self.read_state(index, world);
        }
    }

    /// What a subtask is restored from: what lies on local disk already, if that may be used, and the files to read.
    fn restored(&self, index: usize, world: &World) -> (Restored, usize, States) {
        let manifest = &self.deploying.as_ref().expect("tasks are being made").manifest;
        let (range, place) = self.range(index);
        let restored = restored(manifest, range, world);
        let Some((mark, states)) = world.nodes[self.node].disk.get(&place).filter(|_| world.plan.disk) else {
            return (restored, 0, States::new());
        };
        if restored.files.starts_with(mark) || world.lacks(Mutant::DiskWithoutMark) {
            let known = mark.len().min(restored.files.len());
            return (restored, known, states.as_ref().clone());
        }
        (restored, 0, States::new())
    }

    fn range(&self, index: usize) -> (KeyGroupRange, (u32, u32)) {
        let index = u32::try_from(index).expect("it is small");
        (max_parallelism().range(index, self.parallelism), (index, self.parallelism))
    }

    pub(super) fn read_state(&self, index: usize, world: &mut World) {
        if self.deploying.is_none() {
            return;
        }
        let (restored, known, _) = self.restored(index, world);
        let files = &restored.files[known..];
        let names = files.iter().filter_map(|file| file.blob.object()).map(|object| object.name.clone()).collect();
        self.call(Tag::Restore(index), Op::Read(names), world);
    }

    pub(super) fn on_restore(&mut self, index: usize, answer: Answer, world: &mut World) {
        if self.deploying.is_none() {
            return;
        }
        let Answer::Contents(contents) = answer else { return self.again(Tag::Restore(index), world) };
        let Some(contents) = contents.into_iter().collect::<Option<Vec<_>>>() else {
            return self.does_not_verify(world);
        };
        let (restored, known, mut states) = self.restored(index, world);
        world.totals.disk_starts += u64::from(known > 0);
        let files = &restored.files[known..];
        let (range, _) = self.range(index);
        let clip = (!world.lacks(Mutant::NoClipping)).then_some(range);
        fold_onto(&mut states, files.iter().zip(&contents), clip);
        let deploying = self.deploying.as_mut().expect("tasks are being made");
        let channels = channels(&contents, deploying.manifest.checkpoint);
        deploying.read[index] = Some((states, channels));
        if deploying.read.iter().all(Option::is_some) {
            self.run(world);
        }
    }

    /// An object of the newest entry is missing or damaged: the job stops, and a person decides.
    fn does_not_verify(&mut self, world: &mut World) {
        if world.lacks(Mutant::OlderEntry) {
            note!(world, self.actor(), "an object does not verify");
            self.goal = Goal::RollBack { any: true };
            self.stop_tasks();
            return self.fence(world);
        }
        self.stop_as_damaged("an object does not verify", world);
    }

    fn run(&mut self, world: &mut World) {
        let Deploying { manifest, read } = self.deploying.take().expect("tasks are being made");
        let highest = self.owned().highest_checkpoint();
        let mut plane = self.plane(&manifest, read.into_iter().flatten().collect(), world);
        let subtasks = plane.tasks.iter().map(|task| task.id.clone()).collect();
        let unconfirmed = !manifest.outboxes.is_empty() && !world.lacks(Mutant::NeverConfirm);
        self.coordinator = Some(Coordinator::new(spec(world), subtasks, highest, unconfirmed, world.time()));
        self.assembly = Some(Assembly::new(manifest, highest));
        note!(world, self.actor(), "runs with parallelism {}", self.parallelism);
        plane.start(world);
        self.plane = Some(plane);
        self.pace_sources(world);
        self.coordinate(world);
    }

    fn plane(&self, manifest: &Manifest, read: Vec<Read>, world: &mut World) -> Plane {
        let before = manifest.operators.get(&operator_uid()).map(Vec::len);
        let is_same = before == usize::try_from(self.parallelism).ok() && !world.lacks(Mutant::ForgetFinished);
        let finished = if is_same { manifest.finished.clone() } else { BTreeSet::new() };
        let mut making = Making { attempt: self, finished, manifest, tasks: Vec::new() };
        let sides = if world.plan.ingest { 0..=INGEST } else { 0..=1 };
        for side in sides {
            let parallelism = if side == INGEST { 1 } else { world.plan.sources };
            for index in 0..parallelism {
                making.source(side, index, parallelism, world);
            }
        }
        let sources = making.tasks.len();
        for (index, read) in read.into_iter().enumerate() {
            making.operator(index, sources, read, world);
        }
        let operators = sources..making.tasks.len();
        for index in 0..world.plan.sinks {
            making.sink(index, operators.len());
        }
        let sinks = operators.end..making.tasks.len();
        Plane { who: self.id, node: self.node, tasks: making.tasks, operators, sinks, sent: 0 }
    }
}

/// What a subtask is restored from.
fn restored(manifest: &Manifest, range: KeyGroupRange, world: &World) -> Restored {
    let subtasks = manifest.operators.get(&operator_uid()).map_or(&[][..], Vec::as_slice);
    let mut restored = restore(subtasks, range);
    if world.lacks(Mutant::NoClipping) {
        let whole = KeyGroupRange { start: 0, end: max_parallelism().get() };
        restored.files.iter_mut().for_each(|file| file.key_groups = whole);
    }
    if world.lacks(Mutant::WatermarkMaximum) {
        let contributing = subtasks.iter().filter(|subtask| !subtask.key_groups.clip(range).is_empty());
        restored.watermark = contributing.map(|subtask| subtask.watermark).max().unwrap_or(restored.watermark);
    }
    restored
}

/// The channel states that count for a checkpoint.
pub(crate) fn channels(contents: &[Rc<Content>], checkpoint: CheckpointId) -> Vec<Rc<Channel>> {
    let channel = |content: &Rc<Content>| match content.as_ref() {
        Content::State(segment) => segment.channel.clone().filter(|channel| channel.checkpoint == checkpoint),
        Content::Results(_) => None,
    };
    contents.iter().filter_map(channel).collect()
}

fn spec(world: &World) -> CheckpointSpec {
    let unaligned = if world.lacks(Mutant::TwoAtOnce) { 2 } else { 1 };
    CheckpointSpec {
        // Once nothing fails any more, nothing expires.
        timeout_ms: if world.is_quiet() { 10_000 } else { world.plan.timeout },
        max_concurrent: if world.plan.unaligned { unaligned } else { world.plan.concurrent },
        retained: world.plan.retained,
        tolerable_failures: 5,
        ..CheckpointSpec::every_ms(world.plan.interval)
    }
}

struct Making<'a> {
    attempt: &'a Attempt,
    /// Who does nothing more.
    finished: BTreeSet<SubtaskId>,
    manifest: &'a Manifest,
    tasks: Vec<Task>,
}

impl Making<'_> {
    fn push(&mut self, id: SubtaskId, work: Work, inputs: usize, kind: Kind) {
        let work = if self.finished.contains(&id) { Work::Finished } else { work };
        let owned = self.attempt.owned();
        let (who, place) = ((self.attempt.id, self.attempt.node), (self.tasks.len(), id.clone()));
        let reporter = Reporter::new(who, place, owned.owner(), kind, owned.highest_checkpoint());
        self.tasks.push(Task::new(id, work, (0..inputs).map(|_| Input::new()).collect(), reporter));
    }

    fn source(&mut self, side: u8, index: u32, parallelism: u32, world: &World) {
        let nothing = Positions::new();
        let positions = self.manifest.sources.get(&uid(side)).unwrap_or(&nothing);
        let source = Source::new(side, index, parallelism, positions, &world.plan, world.now);
        let positions = source.positions();
        self.push(SubtaskId { uid: uid(side), index }, Work::Source(source), 0, Kind::Source(positions));
    }

    fn operator(&mut self, index: usize, inputs: usize, (states, channels): Read, world: &mut World) {
        let highest = self.attempt.owned().highest_checkpoint();
        let (range, (index, parallelism)) = self.attempt.range(index);
        let id = SubtaskId { uid: operator_uid(), index };
        let Restored { files, watermark, .. } = restored(self.manifest, range, world);
        let (base, files) = self.split_base(files);
        let manifest = SubtaskManifest {
            index,
            parallelism,
            key_groups: range,
            base,
            files,
            unkeyed: None,
            watermark,
            processing_time: 0,
        };
        let gate = if world.plan.unaligned {
            Gate::Unaligned(Unaligned::new(inputs, highest))
        } else {
            Gate::Aligned(Alignment::new(inputs, highest))
        };
        let mut operator = Operator::new(world.rules, range, gate, WatermarkMerge::new(inputs, watermark), states);
        if let Some(due) = operator.timer_due() {
            world.broken("timers-wait", format!("{id} is restored with watermark {watermark} and a timer for {due}"));
        }
        channels.iter().for_each(|channel| operator.resume(channel, range));
        let kind = Kind::Operator(Box::new(Files::new(manifest)));
        self.push(id, Work::Operator(Box::new(operator)), inputs, kind);
    }

    fn sink(&mut self, index: u32, inputs: usize) {
        let highest = self.attempt.owned().highest_checkpoint();
        let work = Work::Sink { alignment: Alignment::new(inputs, highest), results: Vec::new() };
        self.push(SubtaskId { uid: sink_uid(), index }, work, inputs, Kind::Sink(Vec::new()));
    }

    /// The base of one old subtask stays the base where nothing else comes before it; the bases of several are files.
    fn split_base(&self, mut files: Vec<StateFile>) -> (Option<StateFile>, Vec<StateFile>) {
        let subtasks = self.manifest.operators.get(&operator_uid()).map_or(&[][..], Vec::as_slice);
        let bases: Vec<_> =
            subtasks.iter().filter_map(|subtask| subtask.base.as_ref()).map(|base| &base.blob).collect();
        let is_base = |file: &StateFile| bases.contains(&&file.blob);
        let alone = files.first().is_some_and(is_base) && !files.iter().skip(1).any(is_base);
        let base = alone.then(|| files.remove(0));
        (base, files)
    }
}
