//! The batch form: the columns as they come, every call straight to the host.

use super::{Failure, Instance, batch_failure, finish_failure, flush, timer_failure, view, with_keys};
use crate::batch::Timers;
use crate::bindings::weir::operator::types;
use crate::describe::Spec;
use crate::error::Result;
use crate::operator::BatchOperator;
use crate::output::BatchOutput;

pub(super) struct BatchInstance<O> {
    spec: Spec,
    operator: O,
    out: BatchOutput,
}

impl<O: BatchOperator> BatchInstance<O> {
    pub(super) fn new(spec: Spec, operator: O) -> Self {
        Self { spec, operator, out: BatchOutput::new() }
    }
}

impl<O: BatchOperator> Instance for BatchInstance<O> {
    fn process(&mut self, input: u32, raw: &types::Batch) -> Result<(), Failure> {
        let batch = view(&self.spec, input, raw);
        let keys = if batch.is_keyed() { raw.key_count } else { 0 };
        let result = with_keys(keys, || {
            self.operator.process(&batch, &mut self.out)?;
            flush(&mut self.operator)
        });
        result.map_err(|error| batch_failure(error, &[], raw))
    }

    fn on_timers(&mut self, raw: &types::FiredTimers) -> Result<(), Failure> {
        let timers = Timers::new(raw);
        let keys = u32::try_from(timers.keys().len()).expect("few keys");
        let result = with_keys(keys, || {
            self.operator.on_timers(&timers, &mut self.out)?;
            flush(&mut self.operator)
        });
        result.map_err(|error| timer_failure(error, &[], raw))
    }

    fn finish(&mut self) -> Result<(), Failure> {
        let result = with_keys(0, || {
            self.operator.finish(&mut self.out)?;
            flush(&mut self.operator)
        });
        result.map_err(finish_failure)
    }
}
