//! The tasks of an attempt and the channels between them.
//!
//! A task does one step at a time: it takes a few elements of one input, in order, and puts what follows into the queues
//! of those behind it. Which task is next, and which input, is chance.

mod end;
mod sources;
mod task;

use weir_protocol::alignment::Barrier;
use weir_protocol::id::CheckpointId;

use crate::data::{Element, Outcome, group, max_parallelism, window_end};
use crate::reporter::{Handed, Kind};
use crate::rules::Mutant;
use crate::world::{ActorId, Message, World, note};

use task::{take_operator, take_sink};

pub(crate) use task::{Input, Task, Work};

/// Elements in a queue beyond which whoever fills it waits.
const QUEUE_MAX: usize = 24;

#[derive(Debug)]
pub(crate) struct Plane {
    pub(crate) who: ActorId,
    pub(crate) node: usize,
    pub(crate) tasks: Vec<Task>,
    /// The tasks of the operator, and those of the sink.
    pub(crate) operators: std::ops::Range<usize>,
    pub(crate) sinks: std::ops::Range<usize>,
    /// Records that sources have sent.
    pub(crate) sent: u64,
}

impl Plane {
    /// Has every task do its first step.
    pub(crate) fn start(&mut self, world: &mut World) {
        for task in 0..self.tasks.len() {
            self.wake(task, world);
        }
    }

    /// A task, in the trace.
    fn actor(&self, task: usize) -> String {
        format!("{} @{}", self.tasks[task].id, self.node)
    }

    fn wake(&mut self, task: usize, world: &mut World) {
        if !self.tasks[task].is_due && !self.tasks[task].has_finished {
            self.tasks[task].is_due = true;
            let delay = 1 + world.delay();
            world.tell(self.who, delay, Message::Step(task));
        }
    }

    /// A task's next step.
    pub(crate) fn step(&mut self, task: usize, world: &mut World) {
        self.tasks[task].is_due = false;
        if self.tasks[task].has_finished {
            return;
        }
        match self.tasks[task].work {
            Work::Source(_) => self.source_step(task, world),
            Work::Operator(_) | Work::Sink { .. } | Work::Finished => self.input_step(task, world),
        }
    }

    /// Whether what feeds a task should wait for it.
    fn is_congested(&self, task: usize) -> bool {
        let receivers = if self.operators.contains(&task) { self.sinks.clone() } else { self.operators.clone() };
        let channel = self.channel(task);
        self.tasks[receivers].iter().any(|receiver| receiver.inputs[channel].queue.len() > QUEUE_MAX)
    }

    /// Which input of its receivers a task feeds.
    fn channel(&self, task: usize) -> usize {
        if self.operators.contains(&task) { task - self.operators.start } else { task }
    }

    fn input_step(&mut self, task: usize, world: &mut World) {
        if matches!(self.tasks[task].work, Work::Operator(_)) && self.is_congested(task) {
            return self.wake(task, world);
        }
        let open = |input: &usize| {
            let this = &self.tasks[task];
            !this.inputs[*input].queue.is_empty() && !this.is_blocked(*input, world)
        };
        let inputs: Vec<usize> = (0..self.tasks[task].inputs.len()).filter(open).collect();
        if self.tasks[task].has_ended() {
            return self.last_step(task, world);
        }
        if inputs.is_empty() {
            return self.flush(task, world);
        }
        let input = inputs[world.chance.index(inputs.len())];
        let most = if self.sinks.contains(&task) { 12 } else { 6 };
        for _ in 0..world.chance.between(1, most) {
            if self.tasks[task].is_blocked(input, world) {
                break;
            }
            let Some(element) = self.tasks[task].inputs[input].queue.pop_front() else { break };
            self.take(task, input, element, world);
        }
        if world.chance.one_in(2) || self.tasks[task].has_ended() {
            self.flush(task, world);
        }
        if self.tasks[task].has_ended() {
            return self.last_step(task, world);
        }
        self.wake(task, world);
    }

    /// Sends what an operator has committed.
    fn flush(&mut self, task: usize, world: &mut World) {
        if let Work::Operator(operator) = &mut self.tasks[task].work {
            let out: Vec<_> = operator.unsent.drain(..).collect();
            self.send(task, out, world);
        }
    }

    fn take(&mut self, task: usize, input: usize, element: Element, world: &mut World) {
        self.check_element(task, input, element, world);
        if let Element::Record(record) = element {
            note!(world, self.actor(task), "{record}");
        }
        let this = &mut self.tasks[task];
        if matches!(element, Element::End) {
            this.inputs[input].has_ended = true;
        }
        let barrier = match &mut this.work {
            Work::Operator(operator) => take_operator(operator, input, element),
            Work::Sink { alignment, results } => {
                let sealed = take_sink(alignment, results, input, element);
                if let Some((barrier, part)) = sealed {
                    self.hand(task, Handed::sink(Some(barrier.checkpoint), part), world);
                }
                return;
            }
            Work::Source(_) | Work::Finished => None,
        };
        self.operator_sealed(task, barrier, world);
        if let (Work::Operator(operator), Element::End) = (&mut self.tasks[task].work, element) {
            operator.merge_end(input);
        }
    }

