//! What an operator's author writes: the record form, or the batch form.

use crate::batch::{Batch, Timers};
pub use crate::bindings::exports::weir::operator::operators::Context;
use crate::describe::Describe;
use crate::error::{Error, Result};
use crate::output::{BatchOutput, Output};
use crate::record::Record;
use crate::timers::FiredTimer;

/// An operator that sees one record at a time.
///
/// State is read once per batch and written back once, and outputs are gathered, so this costs little more than the
/// batch form; write that one where every nanosecond counts.
pub trait Operator: Describe {
    /// Called once per instance, when states and configuration are open. The host replaces an instance when it
    /// pleases: what is kept in memory must be rebuilt from state.
    ///
    /// # Errors
    /// The job cannot start, and shows the message.
    fn open(&mut self, context: &Context) -> Result {
        let _unused = context;
        Ok(())
    }

    /// One record of any input. State and timers are those of its key.
    ///
    /// # Errors
    /// The record becomes a dead letter; see [`Error`].
    fn process(&mut self, record: &Record<'_>, out: &mut Output) -> Result;

    /// A timer that is due. State and timers are those of its key.
    ///
    /// # Errors
    /// See [`Error`].
    fn on_timer(&mut self, timer: &FiredTimer<'_>, out: &mut Output) -> Result {
        let _unused = out;
        Err(Error::failure(format_args!("a timer fired ({timer:?}), but the operator has no `on_timer`")))
    }

    /// All inputs have ended and all event-time timers have fired. There is no keyed state, and what is emitted has
    /// no record to take its key from: [`Output::emit_keyed`] and [`Output::emit_unkeyed`] only.
    ///
    /// # Errors
    /// The job fails.
    fn finish(&mut self, out: &mut Output) -> Result {
        let _unused = out;
        Ok(())
    }
}

/// An operator that sees a whole batch at a time, as columns.
pub trait BatchOperator: Describe {
    /// See [`Operator::open`].
    ///
    /// # Errors
    /// The job cannot start, and shows the message.
    fn open(&mut self, context: &Context) -> Result {
        let _unused = context;
        Ok(())
    }

    /// The records of a batch, all of one input. State is read and written as columns, one entry for each distinct
    /// key.
    ///
    /// # Errors
    /// The batch is undone; rows that the error names become dead letters and the others are processed again.
    fn process(&mut self, batch: &Batch<'_>, out: &mut BatchOutput) -> Result;

    /// Timers that are due, at most one of each key.
    ///
    /// # Errors
    /// See [`Error`].
    fn on_timers(&mut self, timers: &Timers<'_>, out: &mut BatchOutput) -> Result {
        let (_unused, count) = (out, timers.len());
        Err(Error::failure(format_args!("{count} timers fired, but the operator has no `on_timers`")))
    }

    /// See [`Operator::finish`].
    ///
    /// # Errors
    /// The job fails.
    fn finish(&mut self, out: &mut BatchOutput) -> Result {
        let _unused = out;
        Ok(())
    }
}
