//! The record form: one record after the other, state cached and outputs gathered for the whole batch.

use super::{Failure, Instance, batch_failure, finish_failure, flush, timer_failure, view, with_keys};
use crate::batch::Timers;
use crate::bindings::weir::operator::types::{self, TimeDomain};
use crate::describe::Spec;
use crate::error::{Error, Kind, Result};
use crate::operator::Operator;
use crate::output::{Call, Output, Place};
use crate::record::Record;
use crate::state;
use crate::timers::FiredTimer;

pub(super) struct RecordInstance<O> {
    spec: Spec,
    operator: O,
    out: Output,
}

impl<O: Operator> RecordInstance<O> {
    pub(super) fn new(spec: Spec, operator: O) -> Self {
        let out = Output::new(spec.outputs().len());
        Self { spec, operator, out }
    }

    fn process_rows(&mut self, input: u32, raw: &types::Batch) -> Result<(), Failure> {
        let batch = view(&self.spec, input, raw);
        for row in 0..raw.rows {
            let record = Record::new(&batch, row as usize);
            let key = raw.key_of.get(row as usize).copied();
            state::select(row, key);
            self.out.move_to(Place { call: Call::Process, row, key, timestamp: record.raw_timestamp() });
            if let Err(error) = self.operator.process(&record, &mut self.out) {
                self.give_up(row, error).map_err(|error| batch_failure(error, &[row], raw))?;
            }
            if self.out.is_full() {
                self.out.flush(batch.rows());
            }
        }
        flush(&mut self.operator).map_err(|error| batch_failure(error, &[], raw))?;
        self.out.flush(batch.rows());
        Ok(())
    }

    /// A rejection of a record that wrote no state is undone here; everything else is undone by the host.
    fn give_up(&mut self, row: u32, error: Error) -> Result {
        if error.kind == Kind::Failure || state::has_written(row) {
            return Err(error);
        }
        self.out.reject(error.message);
        Ok(())
    }

    fn process_timers(&mut self, raw: &types::FiredTimers) -> Result<(), Failure> {
        let timers = Timers::new(raw);
        for (index, row) in (0..timers.len()).zip(0..) {
            let timer = FiredTimer::new(timers, index);
            let key = timers.key_of()[index];
            let timestamp = (timers.domain() == TimeDomain::EventTime).then(|| timer.at());
            state::select(row, Some(key));
            self.out.move_to(Place { call: Call::Timers, row, key: Some(key), timestamp });
            let result = self.operator.on_timer(&timer, &mut self.out);
            result.map_err(|error| timer_failure(error, &[row], raw))?;
        }
        flush(&mut self.operator).map_err(|error| timer_failure(error, &[], raw))?;
        self.out.flush(timers.len());
        Ok(())
    }
}

impl<O: Operator> Instance for RecordInstance<O> {
    fn process(&mut self, input: u32, batch: &types::Batch) -> Result<(), Failure> {
        let keys = if batch.key_of.is_empty() { 0 } else { batch.key_count };
        with_keys(keys, || self.process_rows(input, batch))
    }

    fn on_timers(&mut self, fired: &types::FiredTimers) -> Result<(), Failure> {
        let keys = u32::try_from(Timers::new(fired).keys().len()).expect("few keys");
        with_keys(keys, || self.process_timers(fired))
    }

    fn finish(&mut self) -> Result<(), Failure> {
        self.out.move_to(Place { call: Call::Finish, row: 0, key: None, timestamp: None });
        let result = with_keys(0, || {
            self.operator.finish(&mut self.out)?;
            flush(&mut self.operator)
        });
        result.map_err(finish_failure)?;
        self.out.flush(0);
        Ok(())
    }
}
