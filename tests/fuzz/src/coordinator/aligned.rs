//! Aligned barriers: what a task may send in any order, beside a plain account of each input.

use weir_protocol::alignment::{Aligning, Alignment, Barrier};
use weir_protocol::id::CheckpointId;

use crate::choices::Choices;

/// What has come on one input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Input {
    Open,
    /// It waits behind this barrier.
    Waits(CheckpointId),
    Ended,
}

struct Account {
    alignment: Alignment,
    inputs: Vec<Input>,
    /// The newest that was aligned or given up.
    passed: CheckpointId,
    aligned: CheckpointId,
}

pub(super) fn check(choices: &mut Choices<'_>) {
    let count = choices.below(4) + 1;
    let restored = CheckpointId(choices.byte().into());
    let alignment = Alignment::new(count, restored);
    let mut account = Account { alignment, inputs: vec![Input::Open; count], passed: restored, aligned: restored };
    while !choices.is_at_end() {
        let near = account.passed.0.saturating_sub(2) + u64::from(choices.byte() % 6);
        let input = choices.below(count);
        match (choices.below(8), account.inputs[input]) {
            (0, _) => account.abort(CheckpointId(near)),
            (1, Input::Open | Input::Ended) => account.end(input),
            (_, Input::Open) => account.barrier(input, CheckpointId(near)),
            (_, Input::Waits(_) | Input::Ended) => {}
        }
        account.compare();
    }
}

impl Account {
    fn current(&self) -> Option<CheckpointId> {
        self.inputs.iter().find_map(|input| match input {
            Input::Waits(checkpoint) => Some(*checkpoint),
            Input::Open | Input::Ended => None,
        })
    }

    fn open(&mut self, passed: CheckpointId) {
        self.passed = self.passed.max(passed);
        for input in &mut self.inputs {
            if matches!(input, Input::Waits(_)) {
                *input = Input::Open;
            }
        }
    }

    fn barrier(&mut self, input: usize, checkpoint: CheckpointId) {
        let barrier = Barrier { checkpoint, at: 5 };
        let current = self.current();
        let answer = self.alignment.on_barrier(input, barrier);
        if checkpoint <= self.passed || current > Some(checkpoint) {
            assert_eq!(answer, Aligning::Stale, "{checkpoint} was passed or overtaken");
            return;
        }
        let gave_up = current.filter(|current| *current < checkpoint);
        if let Some(older) = gave_up {
            self.open(older);
        }
        self.inputs[input] = Input::Waits(checkpoint);
        if self.inputs.contains(&Input::Open) {
            assert_eq!(answer, Aligning::Blocked { gave_up });
        } else {
            assert_eq!(answer, Aligning::Aligned { barrier, gave_up });
            self.align(checkpoint);
        }
    }

    fn align(&mut self, checkpoint: CheckpointId) {
        assert!(checkpoint > self.aligned, "barriers are aligned in order, each once");
        self.aligned = checkpoint;
        self.open(checkpoint);
    }

    fn end(&mut self, input: usize) {
        let current = self.current();
        let answer = self.alignment.on_end(input).map(|barrier| barrier.checkpoint);
        self.inputs[input] = Input::Ended;
        let aligned = current.filter(|_| !self.inputs.contains(&Input::Open));
        assert_eq!(answer, aligned, "an input that has ended counts as aligned");
        if let Some(checkpoint) = aligned {
            self.align(checkpoint);
        }
    }

    fn abort(&mut self, checkpoint: CheckpointId) {
        let waits = self.current().is_some_and(|current| current <= checkpoint);
        assert_eq!(self.alignment.abort(checkpoint), waits, "whether inputs are opened");
        if waits {
            self.open(checkpoint);
        }
        self.passed = self.passed.max(checkpoint);
    }

    fn compare(&self) {
        for (number, input) in self.inputs.iter().enumerate() {
            assert_eq!(self.alignment.is_blocked(number), matches!(input, Input::Waits(_)), "input {number}");
        }
        assert_eq!(self.alignment.in_progress().map(|barrier| barrier.checkpoint), self.current());
        assert_eq!(self.alignment.passed(), self.passed);
        let ended = self.inputs.iter().all(|input| *input == Input::Ended);
        assert_eq!(self.alignment.has_ended(), ended);
        assert!(ended || self.inputs.contains(&Input::Open), "some input can always be read");
    }
}
