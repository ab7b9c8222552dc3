//! The life of checkpoints, and the alignment of barriers, under any sequence of events that callers may send.
//!
//! Claims: no sequence makes them panic, and each answer is one that an onlooker, who knows only what was sent and
//! answered, finds right.

mod aligned;
mod onlooker;
mod unaligned;

use weir_protocol::coordinator::{Coordinator, Event};
use weir_protocol::id::{CheckpointId, SubtaskId};
use weir_protocol::job_spec::CheckpointSpec;
use weir_protocol::report::{Report, Work};
use weir_protocol::time::Timestamp;

use crate::choices::Choices;

use onlooker::Onlooker;

/// Times and durations stay below this: beyond it they would only be cut off.
const SPAN: u64 = 1 << 61;

/// Checks the claims for one input.
pub fn check(data: &[u8]) {
    let mut choices = Choices::new(data);
    match choices.below(4) {
        0 => aligned::check(&mut choices),
        1 => unaligned::check(&mut choices),
        _ => life(&mut choices, |_| {}),
    }
}

fn spec(choices: &mut Choices<'_>) -> CheckpointSpec {
    let ms = |choices: &mut Choices<'_>| if choices.one_in(12) { choices.number() % SPAN + 1 } else { 1_000 };
    CheckpointSpec {
        interval_ms: ms(choices),
        timeout_ms: if choices.one_in(2) { ms(choices) } else { 5_000 },
        min_pause_ms: if choices.one_in(4) { ms(choices) } else { 0 },
        max_concurrent: u32::from(choices.byte() % 4) + 1,
        retained: 3,
        tolerable_failures: u32::from(choices.byte() % 5),
    }
}

/// One attempt, from its beginning until the bytes end; `change` is what the coordinator is told and the onlooker not.
fn life(choices: &mut Choices<'_>, change: impl FnOnce(&mut CheckpointSpec)) {
    let spec = spec(choices);
    let mut told = spec.clone();
    change(&mut told);
    let uid = "task".parse().expect("a name");
    let count = u32::from(choices.byte() % 4) + 1;
    let subtasks: Vec<SubtaskId> = (0..count).map(|index| SubtaskId { uid: Clone::clone(&uid), index }).collect();
    let highest = CheckpointId(choices.number() % (1 << 40));
    let unconfirmed = choices.one_in(4);
    let mut now = if choices.one_in(12) { any_time(choices) } else { 0 };
    let all = subtasks.iter().cloned().collect();
    let mut coordinator = Coordinator::new(told, all, highest, unconfirmed, now);
    let mut onlooker = Onlooker::new(spec, subtasks, highest, unconfirmed, now);
    while !choices.is_at_end() {
        if choices.one_in(12) {
            let has_room = !choices.one_in(3);
            coordinator.set_room(has_room);
            onlooker.set_room(has_room);
        }
        now = later(choices, now, coordinator.next_wake());
        let event = event(choices, &mut onlooker);
        let wake = coordinator.next_wake();
        onlooker.send(&event, now);
        let actions = coordinator.on(event, now);
        onlooker.see(&actions, wake);
        onlooker.settled(&coordinator);
    }
}

/// Time goes on; now and then a clock goes back, or leaps.
fn later(choices: &mut Choices<'_>, now: Timestamp, wake: Option<Timestamp>) -> Timestamp {
    let later = match choices.below(16) {
        0..6 => now,
        6..12 => now.saturating_add(i64::from(choices.byte()) * 8),
        12 | 13 => wake.unwrap_or(now),
        14 => now.saturating_sub(i64::from(choices.u16())),
        _ => any_time(choices),
    };
    later.min(SPAN.cast_signed())
}

fn any_time(choices: &mut Choices<'_>) -> Timestamp {
    choices.signed() % SPAN.cast_signed()
}

/// Any event that a caller may send: also what is late, doubled, or of a checkpoint that never was.
fn event(choices: &mut Choices<'_>, onlooker: &mut Onlooker) -> Event {
    let checkpoint = onlooker.some_checkpoint(choices);
    let subtask = choices.pick(&onlooker.subtasks).clone();
    match choices.below(16) {
        0 | 1 => Event::Tick,
        2 => Event::TriggerNow,
        3 => Event::Declined { checkpoint, subtask, reason: "no".to_owned() },
        4 => {
            // A barrier that a task has passed was triggered; a finished task acknowledges nothing behind it.
            let passed = CheckpointId(checkpoint.0.min(onlooker.highest.0)).max(onlooker.acknowledged_by(&subtask));
            Event::Finished { subtask, passed, report: report(choices, onlooker) }
        }
        5 | 6 => Event::Recorded { checkpoint, unconfirmed: choices.one_in(3) },
        7 => Event::RecordFailed { checkpoint, reason: "no".to_owned() },
        8 | 9 => {
            let recording = onlooker.recording.unwrap_or(checkpoint);
            Event::Recorded { checkpoint: recording, unconfirmed: choices.one_in(3) }
        }
        _ => Event::Acknowledged { checkpoint, subtask, report: report(choices, onlooker) },
    }
}

/// A report that is told from every other by how many it rejected.
fn report(choices: &mut Choices<'_>, onlooker: &mut Onlooker) -> Box<Report> {
    onlooker.reports += 1;
    let changed = choices.one_in(2);
    Box::new(Report { changed, rejected: onlooker.reports, ..Report::unchanged(Work::Sink) })
}

#[cfg(test)]
mod tests {
    use super::life;
    use crate::noticed::is_noticed;

    #[test]
    fn one_more_at_once_than_is_allowed_would_be_noticed() {
        assert!(is_noticed(|choices| life(choices, |spec| spec.max_concurrent += 1)));
    }

    #[test]
    fn one_more_failure_than_is_borne_would_be_noticed() {
        assert!(is_noticed(|choices| life(choices, |spec| spec.tolerable_failures += 1)));
    }

    #[test]
    fn early_expiry_would_be_noticed() {
        assert!(is_noticed(|choices| life(choices, |spec| spec.timeout_ms = 1)));
    }
}
