//! The coordinator's decisions, performed: triggers, entries, and what follows from them.

use std::collections::{BTreeMap, BTreeSet};

use weir_protocol::chain::{CreateOutcome, EntryKind, Next, RunEntry, Step};
use weir_protocol::coordinator::{Action, Complete, Event};
use weir_protocol::garbage;
use weir_protocol::id::CheckpointId;
use weir_protocol::manifest::{Manifest, Outlet};

use super::{Appending, Attempt, Ended, Goal};
use crate::call::{Op, Tag};
use crate::plane::Work;
use crate::rules::Mutant;
use crate::world::{Message, World, note};

/// What is closed and not in the store, beyond which no checkpoint is triggered; and how many may be all the same.
const UNSAVED_MAX: u64 = 40;
const TRIGGERS_MAX: u64 = 2;
/// What is sealed and not published, beyond which sources pause; and how many records they may send all the same.
const UNPUBLISHED_MAX: u64 = 20;
const SENT_MAX: u64 = 12;

impl Attempt {
    /// Performs what the coordinator decides until it wants nothing more, or an entry is on its way.
    pub(super) fn coordinate(&mut self, world: &mut World) {
        while self.appending.is_none() && self.ended.is_none() {
            if let Some(action) = self.actions.pop_front() {
                self.perform(action, world);
                continue;
            }
            let (Some(coordinator), Some(plane)) = (&mut self.coordinator, &self.plane) else { return };
            let Some(event) = self.inbox.pop_front() else { break };
            let unsaved = plane.unsaved();
            coordinator.set_room(unsaved < UNSAVED_MAX || world.lacks(Mutant::TriggerWithoutRoom));
            self.actions.extend(coordinator.on(event, world.time()));
        }
        self.wake(world);
    }

    fn wake(&mut self, world: &mut World) {
        // While an entry is on its way nothing else is heard.
        if self.appending.is_some() {
            return;
        }
        let (Some(coordinator), Some(plane)) = (&self.coordinator, &self.plane) else { return };
        let look_for_room = (plane.unsaved() >= UNSAVED_MAX).then(|| world.time() + 8);
        let Some(at) = coordinator.next_wake().into_iter().chain(look_for_room).min() else { return };
        let at = at.max(world.time());
        if self.tick_at.is_none_or(|known| at < known) {
            self.tick_at = Some(at);
            let delay = u64::try_from(at - world.time()).expect("it is not past");
            world.tell(self.id, delay, Message::Tick);
        }
    }

    fn perform(&mut self, action: Action, world: &mut World) {
        match action {
            Action::Trigger(barrier) => {
                let (id, actor) = (self.id, self.actor());
                let Some(plane) = &mut self.plane else { return };
                note!(world, actor, "triggers {}", barrier.checkpoint);
                self.collector.saw_pins = !world.store.pins.is_empty();
                let unsaved = plane.unsaved();
                self.crowded = if unsaved < UNSAVED_MAX { 0 } else { self.crowded + 1 };
                if self.crowded > TRIGGERS_MAX {
                    world.broken("unsaved-is-bounded", format!("{unsaved} is closed and not in the store"));
                }
                for (index, task) in plane.tasks.iter_mut().enumerate() {
                    if matches!(task.work, Work::Source(_) | Work::Operator(_)) {
                        world.tell_in_order(id, &mut task.triggered_at, Message::Trigger(index, barrier));
                    }
                }
            }
            Action::Record(complete) if complete.last && world.lacks(Mutant::EndWithoutCheckpoint) => {
                self.goal = Goal::Finish;
                self.stop_tasks();
                self.wind_up(world);
            }
            Action::Record(complete) => self.record(&complete, world),
            Action::Skip { checkpoint } => {
                note!(world, self.actor(), "skips {checkpoint}");
                world.totals.skips += 1;
                if !self.newest().manifest.outboxes.is_empty() {
                    world.broken("idle-job-confirms", format!("checkpoint {checkpoint} leaves outboxes unconfirmed"));
                }
            }
            Action::Abort { checkpoint, reason } => {
                note!(world, self.actor(), "aborts {checkpoint}: {reason}");
                world.totals.aborts += 1;
                if let Some(plane) = &mut self.plane {
                    plane.forget(checkpoint, world);
                }
            }
            Action::FailJob { checkpoint, reason } => {
                note!(world, self.actor(), "fails: checkpoint {checkpoint} {reason}");
                self.end(Ended::Again);
            }
        }
    }

    /// Appends the entry of a checkpoint.
    fn record(&mut self, complete: &Complete, world: &mut World) {
        let (Some(assembly), Some(publication)) = (&self.assembly, &self.publication) else { return };
        let mut manifest = assembly.manifest(complete, publication);
        let mut published = publication.confirmations();
        if world.lacks(Mutant::ForgetFinished) {
            manifest.finished.clear();
        }
        if world.lacks(Mutant::ConfirmUnpublished) {
            confirm_all(&mut manifest, &mut published, &self.newest().manifest);
        }
        if world.lacks(Mutant::PublishBeforeEntry) {
            self.publish_now(&manifest, world);
        }
        self.appending = Some(Appending::Checkpoint { checkpoint: complete.checkpoint, last: complete.last });
        self.append(EntryKind::Checkpoint, manifest, published, world);
    }

