//! Where records go: gathered as columns while a batch is processed, handed to the host at its end.

mod batch_output;
mod emission;
mod payload;
mod port;
mod run;

use std::mem;

pub use batch_output::BatchOutput;
pub use emission::Emission;
pub use payload::Payload;

pub use crate::bindings::weir::operator::output::{Header, Origin, OwnKeys};
use crate::describe::Port;
use crate::error::{Error, Result};
use crate::host;
use crate::timers::{TimeDomain, Timer};
use port::PortBuffer;
use run::Form;

/// What the record form emits to: the outputs, and the timers of the current key.
///
/// What is emitted for a record has its key, event time and headers, unless it says otherwise. If the record is
/// rejected in the end, all of it is forgotten.
#[derive(Debug)]
pub struct Output {
    ports: Vec<PortBuffer>,
    timers: Vec<TimerChange>,
    rejections: Vec<Rejection>,
    /// What was gathered before the current record.
    timers_before: usize,
    place: Place,
}

/// Where the operator is in its call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) call: Call,
    pub(crate) row: u32,
    pub(crate) key: Option<u32>,
    /// The record's event time as its column has it; `None` where there is no column.
    pub(crate) timestamp: Option<i64>,
}

/// Which call it is; it decides what is legal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Process,
    Timers,
    Finish,
}

#[derive(Debug)]
struct TimerChange {
    register: bool,
    timer: Timer,
    key: u32,
}

#[derive(Debug)]
struct Rejection {
    reason: String,
    rows: Vec<u32>,
}

/// The record form: one record at a time.
impl Output {
    /// Emits a record like the current one, with this value, to the main output.
    ///
    /// # Errors
    /// If the value cannot be written, or in `finish`, where there is no current record.
    #[inline]
    pub fn emit(&mut self, value: impl Payload) -> Result {
        self.emit_to(Port::MAIN, value)
    }

    /// The same to a side output.
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    #[inline]
    pub fn emit_to(&mut self, port: Port, value: impl Payload) -> Result {
        self.port(port, Form::OF_ROWS)?.push_row(&value)
    }

    /// Emits a record with this key and value, and the current record's event time, to the main output.
    ///
    /// # Errors
    /// If the value cannot be written.
    #[inline]
    pub fn emit_keyed(&mut self, key: impl AsRef<[u8]>, value: impl Payload) -> Result {
        let place = self.place;
        let form = Form { timed: place.timestamp.is_some(), ..Form::OF_OWN_KEYS };
        self.port(Port::MAIN, form)?.push_keyed(key.as_ref(), place.timestamp, &value)
    }

    /// Emits a record without a key, with the current record's event time, to the main output.
    ///
    /// # Errors
    /// If the value cannot be written.
    pub fn emit_unkeyed(&mut self, value: impl Payload) -> Result {
        self.send(&Emission::value(value).unkeyed())
    }

    /// Emits a record of which more is to be said: its port, key, event time or headers.
    ///
    /// # Errors
    /// If the value cannot be written, or in `finish`, if the emission has no key and does not say `unkeyed`.
    pub fn send<P: Payload>(&mut self, emission: &Emission<'_, P>) -> Result {
        let own_time = emission.timestamp;
        let timestamp = match emission.form().origin {
            run::From::Row => own_time,
            run::From::OwnKey | run::From::Nowhere | run::From::Forwarded => own_time.or(self.place.timestamp),
        };
        let form = Form { timed: timestamp.is_some(), ..emission.form() };
        self.port(emission.port, form)?.push(emission, timestamp)
    }

    /// Sends the current record on as it is, headers included, to the main output; nothing is copied.
    ///
    /// # Errors
    /// If there is no current record: in `on_timer` and `finish`.
    pub fn forward(&mut self) -> Result {
        self.forward_to(Port::MAIN)
    }

