//! What becomes of the records that one subtask gives up on.
//!
//! Receives each such record with the reason; guarantees that the job's policy and budget apply, and that what is kept
//! is part of exactly one epoch: [`DeadLetters::seal`] closes it at the barrier; that people hear of it in the log, though
//! of ever fewer. Does not own how parts become durable.

use std::sync::Arc;

use bytes::Bytes;
use weir_protocol::Fault;
use weir_protocol::id::{JobId, SubtaskId};
use weir_protocol::job_spec::ErrorPolicy;
use weir_protocol::time::{NO_TIME, Timestamp};

use weir_operator::attempt::Budget;
use weir_operator::batch::{Batch, Keys, NO_KEY};
use weir_operator::turn::{FiredTimers, TimeDomain};

use crate::dead_letter::{DeadLetter, Payload};
use crate::metrics::SubtaskMetrics;

use super::TaskError;

/// How much of a reason the log shows: it may hold a backtrace.
const REASON_CHARS: usize = 300;

/// The dead letters of one subtask.
#[derive(Debug)]
pub(crate) struct DeadLetters {
    job: JobId,
    subtask: SubtaskId,
    policy: ErrorPolicy,
    /// Of the whole job, over its life.
    budget: Budget,
    metrics: Arc<SubtaskMetrics>,
    /// One JSON object a line.
    open: Vec<u8>,
    records: u64,
    given_up: u64,
}

/// The dead letters of one epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SealedLetters {
    /// One JSON object a line.
    pub(crate) bytes: Bytes,
    /// How many lines.
    pub(crate) records: u64,
}

impl DeadLetters {
    pub(crate) fn new(
        job: JobId,
        subtask: SubtaskId,
        policy: ErrorPolicy,
        budget: Budget,
        metrics: Arc<SubtaskMetrics>,
    ) -> Self {
        Self { job, subtask, policy, budget, metrics, open: Vec::new(), records: 0, given_up: 0 }
    }

    /// Whose they are.
    pub(crate) const fn job(&self) -> JobId {
        self.job
    }

    /// Gives up on a record that no operator has seen.
    ///
    /// # Errors
    /// When the policy is `fail`, or the budget is used up.
    pub(crate) fn give_up(&mut self, letter: DeadLetter) -> Result<(), TaskError> {
        let (origin, reason) = (&letter.origin, &letter.reason);
        if self.policy == ErrorPolicy::Fail {
            let message = format!("a record ({origin}) is refused, and the job's `errors.policy` is `fail`: {reason}");
            return Err(TaskError::new(Fault::Guest, message));
        }
        if !self.budget.charge(1) {
            let message = format!(
                "a record ({origin}) is refused, and the budget of {} dead letters is used up; mend the input or raise \
                 the job's `errors.budget`: {reason}",
                self.budget.limit()
            );
            return Err(TaskError::new(Fault::Guest, message));
        }
        self.bury(&letter);
        Ok(())
    }

    /// Keeps one row of a batch; the budget has been charged for it.
    pub(crate) fn bury_row(&mut self, batch: &Batch, row: usize, origin: String, reason: &str, at: Timestamp) {
        let event_time = batch.timestamps.get(row).copied().filter(|time| *time != NO_TIME);
        self.bury(&DeadLetter {
            uid: self.subtask.uid.clone(),
            subtask: self.subtask.index,
            at,
            reason: reason.to_owned(),
            origin,
            key: batch.keys.as_ref().and_then(|keys| key_of(keys, row)).map(Payload::new),
            value: batch.values.get(row).map(Payload::new),
            event_time,
        });
    }

    /// Keeps a timer; the budget has been charged for it.
    pub(crate) fn bury_timer(&mut self, fired: &FiredTimers, row: usize, reason: &str, at: Timestamp) {
        let is_event_time = fired.domain == TimeDomain::EventTime;
        self.bury(&DeadLetter {
            uid: self.subtask.uid.clone(),
            subtask: self.subtask.index,
            at,
            reason: reason.to_owned(),
            origin: format!("timer with tag {} at {}", fired.tags[row], fired.at[row]),
            key: key_of(&fired.keys, row).map(Payload::new),
            value: None,
            event_time: is_event_time.then(|| fired.at[row]),
        });
    }

    fn bury(&mut self, letter: &DeadLetter) {
        self.given_up += 1;
        self.metrics.dead_letters.add(1);
        if self.given_up.is_power_of_two() {
            self.tell(letter);
        }
        if self.policy == ErrorPolicy::DeadLetter {
            serde_json::to_writer(&mut self.open, letter).expect("a dead letter is plain data, and memory takes it");
            self.open.push(b'\n');
            self.records += 1;
        }
    }

