//! Reading the chain, becoming its owner, appending to it.

use std::collections::BTreeMap;
use std::rc::Rc;

use weir_protocol::chain::{
    Confirmed, CreateOutcome, LookOutcome, NextError, Ownership, RunEntry, Start, Step, Stored,
};
use weir_protocol::id::EntryNumber;
use weir_protocol::manifest::{Manifest, Positions};
use weir_protocol::recovery::{Recovery, recover};

use super::{Appending, Attempt, Ended, Goal};
use crate::call::{Answer, Op, Tag};
use crate::data::{INGEST, SPLITS, max_parallelism};
use crate::rules::Mutant;
use crate::source::latest;
use crate::world::{World, note};

impl Attempt {
    pub(super) fn read_numbers(&self, world: &mut World) {
        self.call(Tag::Numbers, Op::Numbers { from: EntryNumber(0) }, world);
    }

    pub(super) fn on_numbers(&mut self, answer: Answer, world: &mut World) {
        let Answer::Numbers(numbers) = answer else { return self.end(Ended::Again) };
        match numbers.last().copied() {
            Some(newest) => {
                self.numbers = numbers;
                self.call(Tag::Newest, Op::Entries(vec![newest]), world);
            }
            None => self.start_job(world),
        }
    }

    /// Nobody has begun the job: entry 0, with where every source starts.
    fn start_job(&mut self, world: &mut World) {
        let sources = if world.lacks(Mutant::StartWithoutPositions) { BTreeMap::new() } else { starts(world) };
        let manifest = Manifest::start(max_parallelism(), world.time(), sources);
        self.wanted = world.plan.operators;
        let start = begin(EntryNumber(0), world);
        match Ownership::start(&start, manifest) {
            Ok(ownership) => self.own(ownership, world),
            Err(error) => world.broken("entries-hold-together", error.to_string()),
        }
    }

    pub(super) fn on_newest(&mut self, answer: Answer, world: &mut World) {
        let Answer::Entries(entries) = answer else { return self.end(Ended::Again) };
        // Gone since it was listed: whoever owns the job has appended and collected.
        let Some(newest) = entries.into_iter().next().flatten() else { return self.read_numbers(world) };
        if newest.entry.kind.is_terminal() {
            return self.end(Ended::Done);
        }
        let last = world.nodes[self.node].last;
        if last.is_some_and(|last| last != newest.entry.owner) {
            note!(world, self.actor(), "another owner made entry {}", newest.entry.number.0);
            return self.end(Ended::LetGo);
        }
        self.found = Some(newest);
        self.call(Tag::Spec, Op::Spec, world);
    }

    pub(super) fn on_spec(&mut self, answer: Answer, world: &mut World) {
        let Answer::Spec(spec) = answer else { return self.end(Ended::Again) };
        let found = Rc::clone(self.found.as_ref().expect("the newest entry was read"));
        match recover(&spec, Some(&found.entry)) {
            Recovery::Run(job) => self.wanted = job.parallelism,
            Recovery::Cancel => self.goal = Goal::Cancel,
            Recovery::NeverBegan | Recovery::Ended(_) => unreachable!("the newest entry ends nothing"),
        }
        if world.rollback_wanted && self.goal == Goal::Run {
            self.goal = Goal::RollBack { any: world.lacks(Mutant::RollBackPastPublished) };
        }
        let retained = found.entry.retained.iter().map(|retained| retained.number).collect();
        self.call(Tag::Retained, Op::Entries(retained), world);
    }

    pub(super) fn on_retained(&mut self, answer: Answer, world: &mut World) {
        let Answer::Entries(entries) = answer else { return self.end(Ended::Again) };
        let newest = self.found.clone().expect("the newest entry was read");
        let known = entries.into_iter().flatten().map(|entry| (entry.entry.number, entry.as_ref().clone()));
        let retained: BTreeMap<_, _> = known.collect();
        self.slots = retained.iter().map(|(number, kept)| (*number, slot_of(&kept.entry))).collect();
        let start = begin(newest.entry.spec, world);
        match Ownership::take_over(&start, newest.as_ref().clone(), &retained) {
            Ok(ownership) => self.own(ownership, world),
            Err(error) => world.broken("entries-hold-together", error.to_string()),
        }
    }

