//! Who acts, and what happens next.

use weir_protocol::chain::Wanted;

use crate::attempt::{Attempt, Ended};
use crate::fork::Fork;
use crate::front::Front;
use crate::plan::Wish;
use crate::store::job;
use crate::world::{ActorId, Event, Message, Node, NodeEvent, World, note};

/// Steps after which a run that has not ended never will.
const STEPS_MAX: u64 = 60_000;
/// How long after the end of the faults a job may take to end.
const SETTLES_WITHIN: u64 = 2_500;

/// Whoever acts.
#[derive(Debug)]
enum Actor {
    Attempt(Box<Attempt>),
    Fork(Box<Fork>),
    Front(Box<Front>),
}

/// A run: the world, and who acts in it.
pub(crate) struct Simulation {
    pub(crate) world: World,
    actors: Vec<Option<Actor>>,
    fronts: [Option<ActorId>; 2],
    requests: u32,
}

impl Simulation {
    pub(crate) fn new(mut world: World) -> Self {
        for node in 0..2 {
            let delay = if node == 0 { 0 } else { 30 };
            world.after(delay, Event::Node { node, event: NodeEvent::Lease });
        }
        for (at, wish) in world.plan.wishes.clone() {
            world.after(at, Event::Wish(wish));
        }
        for crash in world.plan.crashes.clone() {
            world.after(crash.at, Event::Node { node: crash.node, event: NodeEvent::Crash(crash.length) });
        }
        for pause in world.plan.pauses.clone() {
            world.after(pause.at, Event::Node { node: pause.node, event: NodeEvent::Pause(pause.length) });
        }
        if world.plan.ingest {
            world.after(3, Event::Ingest);
            let over = world.chance.between(100, 260);
            world.after(over, Event::IngestEnds);
        }
        Self { world, actors: Vec::new(), fronts: [None, None], requests: 0 }
    }

    /// Steps until the job has ended and nothing is left to do, or a promise is broken.
    pub(crate) fn drive(&mut self) {
        while self.world.broken.is_none() {
            let Some(event) = self.world.next() else { break };
            self.happen(event);
            let overdue = self.world.now > self.world.plan.quiet_at + SETTLES_WITHIN || self.world.step > STEPS_MAX;
            if overdue && self.world.truth.has_ended() {
                break;
            }
            if overdue && self.world.broken.is_none() {
                self.note_stuck();
                self.world.broken("the-job-ends", "faults have stopped, and the job has not ended");
            }
        }
        self.world.totals.steps = self.world.step;
        // The hash of the trace covers every choice: the next one depends on all before.
        let (now, next) = (self.world.now, self.world.chance.clone().next());
        note!(self.world, "people", "look away at {now}, {next:x}");
        if self.world.broken.is_none() {
            self.world.check_settled();
        }
    }

    /// Where everybody stands, for whoever asks why nothing happens.
    fn note_stuck(&mut self) {
        for actor in self.actors.iter().flatten() {
            if let Actor::Attempt(attempt) = actor {
                note!(self.world, "people", "{}", attempt.stands_at());
            }
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Apply { op, reply } => self.world.apply(op, reply),
            Event::Message { to, message } => self.deliver(to, message),
            Event::Node { node, event } => self.on_node(node, event),
            Event::Wish(wish) => self.on_wish(wish),
            Event::Ingest => self.on_ingest(),
            Event::IngestEnds => self.on_ingest_ends(),
        }
    }

    /// Gives a message to its actor, unless that is gone; a node that is paused gets it when it goes on.
    fn deliver(&mut self, to: ActorId, message: Message) {
        let Some(actor) = self.actors.get_mut(to).and_then(Option::take) else { return };
        let node = match &actor {
            Actor::Attempt(attempt) => Some(attempt.node),
            Actor::Front(front) => Some(front.node),
            Actor::Fork(_) => None,
        };
        let paused_until = node.map_or(0, |node| self.world.nodes[node].paused_until);
        if paused_until > self.world.now {
            self.actors[to] = Some(actor);
            let delay = paused_until - self.world.now;
            return self.world.tell(to, delay, message);
        }
        self.actors[to] = match actor {
            Actor::Attempt(mut attempt) => {
                attempt.on(message, &mut self.world);
                self.after_attempt(attempt)
            }
            Actor::Fork(mut fork) => {
                fork.on(message, &mut self.world);
                (!fork.has_ended).then_some(Actor::Fork(fork))
            }
            Actor::Front(mut front) => {
                front.on(message, &mut self.world);
                Some(Actor::Front(front))
            }
        };
    }

    fn after_attempt(&mut self, attempt: Box<Attempt>) -> Option<Actor> {
        let node = attempt.node;
        let Some(ended) = attempt.ended else { return Some(Actor::Attempt(attempt)) };
        note!(self.world, ["node 0", "node 1"][node], "the attempt is over: {ended:?}");
        self.world.nodes[node].attempt = None;
        match ended {
            Ended::Again => {
                let delay = self.world.chance.between(3, 12);
                self.world.after(delay, Event::Node { node, event: NodeEvent::Begin });
            }
            Ended::LetGo | Ended::Done => self.world.nodes[node].last = None,
        }
        None
    }

