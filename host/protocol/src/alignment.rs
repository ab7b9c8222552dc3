//! Aligned barriers: which inputs of a task wait, and when a barrier is on all of them.
//!
//! Receives, in the order in which a task meets them, the barriers and ends of its inputs (one input for each upstream
//! subtask of each edge). Guarantees that no record behind barrier *n* of an input is due before *n* is on every input
//! that still runs; an input that has ended counts as aligned. A task of which all have ended, and that still works, is
//! told of barriers by the coordinator. A newer barrier gives up an older one that is still
//! incomplete. Does not own the queues: the task must not read an input while [`Alignment::is_blocked`].

use crate::id::CheckpointId;
use crate::time::Timestamp;

/// What separates the records before a checkpoint from those after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Barrier {
    /// Which checkpoint.
    pub checkpoint: CheckpointId,
    /// When the coordinator triggered it: the processing time of the barrier, the same for every subtask.
    pub at: Timestamp,
}

/// What a task does after a barrier, or an end, on one of its inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aligning {
    /// The barrier is not on all inputs yet: the input it came on is blocked.
    Blocked {
        /// An older checkpoint that is given up for this one; inputs blocked for it are open again.
        gave_up: Option<CheckpointId>,
    },
    /// The barrier is on all inputs: freeze the state, send the barrier on, then go on. All inputs are open again.
    Aligned {
        /// The barrier to send on.
        barrier: Barrier,
        /// An older checkpoint that is given up for this one.
        gave_up: Option<CheckpointId>,
    },
    /// A barrier of a checkpoint that was given up before: pass it over, do not send it on.
    Stale,
}

/// The alignment of one task.
#[derive(Debug, Clone)]
pub struct Alignment {
    inputs: Vec<Input>,
    current: Option<Barrier>,
    passed: CheckpointId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Input {
    Open,
    Blocked,
    Ended,
}

impl Alignment {
    /// A task with `inputs` open inputs, restored from `restored` (0: it starts anew).
    ///
    /// # Panics
    /// Without inputs: sources are triggered by the coordinator, not by barriers.
    #[must_use]
    pub fn new(inputs: usize, restored: CheckpointId) -> Self {
        assert!(inputs > 0, "a task that aligns has at least one input");
        Self { inputs: vec![Input::Open; inputs], current: None, passed: restored }
    }

    /// Notes a barrier on `input`.
    ///
    /// # Panics
    /// When the input is blocked or has ended: it must not have been read.
    pub fn on_barrier(&mut self, input: usize, barrier: Barrier) -> Aligning {
        assert_eq!(self.inputs[input], Input::Open, "input {input} was read although it is blocked or has ended");
        if barrier.checkpoint <= self.passed {
            return Aligning::Stale;
        }
        let gave_up = match self.current {
            Some(current) if current.checkpoint > barrier.checkpoint => return Aligning::Stale,
            Some(current) if current.checkpoint < barrier.checkpoint => self.give_up_current(),
            Some(_) | None => None,
        };
        self.inputs[input] = Input::Blocked;
        self.current = Some(barrier);
        match self.complete() {
            Some(barrier) => Aligning::Aligned { barrier, gave_up },
            None => Aligning::Blocked { gave_up },
        }
    }

    /// Notes that `input` has ended; the barrier that this completes, if any: freeze the state and send it on.
    ///
    /// # Panics
    /// When the input is blocked: it must not have been read.
    #[must_use]
    pub fn on_end(&mut self, input: usize) -> Option<Barrier> {
        assert_ne!(self.inputs[input], Input::Blocked, "input {input} was read although it is blocked");
        self.inputs[input] = Input::Ended;
        self.complete()
    }

    /// Notes a barrier that the coordinator has triggered, after which no input can bring one any more: whether to freeze the
    /// state and send it on.
    ///
    /// # Panics
    /// While an input runs: it may have records that come before the barrier.
    #[must_use]
    pub fn on_trigger(&mut self, barrier: Barrier) -> bool {
        assert!(self.has_ended(), "a barrier comes with the inputs while there are any");
        let is_new = barrier.checkpoint > self.passed;
        self.passed = self.passed.max(barrier.checkpoint);
        is_new
    }

    /// Gives a checkpoint up, and all before it, because the coordinator did. Returns whether inputs were unblocked.
    pub fn abort(&mut self, checkpoint: CheckpointId) -> bool {
        let waits = self.current.is_some_and(|current| current.checkpoint <= checkpoint);
        if waits {
            self.give_up_current();
        }
        self.passed = self.passed.max(checkpoint);
        waits
    }

    /// Whether the task must leave `input` unread.
    #[must_use]
    pub fn is_blocked(&self, input: usize) -> bool {
        self.inputs[input] == Input::Blocked
    }

    /// Whether every input has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.inputs.iter().all(|input| *input == Input::Ended)
    }

    /// The barrier that is on some inputs, but not on all.
    #[must_use]
    pub fn in_progress(&self) -> Option<Barrier> {
        self.current
    }

    /// The newest checkpoint whose barrier the task has put behind it, aligned or given up. What the task does from
    /// here on belongs to later ones only.
    #[must_use]
    pub fn passed(&self) -> CheckpointId {
        self.passed
    }

    fn give_up_current(&mut self) -> Option<CheckpointId> {
        let current = self.current.take()?;
        self.unblock(current.checkpoint);
        Some(current.checkpoint)
    }

    fn complete(&mut self) -> Option<Barrier> {
        if self.inputs.contains(&Input::Open) {
            return None;
        }
        let barrier = self.current.take()?;
        self.unblock(barrier.checkpoint);
        Some(barrier)
    }

    fn unblock(&mut self, passed: CheckpointId) {
        self.passed = self.passed.max(passed);
        for input in &mut self.inputs {
            if *input == Input::Blocked {
                *input = Input::Open;
            }
        }
    }
}
