//! One outbox after the other becomes public; when everything is, a job that ends can end.

use std::collections::BTreeMap;

use weir_protocol::chain::{DroppedOutbox, EntryKind};
use weir_protocol::id::SubtaskId;
use weir_protocol::manifest::{Manifest, Outbox, Outlet as Name};
use weir_protocol::publication::Publication;

use super::{Appending, Attempt, Ended, Goal};
use crate::call::{Answer, Op, Publish, Tag};
use crate::data::{Content, Outcome};
use crate::rules::Mutant;
use crate::world::World;

/// How the outlet stands.
#[derive(Debug, Default)]
pub(super) struct Outlet {
    /// Which publication of the attempt this is.
    turn: u8,
    knows_marker: bool,
    /// What is on its way: the outbox, and the calls that are still to be made.
    publishing: Option<(Outbox, Vec<Op>)>,
    /// The log is closed, as it must be before the job's end.
    log_closed: bool,
}

pub(super) fn sink() -> Name {
    Name::Sink("out".parse().expect("it is a name"))
}

impl Attempt {
    /// Begins to publish what the newest entry names, which stands.
    pub(super) fn begin_publication(&mut self, world: &mut World) {
        let confirmed = self.confirmed.expect("an entry stands");
        let begun = Publication::begin(confirmed, self.newest());
        (self.begun, self.publication) = (Some(begun.clone()), Some(begun));
        self.outlet = Outlet { turn: self.outlet.turn + 1, ..Outlet::default() };
        if self.goal == Goal::Cancel && world.lacks(Mutant::CancelWithoutPublishing) {
            self.outlet.knows_marker = true;
            return self.close_log(world);
        }
        self.call(Tag::Marker(self.outlet.turn), Op::Marker, world);
    }

    /// The tasks are gone: publishes what is left, and ends the job.
    pub(super) fn wind_up(&mut self, world: &mut World) {
        self.begin_publication(world);
    }

    pub(super) fn on_marker(&mut self, answer: Answer, world: &mut World) {
        let Answer::Marker(marker) = answer else { return self.again(Tag::Marker(self.outlet.turn), world) };
        let (Some(begun), Some(publication)) = (&mut self.begun, &mut self.publication) else { return };
        let fits = begun.on_marker(&sink(), marker).and_then(|()| publication.on_marker(&sink(), marker));
        if let Err(error) = fits {
            return self.stop_as_damaged(&error.to_string(), world);
        }
        self.outlet.knows_marker = true;
        self.publish(world);
    }

    /// Whether an answer is for what is being published, and not for what a winding up has left behind.
    pub(super) const fn is_due(&self, turn: u8) -> bool {
        self.outlet.turn == turn
    }

    /// Publishes what is due, if nothing is on its way.
    pub(super) fn publish(&mut self, world: &mut World) {
        let Some(publication) = &self.publication else { return };
        if !self.outlet.knows_marker || self.outlet.publishing.is_some() {
            return;
        }
        match publication.due(&sink()).cloned() {
            Some(outbox) => {
                self.outlet.publishing = Some((outbox, Vec::new()));
                self.read_outbox(world);
            }
            None => self.drained(world),
        }
    }

    /// Makes the next call for the outbox that is on its way out; after an error, the same again.
    pub(super) fn go_on_publishing(&self, world: &mut World) {
        match self.outlet.publishing.as_ref().map(|(_, calls)| calls.first()) {
            Some(Some(op)) => self.call(Tag::Publish(self.outlet.turn), op.clone(), world),
            Some(None) => self.read_outbox(world),
            None => {}
        }
    }

    fn read_outbox(&self, world: &mut World) {
        let Some((outbox, _)) = &self.outlet.publishing else { return };
        let names = outbox.parts.iter().filter_map(|part| part.blob.object()).map(|object| object.name.clone());
        let op = Op::Read(names.collect());
        self.call(Tag::Outbox(self.outlet.turn), op, world);
    }

    pub(super) fn on_outbox(&mut self, answer: Answer, world: &mut World) {
        let Answer::Contents(contents) = answer else { return self.again(Tag::Outbox(self.outlet.turn), world) };
        let Some((outbox, _)) = &self.outlet.publishing else { return };
        let mut parts: BTreeMap<SubtaskId, Vec<Outcome>> = BTreeMap::new();
        for (part, content) in outbox.parts.iter().zip(contents) {
            match content.as_deref() {
                Some(Content::Results(results)) => parts.entry(part.subtask.clone()).or_default().extend(results),
                Some(Content::State(_)) | None => return self.cannot_read(world),
            }
        }
        let publish = Publish {
            owner: self.owned().owner().number,
            checkpoint: outbox.checkpoint,
            predecessor: outbox.predecessor,
            parts: parts.into_iter().collect(),
        };
        let calls = calls(publish, world);
        if let Some((_, pending)) = &mut self.outlet.publishing {
            *pending = calls;
        }
        self.go_on_publishing(world);
    }

    /// A part is gone, or is not what was written: the owner of the job, if this still is it, stops.
    fn cannot_read(&mut self, world: &mut World) {
        self.stop_as_damaged("cannot read an outbox", world);
    }

