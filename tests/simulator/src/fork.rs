//! A fork: a new job from a retained entry of this one. It pins, reads the newest entry, copies what it needs, then lets
//! the pin go.
//!
//! The engine has no forks yet: the mutants of this part prove the model, not the product. Only the copying
//! is here: the new job has its own objects from then on, and would run like any other.

use std::collections::VecDeque;
use std::rc::Rc;

use weir_protocol::id::EntryNumber;

use crate::call::{Answer, Entry, Op, Tag};
use crate::rules::Mutant;
use crate::world::{ActorId, Message, World, note};

const RETRY_DELAY: u64 = 9;

#[derive(Debug)]
pub(crate) struct Fork {
    id: ActorId,
    newest: Option<Entry>,
    /// What is still to be copied.
    names: VecDeque<String>,
    op: Option<(Tag, Op)>,
    pub(crate) has_ended: bool,
}

impl Fork {
    pub(crate) const fn new(id: ActorId) -> Self {
        Self { id, newest: None, names: VecDeque::new(), op: None, has_ended: false }
    }

    pub(crate) fn begin(&mut self, world: &mut World) {
        note!(world, "fork", "begins");
        if world.lacks(Mutant::CopyWithoutPin) {
            return self.list(world);
        }
        self.call(Tag::Pin, Op::Pin(self.id), world);
    }

    fn list(&mut self, world: &mut World) {
        self.call(Tag::Numbers, Op::Numbers { from: EntryNumber(0) }, world);
    }

    fn call(&mut self, tag: Tag, op: Op, world: &mut World) {
        self.op = Some((tag, op.clone()));
        world.call(self.id, tag, op);
    }

    pub(crate) fn on(&mut self, message: Message, world: &mut World) {
        match message {
            Message::Answer(_, Answer::Failed) => world.tell(self.id, RETRY_DELAY, Message::Again(Tag::Nothing)),
            Message::Answer(tag, answer) => self.on_answer(tag, answer, world),
            Message::Again(_) => {
                if let Some((tag, op)) = self.op.clone() {
                    world.call(self.id, tag, op);
                }
            }
            Message::Step(_) | Message::Retry(_) | Message::Trigger(..) | Message::Coordinate(_) | Message::Tick => {}
        }
    }

    fn on_answer(&mut self, tag: Tag, answer: Answer, world: &mut World) {
        match (tag, answer) {
            (Tag::Pin, _) if self.newest.is_none() => self.list(world),
            (Tag::Numbers, Answer::Numbers(numbers)) => match numbers.last() {
                Some(newest) => self.call(Tag::Newest, Op::Entries(vec![*newest]), world),
                None => self.let_go(world),
            },
            (Tag::Newest, Answer::Entries(entries)) => match entries.into_iter().next().flatten() {
                Some(newest) => self.choose(newest, world),
                None => self.list(world),
            },
            (Tag::Retained, Answer::Entries(entries)) => match entries.into_iter().next().flatten() {
                Some(chosen) => self.copy_from(&chosen, world),
                None => world.broken("needed-stays", "an entry is gone, and a fork is about to copy it"),
            },
            (Tag::Copy, Answer::Contents(contents)) => {
                let gone = self.names.front().filter(|name| !world.store.objects.contains_key(*name)).cloned();
                if let Some(gone) = gone.filter(|_| contents.iter().any(Option::is_none)) {
                    world.broken("needed-stays", format!("{gone} is gone, and a fork copies it"));
                }
                self.names.pop_front();
                // Copying takes its time.
                self.op = self.names.front().cloned().map(|name| (Tag::Copy, Op::Read(vec![name])));
                let delay = world.chance.between(5, 60);
                match self.op {
                    Some(_) => world.tell(self.id, delay, Message::Again(Tag::Copy)),
                    None => self.let_go(world),
                }
            }
            _ => self.ended(world),
        }
    }

    /// Any entry that the newest retains, or the newest.
    fn choose(&mut self, newest: Entry, world: &mut World) {
        let numbers: Vec<_> =
            newest.entry.retained.iter().map(|kept| kept.number).chain([newest.entry.number]).collect();
        let oldest = world.chance.one_in(2);
        let chosen = if oldest { numbers[0] } else { numbers[world.chance.index(numbers.len())] };
        self.newest = Some(Rc::clone(&newest));
        if chosen == newest.entry.number {
            return self.copy_from(&newest, world);
        }
        self.call(Tag::Retained, Op::Entries(vec![chosen]), world);
    }

    fn copy_from(&mut self, chosen: &Entry, world: &mut World) {
        note!(world, "fork", "copies entry {}", chosen.entry.number.0);
        // A fork publishes nothing that it inherits, so it needs no outboxes.
        let states = chosen.entry.manifest.operators.values().flatten().flat_map(|subtask| subtask.state_files());
        self.names = states.filter_map(|file| file.blob.object()).map(|object| object.name.clone()).collect();
        world.truth.pinned(self.id, self.names.iter().cloned());
        self.copy_next(world);
    }

    fn copy_next(&mut self, world: &mut World) {
        match self.names.front().cloned() {
            Some(name) => self.call(Tag::Copy, Op::Read(vec![name]), world),
            None => self.let_go(world),
        }
    }

    fn let_go(&mut self, world: &mut World) {
        world.truth.unpinned(self.id);
        world.totals.forks += 1;
        self.call(Tag::Nothing, Op::Unpin(self.id), world);
    }

    fn ended(&mut self, world: &mut World) {
        self.has_ended = true;
        world.ended_forks.insert(self.id);
    }
}
