//! The life of checkpoints: triggered, acknowledged, recorded; or declined, expired, subsumed.
//!
//! Receives what happens ([`Event`]) and the time; answers with what to do ([`Action`]). Guarantees that a checkpoint is
//! handed over for recording only with a report of every subtask, each at that barrier; that ids rise and none is used
//! twice; that no more than the allowed number is on its way; and that at most one is being recorded, in order. When
//! every subtask has finished it takes one last checkpoint by itself. Does not own how a report becomes a manifest, nor
//! whether the entry was won: whoever performs [`Action::Record`] says so.

use std::collections::{BTreeMap, BTreeSet};

use crate::alignment::Barrier;
use crate::id::{CheckpointId, SubtaskId};
use crate::job_spec::CheckpointSpec;
use crate::report::Report;
use crate::time::Timestamp;

mod pace;

use pace::Pace;

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// Time has passed; see [`Coordinator::next_wake`].
    Tick,
    /// Somebody wants a checkpoint now: neither interval nor pause is waited for.
    TriggerNow,
    /// A subtask's state at a barrier is durable.
    Acknowledged {
        /// Which barrier.
        checkpoint: CheckpointId,
        /// Who.
        subtask: SubtaskId,
        /// What it contributes.
        report: Box<Report>,
    },
    /// A subtask cannot contribute.
    Declined {
        /// Which barrier.
        checkpoint: CheckpointId,
        /// Who.
        subtask: SubtaskId,
        /// Why.
        reason: String,
    },
    /// A subtask has done all it ever will, and what it leaves is durable.
    Finished {
        /// Who.
        subtask: SubtaskId,
        /// The last barrier that it passed ([`Alignment::passed`](crate::alignment::Alignment::passed)): what it leaves
        /// counts for later checkpoints only.
        passed: CheckpointId,
        /// What it contributes to each of those.
        report: Box<Report>,
    },
    /// The entry was won, and stands.
    Recorded {
        /// Which.
        checkpoint: CheckpointId,
        /// Whether the entry names outboxes that no entry confirms as published.
        unconfirmed: bool,
    },
    /// The entry will not be made, and is known not to be there.
    RecordFailed {
        /// Which.
        checkpoint: CheckpointId,
        /// Why.
        reason: String,
    },
}

/// Something to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Have every source that still runs note its positions and send the barrier, and every task that still works after
    /// all its inputs have ended take it.
    Trigger(Barrier),
    /// Append the entry with the manifest of these reports; then [`Event::Recorded`] or [`Event::RecordFailed`].
    Record(Complete),
    /// Nothing changed since the last entry, and nothing waits to be confirmed: no entry is made.
    Skip {
        /// Which.
        checkpoint: CheckpointId,
    },
    /// Have every task give the checkpoint up.
    Abort {
        /// Which.
        checkpoint: CheckpointId,
        /// Why.
        reason: AbortReason,
    },
    /// Too many checkpoints have failed in a row: restart the job. Nothing more comes from this coordinator.
    FailJob {
        /// The one that failed last.
        checkpoint: CheckpointId,
        /// Why it did.
        reason: AbortReason,
    },
}

/// A checkpoint that every subtask has contributed to.
#[derive(Debug, Clone, PartialEq)]
pub struct Complete {
    /// Which.
    pub checkpoint: CheckpointId,
    /// When it was triggered.
    pub at: Timestamp,
    /// What each subtask contributes.
    pub reports: BTreeMap<SubtaskId, Report>,
    /// Every subtask has finished: the job ends once this one's results are published.
    pub last: bool,
}

/// Why a checkpoint was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AbortReason {
    /// It took longer than the timeout.
    Expired {
        /// The subtasks that had not acknowledged it.
        missing: Vec<SubtaskId>,
    },
    /// A subtask could not contribute.
    Declined {
        /// Which.
        subtask: SubtaskId,
        /// Why.
        reason: String,
    },
    /// A later one was complete first.
    Subsumed {
        /// That one.
        by: CheckpointId,
    },
    /// The entry could not be made.
    RecordFailed {
        /// Why.
        reason: String,
    },
}

