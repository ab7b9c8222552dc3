//! Everything outside the actors: time, chance, the store, the sinks, and what is true.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::rc::Rc;

use weir_protocol::chain::Owner;
use weir_protocol::id::Nonce;
use weir_protocol::manifest::StateFile;
use weir_protocol::time::Timestamp;

use crate::call::{Answer, Op, Tag};
use crate::chance::Chance;
use crate::invariants::Truth;
use crate::operator::States;
use crate::outside::Outside;
use crate::plan::{Plan, Wish};
use crate::rules::{Mutant, Rules};
use crate::store::Store;
use crate::totals::Totals;
use crate::trace::Trace;

/// Notes something in the trace, if anybody wants one.
macro_rules! note {
    ($world:expr, $actor:expr, $($text:tt)+) => {
        if let Some(trace) = $world.trace.as_mut() {
            trace.note($world.step, $actor.as_ref(), format!($($text)+));
        }
    };
}
pub(crate) use note;

/// Who gets an answer: an attempt, a fork, a front end. Never used twice.
pub(crate) type ActorId = usize;

/// What happens next somewhere.
#[derive(Debug)]
pub(crate) enum Event {
    /// A call reaches the store or the sink.
    Apply { op: Op, reply: Option<(ActorId, Tag)> },
    /// Something reaches an actor.
    Message { to: ActorId, message: Message },
    /// Something happens to a node.
    Node { node: usize, event: NodeEvent },
    /// Somebody wants something.
    Wish(Wish),
    /// A record is sent to the ingest log.
    Ingest,
    /// Nobody sends to the ingest log any more.
    IngestEnds,
}

/// What reaches an actor.
#[derive(Debug)]
pub(crate) enum Message {
    Answer(Tag, Answer),
    /// What was called before is called again after a wait.
    Again(Tag),
    /// A task does its next step.
    Step(usize),
    /// A reporter tries again what the store did not take.
    Retry(usize),
    /// A source is to send a barrier.
    Trigger(usize, weir_protocol::alignment::Barrier),
    /// The coordinator hears of something.
    Coordinate(weir_protocol::coordinator::Event),
    /// The coordinator is to look at the time.
    Tick,
}

/// What happens to a node.
#[derive(Debug, Clone, Copy)]
pub(crate) enum NodeEvent {
    /// It looks whether somebody runs the job.
    Lease,
    /// It begins an attempt.
    Begin,
    Crash(u64),
    Restart,
    Pause(u64),
}

#[derive(Debug)]
struct Scheduled {
    at: u64,
    order: u64,
    event: Event,
}

/// A node, beside the attempt that it runs.
#[derive(Debug, Default)]
pub(crate) struct Node {
    pub(crate) is_down: bool,
    pub(crate) paused_until: u64,
    pub(crate) attempt: Option<ActorId>,
    /// Who this process was in the chain last.
    pub(crate) last: Option<Owner>,
    /// By index and parallelism: the files whose state lies there, and that state.
    pub(crate) disk: BTreeMap<(u32, u32), (Vec<StateFile>, Rc<States>)>,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) rules: Rules,
    pub(crate) chance: Chance,
    pub(crate) now: u64,
    pub(crate) step: u64,
    pub(crate) store: Store,
    pub(crate) outside: Outside,
    pub(crate) truth: Truth,
    pub(crate) nodes: [Node; 2],
    pub(crate) totals: Totals,
    pub(crate) trace: Option<Trace>,
    /// The first promise that was broken.
    pub(crate) broken: Option<(&'static str, String)>,
    /// Somebody wants to roll back.
    pub(crate) rollback_wanted: bool,
    /// Forks whose pins count no more.
    pub(crate) ended_forks: BTreeSet<ActorId>,
    queue: BinaryHeap<Scheduled>,
    order: u64,
    nonces: u128,
}

