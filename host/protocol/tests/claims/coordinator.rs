//! The life of checkpoints, by example and through random schedules.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;
use weir_protocol::coordinator::{AbortReason, Action, Complete, Coordinator, Event};
use weir_protocol::id::{CheckpointId, SubtaskId};
use weir_protocol::job_spec::CheckpointSpec;
use weir_protocol::report::{Report, Work};
use weir_protocol::time::Timestamp;

use crate::support::subtask;

const SECOND: Timestamp = 1_000;

fn spec() -> CheckpointSpec {
    CheckpointSpec { timeout_ms: 10_000, ..CheckpointSpec::every_ms(1_000) }
}

fn coordinator(spec: CheckpointSpec) -> Coordinator {
    Coordinator::new(spec, BTreeSet::from([subtask("a", 0), subtask("b", 0)]), CheckpointId(0), false, 0)
}

fn report(changed: bool) -> Box<Report> {
    Box::new(Report { changed, ..Report::unchanged(Work::Sink) })
}

fn ack(checkpoint: u64, uid: &str) -> Event {
    Event::Acknowledged { checkpoint: CheckpointId(checkpoint), subtask: subtask(uid, 0), report: report(true) }
}

fn ack_unchanged(checkpoint: u64, uid: &str) -> Event {
    Event::Acknowledged { checkpoint: CheckpointId(checkpoint), subtask: subtask(uid, 0), report: report(false) }
}

fn declined(checkpoint: u64, uid: &str) -> Event {
    let reason = "the store is away".to_owned();
    Event::Declined { checkpoint: CheckpointId(checkpoint), subtask: subtask(uid, 0), reason }
}

fn finished(uid: &str, passed: u64) -> Event {
    let report = Box::new(Report { finished: true, ..*report(true) });
    Event::Finished { subtask: subtask(uid, 0), passed: CheckpointId(passed), report }
}

fn recorded(checkpoint: u64) -> Event {
    Event::Recorded { checkpoint: CheckpointId(checkpoint), unconfirmed: false }
}

/// Each action in a word and the checkpoint's number.
fn words(actions: &[Action]) -> Vec<String> {
    let word = |action: &Action| match action {
        Action::Trigger(barrier) => format!("trigger {}", barrier.checkpoint),
        Action::Record(Complete { checkpoint, last: false, .. }) => format!("record {checkpoint}"),
        Action::Record(Complete { checkpoint, last: true, .. }) => format!("record last {checkpoint}"),
        Action::Skip { checkpoint } => format!("skip {checkpoint}"),
        Action::Abort { checkpoint, reason: AbortReason::Expired { .. } } => format!("expire {checkpoint}"),
        Action::Abort { checkpoint, reason: AbortReason::Subsumed { .. } } => format!("subsume {checkpoint}"),
        Action::Abort { checkpoint, .. } => format!("abort {checkpoint}"),
        Action::FailJob { .. } => "fail".to_owned(),
    };
    actions.iter().map(word).collect()
}

/// Feeds events, each at its time in seconds, and checks what each brings about.
fn check(coordinator: &mut Coordinator, steps: Vec<(Timestamp, Event, &[&str])>) {
    for (at, event, expected) in steps {
        let text = format!("{event:?} at {at} s");
        assert_eq!(words(&coordinator.on(event, at * SECOND)), expected, "{text}");
    }
}

#[test]
fn checkpoint_is_recorded_once_everybody_acknowledged() {
    let mut coordinator = coordinator(spec());
    assert_eq!(coordinator.next_wake(), Some(SECOND));
    check(
        &mut coordinator,
        vec![
            (0, Event::Tick, &[]),
            (1, Event::Tick, &["trigger 1"]),
            (1, ack(1, "b"), &[]),
            (1, ack(1, "b"), &[]),
            (1, ack(1, "a"), &["record 1"]),
            (1, recorded(1), &[]),
            (2, Event::Tick, &["trigger 2"]),
        ],
    );
}

