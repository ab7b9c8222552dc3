//! What nothing names any more goes, one call at a time, beside everything else.

use std::collections::{BTreeSet, VecDeque};

use weir_protocol::chain::{Confirmed, Step};
use weir_protocol::garbage::{self, Listed};
use weir_protocol::id::EntryNumber;
use weir_protocol::time::Timestamp;

use super::{Attempt, Ended};
use crate::call::{Answer, Op, Tag};
use crate::rules::Mutant;
use crate::world::World;

#[derive(Debug, Default)]
pub(super) struct Collector {
    /// What is still to be deleted; the call in front is on its way.
    calls: VecDeque<Op>,
    stage: Stage,
    /// What earlier owners made, when it was listed.
    listed: Vec<Listed>,
    list_again_at: Timestamp,
    /// There was an entry while a collection was on its way.
    is_due: bool,
    /// Everything that this collection was to delete is gone.
    deletes_all: bool,
    /// What earlier owners dropped is known.
    pub(super) knows_dropped: bool,
    /// Without the rule: whether there were pins before the entry that drops.
    pub(super) saw_pins: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Idle,
    LookingForPins,
    Deleting,
    Listing,
    ListingSlots,
}

impl Collector {
    pub(super) fn is_idle(&self) -> bool {
        self.stage == Stage::Idle
    }
}

impl Attempt {
    /// Begins a collection now that the newest entry stands, unless one is on its way.
    pub(super) fn collect(&mut self, world: &mut World) {
        if !self.collector.is_idle() {
            self.collector.is_due = true;
            return;
        }
        (self.collector.is_due, self.collector.deletes_all) = (false, false);
        self.collector.calls = self.garbage(world);
        if world.lacks(Mutant::PinsBeforeDropping) {
            let pins = self.collector.saw_pins;
            return self.on_pins(pins, world);
        }
        self.collector.stage = Stage::LookingForPins;
        self.call(Tag::Pins, Op::Pins, world);
    }

    fn garbage(&mut self, world: &mut World) -> VecDeque<Op> {
        if world.lacks(Mutant::NeverCollect) {
            return VecDeque::new();
        }
        let confirmed = self.confirmed.expect("an entry stands");
        let deletion = garbage::dropped(self.owned(), confirmed);
        let orphans = self.orphans(confirmed, world);
        world.totals.deleted += deletion.objects.len() as u64;
        let objects = deletion.objects.into_iter().chain(orphans).map(Op::Delete);
        objects.chain(deletion.entries.into_iter().map(Op::DeleteEntry)).collect()
    }

    /// Those of the last listing that are old enough by now and that nothing names.
    fn orphans(&mut self, confirmed: Confirmed, world: &mut World) -> Vec<String> {
        let (held, now, grace) = (BTreeSet::new(), world.time(), world.plan.orphan_grace);
        let orphans = garbage::orphans(self.owned(), confirmed, &self.collector.listed, &held, now, grace);
        self.collector.listed.retain(|listed| !orphans.contains(&listed.name));
        world.totals.orphans += orphans.len() as u64;
        orphans
    }

    pub(super) fn on_collected(&mut self, tag: Tag, answer: Answer, world: &mut World) {
        match (tag, answer) {
            (Tag::Close, answer) => self.on_close(answer, world),
            // Gives up at the first error: the next collection finds it again.
            (_, Answer::Failed) => self.collected(world),
            (Tag::Pins, Answer::Pins(pins)) => self.on_pins(pins, world),
            (Tag::Objects, Answer::Objects(listed)) => self.on_objects(listed, world),
            (Tag::Objects, Answer::Slots(slots)) => self.on_old_slots(&slots, world),
            _ => self.on_deleted(world),
        }
    }

    /// Somebody copies something of the job: everything stays for now.
    fn on_pins(&mut self, pins: bool, world: &mut World) {
        if pins {
            return self.collected(world);
        }
        self.collector.stage = Stage::Deleting;
        self.delete_next(world);
    }

    fn on_deleted(&mut self, world: &mut World) {
        if let Some(Op::DeleteEntry(entry)) = self.collector.calls.pop_front() {
            self.owned_mut().deleted(entry);
        }
        self.delete_next(world);
    }

    fn delete_next(&mut self, world: &mut World) {
        if let Some(op) = self.collector.calls.front().cloned() {
            return self.call(Tag::Delete, op, world);
        }
        self.collector.deletes_all = self.collector.knows_dropped;
        let everything = world.lacks(Mutant::CollectByListing);
        if world.time() >= self.collector.list_again_at || everything {
            self.collector.stage = Stage::Listing;
            return self.call(Tag::Objects, Op::Objects, world);
        }
        self.list_slots(world);
    }

    fn on_objects(&mut self, listed: Vec<Listed>, world: &mut World) {
        let owner = self.owned().owner().number;
        if world.lacks(Mutant::CollectByListing) {
            let named: BTreeSet<_> = self.newest().manifest.objects().map(|object| object.name.clone()).collect();
            for unnamed in listed.into_iter().filter(|listed| !named.contains(&listed.name)) {
                self.call(Tag::Nothing, Op::Delete(unnamed.name), world);
            }
            return self.list_slots(world);
        }
        // What this attempt made itself is not listed: its subtasks may yet contribute it.
        let is_earlier = |listed: &Listed| listed.made_by < owner;
        self.collector.listed = if world.lacks(Mutant::OrphansOfNewer) {
            let foreign = listed.into_iter().filter(|listed| listed.made_by != owner);
            foreign.map(|listed| Listed { made_by: EntryNumber(0), ..listed }).collect()
        } else {
            listed.into_iter().filter(is_earlier).collect()
        };
        let grace = i64::try_from(world.plan.orphan_grace).expect("it is small");
        self.collector.list_again_at = world.time() + grace;
        if world.plan.sweeps_at_once
            && let Step::Stands(confirmed) = self.owned().step()
        {
            self.collector.stage = Stage::Deleting;
            self.collector.calls = self.orphans(confirmed, world).into_iter().map(Op::Delete).collect();
            return self.delete_next(world);
        }
        self.list_slots(world);
    }

    fn list_slots(&mut self, world: &mut World) {
        if !world.plan.ingest {
            return self.collected(world);
        }
        self.collector.stage = Stage::ListingSlots;
        self.call(Tag::Objects, Op::Slots { from: 0 }, world);
    }

    /// Slots that neither the newest entry nor one that it retains goes on from.
    fn on_old_slots(&mut self, slots: &[(u64, Option<u32>)], world: &mut World) {
        let newest = self.newest();
        let kept = newest.retained.iter().map(|kept| kept.number).chain([newest.number]);
        let positions: Option<Vec<u64>> = kept.map(|number| self.slots.get(&number).copied()).collect();
        let lowest = positions.and_then(|positions| positions.into_iter().min());
        let lowest = if world.lacks(Mutant::SlotsBelowNewest) { Some(super::own::slot_of(newest)) } else { lowest };
        for (slot, _) in slots.iter().filter(|(slot, _)| lowest.is_some_and(|lowest| *slot < lowest)) {
            self.call(Tag::Nothing, Op::DeleteSlot(*slot), world);
        }
        self.collected(world);
    }

    fn collected(&mut self, world: &mut World) {
        self.collector.stage = Stage::Idle;
        self.collector.calls.clear();
        let has_ended = self.newest().kind.is_terminal() && self.appending.is_none();
        if has_ended && self.collector.is_due {
            return self.collect(world);
        }
        if has_ended {
            world.truth.is_collected = self.collector.deletes_all;
            self.end(Ended::Done);
        }
    }
}
