//! What somebody knows of a coordinator's life who sees only what goes in and what comes out.

use std::collections::{BTreeMap, BTreeSet};

use weir_protocol::coordinator::{AbortReason, Action, Complete, Coordinator, Event};
use weir_protocol::id::{CheckpointId, SubtaskId};
use weir_protocol::job_spec::CheckpointSpec;
use weir_protocol::report::Report;
use weir_protocol::time::Timestamp;

use crate::choices::Choices;

/// The onlooker's notes.
#[derive(Debug)]
pub(super) struct Onlooker {
    spec: CheckpointSpec,
    pub(super) subtasks: Vec<SubtaskId>,
    /// The highest checkpoint that there is.
    pub(super) highest: CheckpointId,
    pub(super) recording: Option<CheckpointId>,
    /// How many reports were made.
    pub(super) reports: u64,
    /// Triggered, and neither complete nor given up: when, and what was acknowledged first.
    pending: BTreeMap<CheckpointId, (Timestamp, BTreeMap<SubtaskId, Report>)>,
    /// Complete, and waiting for the one that is being recorded.
    waiting: Option<CheckpointId>,
    finished: BTreeMap<SubtaskId, (CheckpointId, Report)>,
    acknowledged: BTreeMap<SubtaskId, CheckpointId>,
    recorded: CheckpointId,
    /// What must be recorded even if nothing changed: unconfirmed results, and the newest that was given up.
    unconfirmed: bool,
    gave_up: Option<CheckpointId>,
    failures: u32,
    now: Timestamp,
    triggered_at: Timestamp,
    ended_at: Option<Timestamp>,
    hurry: bool,
    has_room: bool,
    over: bool,
    last_event_is_tick: bool,
    room_changed: bool,
}

impl Onlooker {
    pub(super) fn new(
        spec: CheckpointSpec,
        subtasks: Vec<SubtaskId>,
        highest: CheckpointId,
        unconfirmed: bool,
        now: Timestamp,
    ) -> Self {
        Self {
            spec,
            subtasks,
            highest,
            recording: None,
            reports: 0,
            pending: BTreeMap::new(),
            waiting: None,
            finished: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            recorded: highest,
            unconfirmed,
            gave_up: None,
            failures: 0,
            now,
            triggered_at: now,
            ended_at: None,
            hurry: false,
            has_room: true,
            over: false,
            last_event_is_tick: false,
            room_changed: false,
        }
    }

    /// Mostly one that is on its way.
    pub(super) fn some_checkpoint(&self, choices: &mut Choices<'_>) -> CheckpointId {
        let on_their_way: Vec<_> = self.pending.keys().chain(&self.recording).chain(&self.waiting).copied().collect();
        if on_their_way.is_empty() || choices.one_in(8) {
            return CheckpointId((self.highest.0 + 2).saturating_sub(u64::from(choices.byte() % 8)));
        }
        *choices.pick(&on_their_way)
    }

    /// The newest barrier that a subtask has acknowledged.
    pub(super) fn acknowledged_by(&self, subtask: &SubtaskId) -> CheckpointId {
        self.acknowledged.get(subtask).copied().unwrap_or_default()
    }

    pub(super) fn set_room(&mut self, has_room: bool) {
        self.room_changed |= has_room && !self.has_room;
        self.has_room = has_room;
    }

    /// Notes what is sent.
    pub(super) fn send(&mut self, event: &Event, now: Timestamp) {
        self.now = self.now.max(now);
        self.last_event_is_tick = matches!(event, Event::Tick);
        if self.over {
            return;
        }
        match event {
            Event::TriggerNow => self.hurry = true,
            Event::Acknowledged { checkpoint, subtask, report } => {
                if let Some((_, reports)) = self.pending.get_mut(checkpoint) {
                    reports.entry(subtask.clone()).or_insert_with(|| Report::clone(report));
                    let newest = self.acknowledged.entry(subtask.clone()).or_default();
                    *newest = (*newest).max(*checkpoint);
                }
            }
            Event::Finished { subtask, passed, report } => {
                self.finished.entry(subtask.clone()).or_insert_with(|| (*passed, Report::clone(report)));
            }
            Event::Recorded { checkpoint, unconfirmed } if self.recording == Some(*checkpoint) => {
                self.recording = None;
                self.recorded = *checkpoint;
                self.unconfirmed = *unconfirmed;
                self.gave_up = self.gave_up.filter(|gave_up| gave_up > checkpoint);
                self.failures = 0;
                self.ended_at = Some(self.now);
                for (passed, report) in self.finished.values_mut() {
                    report.changed &= *passed >= *checkpoint;
                }
                self.over = self.all_finished_before(*checkpoint);
            }
            Event::Tick | Event::Declined { .. } | Event::Recorded { .. } | Event::RecordFailed { .. } => {}
        }
    }

