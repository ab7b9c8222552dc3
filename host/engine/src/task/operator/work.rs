//! Work handed to the operator, until each row of it is committed or given up on.
//!
//! Guarantees that what one call did becomes visible together, and that between the parts of work that is tried again
//! nothing else runs. Does not own how often it is tried: that is [`Attempts`](weir_operator::attempt::Attempts).

use weir_operator::attempt::Step;
use weir_operator::keyed_state::KeyedState;
use weir_operator::turn::{Effects, Turn, Work};
use weir_protocol::description::InputKind;

use super::{OperatorTask, subtask_state_mut};
use crate::state::SubtaskState;
use crate::task::{Handed, TaskError};

impl OperatorTask {
    /// Processes work until each row of it is committed or given up on.
    pub(super) async fn process(&mut self, work: Work) -> Result<(), TaskError> {
        let mut turn = Turn::new(work);
        turn.state = if self.is_keyed(&turn.work) { self.state.take() } else { None };
        turn.unkeyed = self.unkeyed.lend();
        turn.watermark = self.watermarks.current();
        turn.processing_time = self.now();
        turn.seed = self.seeds.next_call();
        self.attempts.start(&mut turn);
        loop {
            match self.attempts.step(&mut turn).await {
                Step::Commit => self.commit(&mut turn).await?,
                Step::DeadLetter(letter) => self.bury(&mut turn, &letter)?,
                Step::Done => break,
                Step::Fails(failure) => return Err(failure.into()),
            }
        }
        self.subtask.metrics.retries.add(u64::from(turn.attempt));
        if turn.state.is_some() {
            self.state = turn.state;
        }
        self.unkeyed.take_back(turn.unkeyed);
        let now = self.processing_time;
        if !self.subtask.has_checkpoints {
            self.state_mut().forget_changes(now);
        } else if let Some(segment) = self.state_mut().freeze_early(now) {
            self.subtask.handover.give(Handed::Segment(segment)).await?;
        }
        self.note_expired();
        self.note_held();
        self.is_shown = false;
        self.show_held_each_second();
        Ok(self.state_mut().make_room().await?)
    }

    /// Makes everything that a call did visible: timers and state, then outputs, then what it rejected. What was fetched of
    /// its timers is in memory until its writes are committed.
    async fn commit(&mut self, turn: &mut Turn) -> Result<(), TaskError> {
        let Effects { writes, unkeyed, timers, emissions, rejections, metrics } = std::mem::take(&mut turn.effects);
        if let Some(state) = turn.state.as_deref_mut().map(subtask_state_mut) {
            complete(state, &turn.work)?;
            if let Some(keys) = turn.work.keys() {
                state.apply_timers(&timers, keys)?;
            }
            state.commit(&writes)?;
        }
        self.warn_of_timers(&timers);
        self.unkeyed.commit(&mut turn.unkeyed, unkeyed);
        self.note_held_in(turn);
        let unplaced = self.outputs.emit(&turn.work, emissions).await?;
        self.subtask.give_up(unplaced)?;
        for rejection in &rejections {
            self.bury_rows(&turn.work, &rejection.rows, &rejection.reason)?;
        }
        self.subtask.metrics.note(metrics);
        Ok(())
    }

    /// Rows that were given up on. A timer among them is removed; its key's state stays.
    fn bury(&mut self, turn: &mut Turn, letter: &weir_operator::attempt::DeadLetter) -> Result<(), TaskError> {
        if let Some(state) = turn.state.as_deref_mut().map(subtask_state_mut) {
            complete(state, &letter.work)?;
        }
        self.note_held_in(turn);
        let rows: Vec<u32> = (0..letter.work.rows()).collect();
        self.bury_rows(&letter.work, &rows, &letter.reason)
    }

    fn bury_rows(&mut self, work: &Work, rows: &[u32], reason: &str) -> Result<(), TaskError> {
        let at = self.subtask.clock.now();
        for row in rows.iter().map(|row| *row as usize) {
            match work {
                Work::Batch { input, batch } => {
                    let input = &self.inputs[*input as usize].name;
                    self.subtask.letters.bury_row(batch, row, format!("input `{input}`"), reason, at);
                }
                Work::Timers(fired) => self.subtask.letters.bury_timer(fired, row, reason, at),
                Work::Finish => return Err(TaskError::bug("`finish` has no rows, but one was given up on")),
            }
        }
        Ok(())
    }

    fn is_keyed(&self, work: &Work) -> bool {
        match work {
            Work::Batch { input, .. } => self.inputs[*input as usize].kind == InputKind::Keyed,
            Work::Timers(_) => true,
            Work::Finish => false,
        }
    }
}

/// Fired timers are gone once their call is committed.
fn complete(state: &mut SubtaskState, work: &Work) -> Result<(), TaskError> {
    match work {
        Work::Timers(fired) => Ok(state.complete(fired)?),
        Work::Batch { .. } | Work::Finish => Ok(()),
    }
}
