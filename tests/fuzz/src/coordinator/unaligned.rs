//! Unaligned barriers: no input waits, and each record before its input's barrier is channel state.

use weir_protocol::alignment::Barrier;
use weir_protocol::id::CheckpointId;
use weir_protocol::unaligned::Unaligned;

use crate::choices::Choices;

struct Account {
    unaligned: Unaligned,
    /// The newest barrier of each input; `None`: it has ended.
    newest: Vec<Option<CheckpointId>>,
    current: Option<CheckpointId>,
    passed: CheckpointId,
}

pub(super) fn check(choices: &mut Choices<'_>) {
    let count = choices.below(4) + 1;
    let restored = CheckpointId(choices.byte().into());
    let unaligned = Unaligned::new(count, restored);
    let mut account = Account { unaligned, newest: vec![Some(restored); count], current: None, passed: restored };
    while !choices.is_at_end() {
        let input = choices.below(count);
        let Some(newest) = account.newest[input] else {
            choices.byte();
            continue;
        };
        // Barriers come in order on one input; one that was given up upstream is left out.
        match choices.below(8) {
            0 => account.end(input),
            step => account.barrier(input, CheckpointId(newest.0 + 1 + (step as u64) / 6)),
        }
        account.compare();
    }
}

impl Account {
    fn is_whole(&self, checkpoint: CheckpointId) -> bool {
        self.newest.iter().all(|newest| newest.is_none_or(|newest| newest >= checkpoint))
    }

    fn barrier(&mut self, input: usize, checkpoint: CheckpointId) {
        let answer = self.unaligned.on_barrier(input, Barrier { checkpoint, at: 5 });
        self.newest[input] = Some(checkpoint);
        if checkpoint <= self.passed || self.current > Some(checkpoint) {
            assert_eq!(answer, None, "{checkpoint} was passed or overtaken");
            return;
        }
        let answer = answer.expect("it is neither passed nor overtaken");
        let first = self.current != Some(checkpoint);
        assert_eq!(answer.first, first, "a task reacts once, to the first");
        assert_eq!(answer.gave_up, self.current.filter(|_| first), "what it gives up");
        self.passed = self.passed.max(answer.gave_up.unwrap_or_default());
        self.current = Some(checkpoint);
        assert_eq!(answer.last, self.is_whole(checkpoint), "whether every input's barrier has come");
        self.pass_if(answer.last);
    }

    fn end(&mut self, input: usize) {
        let answer = self.unaligned.on_end(input);
        self.newest[input] = None;
        let whole = self.current.filter(|current| self.is_whole(*current));
        assert_eq!(answer, whole, "an input that has ended adds nothing more");
        self.pass_if(whole.is_some());
    }

    fn pass_if(&mut self, whole: bool) {
        if whole {
            self.passed = self.current.take().expect("something was whole");
        }
    }

    fn compare(&self) {
        for (input, newest) in self.newest.iter().enumerate() {
            let before = self.current.filter(|current| newest.is_some_and(|newest| newest < *current));
            assert_eq!(self.unaligned.captures(input), before, "channel state of input {input}");
        }
    }
}
