//! Trying a piece of work until every row of it is processed or given up on (PROTOCOL 4.2 and 4.3).
//!
//! Receives the work of one turn; guarantees that each row's effects are committed once, in row order, or that the row
//! is given up on with the reason, and that an instance whose effects were discarded is never called again. A call that
//! would make state larger than it may be has failed as any other. `plan` decides, this module calls. Does not own
//! committing, nor the dead letters: its caller does both between two steps, and nothing else.

mod admission;
mod budget;
mod plan;
mod quota;
#[cfg(test)]
mod tests;

pub use budget::Budget;
pub use quota::{StateQuota, StateShare};

use std::sync::Arc;

use weir_protocol::Fault;
use weir_protocol::description::InputKind;
use weir_protocol::job_spec::ErrorPolicy;
use weir_protocol::time::Timestamp;

use self::plan::{Plan, Probing, Rows, Verdict};
use crate::operator::{CallError, Factory, OpenContext, Operator};
use crate::turn::{Effects, Turn, Work};
use crate::unkeyed_state::UnkeyedState;

/// One subtask's operator, with all that is done when a call fails.
///
/// ```text
/// attempts.start(&mut turn);
/// loop {
///     match attempts.step(&mut turn).await {
///         Step::Commit => commit(turn.effects, turn.work),
///         Step::DeadLetter(letter) => stage(letter),
///         Step::Done => break,
///         Step::Fails(failure) => return Err(failure),
///     }
/// }
/// ```
pub struct Attempts {
    factory: Arc<dyn Factory>,
    context: OpenContext,
    policy: ErrorPolicy,
    budget: Budget,
    quota: StateQuota,
    instance: Option<Box<dyn Operator>>,
    /// How many instances were made; each has a seed of its own.
    opened: u64,
    plan: Plan,
    /// The whole work, while a part of it is in the turn.
    whole: Option<Work>,
    seed: u64,
    attempt: u32,
}

/// What the caller does next.
#[derive(Debug)]
pub enum Step {
    /// Commit the turn's effects, which belong to the turn's work: the whole, or the next part of it.
    Commit,
    /// Rows were given up on.
    DeadLetter(Box<DeadLetter>),
    /// Every row is committed or given up on.
    Done,
    /// The job fails.
    Fails(JobFailure),
}

/// Rows that were given up on.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetter {
    /// These rows alone (or these timers: they are removed, and their keys' state stays).
    pub work: Work,
    /// Which they are of the whole work.
    pub rows: Vec<u32>,
    /// Why.
    pub reason: String,
    /// The job's policy is to drop and count them; else they go to its dead letters.
    pub skipped: bool,
}

/// Why the job fails.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct JobFailure {
    /// Who must act.
    pub fault: Fault,
    /// What is wrong, where, and the mend.
    pub reason: String,
}

impl Attempts {
    /// For one subtask. `context.seed` is the seed of its first instance.
    #[must_use]
    pub fn new(factory: Arc<dyn Factory>, context: OpenContext, policy: ErrorPolicy, budget: Budget) -> Self {
        Self {
            factory,
            context,
            policy,
            budget,
            quota: StateQuota::new(None),
            instance: None,
            opened: 0,
            plan: Plan::done(),
            whole: None,
            seed: 0,
            attempt: 0,
        }
    }

    /// The same where the job's state is bounded.
    #[must_use]
    pub fn within(mut self, quota: StateQuota) -> Self {
        self.quota = quota;
        self
    }

    /// Makes the instance now, so that an operator that cannot open fails the job before its first record.
    ///
    /// # Errors
    /// When `open` fails.
    pub async fn open(&mut self, processing_time: Timestamp, unkeyed: &UnkeyedState) -> Result<(), JobFailure> {
        self.instance(processing_time, unkeyed).await.map(|_| ())
    }

    /// Drops the instance, for as long as there is nothing to do; the next step makes another one.
    pub fn release(&mut self) {
        self.instance = None;
    }

    /// Begins with the work that the turn holds.
    pub fn start(&mut self, turn: &mut Turn) {
        let probing = match &turn.work {
            Work::Batch { input, .. } => match self.factory.description().inputs.get(*input as usize) {
                Some(input) if input.kind == InputKind::Broadcast => Probing::OnceMore,
                _ => Probing::Split,
            },
            Work::Timers(_) => Probing::Split,
            Work::Finish => Probing::Never,
        };
        self.plan = Plan::new(turn.work.rows(), probing);
        self.whole = None;
        self.seed = turn.seed;
        self.attempt = 0;
    }

    /// Goes on until something is to be done. After [`Step::Commit`] the turn's effects and work are a part's, its
    /// keys selected; after any other step they mean nothing.
    pub async fn step(&mut self, turn: &mut Turn) -> Step {
        while let Some(rows) = self.plan.next() {
            let rows = rows.clone();
            let fresh = self.instance.is_none();
            let called = match self.try_part(turn, &rows).await {
                Ok(called) => called,
                Err(failure) => return Step::Fails(failure),
            };
            let settled = match called {
                Ok(()) => self.passed(turn),
                Err(error) => self.failed(turn, &error, fresh),
            };
            if let Some(step) = settled {
                return step;
            }
        }
        Step::Done
    }

