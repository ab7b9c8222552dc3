//! One task, and its inputs.

use std::collections::VecDeque;

use weir_protocol::alignment::{Aligning, Alignment, Barrier};
use weir_protocol::id::SubtaskId;
use weir_protocol::time::{NO_TIME, Timestamp};

use crate::data::{Element, Outcome};
use crate::operator::Operator;
use crate::reporter::Reporter;
use crate::rules::Mutant;
use crate::source::Source;
use crate::world::World;

#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) id: SubtaskId,
    pub(crate) work: Work,
    pub(crate) inputs: Vec<Input>,
    pub(crate) reporter: Reporter,
    /// A step is on its way.
    pub(super) is_due: bool,
    pub(super) has_finished: bool,
    /// When the last barrier that it is to send arrives.
    pub(crate) triggered_at: u64,
    /// The newest barrier that was triggered, for when no input brings it.
    pub(super) triggered: Option<Barrier>,
}

#[derive(Debug)]
pub(crate) enum Work {
    Source(Source),
    Operator(Box<Operator>),
    Sink {
        alignment: Alignment,
        results: Vec<Outcome>,
    },
    /// It had finished before; it only passes its end on.
    Finished,
}

#[derive(Debug)]
pub(crate) struct Input {
    pub(super) queue: VecDeque<Element>,
    /// The last that came.
    pub(super) watermark: Timestamp,
    pub(super) has_ended: bool,
}

impl Input {
    pub(crate) const fn new() -> Self {
        Self { queue: VecDeque::new(), watermark: NO_TIME, has_ended: false }
    }
}

impl Task {
    pub(crate) fn new(id: SubtaskId, work: Work, inputs: Vec<Input>, reporter: Reporter) -> Self {
        Self { id, work, inputs, reporter, is_due: false, has_finished: false, triggered_at: 0, triggered: None }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.inputs.iter().all(|input| input.has_ended)
    }

    pub(super) fn is_blocked(&self, input: usize, world: &World) -> bool {
        let waits = match &self.work {
            Work::Operator(operator) => operator.is_blocked(input),
            Work::Sink { alignment, .. } => alignment.is_blocked(input),
            Work::Source(_) | Work::Finished => false,
        };
        // Without alignment records are read all the same; barriers and ends are not.
        let is_read = world.lacks(Mutant::SkipAlignment)
            && !matches!(self.inputs[input].queue.front(), Some(Element::Barrier(_) | Element::End));
        waits && !is_read
    }
}

/// Gives an operator an element; the barrier to send on, if there is one.
pub(super) fn take_operator(operator: &mut Operator, input: usize, element: Element) -> Option<Barrier> {
    match element {
        Element::Record(record) => operator.on_record(input, record),
        Element::Watermark(watermark) => operator.on_watermark(input, watermark),
        Element::Idle => operator.on_idle(input),
        Element::Barrier(barrier) => return operator.on_barrier(input, barrier),
        Element::End => return operator.on_end(input),
        Element::Outcome(_) => unreachable!("sources send records"),
    }
    None
}

/// Gives a sink an element; what it seals, if it does.
pub(super) fn take_sink(
    alignment: &mut Alignment,
    results: &mut Vec<Outcome>,
    input: usize,
    element: Element,
) -> Option<(Barrier, Vec<Outcome>)> {
    let barrier = match element {
        Element::Outcome(outcome) => {
            results.push(outcome);
            None
        }
        Element::Barrier(barrier) => match alignment.on_barrier(input, barrier) {
            Aligning::Aligned { barrier, .. } => Some(barrier),
            Aligning::Blocked { .. } | Aligning::Stale => None,
        },
        Element::End => alignment.on_end(input),
        Element::Watermark(_) | Element::Idle => None,
        Element::Record(_) => unreachable!("operators send outcomes"),
    };
    barrier.map(|barrier| (barrier, std::mem::take(results)))
}