/// Rule 2.1: whatever happens meanwhile. Expiry needs no room.
#[test]
fn without_room_nothing_is_triggered_but_the_last_one() {
    let mut coordinator = coordinator(CheckpointSpec { tolerable_failures: 10, ..spec() });
    check(&mut coordinator, vec![(1, Event::Tick, &["trigger 1"])]);
    coordinator.set_room(false);
    check(&mut coordinator, vec![(2, declined(1, "a"), &["abort 1"]), (3, Event::TriggerNow, &[])]);
    assert_eq!(coordinator.next_wake(), None);
    coordinator.set_room(true);
    check(&mut coordinator, vec![(4, Event::Tick, &["trigger 2"])]);
    coordinator.set_room(false);
    assert_eq!(coordinator.next_wake(), Some(14 * SECOND));
    check(&mut coordinator, vec![(14, Event::Tick, &["expire 2"]), (20, finished("a", 2), &[])]);
    check(&mut coordinator, vec![(30, finished("b", 2), &["record last 3"])]);
}

#[test]
fn ids_go_on_after_the_highest_of_the_chain() {
    let subtasks = BTreeSet::from([subtask("a", 0)]);
    let mut coordinator = Coordinator::new(spec(), subtasks, CheckpointId(41), false, 0);
    check(&mut coordinator, vec![(1, Event::Tick, &["trigger 42"])]);
}

#[test]
fn nothing_changed_makes_no_entry() {
    check(
        &mut coordinator(spec()),
        vec![
            (1, Event::Tick, &["trigger 1"]),
            (1, ack_unchanged(1, "a"), &[]),
            (1, ack_unchanged(1, "b"), &["skip 1"]),
            (2, Event::Tick, &["trigger 2"]),
            (2, ack_unchanged(2, "a"), &[]),
            (2, ack(2, "b"), &["record 2"]),
        ],
    );
}

#[test]
fn idle_job_still_confirms_what_was_published() {
    check(
        &mut coordinator(spec()),
        vec![
            (1, Event::Tick, &["trigger 1"]),
            (1, ack(1, "a"), &[]),
            (1, ack(1, "b"), &["record 1"]),
            (1, Event::Recorded { checkpoint: CheckpointId(1), unconfirmed: true }, &[]),
            (2, Event::Tick, &["trigger 2"]),
            (2, ack_unchanged(2, "a"), &[]),
            (2, ack_unchanged(2, "b"), &["record 2"]),
            (2, recorded(2), &[]),
            (3, Event::Tick, &["trigger 3"]),
            (3, ack_unchanged(3, "a"), &[]),
            (3, ack_unchanged(3, "b"), &["skip 3"]),
        ],
    );
}

#[test]
fn restored_unconfirmed_results_count_as_a_change() {
    let subtasks = BTreeSet::from([subtask("a", 0)]);
    let mut coordinator = Coordinator::new(spec(), subtasks, CheckpointId(1), true, 0);
    check(&mut coordinator, vec![(1, Event::Tick, &["trigger 2"]), (1, ack_unchanged(2, "a"), &["record 2"])]);
}

#[test]
fn what_an_aborted_checkpoint_would_have_held_counts_as_a_change() {
    let mut coordinator = coordinator(CheckpointSpec { tolerable_failures: 1, ..spec() });
    check(
        &mut coordinator,
        vec![
            (1, Event::Tick, &["trigger 1"]),
            (1, ack(1, "a"), &[]),
            (1, declined(1, "b"), &["abort 1"]),
            (2, Event::Tick, &["trigger 2"]),
            (2, ack_unchanged(2, "a"), &[]),
            (2, ack_unchanged(2, "b"), &["record 2"]),
        ],
    );
}