    /// What a barrier did to an operator: the segment goes to the background, the barrier on.
    fn operator_sealed(&mut self, task: usize, barrier: Option<Barrier>, world: &mut World) {
        if let Some(barrier) = barrier {
            note!(world, self.actor(task), "barrier {}", barrier.checkpoint);
            if !world.plan.unaligned {
                self.flush(task, world);
            }
            self.send(task, vec![Element::Barrier(barrier)], world);
        }
        let Work::Operator(operator) = &mut self.tasks[task].work else { return };
        world.totals.records += std::mem::take(&mut operator.processed);
        if operator.after_time > 0 {
            world.broken("time-ends-last", "a record came after the end of time");
        }
        for sealed in std::mem::take(&mut operator.sealed) {
            self.hand(task, Handed::operator(sealed), world);
        }
    }

    fn hand(&mut self, task: usize, handed: Handed, world: &mut World) {
        self.tasks[task].reporter.hand(handed, world);
    }

    fn send(&mut self, task: usize, elements: Vec<Element>, world: &mut World) {
        let channel = self.channel(task);
        let receivers = if self.operators.contains(&task) { self.sinks.clone() } else { self.operators.clone() };
        let parallelism = u32::try_from(receivers.len()).expect("it is small");
        let owner = |key: u8| {
            let index = max_parallelism().subtask(group(key), parallelism);
            receivers.start + usize::try_from(index).expect("it is small")
        };
        for element in elements {
            let to = match element {
                Element::Record(record) => {
                    self.sent += 1;
                    Some(owner(record.key))
                }
                Element::Outcome(outcome) => Some(owner(outcome.key())),
                Element::Watermark(_) | Element::Idle | Element::Barrier(_) | Element::End => None,
            };
            let to = to.map_or_else(|| receivers.clone(), |to| to..to + 1);
            for receiver in to {
                self.tasks[receiver].inputs[channel].queue.push_back(element);
                self.wake(receiver, world);
            }
        }
    }

    /// Watermarks rise, and what a sink gets is not before one that it has.
    fn check_element(&mut self, task: usize, input: usize, element: Element, world: &mut World) {
        let Task { id, inputs, .. } = &mut self.tasks[task];
        let known = inputs[input].watermark;
        match element {
            Element::Watermark(watermark) if watermark < known => {
                world.broken("watermarks-rise", format!("{id} got watermark {watermark} after {known}"));
            }
            Element::Watermark(watermark) => inputs[input].watermark = watermark,
            Element::Outcome(Outcome::Fired { key, window, late: false, .. }) if window_end(window) <= known => {
                let what = format!("{id} got window {window} of key {key} after watermark {known}");
                world.broken("watermarks-hold", what);
            }
            Element::Record(_) | Element::Outcome(_) | Element::Idle | Element::Barrier(_) | Element::End => {}
        }
    }

    /// Has the sources wait, or go on.
    pub(crate) fn pause_sources(&mut self, is_paused: bool) {
        for task in &mut self.tasks {
            if let Work::Source(source) = &mut task.work {
                source.is_paused = is_paused;
            }
        }
    }

    /// The checkpoint is recorded: whatever was sealed up to it is in an entry.
    pub(crate) fn recorded(&mut self, checkpoint: CheckpointId) {
        self.tasks.iter_mut().for_each(|task| task.reporter.recorded = checkpoint);
    }

    /// The tasks that have not finished.
    pub(crate) fn stands_at(&self) -> String {
        let running = self.tasks.iter().filter(|task| !task.has_finished);
        let shown = running.map(|task| {
            let queues: Vec<usize> = task.inputs.iter().map(|input| input.queue.len()).collect();
            format!("{} due {} queues {queues:?}", task.id, task.is_due)
        });
        shown.collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn longest_queue(&self) -> usize {
        self.tasks.iter().flat_map(|task| &task.inputs).map(|input| input.queue.len()).max().unwrap_or(0)
    }

    pub(crate) fn longest_background(&self) -> usize {
        self.tasks.iter().map(|task| task.reporter.waiting()).max().unwrap_or(0)
    }

    /// Bytes closed and not in the store.
    pub(crate) fn unsaved(&self) -> u64 {
        self.tasks.iter().map(|task| task.reporter.unsaved_weight()).sum()
    }

    /// Without the rules: what was closed for a checkpoint that is given up is listed no more.
    pub(crate) fn forget(&mut self, checkpoint: CheckpointId, world: &World) {
        for task in &mut self.tasks {
            let is_state = matches!(task.reporter.kind, Kind::Operator { .. });
            let forgets = if is_state { Mutant::ForgetAbortedSegment } else { Mutant::ForgetAbortedResults };
            if world.lacks(forgets) {
                task.reporter.forget(checkpoint);
            }
        }
    }
}