    /// Says what was given up on last.
    fn tell(&self, letter: &DeadLetter) {
        let (job, uid, subtask, records) = (self.job, &self.subtask.uid, self.subtask.index, self.given_up);
        let reason: String = letter.reason.lines().next().unwrap_or_default().chars().take(REASON_CHARS).collect();
        let origin = &letter.origin;
        match self.policy {
            ErrorPolicy::DeadLetter => tracing::warn!(
                %job, %uid, subtask, %origin, %reason,
                "dead letters of this subtask since it was started: {records}; the newest:"
            ),
            ErrorPolicy::Skip | ErrorPolicy::Fail => tracing::warn!(
                %job, %uid, subtask, %origin, %reason,
                "records that this subtask has skipped since it was started: {records}; the newest:"
            ),
        }
    }

    /// Records given up on since the attempt began, skipped ones included.
    pub(crate) const fn given_up(&self) -> u64 {
        self.given_up
    }

    /// Closes the epoch; `None`: there were none.
    pub(crate) fn seal(&mut self) -> Option<SealedLetters> {
        let records = std::mem::take(&mut self.records);
        let bytes = Bytes::from(std::mem::take(&mut self.open));
        (records > 0).then_some(SealedLetters { bytes, records })
    }
}

fn key_of(keys: &Keys, row: usize) -> Option<&[u8]> {
    let key = keys.key_of.get(row).copied().filter(|key| *key != NO_KEY)?;
    Some(keys.distinct.get(key as usize))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heard::Heard;
    use crate::rejected::RejectedRecord;

    fn letters(policy: ErrorPolicy, budget: u64) -> DeadLetters {
        let subtask = SubtaskId { uid: "parse".parse().expect("it is a name"), index: 1 };
        DeadLetters::new(JobId(7), subtask, policy, Budget::new(budget, 0), Arc::default())
    }

    fn refuse(letters: &mut DeadLetters, times: usize) -> Result<(), TaskError> {
        let record = RejectedRecord {
            reason: "odd".to_owned(),
            origin: "file:7".to_owned(),
            key: Some(b"k".to_vec()),
            value: Some(b"\xff".to_vec()),
            timestamp: NO_TIME,
        };
        let subtask = letters.subtask.clone();
        (0..times).try_for_each(|_| letters.give_up(record.clone().into_dead_letter(&subtask, 5)))
    }

    #[test]
    fn each_letter_is_one_line_that_reads_back() {
        let mut letters = letters(ErrorPolicy::DeadLetter, 10);
        refuse(&mut letters, 2).expect("within the budget");
        let sealed = letters.seal().expect("there are two");
        assert_eq!((sealed.records, letters.seal()), (2, None));
        let line = sealed.bytes.split(|byte| *byte == b'\n').next().expect("there is a line");
        let letter: DeadLetter = serde_json::from_slice(line).expect("it is JSON");
        assert_eq!(letter.value, Some(Payload::Base64("/w==".to_owned())));
        assert_eq!((letter.key, letter.event_time), (Some(Payload::Text("k".to_owned())), None));
    }

    #[test]
    fn the_record_beyond_the_budget_fails_the_job() {
        for policy in [ErrorPolicy::DeadLetter, ErrorPolicy::Skip] {
            let mut letters = letters(policy, 3);
            refuse(&mut letters, 3).expect("within the budget");
            assert_eq!(refuse(&mut letters, 1).expect_err("beyond the budget").fault, Fault::Guest);
        }
    }

    #[test]
    fn the_log_tells_of_the_first_letter_and_of_ever_fewer_after_it() {
        for policy in [ErrorPolicy::DeadLetter, ErrorPolicy::Skip] {
            let heard = Heard::default();
            let mut letters = letters(policy, 10_000);
            let listening = heard.listen();
            refuse(&mut letters, 1_000).expect("within the budget");
            drop(listening);
            let lines = heard.lines();
            assert_eq!(lines.len(), 10, "{lines:?}");
            // When letters can be read depends on the job's checkpoints.
            assert!(lines.iter().all(|line| !line.contains("checkpoint")), "{lines:#?}");
            for part in ["since it was started: 1;", "job=00000000000000000000000000000007", "uid=parse", "reason=odd"]
            {
                assert!(lines[0].contains(part), "{part} is not in {}", lines[0]);
            }
            assert!(lines[9].contains(": 512") && lines[9].contains("origin=file:7"), "{}", lines[9]);
        }
    }

    #[test]
    fn skipped_records_are_counted_and_not_kept() {
        let mut letters = letters(ErrorPolicy::Skip, 3);
        refuse(&mut letters, 2).expect("within the budget");
        assert_eq!((letters.given_up(), letters.seal()), (2, None));
    }

    #[test]
    fn the_policy_fail_fails_at_the_first_record() {
        let mut letters = letters(ErrorPolicy::Fail, 3);
        assert_eq!(refuse(&mut letters, 1).expect_err("no record may be given up on").fault, Fault::Guest);
    }
}