impl std::fmt::Display for AbortReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Expired { missing } => {
                let missing: Vec<String> = missing.iter().map(SubtaskId::to_string).collect();
                write!(f, "expired before {} acknowledged it", missing.join(", "))
            }
            Self::Declined { subtask, reason } => write!(f, "declined by {subtask}: {reason}"),
            Self::Subsumed { by } => write!(f, "subsumed by checkpoint {by}"),
            Self::RecordFailed { reason } => write!(f, "could not be recorded: {reason}"),
        }
    }
}

/// The checkpoints of one attempt at a job.
#[derive(Debug, Clone)]
pub struct Coordinator {
    spec: CheckpointSpec,
    subtasks: BTreeSet<SubtaskId>,
    finished: BTreeMap<SubtaskId, Final>,
    next: CheckpointId,
    pending: BTreeMap<CheckpointId, Pending>,
    recording: Option<Recording>,
    ready: Option<Complete>,
    must_record: MustRecord,
    failures: u32,
    pace: Pace,
    /// Whether what is closed and not durable yet leaves room for more (rule 2.1).
    has_room: bool,
    stopped: bool,
}

#[derive(Debug, Clone)]
struct Final {
    passed: CheckpointId,
    report: Report,
}

#[derive(Debug, Clone)]
struct Pending {
    at: Timestamp,
    reports: BTreeMap<SubtaskId, Report>,
}

#[derive(Debug, Clone, Copy)]
struct Recording {
    checkpoint: CheckpointId,
    last: bool,
}

/// Why the next checkpoint is recorded even if no report says that something changed.
#[derive(Debug, Clone, Copy, Default)]
struct MustRecord {
    /// The newest entry names results that none confirms as published.
    unconfirmed: bool,
    /// The newest checkpoint that was given up: what changed before its barrier is in no entry yet.
    gave_up: Option<CheckpointId>,
}

impl Coordinator {
    /// Begins an attempt: the chain's highest checkpoint is `highest`, and `unconfirmed` says whether its newest entry
    /// names outboxes. The first checkpoint comes one interval after `now`.
    ///
    /// # Panics
    /// Without subtasks.
    #[must_use]
    pub fn new(
        spec: CheckpointSpec,
        subtasks: BTreeSet<SubtaskId>,
        highest: CheckpointId,
        unconfirmed: bool,
        now: Timestamp,
    ) -> Self {
        assert!(!subtasks.is_empty(), "a job has subtasks");
        Self {
            pace: Pace::new(&spec, now),
            spec,
            subtasks,
            finished: BTreeMap::new(),
            next: highest.next(),
            pending: BTreeMap::new(),
            recording: None,
            ready: None,
            must_record: MustRecord { unconfirmed, gave_up: None },
            failures: 0,
            has_room: true,
            stopped: false,
        }
    }

