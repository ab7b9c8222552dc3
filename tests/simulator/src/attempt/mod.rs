//! One attempt at the job by one node: an actor that performs what the protocol decides, one call at a time.
//!
//! It does what the engine does, in the same order: reads the chain, takes the job over, publishes what entries name,
//! restores the tasks, lets the coordinator take checkpoints, records them, publishes, collects; and ends the job.
//! Everything that it learns comes as a [`Message`].

mod bounds;
mod collect;
mod deploy;
mod own;
mod publish;
mod record;
mod roll_back;

use std::collections::{BTreeMap, VecDeque};

use weir_protocol::assembly::Assembly;
use weir_protocol::chain::{Confirmed, Ownership, RunEntry};
use weir_protocol::coordinator::{Action, Coordinator, Event};
use weir_protocol::id::{EntryNumber, Nonce};
use weir_protocol::publication::Publication;
use weir_protocol::time::Timestamp;

use crate::call::{Answer, Entry, Op, Tag};
use crate::plane::Plane;
use crate::world::{ActorId, Message, World, note};

use collect::Collector;
use deploy::Deploying;
pub(crate) use deploy::{channels, operator_uid};
pub(crate) use own::{slot_of, uid};
use publish::Outlet;

/// The wait before a call that failed is made again.
const RETRY_DELAY: u64 = 6;

#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) id: ActorId,
    pub(crate) node: usize,
    began_at: u64,
    goal: Goal,
    /// The operator's parallelism: what is wanted, and what it is.
    wanted: u32,
    parallelism: u32,
    /// The newest entry as it was read, the numbers that were listed, and what it retains.
    found: Option<Entry>,
    numbers: Vec<EntryNumber>,
    ownership: Option<Ownership>,
    confirmed: Option<Confirmed>,
    appending: Option<Appending>,
    /// For the mutants that go back to it: what was known before the append.
    before: Option<(Ownership, Nonce)>,
    /// For the mutant that appends it wherever it can.
    sent: Option<RunEntry>,
    publication: Option<Publication>,
    /// What was known when the attempt began: the marker must fit that.
    begun: Option<Publication>,
    outlet: Outlet,
    deploying: Option<Deploying>,
    plane: Option<Plane>,
    coordinator: Option<Coordinator>,
    assembly: Option<Assembly>,
    /// What the coordinator wants, and what it has not heard of.
    actions: VecDeque<Action>,
    inbox: VecDeque<Event>,
    tick_at: Option<Timestamp>,
    collector: Collector,
    /// By entry: where the ingest log goes on.
    slots: BTreeMap<EntryNumber, u64>,
    /// Checkpoints triggered in a row though there was no room; records sent before results had to wait.
    crowded: u64,
    congested_at: Option<u64>,
    pub(crate) ended: Option<Ended>,
}

/// What an attempt is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goal {
    Run,
    Finish,
    Cancel,
    /// `any`: to any entry, whatever was published since.
    RollBack {
        any: bool,
    },
}

/// What an append that is on its way is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Appending {
    Beginning,
    Checkpoint { checkpoint: weir_protocol::id::CheckpointId, last: bool },
    End,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The same process tries again.
    Again,
    /// The process lets go of the job.
    LetGo,
    /// The job has ended.
    Done,
}

impl Attempt {
    pub(crate) fn new(id: ActorId, node: usize, began_at: u64) -> Self {
        Self {
            id,
            node,
            began_at,
            goal: Goal::Run,
            wanted: 1,
            parallelism: 1,
            found: None,
            numbers: Vec::new(),
            ownership: None,
            confirmed: None,
            appending: None,
            before: None,
            sent: None,
            publication: None,
            begun: None,
            outlet: Outlet::default(),
            deploying: None,
            plane: None,
            coordinator: None,
            assembly: None,
            actions: VecDeque::new(),
            inbox: VecDeque::new(),
            tick_at: None,
            collector: Collector::default(),
            slots: BTreeMap::new(),
            crowded: 0,
            congested_at: None,
            ended: None,
        }
    }