    fn own(&mut self, ownership: Ownership, world: &mut World) {
        self.ownership = Some(ownership);
        self.appending = Some(Appending::Beginning);
        self.settle(world);
    }

    /// Does the next step towards an entry that stands.
    pub(super) fn settle(&mut self, world: &mut World) {
        match self.owned().step() {
            Step::Create { number, bytes } => self.call(Tag::Create, Op::Create { number, bytes }, world),
            Step::Look { number } => self.call(Tag::Look, Op::Entries(vec![number]), world),
            Step::List { from } if world.lacks(Mutant::NeverList) => {
                self.owned_mut().on_list(Some(from));
                self.settle(world);
            }
            Step::List { from } => self.call(Tag::List, Op::Numbers { from }, world),
            Step::Stands(confirmed) => self.stands(confirmed, world),
            Step::Lost { to } => {
                note!(world, self.actor(), "lost to entry {}", to.0);
                world.totals.losses += 1;
                self.append_all_the_same(world);
                if self.appending == Some(Appending::Beginning) && self.found.is_some() {
                    return self.call(Tag::Winner, Op::Entries(vec![to]), world);
                }
                self.end(Ended::LetGo);
            }
        }
    }

    /// A takeover was beaten. By the owner whose entry it had read: that may be a late write of one that is dead, and it
    /// is tried again. By another: the job is in other hands.
    pub(super) fn on_winner(&mut self, answer: Answer, world: &mut World) {
        let Answer::Entries(entries) = answer else { return self.end(Ended::Again) };
        let read = self.found.as_ref().map(|found| found.entry.owner);
        let winner = entries.into_iter().next().flatten().map(|winner| winner.entry.owner);
        note!(world, self.actor(), "beaten by {winner:?}");
        world.totals.beaten_by_late_writes += u64::from(winner == read);
        self.end(if winner == read { Ended::Again } else { Ended::LetGo });
    }

    /// Without the rule: what was to be appended goes behind whatever is the newest by now.
    fn append_all_the_same(&mut self, world: &mut World) {
        let (Some(mut entry), Some(newest)) = (self.sent.take(), world.store.entries.values().next_back()) else {
            return;
        };
        let Stored { entry: newest, hash } = newest.as_ref();
        entry.number = newest.number.next();
        entry.parent = Some(*hash);
        entry.retained.clone_from(&newest.retained);
        entry.highest_checkpoint = entry.highest_checkpoint.max(newest.highest_checkpoint);
        let op = Op::Create { number: entry.number, bytes: entry.encode().into() };
        self.call(Tag::Nothing, op, world);
    }

    pub(super) fn on_create(&mut self, answer: &Answer, world: &mut World) {
        let outcome = if matches!(answer, Answer::Created) {
            CreateOutcome::Created
        } else if matches!(answer, Answer::Exists) {
            CreateOutcome::AlreadyExists
        } else {
            CreateOutcome::Unknown
        };
        if outcome == CreateOutcome::Unknown && self.is_given_up(world) {
            return;
        }
        let outcome = if world.lacks(Mutant::NeverLook) { CreateOutcome::Created } else { outcome };
        self.owned_mut().on_create(outcome);
        self.settle(world);
    }

    pub(super) fn on_look(&mut self, answer: Answer, world: &mut World) {
        let Answer::Entries(entries) = answer else { return self.again(Tag::Look, world) };
        match entries.into_iter().next().flatten() {
            Some(found) => {
                self.owned_mut().on_look(LookOutcome::Found(found.entry.nonce));
                self.settle(world);
            }
            None => {
                self.owned_mut().on_look(LookOutcome::Absent);
                self.again(Tag::Create, world);
            }
        }
    }

    pub(super) fn on_list(&mut self, answer: Answer, world: &mut World) {
        let Answer::Numbers(numbers) = answer else { return self.again(Tag::List, world) };
        self.owned_mut().on_list(numbers.last().copied());
        self.settle(world);
    }