    /// Checks what comes back. `wake` is when a tick was due.
    pub(super) fn see(&mut self, actions: &[Action], wake: Option<Timestamp>) {
        assert!(!self.over || actions.is_empty(), "nothing comes after the end: {actions:?}");
        let last_may_wait = self.recording.is_some() && self.finished.len() == self.subtasks.len();
        if self.last_event_is_tick && !self.room_changed && !last_may_wait {
            let due = wake.is_some_and(|wake| wake <= self.now);
            assert_eq!(!actions.is_empty(), due, "a tick does something when it is due, and only then: {actions:?}");
        }
        self.room_changed = false;
        for (place, action) in actions.iter().enumerate() {
            match action {
                Action::Trigger(barrier) => self.triggered(barrier.checkpoint, barrier.at),
                Action::Record(complete) => self.record(complete),
                Action::Skip { checkpoint } => self.skipped(*checkpoint),
                Action::Abort { checkpoint, reason } => self.aborted(*checkpoint, reason),
                Action::FailJob { .. } => {
                    assert!(self.failures > self.spec.tolerable_failures, "no more failed than is borne");
                    assert_eq!(place + 1, actions.len(), "nothing comes after the end");
                    self.over = true;
                }
            }
        }
        assert!(self.over || self.failures <= self.spec.tolerable_failures, "more failed than is borne");
    }

    /// What must hold between events.
    pub(super) fn settled(&mut self, coordinator: &Coordinator) {
        assert_eq!(coordinator.has_stopped(), self.over);
        self.let_wait();
        let wake = coordinator.next_wake();
        assert!(!self.over || wake.is_none(), "nothing is due after the end");
        let waits = self.recording.is_some() || !self.has_room;
        assert!(self.over || waits || wake.is_some(), "something is due, or under way");
        assert!(wake.is_none_or(|wake| wake > self.now), "what was due was done");
        let late = self.pending.keys().find(|id| self.missing(**id).is_empty());
        assert!(self.over || late.is_none(), "{late:?} has everybody's contribution and was not handed over");
    }

    /// While one is being recorded, the newest that is complete waits, and nothing is said of it.
    fn let_wait(&mut self) {
        let newest = self.pending.keys().rev().copied().find(|id| self.missing(*id).is_empty());
        if let Some(checkpoint) = newest.filter(|_| self.recording.is_some() && !self.over) {
            self.take(checkpoint, |_, _| {});
            assert_eq!(self.waiting.replace(checkpoint), None, "the one before it was given up");
        }
    }

    fn all_finished_before(&self, checkpoint: CheckpointId) -> bool {
        self.finished.len() == self.subtasks.len() && self.finished.values().all(|(passed, _)| *passed < checkpoint)
    }

    fn missing(&self, checkpoint: CheckpointId) -> BTreeSet<&SubtaskId> {
        let acked = self.pending.get(&checkpoint).map(|(_, reports)| reports);
        let contributed = |subtask: &&SubtaskId| {
            acked.is_some_and(|acked| acked.contains_key(*subtask))
                || self.finished.get(*subtask).is_some_and(|(passed, _)| *passed < checkpoint)
        };
        self.subtasks.iter().filter(|subtask| !contributed(subtask)).collect()
    }