    /// The same to a side output.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn forward_to(&mut self, port: Port) -> Result {
        if self.place.call != Call::Process {
            return Err(Error::failure("there is no record to forward here: only `process` has one"));
        }
        self.port(port, Form::FORWARDED)?.push_forwarded();
        Ok(())
    }

    /// Registers a timer of the current key. To register one twice is to register it once; one that is due already
    /// fires right after the batch.
    ///
    /// # Errors
    /// If there is no current key.
    pub fn register(&mut self, timer: Timer) -> Result {
        self.change_timer(true, timer)
    }

    /// Cancels a timer of the current key, if it is registered.
    ///
    /// # Errors
    /// If there is no current key.
    pub fn cancel(&mut self, timer: Timer) -> Result {
        self.change_timer(false, timer)
    }

    fn change_timer(&mut self, register: bool, timer: Timer) -> Result {
        let key = self.place.key.ok_or_else(|| {
            Error::failure(
                "a timer belongs to a key, and there is none here: the input is not keyed, or all have ended",
            )
        })?;
        self.timers.push(TimerChange { register, timer, key });
        Ok(())
    }

    /// The run to add to, if what is added is legal here.
    #[inline]
    fn port(&mut self, port: Port, form: Form) -> Result<port::Writer<'_>> {
        if self.place.call == Call::Finish && form.origin == run::From::Row {
            return Err(Error::failure("in `finish` there is no record to take the key from: give one, or `unkeyed`"));
        }
        Ok(self.ports[port.0 as usize].writer(form, self.place.row))
    }
}

/// The instance's side: call by call, record by record.
impl Output {
    pub(crate) fn new(ports: usize) -> Self {
        Self {
            ports: (0..ports).map(|_| PortBuffer::default()).collect(),
            timers: Vec::new(),
            rejections: Vec::new(),
            timers_before: 0,
            place: Place { call: Call::Finish, row: 0, key: None, timestamp: None },
        }
    }

    #[inline]
    pub(crate) fn move_to(&mut self, place: Place) {
        self.place = place;
        self.timers_before = self.timers.len();
    }

    /// Forgets what was gathered for the current row, and gives up on it.
    pub(crate) fn reject(&mut self, reason: String) {
        let row = self.place.row;
        self.ports.iter_mut().for_each(|port| port.forget(row));
        self.timers.truncate(self.timers_before);
        match self.rejections.last_mut() {
            Some(last) if last.reason == reason => last.rows.push(row),
            _ => self.rejections.push(Rejection { reason, rows: vec![row] }),
        }
    }

    /// Whether so much was gathered that it should leave before the batch's end.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.ports.iter().any(PortBuffer::is_full)
    }

    /// Hands everything to the host. `rows` is how many rows (or timers) the call has.
    pub(crate) fn flush(&mut self, rows: usize) {
        for (port, buffer) in (0..).zip(&mut self.ports) {
            buffer.flush(port, rows);
        }
        self.flush_timers();
        for Rejection { reason, rows } in self.rejections.drain(..) {
            host::output::reject(&rows, &reason);
        }
    }

    /// One call for each run of changes of one kind; their order stays.
    fn flush_timers(&mut self) {
        let changes = mem::take(&mut self.timers);
        let kind = |change: &TimerChange| (change.register, change.timer.domain, change.timer.tag);
        for run in changes.chunk_by(|a, b| kind(a) == kind(b)) {
            let (register, domain, tag) = kind(&run[0]);
            let keys: Vec<u32> = run.iter().map(|change| change.key).collect();
            let at: Vec<i64> = run.iter().map(|change| change.timer.at).collect();
            change_timers(register, domain, &keys, &at, tag);
        }
        self.timers = changes;
        self.timers.clear();
        self.timers_before = 0;
    }
}

fn change_timers(register: bool, domain: TimeDomain, keys: &[u32], at: &[i64], tag: u32) {
    if register {
        host::timers::register_many(domain, keys, at, tag);
    } else {
        host::timers::cancel_many(domain, keys, at, tag);
    }
}