    fn stands(&mut self, confirmed: Confirmed, world: &mut World) {
        self.confirmed = Some(confirmed);
        let newest = self.newest();
        let (number, slot) = (newest.number, slot_of(newest));
        self.slots.insert(number, slot);
        match self.appending.take().expect("something was appended") {
            Appending::Beginning => {
                world.nodes[self.node].last = Some(self.owned().owner());
                world.totals.takeovers += 1;
                self.find_dropped(world);
            }
            Appending::Checkpoint { checkpoint, last } => self.recorded(checkpoint, last, world),
            Appending::End => self.job_ended(world),
        }
    }

    /// What earlier owners dropped and did not get to delete.
    pub(super) fn find_dropped(&self, world: &mut World) {
        let is_left = |number: &EntryNumber| self.owned().is_dropped(*number);
        let leftovers: Vec<_> = self.numbers.iter().copied().filter(is_left).collect();
        self.call(Tag::Leftovers, Op::Entries(leftovers), world);
    }

    pub(super) fn on_leftovers(&mut self, answer: Answer, world: &mut World) {
        // What cannot be read stays for now.
        if let Answer::Entries(entries) = answer {
            self.collector.knows_dropped = true;
            for found in entries.into_iter().flatten() {
                self.owned_mut().found_dropped(&found.entry);
            }
        }
        match self.goal {
            Goal::RollBack { .. } => self.fence(world),
            Goal::Run => {
                self.begin_publication(world);
                self.call(Tag::Watch, Op::Spec, world);
                self.deploy(world);
            }
            Goal::Cancel | Goal::Finish => self.begin_publication(world),
        }
    }

    /// Looks now and then whether something else is wanted.
    pub(super) fn on_watch(&mut self, answer: Answer, world: &mut World) {
        // As the engine does: an entry that is on its way is settled before anything else is heard.
        if self.goal == Goal::Run && self.appending.is_none() {
            if let Answer::Spec(spec) = answer {
                let newest = self.newest();
                match recover(&spec, Some(newest)) {
                    Recovery::Cancel => {
                        note!(world, self.actor(), "cancels");
                        self.goal = Goal::Cancel;
                        self.stop_tasks();
                        return self.wind_up(world);
                    }
                    Recovery::Run(job) if job.parallelism != self.wanted => return self.end(Ended::Again),
                    Recovery::Run(_) | Recovery::NeverBegan | Recovery::Ended(_) => {}
                }
            }
            if world.rollback_wanted {
                return self.end(Ended::Again);
            }
        }
        if self.goal == Goal::Run {
            world.tell(self.id, 15, crate::world::Message::Again(Tag::Watch));
        }
    }

    pub(super) fn newest(&self) -> &RunEntry {
        &self.owned().newest().expect("an entry was created").entry
    }

    /// Tells what kept an entry from being appended.
    pub(super) fn not_appended(&mut self, error: &NextError, world: &mut World) {
        match error {
            NextError::Lost(_) => self.end(Ended::LetGo),
            NextError::Undecided(_) | NextError::Ended(_) | NextError::Unsound { .. } => {
                world.broken("entries-hold-together", error.to_string());
            }
        }
    }
}

fn begin(spec: EntryNumber, world: &mut World) -> Start {
    let (nonce, at) = (world.nonce(), world.time());
    Start { nonce, at, spec, checkpoints_retained: world.plan.retained, new_sources: BTreeMap::new() }
}

/// Where every source starts: with what comes next.
fn starts(world: &World) -> BTreeMap<weir_protocol::id::Uid, Positions> {
    let sides = if world.plan.ingest { 0..=INGEST } else { 0..=1 };
    let positions = |side: u8| {
        let splits = if side == INGEST { 1 } else { SPLITS };
        let position = |split: u8| (split.to_string(), latest(&world.plan, side, split, world.now).into());
        (uid(side), (0..splits).map(position).collect())
    };
    sides.map(positions).collect()
}

/// The source that a side comes from.
pub(crate) fn uid(side: u8) -> weir_protocol::id::Uid {
    ["left", "right", "ingest"][usize::from(side)].parse().expect("it is a name")
}

/// Where the ingest log goes on after an entry.
pub(crate) fn slot_of(entry: &RunEntry) -> u64 {
    let positions = entry.manifest.sources.get(&uid(INGEST));
    positions.and_then(|positions| positions.get("0")).and_then(serde_json::Value::as_u64).unwrap_or(0)
}