impl World {
    pub(crate) fn new(seed: u64, rules: Rules, trace: Option<Trace>) -> Self {
        let mut chance = Chance::new(seed);
        let plan = Plan::new(&mut chance);
        Self {
            store: Store::new(&plan),
            outside: Outside::new(plan.files),
            truth: Truth::default(),
            nodes: [Node::default(), Node::default()],
            totals: Totals { seeds: 1, ..Totals::default() },
            plan,
            rules,
            chance,
            now: 0,
            step: 0,
            trace,
            broken: None,
            rollback_wanted: false,
            ended_forks: BTreeSet::new(),
            queue: BinaryHeap::new(),
            order: 0,
            nonces: 0,
        }
    }

    pub(crate) fn lacks(&self, mutant: Mutant) -> bool {
        self.rules.lacks(mutant)
    }

    pub(crate) const fn nonce(&mut self) -> Nonce {
        self.nonces += 1;
        Nonce(self.nonces)
    }

    /// The time as the protocol has it.
    pub(crate) fn time(&self) -> Timestamp {
        Timestamp::try_from(self.now).expect("runs are short")
    }

    pub(crate) const fn is_quiet(&self) -> bool {
        self.now >= self.plan.quiet_at
    }

    /// Notes that a promise is broken. The first counts.
    pub(crate) fn broken(&mut self, invariant: &'static str, detail: impl Into<String>) {
        if self.broken.is_none() {
            self.broken = Some((invariant, detail.into()));
        }
    }

    pub(crate) fn after(&mut self, delay: u64, event: Event) {
        self.order += 1;
        self.queue.push(Scheduled { at: self.now + delay, order: self.order, event });
    }

    pub(crate) fn tell(&mut self, to: ActorId, delay: u64, message: Message) {
        self.after(delay, Event::Message { to, message });
    }

    /// As [`tell`](Self::tell), but not before what went the same way last.
    pub(crate) fn tell_in_order(&mut self, to: ActorId, last: &mut u64, message: Message) {
        let delay = self.delay();
        *last = (*last).max(self.now + delay);
        self.tell(to, *last - self.now, message);
    }

    /// The next event; time moves on to it.
    pub(crate) fn next(&mut self) -> Option<Event> {
        let Scheduled { at, event, .. } = self.queue.pop()?;
        self.now = self.now.max(at);
        self.step += 1;
        Some(event)
    }

    /// A short wait; now and then a long one.
    pub(crate) fn delay(&mut self) -> u64 {
        if !self.is_quiet() && self.chance.per_mille(self.plan.slow_per_mille) {
            return self.chance.between(10, 70);
        }
        self.chance.below(4)
    }

    /// Sends a call on its way: performed or not, at once or late, answered or not.
    pub(crate) fn call(&mut self, who: ActorId, tag: Tag, op: Op) {
        let (there, back) = (self.delay(), self.delay());
        if self.is_away(&op) {
            return self.tell(who, there + back + 1, Message::Answer(tag, Answer::Failed));
        }
        if self.is_quiet() || !self.chance.per_mille(self.plan.faults_per_mille) {
            return self.after(there, Event::Apply { op, reply: Some((who, tag)) });
        }
        self.tell(who, there + back, Message::Answer(tag, Answer::Failed));
        match self.chance.below(3) {
            1 if op.is_write() => {
                self.totals.unanswered += 1;
                self.after(there, Event::Apply { op, reply: None });
            }
            2 if op.is_write() => {
                self.totals.late += 1;
                let later = self.chance.between(1, 120);
                self.after(there + back + later, Event::Apply { op, reply: None });
            }
            _ => self.totals.refused += 1,
        }
    }

    fn is_away(&self, op: &Op) -> bool {
        let away = if op.is_outside() { self.plan.sink_away } else { self.plan.store_away };
        away.is_some_and(|(from, until)| (from..until).contains(&self.now)) && !self.is_quiet()
    }

    /// A call is performed; its answer goes on its way.
    pub(crate) fn apply(&mut self, op: Op, reply: Option<(ActorId, Tag)>) {
        let answer = if op.is_outside() { self.perform_outside(op) } else { self.perform(op) };
        if let Some((who, tag)) = reply {
            let back = self.delay();
            self.tell(who, back, Message::Answer(tag, answer));
        }
    }
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The earliest is the greatest: the heap gives that one first.
impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}
