//! A record to emit, of which more is said than its value.

use super::Payload;
use super::run::{Form, From};
use crate::describe::Port;

/// A record for [`Output::send`](super::Output::send).
///
/// ```
/// use weir_sdk::prelude::*;
///
/// /// Sends what is late to the output `late`, an hour later, with the reason in a header.
/// #[derive(Describe)]
/// struct Late {
///     late: Port,
/// }
///
/// impl Operator for Late {
///     fn process(&mut self, record: &Record, out: &mut Output) -> Result {
///         let at = record.timestamp().or_reject("no event time")?;
///         let late = Emission::value(record.bytes()?).to(self.late).at(at + 3_600_000).header("reason", b"late");
///         out.send(&late)
///     }
/// }
///
/// use weir_sdk::harness::{Harness, Incoming};
/// let mut late = Harness::<Late>::new();
/// late.send(Incoming::value("x").key("k").at(5));
/// let emitted = late.take().remove(0);
/// assert_eq!((emitted.port, emitted.timestamp), ("late", Some(3_600_005)));
/// assert_eq!(emitted.headers, [("reason".to_owned(), Some(b"late".to_vec()))]);
/// ```
#[derive(Debug, Clone)]
pub struct Emission<'a, P> {
    pub(super) value: P,
    pub(super) port: Port,
    pub(super) key: Option<&'a [u8]>,
    unkeyed: bool,
    pub(super) timestamp: Option<i64>,
    pub(super) headers: Vec<(&'a str, &'a [u8])>,
}

impl<'a> Emission<'a, Option<&'static str>> {
    /// A deletion: a record without a value.
    #[must_use]
    pub fn deletion() -> Self {
        Self::value(None)
    }
}

impl<'a, P: Payload> Emission<'a, P> {
    /// A record like the current one, with this value.
    #[must_use]
    pub fn value(value: P) -> Self {
        Self { value, port: Port::MAIN, key: None, unkeyed: false, timestamp: None, headers: Vec::new() }
    }

    /// To this output instead of the main one.
    #[must_use]
    pub fn to(self, port: Port) -> Self {
        Self { port, ..self }
    }

    /// With this key instead of the current record's; its headers are then not taken over.
    #[must_use]
    pub fn key(self, key: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        Self { key: Some(key.as_ref()), unkeyed: false, ..self }
    }

    /// Without a key; the current record's headers are then not taken over.
    #[must_use]
    pub fn unkeyed(self) -> Self {
        Self { key: None, unkeyed: true, ..self }
    }

    /// With this event time, in milliseconds since the Unix epoch, instead of the current record's.
    #[must_use]
    pub fn at(self, timestamp: i64) -> Self {
        Self { timestamp: Some(timestamp), ..self }
    }

    /// With this header; the first one replaces all headers of the current record.
    #[must_use]
    pub fn header(mut self, name: &'a str, value: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        self.headers.push((name, value.as_ref()));
        self
    }

    pub(super) fn form(&self) -> Form {
        let origin = match (self.key, self.unkeyed) {
            (Some(_), _) => From::OwnKey,
            (None, true) => From::Nowhere,
            (None, false) => From::Row,
        };
        Form { origin, timed: self.timestamp.is_some(), headed: !self.headers.is_empty() }
    }
}