    /// Who it is, in the trace.
    fn actor(&self) -> &'static str {
        ["node 0", "node 1"][self.node]
    }

    /// Where it stands, for people who ask why nothing happens.
    pub(crate) fn stands_at(&self) -> String {
        let Self { node, goal, appending, outlet, deploying, plane, congested_at, .. } = self;
        let tasks = plane.as_ref().map(Plane::stands_at).unwrap_or_default();
        let is_deploying = deploying.is_some();
        format!(
            "node {node}: {goal:?}, appending {appending:?}, {outlet:?}, deploying {is_deploying}, \
             congested {congested_at:?}, {} events, {tasks}",
            self.inbox.len()
        )
    }

    fn call(&self, tag: Tag, op: Op, world: &mut World) {
        world.call(self.id, tag, op);
    }

    fn again(&self, tag: Tag, world: &mut World) {
        world.tell(self.id, RETRY_DELAY, Message::Again(tag));
    }

    fn end(&mut self, ended: Ended) {
        self.ended.get_or_insert(ended);
    }

    /// Stops, as the owner does that finds something missing or damaged, until a person helps: whose job it is, and
    /// where nothing was damaged, may never do so.
    fn stop_as_damaged(&mut self, what: &str, world: &mut World) {
        note!(world, self.actor(), "{what}");
        let newest = world.truth.history.last().map(|newest| newest.entry.owner);
        if newest == Some(self.owned().owner()) && !world.store.was_damaged_since(self.began_at) {
            world.broken("stays-driven", format!("the job's owner stops, and nothing was damaged: {what}"));
        }
        self.end(Ended::LetGo);
    }

    fn owned(&self) -> &Ownership {
        self.ownership.as_ref().expect("the attempt has begun to own")
    }

    fn owned_mut(&mut self) -> &mut Ownership {
        self.ownership.as_mut().expect("the attempt has begun to own")
    }

    /// Begins, with a look at the chain.
    pub(crate) fn begin(&mut self, world: &mut World) {
        note!(world, self.actor(), "begins an attempt");
        self.read_numbers(world);
    }

    /// Takes in what reached it.
    pub(crate) fn on(&mut self, message: Message, world: &mut World) {
        match message {
            Message::Answer(tag, answer) => self.on_answer(tag, answer, world),
            Message::Again(tag) => self.on_again(tag, world),
            Message::Step(task) => {
                if let Some(plane) = &mut self.plane {
                    plane.step(task, world);
                }
                self.check_paused(world);
            }
            Message::Retry(task) => {
                if let Some(plane) = &mut self.plane {
                    plane.tasks[task].reporter.retry(world);
                }
            }
            Message::Trigger(task, barrier) => {
                if let Some(plane) = &mut self.plane {
                    plane.trigger(task, barrier, world);
                }
            }
            Message::Coordinate(event) => {
                self.inbox.push_back(event);
                self.coordinate(world);
            }
            Message::Tick => {
                self.tick_at = None;
                self.inbox.push_back(Event::Tick);
                self.coordinate(world);
            }
        }
        self.check_bounded(world);
        if let Some(plane) = &self.plane
            && plane.tasks.iter().any(|task| task.reporter.has_failed())
        {
            self.end(Ended::Again);
        }
    }

    fn on_answer(&mut self, tag: Tag, answer: Answer, world: &mut World) {
        match tag {
            Tag::Numbers => self.on_numbers(answer, world),
            Tag::Newest => self.on_newest(answer, world),
            Tag::Spec => self.on_spec(answer, world),
            Tag::Retained => self.on_retained(answer, world),
            Tag::Create => self.on_create(&answer, world),
            Tag::Look => self.on_look(answer, world),
            Tag::List => self.on_list(answer, world),
            Tag::Winner => self.on_winner(answer, world),
            Tag::Leftovers => self.on_leftovers(answer, world),
            Tag::Restore(index) => self.on_restore(index, answer, world),
            Tag::Watch => self.on_watch(answer, world),
            Tag::Put(task) | Tag::Base(task) | Tag::Merge(task) | Tag::Slots(task) => {
                self.on_task(tag, task, answer, world);
            }
            Tag::Marker(turn) | Tag::Outbox(turn) | Tag::Publish(turn) if !self.is_due(turn) => {}
            Tag::Marker(_) => self.on_marker(answer, world),
            Tag::Outbox(_) => self.on_outbox(answer, world),
            Tag::Publish(_) => self.on_publish(answer, world),
            Tag::Pins | Tag::Delete | Tag::Objects | Tag::Close => self.on_collected(tag, answer, world),
            Tag::Fence => self.on_fence(&answer, world),
            Tag::Nothing | Tag::Pin | Tag::Copy => {}
        }
    }

    fn on_again(&mut self, tag: Tag, world: &mut World) {
        match tag {
            Tag::Create | Tag::Look | Tag::List => self.settle(world),
            Tag::Leftovers => self.find_dropped(world),
            Tag::Watch => self.call(Tag::Watch, Op::Spec, world),
            Tag::Marker(turn) | Tag::Outbox(turn) | Tag::Publish(turn) if !self.is_due(turn) => {}
            Tag::Marker(_) => self.call(tag, Op::Marker, world),
            Tag::Outbox(_) | Tag::Publish(_) => self.go_on_publishing(world),
            Tag::Restore(index) => self.read_state(index, world),
            Tag::Fence => self.fence(world),
            Tag::Close => self.close_log(world),
            Tag::Numbers
            | Tag::Newest
            | Tag::Spec
            | Tag::Retained
            | Tag::Winner
            | Tag::Put(_)
            | Tag::Base(_)
            | Tag::Merge(_)
            | Tag::Slots(_)
            | Tag::Pins
            | Tag::Delete
            | Tag::Objects
            | Tag::Nothing
            | Tag::Pin
            | Tag::Copy => {}
        }
    }

    fn on_task(&mut self, tag: Tag, task: usize, answer: Answer, world: &mut World) {
        let Some(plane) = &mut self.plane else { return };
        let reporter = &mut plane.tasks[task].reporter;
        if matches!(tag, Tag::Put(_)) {
            reporter.on_put(&answer, world);
        } else if matches!(tag, Tag::Base(_)) {
            reporter.on_base(&answer, world);
        } else if matches!(tag, Tag::Merge(_)) {
            reporter.on_merge(answer);
        } else {
            let slots = if let Answer::Slots(slots) = &answer { Some(slots.as_slice()) } else { None };
            plane.on_slots(task, slots, world);
        }
    }
}