#[test]
fn slow_checkpoint_expires() {
    let mut coordinator = coordinator(CheckpointSpec { tolerable_failures: 1, ..spec() });
    check(&mut coordinator, vec![(1, Event::Tick, &["trigger 1"]), (5, ack(1, "a"), &[]), (10, Event::Tick, &[])]);
    assert_eq!(coordinator.next_wake(), Some(11 * SECOND));
    let actions = coordinator.on(Event::Tick, 11 * SECOND);
    assert_eq!(words(&actions), ["expire 1", "trigger 2"]);
    let reason = AbortReason::Expired { missing: vec![subtask("b", 0)] };
    assert_eq!(actions[0], Action::Abort { checkpoint: CheckpointId(1), reason });
    check(&mut coordinator, vec![(11, ack(1, "b"), &[])]);
}

#[test]
fn checkpoint_that_is_being_recorded_does_not_expire() {
    let mut coordinator = coordinator(spec());
    check(
        &mut coordinator,
        vec![
            (1, Event::Tick, &["trigger 1"]),
            (1, ack(1, "a"), &[]),
            (1, ack(1, "b"), &["record 1"]),
            (60, Event::Tick, &[]),
            (60, recorded(1), &["trigger 2"]),
        ],
    );
}

#[test]
fn one_failure_more_than_is_tolerable_fails_the_job() {
    let mut coordinator = coordinator(CheckpointSpec { tolerable_failures: 1, ..spec() });
    check(
        &mut coordinator,
        vec![
            (1, Event::Tick, &["trigger 1"]),
            (1, declined(1, "a"), &["abort 1"]),
            (1, declined(1, "b"), &[]),
            (2, Event::Tick, &["trigger 2"]),
            (2, declined(2, "a"), &["abort 2", "fail"]),
            (3, Event::Tick, &[]),
        ],
    );
    assert!(coordinator.has_stopped());
}

#[test]
fn completed_checkpoint_forgives_the_failures_before_it() {
    let mut coordinator = coordinator(CheckpointSpec { tolerable_failures: 1, ..spec() });
    check(
        &mut coordinator,
        vec![
            (1, Event::Tick, &["trigger 1"]),
            (1, declined(1, "a"), &["abort 1"]),
            (2, Event::Tick, &["trigger 2"]),
            (2, ack(2, "a"), &[]),
            (2, ack(2, "b"), &["record 2"]),
            (2, recorded(2), &[]),
            (3, Event::Tick, &["trigger 3"]),
            (3, declined(3, "a"), &["abort 3"]),
        ],
    );
}

#[test]
fn entry_that_could_not_be_made_is_a_failure() {
    let failed = Event::RecordFailed { checkpoint: CheckpointId(1), reason: "no".to_owned() };
    check(
        &mut coordinator(spec()),
        vec![
            (1, Event::Tick, &["trigger 1"]),
            (1, ack(1, "a"), &[]),
            (1, ack(1, "b"), &["record 1"]),
            (1, failed, &["abort 1", "fail"]),
        ],
    );
}

#[test]
fn pause_is_kept_after_the_end_of_the_one_before() {
    let mut coordinator = coordinator(CheckpointSpec { min_pause_ms: 5_000, max_concurrent: 4, ..spec() });
    check(
        &mut coordinator,
        vec![
            (1, Event::Tick, &["trigger 1"]),
            (2, Event::Tick, &[]),
            (3, ack(1, "a"), &[]),
            (3, ack(1, "b"), &["record 1"]),
            (4, recorded(1), &[]),
            (8, Event::Tick, &[]),
            (9, Event::Tick, &["trigger 2"]),
        ],
    );
}

#[test]
fn no_more_than_the_allowed_number_is_on_its_way() {
    let mut coordinator = coordinator(CheckpointSpec { max_concurrent: 2, ..spec() });
    check(
        &mut coordinator,
        vec![(1, Event::Tick, &["trigger 1"]), (2, Event::Tick, &["trigger 2"]), (3, Event::Tick, &[])],
    );
    assert_eq!(coordinator.next_wake(), Some(11 * SECOND), "the expiry of checkpoint 1");
}