    /// Takes in what happened; the actions are to be performed in order. What concerns a checkpoint that is not on its
    /// way any more has no effect.
    pub fn on(&mut self, event: Event, now: Timestamp) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.stopped {
            return actions;
        }
        let now = self.pace.observe(now);
        self.take_in(event, &mut actions);
        self.expire(now, &mut actions);
        while !self.stopped {
            self.complete(&mut actions);
            if !self.trigger(now, &mut actions) {
                break;
            }
        }
        actions
    }

    /// Says whether what is closed and not durable yet leaves room for more: while it does not, no checkpoint is
    /// triggered (rule 2.1). The last one closes nothing, and so needs no room.
    pub const fn set_room(&mut self, has_room: bool) {
        self.has_room = has_room;
    }

    /// When [`Event::Tick`] is due, whatever else happens; `None`: not before another event.
    #[must_use]
    pub fn next_wake(&self) -> Option<Timestamp> {
        if self.stopped {
            return None;
        }
        let expiries = self.pending.values().map(|pending| self.expiry(pending));
        expiries.chain(self.may_trigger().then(|| self.pace.due(self.all_finished()))).min()
    }

    /// Whether the last checkpoint is recorded, or the job was failed: nothing more will come.
    #[must_use]
    pub fn has_stopped(&self) -> bool {
        self.stopped
    }

    fn take_in(&mut self, event: Event, actions: &mut Vec<Action>) {
        match event {
            Event::Tick => {}
            Event::TriggerNow => self.pace.hurry(),
            Event::Acknowledged { checkpoint, subtask, report } => self.acknowledged(checkpoint, subtask, *report),
            Event::Declined { checkpoint, subtask, reason } => {
                if self.pending.contains_key(&checkpoint) {
                    self.fail(checkpoint, AbortReason::Declined { subtask, reason }, actions);
                }
            }
            Event::Finished { subtask, passed, report } => {
                assert!(self.subtasks.contains(&subtask), "{subtask} is no subtask of the job");
                self.finished.entry(subtask).or_insert(Final { passed, report: *report });
            }
            Event::Recorded { checkpoint, unconfirmed } => self.recorded(checkpoint, unconfirmed, actions),
            Event::RecordFailed { checkpoint, reason } => {
                if self.recording.take_if(|recording| recording.checkpoint == checkpoint).is_some() {
                    self.fail(checkpoint, AbortReason::RecordFailed { reason }, actions);
                    self.record_ready(actions);
                }
            }
        }
    }

    fn acknowledged(&mut self, checkpoint: CheckpointId, subtask: SubtaskId, report: Report) {
        assert!(self.subtasks.contains(&subtask), "{subtask} is no subtask of the job");
        if let Some(pending) = self.pending.get_mut(&checkpoint) {
            pending.reports.entry(subtask).or_insert(report);
        }
    }

    fn recorded(&mut self, checkpoint: CheckpointId, unconfirmed: bool, actions: &mut Vec<Action>) {
        let Some(recording) = self.recording.take_if(|recording| recording.checkpoint == checkpoint) else {
            return;
        };
        self.failures = 0;
        self.must_record.unconfirmed = unconfirmed;
        self.must_record.gave_up.take_if(|gave_up| *gave_up < checkpoint);
        for last in self.finished.values_mut().filter(|last| last.passed < checkpoint) {
            last.report.recorded();
        }
        self.pace.ended();
        self.stopped = recording.last;
        self.record_ready(actions);
    }

    fn record_ready(&mut self, actions: &mut Vec<Action>) {
        if let Some(complete) = self.ready.take().filter(|_| !self.stopped) {
            self.record(complete, actions);
        }
    }

    /// Gives a checkpoint up and counts it as a failure.
    fn fail(&mut self, checkpoint: CheckpointId, reason: AbortReason, actions: &mut Vec<Action>) {
        self.failures += 1;
        self.give_up(checkpoint, reason.clone(), actions);
        self.pace.failed();
        if self.failures > self.spec.tolerable_failures {
            self.stopped = true;
            actions.push(Action::FailJob { checkpoint, reason });
        }
    }

    fn give_up(&mut self, checkpoint: CheckpointId, reason: AbortReason, actions: &mut Vec<Action>) {
        self.pending.remove(&checkpoint);
        self.must_record.gave_up = self.must_record.gave_up.max(Some(checkpoint));
        self.pace.ended();
        actions.push(Action::Abort { checkpoint, reason });
    }

    fn expire(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        let late = self.pending.iter().filter(|(_, pending)| self.expiry(pending) <= now).map(|(id, _)| *id);
        let late: Vec<_> = late.map(|id| (id, self.missing(id))).filter(|(_, missing)| !missing.is_empty()).collect();
        for (checkpoint, missing) in late {
            if !self.stopped {
                self.fail(checkpoint, AbortReason::Expired { missing }, actions);
            }
        }
    }

    fn expiry(&self, pending: &Pending) -> Timestamp {
        pending.at.saturating_add_unsigned(self.spec.timeout_ms)
    }

    /// Hands over the newest checkpoint that everybody has contributed to; older ones are subsumed.
    fn complete(&mut self, actions: &mut Vec<Action>) {
        let newest = self.pending.keys().rev().copied().find(|checkpoint| self.missing(*checkpoint).is_empty());
        let Some(checkpoint) = newest else { return };
        let older: Vec<CheckpointId> = self.pending.range(..checkpoint).map(|(id, _)| *id).collect();
        for id in older {
            self.give_up(id, AbortReason::Subsumed { by: checkpoint }, actions);
        }
        let complete = self.take_complete(checkpoint);
        if !complete.last && !self.must_be_recorded(&complete) {
            self.failures = 0;
            self.pace.ended();
            actions.push(Action::Skip { checkpoint });
        } else if self.recording.is_none() {
            self.record(complete, actions);
        } else if let Some(overtaken) = self.ready.replace(complete) {
            self.give_up(overtaken.checkpoint, AbortReason::Subsumed { by: checkpoint }, actions);
        }
    }

    fn take_complete(&mut self, checkpoint: CheckpointId) -> Complete {
        let Pending { at, mut reports } = self.pending.remove(&checkpoint).expect("it was found among the pending");
        for (subtask, last) in self.finished.iter().filter(|(_, last)| last.passed < checkpoint) {
            reports.entry(subtask.clone()).or_insert_with(|| last.report.clone());
        }
        let last =
            self.finished.len() == self.subtasks.len() && self.finished.values().all(|last| last.passed < checkpoint);
        Complete { checkpoint, at, reports, last }
    }

    fn must_be_recorded(&self, complete: &Complete) -> bool {
        let MustRecord { unconfirmed, gave_up } = self.must_record;
        unconfirmed
            || gave_up.is_some()
            || self.ready.is_some()
            || complete.reports.values().any(|report| report.changed)
    }

    fn record(&mut self, complete: Complete, actions: &mut Vec<Action>) {
        assert_eq!(complete.reports.len(), self.subtasks.len(), "a checkpoint has a report of every subtask");
        self.recording = Some(Recording { checkpoint: complete.checkpoint, last: complete.last });
        actions.push(Action::Record(complete));
    }

    /// Triggers the next checkpoint if it is due. Returns whether it may be complete at once.
    fn trigger(&mut self, now: Timestamp, actions: &mut Vec<Action>) -> bool {
        let all_finished = self.all_finished();
        if !self.may_trigger() || self.pace.due(all_finished) > now {
            return false;
        }
        let barrier = Barrier { checkpoint: self.next, at: now };
        self.next = self.next.next();
        self.pace.triggered();
        self.pending.insert(barrier.checkpoint, Pending { at: now, reports: BTreeMap::new() });
        if !all_finished {
            actions.push(Action::Trigger(barrier));
        }
        all_finished
    }

    /// Whether there is room for one more. The last one needs none, and comes once.
    fn may_trigger(&self) -> bool {
        if self.all_finished() {
            let last_recording = self.recording.is_some_and(|recording| recording.last);
            let last_ready = self.ready.as_ref().is_some_and(|ready| ready.last);
            return !last_recording && !last_ready;
        }
        let on_their_way =
            self.pending.len() + usize::from(self.recording.is_some()) + usize::from(self.ready.is_some());
        self.has_room && on_their_way < self.pace.concurrent_max()
    }

    fn all_finished(&self) -> bool {
        self.finished.len() == self.subtasks.len()
    }

    fn missing(&self, checkpoint: CheckpointId) -> Vec<SubtaskId> {
        let pending = self.pending.get(&checkpoint).expect("it is pending");
        let has_finished =
            |subtask: &SubtaskId| self.finished.get(subtask).is_some_and(|last| last.passed < checkpoint);
        let missing = self.subtasks.iter().filter(|subtask| !pending.reports.contains_key(*subtask));
        missing.filter(|subtask| !has_finished(subtask)).cloned().collect()
    }
}
