//! A front end of the ingest log: it writes what it is sent to the next slot, and acknowledges once a look at the chain
//! shows that the slot will be read.
//!
//! The engine has no ingest log yet: the mutants of this part prove the model, not the product. A request that
//! is not acknowledged is sent again, to another slot.

use std::collections::VecDeque;

use weir_protocol::id::EntryNumber;

use crate::attempt::slot_of;
use crate::call::{Answer, Op, Tag};
use crate::rules::Mutant;
use crate::world::{ActorId, Message, World, note};

const RETRY_DELAY: u64 = 5;

#[derive(Debug)]
pub(crate) struct Front {
    id: ActorId,
    pub(crate) node: usize,
    /// The slot that it believes to be the next.
    next: u64,
    /// Requests; the last may be the wish to close the log.
    requests: VecDeque<Option<u32>>,
    is_busy: bool,
    /// The slot was taken, or nobody knows: it is to look for the next.
    looks_for_next: bool,
}

impl Front {
    pub(crate) const fn new(id: ActorId, node: usize) -> Self {
        Self { id, node, next: 0, requests: VecDeque::new(), is_busy: false, looks_for_next: false }
    }

    pub(crate) fn request(&mut self, request: Option<u32>, world: &mut World) {
        self.requests.push_back(request);
        self.write(world);
    }

    fn write(&mut self, world: &mut World) {
        if let (false, Some(request)) = (self.is_busy, self.requests.front().copied()) {
            self.is_busy = true;
            let op = Op::CreateSlot { slot: self.next, request };
            world.call(self.id, Tag::Create, op);
        }
    }

    pub(crate) fn on(&mut self, message: Message, world: &mut World) {
        let Message::Answer(tag, answer) = message else {
            self.is_busy = false;
            return self.write(world);
        };
        match (tag, answer) {
            (Tag::Create, Answer::Created) if world.lacks(Mutant::AcknowledgeWithoutLooking) => self.acknowledge(world),
            (Tag::Create, Answer::Created) => self.list(world),
            (Tag::Create, _) => {
                self.looks_for_next = true;
                self.list(world);
            }
            (Tag::Slots(_), Answer::Slots(slots)) => self.on_slots(&slots, world),
            (Tag::Numbers, Answer::Numbers(numbers)) => match numbers.last() {
                Some(newest) => world.call(self.id, Tag::Newest, Op::Entries(vec![*newest])),
                None => self.on_position(0, world),
            },
            (Tag::Newest, Answer::Entries(entries)) => match entries.into_iter().next().flatten() {
                Some(newest) => self.on_position(slot_of(&newest.entry), world),
                None => self.list(world),
            },
            (Tag::Numbers | Tag::Newest, _) => self.list(world),
            _ => self.again(world),
        }
    }

    fn list(&self, world: &mut World) {
        world.call(self.id, Tag::Numbers, Op::Numbers { from: EntryNumber(0) });
    }

    /// Where the job reads on: a slot before that is never read, and one there that closes the log closes nothing.
    fn on_position(&mut self, position: u64, world: &mut World) {
        if std::mem::take(&mut self.looks_for_next) {
            self.next = self.next.max(position);
            return world.call(self.id, Tag::Slots(0), Op::Slots { from: self.next });
        }
        if position <= self.next {
            return self.acknowledge(world);
        }
        self.next = position;
        self.again(world);
    }

    /// The slot was taken, or nobody knows: goes on behind the last that there is, unless the log is closed.
    fn on_slots(&mut self, slots: &[(u64, Option<u32>)], world: &mut World) {
        if slots.iter().any(|(_, request)| request.is_none()) {
            self.requests.clear();
            self.is_busy = false;
            return;
        }
        self.next = slots.last().map_or(self.next, |(slot, _)| slot + 1);
        self.again(world);
    }

    fn again(&self, world: &mut World) {
        world.tell(self.id, RETRY_DELAY, Message::Again(Tag::Create));
    }

    fn acknowledge(&mut self, world: &mut World) {
        self.is_busy = false;
        let request = self.requests.pop_front().flatten();
        if let Some(request) = request {
            note!(world, "front end", "acknowledges slot {}", self.next);
            world.totals.ingested += 1;
            world.check_acknowledged(self.next, request);
        }
        self.next += 1;
        self.write(world);
    }
}