#[test]
fn later_checkpoint_that_is_complete_first_subsumes() {
    let mut coordinator = coordinator(CheckpointSpec { max_concurrent: 2, ..spec() });
    check(
        &mut coordinator,
        vec![
            (1, Event::Tick, &["trigger 1"]),
            (2, Event::Tick, &["trigger 2"]),
            (2, ack(1, "a"), &[]),
            (2, ack(2, "a"), &[]),
            (2, ack(2, "b"), &["subsume 1", "record 2"]),
            (2, ack(1, "b"), &[]),
        ],
    );
}

#[test]
fn only_one_checkpoint_is_recorded_at_a_time() {
    let mut coordinator = coordinator(CheckpointSpec { max_concurrent: 3, ..spec() });
    check(
        &mut coordinator,
        vec![
            (1, Event::Tick, &["trigger 1"]),
            (2, Event::Tick, &["trigger 2"]),
            (3, Event::Tick, &["trigger 3"]),
            (3, ack(1, "a"), &[]),
            (3, ack(1, "b"), &["record 1"]),
            (3, ack(2, "a"), &[]),
            (3, ack(2, "b"), &[]),
            (3, ack(3, "a"), &[]),
            (3, ack(3, "b"), &["subsume 2"]),
            (3, recorded(1), &["record 3"]),
        ],
    );
}

#[test]
fn wanted_checkpoint_waits_for_neither_interval_nor_pause_but_for_room() {
    let mut coordinator = coordinator(CheckpointSpec { min_pause_ms: 60_000, ..spec() });
    check(
        &mut coordinator,
        vec![
            (0, Event::TriggerNow, &["trigger 1"]),
            (0, Event::TriggerNow, &[]),
            (0, ack(1, "a"), &[]),
            (0, ack(1, "b"), &["record 1"]),
            (0, recorded(1), &["trigger 2"]),
        ],
    );
}

#[test]
fn finished_subtask_takes_part_in_every_later_checkpoint() {
    check(
        &mut coordinator(spec()),
        vec![
            (0, finished("a", 0), &[]),
            (1, Event::Tick, &["trigger 1"]),
            (1, ack(1, "b"), &["record 1"]),
            (1, recorded(1), &[]),
            (2, Event::Tick, &["trigger 2"]),
            (2, ack(2, "b"), &["record 2"]),
        ],
    );
}

#[test]
fn job_is_idle_though_a_subtask_of_it_has_finished() {
    check(
        &mut coordinator(spec()),
        vec![
            (0, finished("a", 0), &[]),
            (1, Event::Tick, &["trigger 1"]),
            (1, ack_unchanged(1, "b"), &["record 1"]),
            (1, recorded(1), &[]),
            (2, Event::Tick, &["trigger 2"]),
            (2, ack_unchanged(2, "b"), &["skip 2"]),
        ],
    );
}

#[test]
fn what_a_subtask_leaves_at_its_end_is_not_its_state_at_a_barrier_it_passed_before() {
    check(
        &mut coordinator(spec()),
        vec![
            (1, Event::Tick, &["trigger 1"]),
            (1, ack(1, "b"), &[]),
            (1, finished("a", 1), &[]),
            (1, ack(1, "a"), &["record 1"]),
        ],
    );
}

#[test]
fn subtask_that_ended_before_the_trigger_reached_it_takes_part_with_what_it_leaves() {
    check(
        &mut coordinator(spec()),
        vec![(1, Event::Tick, &["trigger 1"]), (1, ack(1, "b"), &[]), (1, finished("a", 0), &["record 1"])],
    );
}

