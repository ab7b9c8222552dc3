//! The watermark of a task with several inputs.
//!
//! Receives each input's watermarks, idleness and end. Guarantees a merged watermark that is the least of the inputs
//! that are active, and never goes back; inputs that have ended hold nothing up, and inputs that are idle only the end of
//! time, since they may yet send. Does not own timers: what fires, and that a watermark is sent on after the outputs of
//! the timers it fired, is the task's.

use crate::time::{END_OF_TIME, NO_TIME, Timestamp};

/// What changed for those downstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merged {
    /// Nothing.
    Unchanged,
    /// The merged watermark rose to this.
    Advanced(Timestamp),
    /// Every input that still runs is idle now, so the task is.
    Idle,
}

/// The watermarks of one task's inputs, and their merger.
#[derive(Debug, Clone)]
pub struct WatermarkMerge {
    inputs: Vec<Input>,
    merged: Timestamp,
    idle: bool,
}

#[derive(Debug, Clone, Copy)]
struct Input {
    watermark: Timestamp,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Active,
    Idle,
    Ended,
}

impl WatermarkMerge {
    /// A task with `inputs` active inputs; `restored` is the watermark it had, [`NO_TIME`] where it starts anew.
    ///
    /// # Panics
    /// Without inputs.
    #[must_use]
    pub fn new(inputs: usize, restored: Timestamp) -> Self {
        assert!(inputs > 0, "a task that merges watermarks has at least one input");
        let input = Input { watermark: NO_TIME, state: State::Active };
        Self { inputs: vec![input; inputs], merged: restored, idle: false }
    }

    /// The merged watermark.
    #[must_use]
    pub fn current(&self) -> Timestamp {
        self.merged
    }

    /// Notes a watermark on `input`, which is active from now on. One that is not above the input's last is passed
    /// over.
    pub fn on_watermark(&mut self, input: usize, watermark: Timestamp) -> Merged {
        self.inputs[input].watermark = self.inputs[input].watermark.max(watermark);
        self.activate(input);
        self.merge()
    }

    /// Notes that `input` is idle: it is left out until something arrives on it.
    pub fn on_idle(&mut self, input: usize) -> Merged {
        self.leave(input, State::Idle)
    }

    /// Notes records on `input`: if it was idle, it counts again, and may hold the merged watermark where it is.
    pub fn on_active(&mut self, input: usize) -> Merged {
        if self.activate(input) { self.merge() } else { Merged::Unchanged }
    }

    /// Notes that `input` has ended: it is left out for ever. After the last one time is over: [`END_OF_TIME`].
    pub fn on_end(&mut self, input: usize) -> Merged {
        self.leave(input, State::Ended)
    }

    fn activate(&mut self, input: usize) -> bool {
        let was_idle = self.inputs[input].state == State::Idle;
        if was_idle {
            self.inputs[input].state = State::Active;
            self.idle = false;
        }
        was_idle
    }

    fn leave(&mut self, input: usize, state: State) -> Merged {
        if self.inputs[input].state != State::Ended {
            self.inputs[input].state = state;
        }
        self.merge()
    }

    fn merge(&mut self) -> Merged {
        let active = self.inputs.iter().filter(|input| input.state == State::Active);
        let least = match active.map(|input| input.watermark).min() {
            // Those that run are at their end; what an idle one still brings must not come after the end of time.
            Some(END_OF_TIME) if self.inputs.iter().any(|input| input.state == State::Idle) => {
                return Merged::Unchanged;
            }
            Some(least) => least,
            None if self.inputs.iter().all(|input| input.state == State::Ended) => END_OF_TIME,
            None if self.idle => return Merged::Unchanged,
            None => {
                self.idle = true;
                return Merged::Idle;
            }
        };
        if least <= self.merged {
            return Merged::Unchanged;
        }
        self.merged = least;
        Merged::Advanced(least)
    }
}
