//! What was gathered for one port: runs, in order.

use super::run::{Form, Run};
use super::{Emission, Payload};
use crate::error::Result;

/// From how many bytes on a port is emptied between two records, so that a batch that grows does not fill the
/// instance's memory.
const BYTES_MAX: usize = 4 << 20;

#[derive(Debug, Default)]
pub(super) struct PortBuffer {
    /// The first `used` hold records; the others are kept for their memory.
    runs: Vec<Run>,
    used: usize,
    /// Where the records of the latest row begin.
    mark: Option<Mark>,
    bytes_in_full_runs: usize,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    row: u32,
    used: usize,
    count: usize,
}

/// Adds records of one row to one run.
pub(super) struct Writer<'a> {
    run: &'a mut Run,
    row: u32,
}

impl PortBuffer {
    #[inline]
    pub(super) fn writer(&mut self, form: Form, row: u32) -> Writer<'_> {
        if self.mark.is_none_or(|mark| mark.row != row) {
            let count = self.last().map_or(0, Run::count);
            self.mark = Some(Mark { row, used: self.used, count });
        }
        if self.last().is_none_or(|run| run.form != form) {
            self.start(form);
        }
        Writer { run: &mut self.runs[self.used - 1], row }
    }

    #[inline]
    fn last(&self) -> Option<&Run> {
        self.used.checked_sub(1).map(|index| &self.runs[index])
    }

    fn start(&mut self, form: Form) {
        self.bytes_in_full_runs += self.last().map_or(0, Run::bytes);
        match self.runs.get_mut(self.used) {
            Some(run) => run.reuse(form),
            None => self.runs.push(Run::new(form)),
        }
        self.used += 1;
    }

    /// Forgets the records of this row.
    pub(super) fn forget(&mut self, row: u32) {
        let Some(mark) = self.mark.take_if(|mark| mark.row == row) else { return };
        self.used = mark.used;
        if let Some(index) = self.used.checked_sub(1) {
            self.runs[index].truncate(mark.count);
        }
    }

    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.bytes_in_full_runs + self.last().map_or(0, Run::bytes) > BYTES_MAX
    }

    pub(super) fn flush(&mut self, port: u32, rows: usize) {
        for run in self.runs.iter_mut().take(self.used).filter(|run| run.count() > 0) {
            run.send(port, rows);
            run.truncate(0);
        }
        (self.used, self.mark, self.bytes_in_full_runs) = (0, None, 0);
    }
}

impl Writer<'_> {
    #[inline]
    pub(super) fn push_row(self, value: &impl Payload) -> Result {
        self.run.push_row(self.row, value)
    }

    #[inline]
    pub(super) fn push_keyed(self, key: &[u8], timestamp: Option<i64>, value: &impl Payload) -> Result {
        self.run.push_keyed(key, timestamp, value)
    }

    pub(super) fn push<P: Payload>(self, emission: &Emission<'_, P>, at: Option<i64>) -> Result {
        self.run.push(self.row, emission, at)
    }

    pub(super) fn push_forwarded(self) {
        self.run.push_forwarded(self.row);
    }
}