#[test]
fn bounded_job_ends_with_one_last_checkpoint_at_once() {
    let mut coordinator = coordinator(spec());
    check(
        &mut coordinator,
        vec![
            (0, finished("a", 0), &[]),
            (0, finished("b", 0), &["record last 1"]),
            (5, Event::Tick, &[]),
            (5, Event::Recorded { checkpoint: CheckpointId(1), unconfirmed: true }, &[]),
            (9, Event::TriggerNow, &[]),
        ],
    );
    assert!(coordinator.has_stopped());
    assert_eq!(coordinator.next_wake(), None);
}

#[test]
fn last_checkpoint_waits_for_the_one_that_is_being_recorded() {
    check(
        &mut coordinator(spec()),
        vec![
            (1, Event::Tick, &["trigger 1"]),
            (1, ack(1, "a"), &[]),
            (1, ack(1, "b"), &["record 1"]),
            (1, finished("a", 1), &[]),
            (1, finished("b", 1), &[]),
            (1, recorded(1), &["record last 2"]),
        ],
    );
}

#[test]
fn last_checkpoint_that_failed_is_tried_again_an_interval_later() {
    let mut coordinator = coordinator(CheckpointSpec { tolerable_failures: 1, ..spec() });
    check(
        &mut coordinator,
        vec![
            (0, finished("a", 0), &[]),
            (0, finished("b", 0), &["record last 1"]),
            (1, Event::RecordFailed { checkpoint: CheckpointId(1), reason: "no".to_owned() }, &["abort 1"]),
        ],
    );
    assert_eq!(coordinator.next_wake(), Some(2 * SECOND));
    check(&mut coordinator, vec![(2, Event::Tick, &["record last 2"])]);
}

/// What may happen next in a random life.
#[derive(Debug, Clone, Copy)]
enum Happens {
    Time(u16),
    Now,
    Ack(prop::sample::Index, usize, bool),
    Decline(prop::sample::Index, usize),
    Finish(usize),
    Recorded(bool, bool),
}

fn happens() -> impl Strategy<Value = Happens> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        3 => (0_u16..3_000).prop_map(Happens::Time),
        1 => Just(Happens::Now),
        12 => (index(), 0_usize..3, any::<bool>()).prop_map(|(which, who, changed)| Happens::Ack(which, who, changed)),
        1 => (index(), 0_usize..3).prop_map(|(which, who)| Happens::Decline(which, who)),
        1 => (0_usize..3).prop_map(Happens::Finish),
        3 => (prop::bool::weighted(0.9), any::<bool>()).prop_map(|(won, open)| Happens::Recorded(won, open)),
    ]
}

/// What an onlooker knows of a coordinator's life.
#[derive(Debug, Default)]
struct Onlooker {
    triggered: BTreeMap<CheckpointId, Timestamp>,
    acks: BTreeMap<CheckpointId, BTreeMap<usize, bool>>,
    finished: BTreeMap<usize, CheckpointId>,
    highest: CheckpointId,
    recording: Option<CheckpointId>,
    ended_at: Option<Timestamp>,
}

impl Onlooker {
    /// Whether a subtask has contributed to a checkpoint.
    fn contributed(&self, checkpoint: CheckpointId, who: usize) -> bool {
        let acked = self.acks.get(&checkpoint).is_some_and(|acks| acks.contains_key(&who));
        acked || self.finished.get(&who).is_some_and(|passed| *passed < checkpoint)
    }