    /// Calls the operator with a part. The outer error fails the job whatever the plan says.
    async fn try_part(&mut self, turn: &mut Turn, rows: &Rows) -> Result<Result<(), CallError>, JobFailure> {
        self.place(turn, rows);
        if let (Some(state), Some(keys)) = (turn.state.as_mut(), turn.work.keys()) {
            state.select(keys, turn.processing_time).map_err(|error| self.failure(error.fault, &error.message))?;
        }
        turn.effects = Effects::default();
        turn.attempt = self.attempt;
        turn.seed = mix(mix(self.seed, self.attempt.into()), rows.first().into());
        self.attempt += 1;
        let instance = self.instance(turn.processing_time, &turn.unkeyed).await?;
        let mut called = instance.call(turn).await;
        let is_worn = instance.is_worn();
        if called.is_ok() {
            called = admission::admit(turn, &self.quota).await;
        }
        if called.is_err() || is_worn {
            self.instance = None;
        }
        match called {
            Err(CallError::Host { fault, message }) => Err(self.failure(fault, &message)),
            called => Ok(called),
        }
    }

    fn passed(&mut self, turn: &Turn) -> Option<Step> {
        let rejected: usize = turn.effects.rejections.iter().map(|rejection| rejection.rows.len()).sum();
        if let Some(first) = turn.effects.rejections.first()
            && let Err(failure) = self.give_up(&turn.work, &first.rows, rejected as u64, &first.reason)
        {
            return Some(Step::Fails(failure));
        }
        self.plan.passed();
        Some(Step::Commit)
    }

    fn failed(&mut self, turn: &Turn, error: &CallError, fresh: bool) -> Option<Step> {
        let named: &[u32] = match error {
            CallError::Failure { rows, .. } => rows,
            CallError::Trap(_) | CallError::Limit(_) | CallError::Host { .. } => &[],
        };
        match self.plan.failed(named, fresh) {
            Verdict::Again => None,
            Verdict::Fails => Some(Step::Fails(self.failure(Fault::Guest, &error.to_string()))),
            Verdict::GiveUp(rows) => {
                let work = self.whole.as_ref().unwrap_or(&turn.work).gather(&rows);
                let all: Vec<u32> = (0..work.rows()).collect();
                let reason = error.to_string();
                if let Err(failure) = self.give_up(&work, &all, rows.len() as u64, &reason) {
                    return Some(Step::Fails(failure));
                }
                let skipped = self.policy == ErrorPolicy::Skip;
                Some(Step::DeadLetter(Box::new(DeadLetter { work, rows, reason, skipped })))
            }
        }
    }

    /// Whether rows may be given up on.
    fn give_up(&self, work: &Work, rows: &[u32], count: u64, reason: &str) -> Result<(), JobFailure> {
        let record = describe_record(work, rows);
        if self.policy == ErrorPolicy::Fail {
            let text = format!("{record} cannot be processed, and the job's `errors.policy` is `fail`: {reason}");
            return Err(self.failure(Fault::Guest, &text));
        }
        if !self.budget.charge(count) {
            let text = format!(
                "{record} cannot be processed, and the budget of {} dead letters is used up; mend the operator or raise \
                 the job's `errors.budget`: {reason}",
                self.budget.limit()
            );
            return Err(self.failure(Fault::Guest, &text));
        }
        Ok(())
    }

    /// Puts a part of the work into the turn.
    fn place(&mut self, turn: &mut Turn, rows: &Rows) {
        match rows {
            Rows::All(_) => {
                if let Some(whole) = self.whole.take() {
                    turn.work = whole;
                }
            }
            Rows::Listed(rows) => {
                let whole = self.whole.get_or_insert_with(|| std::mem::replace(&mut turn.work, Work::Finish));
                turn.work = whole.gather(rows);
            }
        }
    }

    async fn instance(
        &mut self,
        processing_time: Timestamp,
        unkeyed: &UnkeyedState,
    ) -> Result<&mut Box<dyn Operator>, JobFailure> {
        if self.instance.is_none() {
            let mut context = self.context.clone();
            context.processing_time = processing_time;
            context.unkeyed = unkeyed.clone();
            if self.opened > 0 {
                context.seed = mix(context.seed, self.opened);
            }
            self.opened += 1;
            let opened = self.factory.open(context).await;
            self.instance =
                Some(opened.map_err(|error| self.failure(error.fault(), &format!("`open` failed: {error}")))?);
        }
        Ok(self.instance.as_mut().expect("it was made just now"))
    }

    fn failure(&self, fault: Fault, text: &str) -> JobFailure {
        let (uid, subtask) = (&self.context.uid, self.context.subtask);
        JobFailure { fault, reason: format!("operator `{uid}`, subtask {subtask}: {text}") }
    }
}

/// Names the first of some rows for a person.
fn describe_record(work: &Work, rows: &[u32]) -> String {
    let row = rows.first().copied().unwrap_or(0) as usize;
    let what = if matches!(work, Work::Timers(_)) { "a timer" } else { "a record" };
    let key = work.keys().and_then(|keys| {
        let index = *keys.key_of.get(row)? as usize;
        (index < keys.count())
            .then(|| String::from_utf8_lossy(keys.distinct.get(index)).chars().take(64).collect::<String>())
    });
    key.map_or_else(|| what.to_owned(), |key| format!("{what} with the key `{key}`"))
}

/// Another 64 bits that follow from `seed` and `salt` (the finisher of splitmix64).
fn mix(seed: u64, salt: u64) -> u64 {
    let mut bits = seed.wrapping_add(salt.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

impl std::fmt::Debug for Attempts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attempts").field("factory", &self.factory).field("plan", &self.plan).finish_non_exhaustive()
    }
}