    pub(super) fn on_publish(&mut self, answer: Answer, world: &mut World) {
        let turn = self.outlet.turn;
        let Some((outbox, calls)) = &mut self.outlet.publishing else { return };
        if answer.is_failed() {
            return self.again(Tag::Publish(turn), world);
        }
        let found = if let Answer::Marker(marker) = answer { Some(marker) } else { None };
        let is_refused = matches!(answer, Answer::Refused);
        if found.is_some_and(|marker| marker >= Some(outbox.checkpoint)) {
            calls.clear();
        } else if is_refused || found.is_some_and(|marker| marker != outbox.predecessor) {
            let what = format!("outbox {} does not follow the marker", outbox.checkpoint);
            return self.stop_as_damaged(&what, world);
        } else {
            calls.remove(0);
        }
        if calls.is_empty() {
            let (outbox, _) = self.outlet.publishing.take().expect("it was being published");
            let publication = self.publication.as_mut().expect("something is being published");
            publication.published(&sink(), outbox.checkpoint);
            self.pace_sources(world);
            return self.publish(world);
        }
        self.go_on_publishing(world);
    }

    /// Everything is public: a job that ends closes its log and then does.
    fn drained(&mut self, world: &mut World) {
        if matches!(self.goal, Goal::Cancel | Goal::Finish) && self.appending.is_none() {
            self.close_log(world);
        }
    }

    pub(super) fn close_log(&mut self, world: &mut World) {
        let skips = world.lacks(Mutant::EndWithoutClosing) || !world.plan.ingest || self.goal == Goal::Finish;
        if skips || self.outlet.log_closed {
            return self.append_end(world);
        }
        self.call(Tag::Close, Op::Slots { from: super::own::slot_of(self.newest()) }, world);
    }

    /// The log was listed, or its next slot created.
    pub(super) fn on_close(&mut self, answer: Answer, world: &mut World) {
        let Answer::Slots(slots) = answer else { return self.again(Tag::Close, world) };
        if slots.iter().any(|(_, request)| request.is_none()) {
            self.outlet.log_closed = true;
            return self.append_end(world);
        }
        let next = slots.last().map_or_else(|| super::own::slot_of(self.newest()), |(slot, _)| slot + 1);
        self.call(Tag::Close, Op::CreateSlot { slot: next, request: None }, world);
    }

    fn append_end(&mut self, world: &mut World) {
        if self.appending.is_some() {
            return;
        }
        let publication = self.publication.as_ref().expect("it was drained");
        let published = publication.confirmations();
        let mut manifest = self.newest().manifest.clone();
        manifest.outboxes.retain(|outbox| published.get(&outbox.outlet) < Some(&outbox.checkpoint));
        let kind = match self.goal {
            Goal::Finish => EntryKind::Finished,
            Goal::Cancel | Goal::Run | Goal::RollBack { .. } => EntryKind::Cancelled { dropped: dropped(&manifest) },
        };
        self.appending = Some(Appending::End);
        self.append(kind, manifest, published, world);
    }

    pub(super) fn job_ended(&mut self, world: &mut World) {
        self.collect(world);
        if self.collector.is_idle() {
            self.end(Ended::Done);
        }
    }

    /// Without the rule: publishes what an entry will name.
    pub(super) fn publish_now(&self, manifest: &Manifest, world: &mut World) {
        for outbox in &manifest.outboxes {
            let mut parts: BTreeMap<SubtaskId, Vec<Outcome>> = BTreeMap::new();
            for part in &outbox.parts {
                let object = part.blob.object().and_then(|object| world.store.objects.get(&object.name));
                if let Some(Content::Results(results)) = object.map(|object| object.content.as_ref()) {
                    parts.entry(part.subtask.clone()).or_default().extend(results);
                }
            }
            let (owner, parts) = (self.owned().owner().number, parts.into_iter().collect());
            let publish = Publish { owner, checkpoint: outbox.checkpoint, predecessor: outbox.predecessor, parts };
            self.call(Tag::Nothing, Op::Publish(publish), world);
        }
    }
}

fn dropped(manifest: &Manifest) -> Vec<DroppedOutbox> {
    let dropped = |outbox: &Outbox| DroppedOutbox { outlet: outbox.outlet.clone(), checkpoint: outbox.checkpoint };
    manifest.outboxes.iter().map(dropped).collect()
}

/// The calls that publish an outbox, in order.
fn calls(publish: Publish, world: &World) -> Vec<Op> {
    let part = |(subtask, results): &(SubtaskId, Vec<Outcome>)| Op::Part {
        checkpoint: publish.checkpoint,
        part: (subtask.clone(), results.clone()),
    };
    if world.publishes_files() {
        let parts = publish.parts.iter().map(part);
        let list = Op::List(publish.clone());
        if world.lacks(Mutant::MarkBeforePublish) {
            return [Op::Marker, list].into_iter().chain(parts).collect();
        }
        if world.lacks(Mutant::TwoPublishers) {
            return [Op::Marker].into_iter().chain(parts).chain(halves(publish.clone()).map(Op::List)).collect();
        }
        return [Op::Marker].into_iter().chain(parts).chain([list]).collect();
    }
    if world.lacks(Mutant::MarkBeforePublish) {
        let marks = Publish { parts: Vec::new(), ..publish.clone() };
        return vec![Op::Publish(marks), Op::Publish(publish)];
    }
    if world.lacks(Mutant::TwoPublishers) {
        return halves(publish).map(Op::Publish).into_iter().collect();
    }
    vec![Op::Publish(publish)]
}

fn halves(mut publish: Publish) -> [Publish; 2] {
    let second = publish.parts.split_off(publish.parts.len().div_ceil(2));
    let second = Publish { parts: second, ..publish.clone() };
    [publish, second]
}