    fn see(&mut self, action: &Action, now: Timestamp, spec: &CheckpointSpec) -> Result<(), TestCaseError> {
        let everybody = |onlooker: &Self, checkpoint| (0..3).all(|who| onlooker.contributed(checkpoint, who));
        match action {
            Action::Trigger(barrier) => {
                prop_assert!(barrier.checkpoint > self.highest, "ids rise");
                let on_their_way = self.triggered.len() + usize::from(self.recording.is_some());
                prop_assert!(on_their_way < spec.max_concurrent as usize, "there was room");
                self.highest = barrier.checkpoint;
                self.triggered.insert(barrier.checkpoint, now);
            }
            Action::Record(complete) => {
                prop_assert!(everybody(self, complete.checkpoint), "recorded without everybody");
                prop_assert_eq!(complete.reports.len(), 3);
                prop_assert_eq!(self.recording, None, "one at a time");
                prop_assert!(complete.last || self.triggered.contains_key(&complete.checkpoint), "nobody gave it up");
                self.triggered.remove(&complete.checkpoint);
                self.highest = self.highest.max(complete.checkpoint);
                self.recording = Some(complete.checkpoint);
            }
            Action::Skip { checkpoint } => {
                prop_assert!(everybody(self, *checkpoint), "skipped without everybody");
                prop_assert!(!self.acks[checkpoint].values().any(|changed| *changed), "a change was skipped");
                self.triggered.remove(checkpoint);
                self.ended_at = Some(now);
            }
            Action::Abort { checkpoint, reason } => {
                let triggered = self.triggered.remove(checkpoint);
                if let (AbortReason::Expired { .. }, Some(at)) = (reason, triggered) {
                    prop_assert!(now - at >= 10_000, "expired too early");
                }
                self.ended_at = Some(now);
            }
            Action::FailJob { .. } => {}
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn whatever_happens_nothing_is_recorded_without_everybody_and_ids_rise_within_the_limits(
        max_concurrent in 1_u32..4,
        life in vec(happens(), 0..120),
    ) {
        let spec = CheckpointSpec { max_concurrent, tolerable_failures: 5, ..spec() };
        let who: Vec<SubtaskId> = (0..3).map(|index| subtask("task", index)).collect();
        let subtasks = who.iter().cloned().collect();
        let mut coordinator = Coordinator::new(spec.clone(), subtasks, CheckpointId(0), false, 0);
        let mut onlooker = Onlooker::default();
        let mut now = 0;
        for happens in life {
            let pick = |which: prop::sample::Index| (!onlooker.triggered.is_empty())
                .then(|| *onlooker.triggered.keys().nth(which.index(onlooker.triggered.len())).expect("it is there"));
            let event = match happens {
                Happens::Time(ms) => {
                    now += Timestamp::from(ms);
                    Event::Tick
                }
                Happens::Now => Event::TriggerNow,
                Happens::Ack(which, by, changed) => {
                    let Some(checkpoint) = pick(which) else { continue };
                    if onlooker.finished.get(&by).is_some_and(|passed| *passed < checkpoint) {
                        continue;
                    }
                    onlooker.acks.entry(checkpoint).or_default().entry(by).or_insert(changed);
                    Event::Acknowledged { checkpoint, subtask: who[by].clone(), report: report(changed) }
                }
                Happens::Decline(which, by) => {
                    let Some(checkpoint) = pick(which) else { continue };
                    Event::Declined { checkpoint, subtask: who[by].clone(), reason: "no".to_owned() }
                }
                Happens::Finish(by) => {
                    let acked = onlooker.acks.iter().filter(|(_, acks)| acks.contains_key(&by)).map(|(id, _)| *id).max();
                    let passed = *onlooker.finished.entry(by).or_insert(acked.unwrap_or_default());
                    Event::Finished { subtask: who[by].clone(), passed, report: report(true) }
                }
                Happens::Recorded(won, unconfirmed) => {
                    let Some(checkpoint) = onlooker.recording.take() else { continue };
                    onlooker.ended_at = Some(now);
                    if won {
                        Event::Recorded { checkpoint, unconfirmed }
                    } else {
                        Event::RecordFailed { checkpoint, reason: "no".to_owned() }
                    }
                }
            };
            for action in coordinator.on(event, now) {
                onlooker.see(&action, now, &spec)?;
            }
            if !coordinator.has_stopped() {
                let wake = coordinator.next_wake();
                prop_assert!(wake.is_some() || !onlooker.triggered.is_empty() || onlooker.recording.is_some());
            }
        }
    }
}
