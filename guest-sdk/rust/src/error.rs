//! How an operator says that a record is bad, or that it cannot go on.

use std::fmt;

/// What operators return: `Result` alone is `Result<(), Error>`.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

/// Why a record was not processed: a rejection or a failure. In both cases the record goes to the job's dead letters
/// with the message, and nothing that was written for it stays.
///
/// - A *rejection* gives up on one record and costs next to nothing, as long as no state was written for it before.
/// - A *failure* makes the host undo the batch, replace the instance and process the other records again. Any
///   [`std::error::Error`] becomes one by `?`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    pub(crate) kind: Kind,
    pub(crate) message: String,
    pub(crate) culprits: Culprits,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Rejection,
    Failure,
}

/// What is to blame, as far as the code that failed knew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Culprits {
    /// Whatever was being processed.
    Current,
    /// The rows of this key of the batch.
    Key(u32),
    /// These rows of the batch.
    Rows(Vec<u32>),
}

impl Error {
    /// Gives up on the record: it is not as it should be.
    pub fn reject(reason: impl fmt::Display) -> Self {
        Self { kind: Kind::Rejection, message: reason.to_string(), culprits: Culprits::Current }
    }

    /// The operator cannot go on.
    pub fn failure(message: impl fmt::Display) -> Self {
        Self { kind: Kind::Failure, message: message.to_string(), culprits: Culprits::Current }
    }

    /// The operator cannot go on because of these rows of the batch; for the batch form.
    pub fn failure_of_rows(rows: Vec<u32>, message: impl fmt::Display) -> Self {
        Self { culprits: Culprits::Rows(rows), ..Self::failure(message) }
    }

    /// The same, because of what belongs to this key of the batch.
    pub(crate) fn of_key(self, key: u32) -> Self {
        Self { culprits: Culprits::Key(key), ..self }
    }
}

/// The message. `Error` is no [`std::error::Error`] itself, so that every one of those can become an `Error`.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Self {
        Self::failure(error)
    }
}

/// Turns what went wrong with a record's content into a rejection.
///
/// ```
/// use weir_sdk::prelude::*;
///
/// fn amount(text: &str) -> Result<u64> {
///     text.parse().or_reject("the amount is not a number")
/// }
/// assert_eq!(amount("ten").unwrap_err(), Error::reject("the amount is not a number: invalid digit found in string"));
/// ```
pub trait OrReject<T> {
    /// The value, or a rejection with the reason (and the error's own words, if there is one).
    fn or_reject(self, reason: impl fmt::Display) -> Result<T>;
}

impl<T, E: fmt::Display> OrReject<T> for std::result::Result<T, E> {
    fn or_reject(self, reason: impl fmt::Display) -> Result<T> {
        self.map_err(|error| Error::reject(format_args!("{reason}: {error}")))
    }
}

impl<T> OrReject<T> for Option<T> {
    fn or_reject(self, reason: impl fmt::Display) -> Result<T> {
        self.ok_or_else(|| Error::reject(reason))
    }
}
