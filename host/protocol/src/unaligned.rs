//! Unaligned barriers: the reaction to the first one, and which records are channel state.
//!
//! Receives the barriers and ends of a task's inputs. Guarantees that the task reacts to a checkpoint exactly once, at
//! its first barrier, and that what still arrives on another input until that input's barrier is recorded as channel
//! state: it is processed after the barrier that was sent on, though it lies before its own. No input ever waits. Does
//! not own the records, nor what is already queued or committed when the reaction comes (the task adds those).

use crate::alignment::Barrier;
use crate::id::CheckpointId;

/// What a task does after a barrier on one of its inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reaction {
    /// The checkpoint's first barrier: freeze the state and send it on, before anything else is processed.
    pub first: bool,
    /// The checkpoint's last barrier: its channel state is whole.
    pub last: bool,
    /// An older checkpoint whose channel state will never be whole.
    pub gave_up: Option<CheckpointId>,
}

/// The unaligned barriers of one task; one checkpoint at a time.
#[derive(Debug, Clone)]
pub struct Unaligned {
    inputs: Vec<Input>,
    current: Option<CheckpointId>,
    passed: CheckpointId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Input {
    /// Its barrier of the current checkpoint, if there is one, is still to come.
    Before,
    /// Its barrier of the current checkpoint has come.
    Behind,
    Ended,
}

impl Unaligned {
    /// A task with `inputs` open inputs, restored from `restored` (0: it starts anew).
    ///
    /// # Panics
    /// Without inputs.
    #[must_use]
    pub fn new(inputs: usize, restored: CheckpointId) -> Self {
        assert!(inputs > 0, "a task that meets barriers has at least one input");
        Self { inputs: vec![Input::Before; inputs], current: None, passed: restored }
    }

    /// Notes a barrier on `input`; `None`: it is of a checkpoint that was given up, or complete, before.
    pub fn on_barrier(&mut self, input: usize, barrier: Barrier) -> Option<Reaction> {
        if barrier.checkpoint <= self.passed || self.current > Some(barrier.checkpoint) {
            return None;
        }
        let running = self.current.filter(|current| *current == barrier.checkpoint);
        let gave_up = if running.is_none() { self.begin(barrier.checkpoint) } else { None };
        self.inputs[input] = Input::Behind;
        Some(Reaction { first: running.is_none(), last: self.complete().is_some(), gave_up })
    }

    /// Notes that `input` has ended; the checkpoint whose channel state this makes whole, if any.
    #[must_use]
    pub fn on_end(&mut self, input: usize) -> Option<CheckpointId> {
        self.inputs[input] = Input::Ended;
        self.complete()
    }

    /// The checkpoint to whose channel state a record belongs that arrives on `input` now.
    #[must_use]
    pub fn captures(&self, input: usize) -> Option<CheckpointId> {
        self.current.filter(|_| self.inputs[input] == Input::Before)
    }

    fn begin(&mut self, checkpoint: CheckpointId) -> Option<CheckpointId> {
        let gave_up = self.current.replace(checkpoint);
        if let Some(older) = gave_up {
            self.passed = older;
        }
        self.reopen();
        gave_up
    }

    fn complete(&mut self) -> Option<CheckpointId> {
        if self.inputs.contains(&Input::Before) {
            return None;
        }
        let complete = self.current.take()?;
        self.passed = complete;
        self.reopen();
        Some(complete)
    }

    fn reopen(&mut self) {
        for input in &mut self.inputs {
            if *input == Input::Behind {
                *input = Input::Before;
            }
        }
    }
}