    fn triggered(&mut self, checkpoint: CheckpointId, at: Timestamp) {
        let most = if self.spec.min_pause_ms > 0 { 1 } else { self.spec.max_concurrent as usize };
        let under_way =
            self.pending.len() + usize::from(self.recording.is_some()) + usize::from(self.waiting.is_some());
        assert!(checkpoint > self.highest, "ids rise");
        assert!(self.has_room && under_way < most, "there was room for one more");
        assert_eq!(at, self.now, "it is triggered now");
        let after = |start: Timestamp, ms: u64| start.saturating_add_unsigned(ms);
        let paused = self.ended_at.is_none_or(|ended_at| after(ended_at, self.spec.min_pause_ms) <= at);
        let due = after(self.triggered_at, self.spec.interval_ms) <= at && paused;
        assert!(due || self.hurry, "interval and pause have passed");
        self.begin(checkpoint);
    }

    fn begin(&mut self, checkpoint: CheckpointId) {
        self.pending.insert(checkpoint, (self.now, BTreeMap::new()));
        (self.highest, self.triggered_at, self.hurry) = (checkpoint, self.now, false);
    }

    /// The last checkpoint is not announced: nobody is left to send its barrier.
    fn begin_last(&mut self, checkpoint: CheckpointId) {
        if !self.pending.contains_key(&checkpoint) && self.waiting != Some(checkpoint) {
            assert!(
                checkpoint > self.highest && self.all_finished_before(checkpoint),
                "it was triggered, or is the last"
            );
            self.begin(checkpoint);
        }
    }

    fn record(&mut self, complete: &Complete) {
        let checkpoint = complete.checkpoint;
        self.begin_last(checkpoint);
        assert_eq!(self.recording, None, "one at a time");
        assert!(checkpoint > self.recorded, "in order");
        assert_eq!(complete.last, self.all_finished_before(checkpoint), "the last is the one after all have finished");
        assert_eq!(complete.reports.len(), self.subtasks.len(), "with everybody's report");
        if self.waiting.take() != Some(checkpoint) {
            self.take(checkpoint, |subtask, report| {
                assert_eq!(complete.reports[subtask].rejected, report.rejected, "{subtask} reported something else");
            });
        }
        self.recording = Some(checkpoint);
    }

    /// Ends the wait for a checkpoint, with everybody's first report. Whether one says that something changed.
    fn take(&mut self, checkpoint: CheckpointId, mut check: impl FnMut(&SubtaskId, &Report)) -> bool {
        assert_eq!(self.missing(checkpoint), BTreeSet::new(), "without everybody");
        let (_, acked) = self.pending.remove(&checkpoint).expect("it is pending");
        let mut changed = false;
        for subtask in &self.subtasks {
            let left = self.finished.get(subtask).map(|(_, report)| report);
            let report = acked.get(subtask).or(left).expect("nobody is missing");
            changed |= report.changed;
            check(subtask, report);
        }
        changed
    }

    fn skipped(&mut self, checkpoint: CheckpointId) {
        let changed = self.take(checkpoint, |_, _| {});
        assert!(!changed, "a change was skipped");
        assert!(!self.unconfirmed && self.gave_up.is_none() && self.waiting.is_none(), "it had to be recorded");
        self.failures = 0;
        self.ended_at = Some(self.now);
    }

    fn aborted(&mut self, checkpoint: CheckpointId, reason: &AbortReason) {
        match reason {
            AbortReason::Expired { missing } => {
                assert_eq!(missing.iter().collect::<BTreeSet<_>>(), self.missing(checkpoint), "who is missing");
                let (at, _) = self.pending.remove(&checkpoint).expect("it is pending");
                assert!(at.saturating_add_unsigned(self.spec.timeout_ms) <= self.now, "expired too early");
                self.failures += 1;
            }
            AbortReason::Declined { .. } => {
                assert!(self.pending.remove(&checkpoint).is_some(), "it is pending");
                self.failures += 1;
            }
            AbortReason::Subsumed { by } => self.subsumed(checkpoint, *by),
            AbortReason::RecordFailed { .. } => {
                assert_eq!(self.recording.take(), Some(checkpoint), "it was being recorded");
                self.failures += 1;
            }
        }
        self.gave_up = self.gave_up.max(Some(checkpoint));
        self.ended_at = Some(self.now);
    }

    fn subsumed(&mut self, checkpoint: CheckpointId, by: CheckpointId) {
        assert!(by > checkpoint, "by a later one");
        if self.waiting == Some(checkpoint) {
            self.waiting = None;
        } else {
            assert!(self.pending.remove(&checkpoint).is_some(), "it is pending");
        }
    }
}