    pub(super) fn append(
        &mut self,
        kind: EntryKind,
        manifest: Manifest,
        published: BTreeMap<Outlet, CheckpointId>,
        world: &mut World,
    ) {
        let nonce = match &self.before {
            Some((_, nonce)) if world.lacks(Mutant::OtherBytes) => *nonce,
            Some(_) | None => world.nonce(),
        };
        self.before = Some((self.owned().clone(), nonce));
        let next = Next { nonce, at: world.time(), kind, manifest, published };
        if let Err(error) = self.owned_mut().append(next) {
            return self.not_appended(&error, world);
        }
        if let (Step::Create { number, bytes }, true) = (self.owned().step(), world.lacks(Mutant::NextFreeNumber)) {
            self.sent = RunEntry::decode(number, &bytes).ok().map(|sent| sent.entry);
        }
        if world.lacks(Mutant::CollectBeforeDropping) {
            self.collect_early(world);
        }
        self.settle(world);
    }

    /// Without the rules: whether a create that was not answered is given up.
    pub(super) fn is_given_up(&mut self, world: &mut World) -> bool {
        let Some(Appending::Checkpoint { checkpoint, .. }) = self.appending else { return false };
        if world.lacks(Mutant::ErrorIsNotApplied) {
            self.delete_made(world);
            self.end(Ended::Again);
            return true;
        }
        if world.lacks(Mutant::OtherBytes) {
            let (before, _) = self.before.clone().expect("something was appended");
            self.ownership = Some(before);
            self.appending = None;
            let reason = "no answer".to_owned();
            self.inbox.push_front(Event::RecordFailed { checkpoint, reason });
            self.coordinate(world);
            return true;
        }
        false
    }

    /// What the append would have made the newest entry name, and the one before it does not.
    fn delete_made(&self, world: &mut World) {
        let Step::Create { number, bytes } = self.owned().step() else { return };
        let Ok(sent) = RunEntry::decode(number, &bytes) else { return };
        let known = self.newest().manifest.objects().map(|object| &object.name).collect::<BTreeSet<_>>();
        let own = self.owned().owner().number;
        for made in sent.entry.manifest.objects().filter(|made| made.made_by == own && !known.contains(&made.name)) {
            self.call(Tag::Nothing, Op::Delete(made.name.clone()), world);
        }
    }

    fn collect_early(&self, world: &mut World) {
        let mut ahead = self.owned().clone();
        ahead.on_create(CreateOutcome::Created);
        let number = ahead.newest().map(|newest| newest.entry.number);
        let Step::Stands(confirmed) = ahead.on_list(number) else { return };
        for name in garbage::dropped(&ahead, confirmed).objects {
            self.call(Tag::Nothing, Op::Delete(name), world);
        }
    }

    /// The entry of a checkpoint stands.
    pub(super) fn recorded(&mut self, checkpoint: CheckpointId, last: bool, world: &mut World) {
        self.before = None;
        let confirmed = self.confirmed.expect("an entry stands");
        let entry = self.newest().clone();
        if let Some(publication) = &mut self.publication {
            publication.stands(confirmed, &entry);
        }
        self.publish(world);
        self.collect(world);
        if let Some(assembly) = &mut self.assembly {
            assembly.recorded(checkpoint);
        }
        if let Some(plane) = &mut self.plane {
            plane.recorded(checkpoint);
        }
        self.pace_sources(world);
        if last {
            self.goal = Goal::Finish;
            self.stop_tasks();
            return self.wind_up(world);
        }
        let unconfirmed = !entry.manifest.outboxes.is_empty() && !world.lacks(Mutant::NeverConfirm);
        self.inbox.push_front(Event::Recorded { checkpoint, unconfirmed });
        self.coordinate(world);
    }

    /// Sealed results that cannot be published yet are bounded: at the bound the sources wait.
    pub(super) fn pace_sources(&mut self, world: &mut World) {
        let Some(publication) = &self.publication else { return };
        let unpublished = publication.outstanding_bytes();
        let is_congested = unpublished >= UNPUBLISHED_MAX;
        let Some(plane) = &mut self.plane else { return };
        self.congested_at = is_congested.then(|| self.congested_at.unwrap_or(plane.sent));
        plane.pause_sources(is_congested && !world.lacks(Mutant::NeverPause));
    }

    /// While results wait to be published, no more come.
    pub(super) fn check_paused(&self, world: &mut World) {
        if let (Some(plane), Some(at)) = (&self.plane, self.congested_at)
            && plane.sent > at + SENT_MAX
        {
            let what = format!("{} records were sent while results wait to be published", plane.sent - at);
            world.broken("unpublished-is-bounded", what);
        }
    }

    pub(super) fn stop_tasks(&mut self) {
        (self.plane, self.coordinator, self.deploying, self.congested_at) = (None, None, None, None);
        self.inbox.clear();
        self.actions.clear();
    }
}

/// Without the rule: what was sent counts as published.
fn confirm_all(manifest: &mut Manifest, published: &mut BTreeMap<Outlet, CheckpointId>, newest: &Manifest) {
    for outbox in &newest.outboxes {
        published.insert(outbox.outlet.clone(), outbox.checkpoint);
    }
    manifest.outboxes.retain(|outbox| published.get(&outbox.outlet) < Some(&outbox.checkpoint));
}
