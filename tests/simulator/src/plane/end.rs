//! What tasks do whose inputs have ended.

use weir_protocol::time::Timestamp;

use super::{Plane, Work};
use crate::data::Element;
use crate::reporter::Handed;
use crate::world::{World, note};

impl Plane {
    /// An operator may work on after its inputs have ended; barriers come from the coordinator then.
    pub(super) fn last_step(&mut self, task: usize, world: &mut World) {
        self.take_triggered(task, world);
        if matches!(self.tasks[task].work, Work::Operator(_)) && !world.chance.one_in(4) {
            return self.wake(task, world);
        }
        self.end(task, world);
    }

    /// An operator takes the newest barrier that was triggered.
    pub(super) fn take_triggered(&mut self, task: usize, world: &mut World) {
        let this = &mut self.tasks[task];
        if let (Work::Operator(operator), Some(barrier)) = (&mut this.work, this.triggered.take()) {
            let taken = operator.on_trigger(barrier);
            world.totals.barriers_at_the_end += u64::from(taken.is_some());
            self.operator_sealed(task, taken, world);
        }
    }

    fn end(&mut self, task: usize, world: &mut World) {
        match &mut self.tasks[task].work {
            Work::Operator(operator) => {
                operator.finish();
                let sealed: Vec<_> = std::mem::take(&mut operator.sealed).into_iter().map(Handed::operator).collect();
                self.flush(task, world);
                self.send(task, vec![Element::Watermark(Timestamp::MAX), Element::End], world);
                self.finish(task, sealed, world);
            }
            Work::Sink { results, .. } => {
                let part = std::mem::take(results);
                self.finish(task, vec![Handed::sink(None, part)], world);
            }
            Work::Finished => {
                if !self.sinks.contains(&task) {
                    self.send(task, vec![Element::Watermark(Timestamp::MAX), Element::End], world);
                }
                let handed = self.tasks[task].reporter.repeated();
                self.finish(task, vec![handed], world);
            }
            Work::Source(_) => unreachable!("a source ends by itself"),
        }
    }

    pub(super) fn finish(&mut self, task: usize, mut handed: Vec<Handed>, world: &mut World) {
        self.tasks[task].has_finished = true;
        note!(world, self.actor(task), "finished");
        if let Work::Source(source) = &self.tasks[task].work {
            handed.push(Handed::source(None, source.positions()));
        }
        for handed in handed {
            self.hand(task, handed, world);
        }
    }
}
