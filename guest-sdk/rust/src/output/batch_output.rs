//! What the batch form emits to: every call goes to the host at once, with whole columns.

use super::{Header, Origin};
use crate::bindings::weir::operator::output::Emitted;
use crate::column::ColumnBuilder;
use crate::describe::Port;
use crate::host;
use crate::timers::TimeDomain;

/// The outputs and timers of the batch form. On one port, what is emitted and forwarded keeps the order of the calls.
#[derive(Debug)]
pub struct BatchOutput {
    _made_by_the_instance: (),
}

impl BatchOutput {
    pub(crate) const fn new() -> Self {
        Self { _made_by_the_instance: () }
    }

    /// Emits one record for each value and empties the column, which keeps its memory. `origin` says which key, event
    /// time and headers the records have.
    pub fn emit(&mut self, port: Port, origin: Origin, values: &mut ColumnBuilder) {
        self.emit_at(port, origin, values, Vec::new());
    }

    /// The same with event times of their own: one for each value, in milliseconds since the Unix epoch.
    pub fn emit_at(&mut self, port: Port, origin: Origin, values: &mut ColumnBuilder, timestamps: Vec<i64>) {
        let records = Emitted { origin, values: values.take(), timestamps };
        host::output::emit(port.0, &records);
        values.put_back(records.values);
    }

    /// Emits records as the contract has them, with headers of their own.
    pub fn emit_with_headers(&mut self, port: Port, records: &Emitted, headers: &[Header]) {
        host::output::emit_with_headers(port.0, records, headers);
    }

    /// Sends rows of the batch on as they are; only in `process`.
    pub fn forward(&mut self, port: Port, rows: &[u32]) {
        host::output::forward(port.0, rows);
    }

    /// Gives up on rows of the batch; only in `process`. What was written and emitted for them stays.
    pub fn reject(&mut self, rows: &[u32], reason: &str) {
        host::output::reject(rows, reason);
    }

    /// Registers a timer at `at[i]` for each `keys[i]`, a key of the batch.
    pub fn register(&mut self, domain: TimeDomain, keys: &[u32], at: &[i64], tag: u32) {
        host::timers::register_many(domain, keys, at, tag);
    }

    /// Cancels such timers.
    pub fn cancel(&mut self, domain: TimeDomain, keys: &[u32], at: &[i64], tag: u32) {
        host::timers::cancel_many(domain, keys, at, tag);
    }
}