    fn on_node(&mut self, node: usize, event: NodeEvent) {
        match event {
            NodeEvent::Lease => self.lease(node),
            NodeEvent::Begin => self.begin(node),
            NodeEvent::Crash(length) => self.crash(node, length),
            NodeEvent::Restart => self.world.nodes[node].is_down = false,
            NodeEvent::Pause(length) => {
                note!(self.world, ["node 0", "node 1"][node], "pauses for {length}");
                self.world.totals.pauses += 1;
                let until = self.world.now + length;
                self.world.nodes[node].paused_until = until;
            }
        }
    }

    /// Takes the job over where nobody else seems to run it; now and then where somebody does.
    fn lease(&mut self, node: usize) {
        if self.world.truth.has_ended() {
            return;
        }
        let delay = self.world.chance.between(15, 45);
        self.world.after(delay, Event::Node { node, event: NodeEvent::Lease });
        let now = self.world.now;
        let silent = |node: usize| {
            let Node { attempt, paused_until, .. } = &self.world.nodes[node];
            attempt.is_none() || *paused_until > now
        };
        let is_wrong = !self.world.is_quiet() && self.world.chance.one_in(6);
        if silent(1 - node) || is_wrong {
            self.begin(node);
        }
        if self.world.plan.ingest && self.world.is_quiet() && !self.world.truth.is_log_closed() {
            self.ask(node, None);
        }
    }

    fn begin(&mut self, node: usize) {
        let state = &self.world.nodes[node];
        if state.attempt.is_some()
            || state.is_down
            || state.paused_until > self.world.now
            || self.world.truth.has_ended()
        {
            return;
        }
        let id = self.actors.len();
        let mut attempt = Box::new(Attempt::new(id, node, self.world.now));
        self.world.nodes[node].attempt = Some(id);
        attempt.begin(&mut self.world);
        self.actors.push(Some(Actor::Attempt(attempt)));
    }

    /// Everything but the store, local disk and the outside is gone.
    fn crash(&mut self, node: usize, length: u64) {
        note!(self.world, ["node 0", "node 1"][node], "crashes for {length}");
        self.world.totals.crashes += 1;
        for actor in &mut self.actors {
            let is_there = match actor {
                Some(Actor::Attempt(attempt)) => attempt.node == node,
                Some(Actor::Front(front)) => front.node == node,
                Some(Actor::Fork(_)) | None => false,
            };
            if is_there {
                *actor = None;
            }
        }
        self.fronts[node] = None;
        let state = &mut self.world.nodes[node];
        (state.is_down, state.attempt, state.last, state.paused_until) = (true, None, None, 0);
        self.world.after(length, Event::Node { node, event: NodeEvent::Restart });
    }

    fn on_wish(&mut self, wish: Wish) {
        note!(self.world, "people", "{wish:?}");
        match wish {
            Wish::Cancel => self.world.store.want(Wanted::Cancel),
            Wish::Rescale(parallelism) => {
                // Whoever cancels first has the last word.
                let cancelled = self.world.store.specs.iter().any(|spec| spec.wanted == Wanted::Cancel);
                if !cancelled {
                    self.world.store.want(Wanted::Deploy(Box::new(job(parallelism))));
                }
            }
            Wish::RollBack => self.world.rollback_wanted = true,
            Wish::Fork => {
                let id = self.actors.len();
                let mut fork = Box::new(Fork::new(id));
                fork.begin(&mut self.world);
                self.actors.push(Some(Actor::Fork(fork)));
                if !self.world.chance.one_in(3) && !self.world.is_quiet() {
                    let delay = self.world.chance.between(10, 60);
                    self.world.after(delay, Event::Wish(Wish::Fork));
                }
            }
            Wish::Damage => self.world.damage(),
            Wish::Repair => self.world.repair(),
        }
    }

    fn on_ingest(&mut self) {
        if self.world.truth.has_ended() || self.requests > 60 {
            return;
        }
        self.requests += 1;
        let node = self.world.chance.index(2);
        let request = self.requests;
        self.ask(node, Some(request));
        let delay = self.world.chance.between(1, 18);
        self.world.after(delay, Event::Ingest);
    }

    /// Sends a record to a node's front end, or the wish to close the log.
    fn ask(&mut self, node: usize, request: Option<u32>) {
        let id = self.fronts[node].unwrap_or_else(|| {
            self.actors.push(Some(Actor::Front(Box::new(Front::new(self.actors.len(), node)))));
            self.actors.len() - 1
        });
        self.fronts[node] = Some(id);
        if let Some(Some(Actor::Front(front))) = self.actors.get_mut(id) {
            front.request(request, &mut self.world);
        }
    }

    fn on_ingest_ends(&mut self) {
        self.requests = 1_000;
        self.ask(0, None);
    }
}
