//! What tasks do that are sources: they read, and send barriers when they are told to.

use weir_protocol::alignment::Barrier;

use super::{Plane, Work};
use crate::call::{Op, Tag};
use crate::data::Element;
use crate::reporter::Handed;
use crate::rules::Mutant;
use crate::source::Polled;
use crate::world::{World, note};

impl Plane {
    pub(super) fn source_step(&mut self, task: usize, world: &mut World) {
        let congested = self.is_congested(task);
        let Work::Source(source) = &mut self.tasks[task].work else { unreachable!("it is a source") };
        if source.is_paused || congested {
            return self.wake(task, world);
        }
        if source.is_ingest() {
            let op = Op::Slots { from: source.slot() };
            self.tasks[task].is_due = true;
            return world.call(self.who, Tag::Slots(task), op);
        }
        let most = world.chance.between(1, 3);
        let mut out = Vec::new();
        let polled = source.poll(&world.plan, world.now, most, &mut out);
        self.polled(task, polled, out, world);
    }

    /// What the ingest log holds has been read; `None`: it could not be.
    pub(crate) fn on_slots(&mut self, task: usize, slots: Option<&[(u64, Option<u32>)]>, world: &mut World) {
        self.tasks[task].is_due = false;
        let Work::Source(source) = &mut self.tasks[task].work else { unreachable!("it is a source") };
        if source.has_ended {
            return;
        }
        let mut out = Vec::new();
        let polled = slots.map_or(Polled::Nothing, |slots| source.take_slots(slots, &mut out));
        self.polled(task, polled, out, world);
    }

    fn polled(&mut self, task: usize, polled: Polled, out: Vec<Element>, world: &mut World) {
        self.send(task, out, world);
        match polled {
            Polled::End => self.finish(task, Vec::new(), world),
            Polled::Idle => {
                world.totals.idlings += 1;
                self.wake(task, world);
            }
            Polled::Some | Polled::Nothing => self.wake(task, world),
        }
    }

    /// A source notes its positions and sends the barrier behind what it has sent. Others keep it for their end.
    pub(crate) fn trigger(&mut self, task: usize, barrier: Barrier, world: &mut World) {
        let Work::Source(source) = &self.tasks[task].work else {
            self.tasks[task].triggered = Some(barrier);
            if world.lacks(Mutant::BarrierBeforeTheEnd) {
                self.take_triggered(task, world);
            }
            return;
        };
        if source.has_ended {
            return;
        }
        let handed = Handed::source(Some(barrier.checkpoint), source.positions());
        note!(world, self.actor(task), "barrier {} at {}", barrier.checkpoint, source.shown());
        self.send(task, vec![Element::Barrier(barrier)], world);
        self.hand(task, handed, world);
    }
}
