//! Time, and timers, which survive failures as state does.

use std::fmt;

use crate::batch::{NO_TIME, Timers};
pub use crate::bindings::weir::operator::types::TimeDomain;
use crate::error::{Error, Result};
use crate::host;
use crate::text::Text;

/// The event time up to which no more records are expected, in milliseconds since the Unix epoch; `None` before the
/// first watermark. Constant within a call.
#[must_use]
pub fn watermark() -> Option<i64> {
    Some(host::timers::watermark()).filter(|&at| at != NO_TIME)
}

/// The time of day, in milliseconds since the Unix epoch. Constant within a call and when the same batch is tried
/// again; never goes back on one subtask, restores included.
#[must_use]
pub fn processing_time() -> i64 {
    host::timers::processing_time()
}

/// A timer of the current key, to register or to cancel: one per domain, key, time and tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timer {
    pub(crate) domain: TimeDomain,
    pub(crate) at: i64,
    pub(crate) tag: u32,
}

impl Timer {
    /// Fires when the watermark reaches `at`, in milliseconds since the Unix epoch.
    #[must_use]
    pub const fn event_time(at: i64) -> Self {
        Self { domain: TimeDomain::EventTime, at, tag: 0 }
    }

    /// Fires at this time of day, in milliseconds since the Unix epoch.
    #[must_use]
    pub const fn processing_time(at: i64) -> Self {
        Self { domain: TimeDomain::ProcessingTime, at, tag: 0 }
    }

    /// The same with a tag, by which an operator tells its kinds of timers apart; 0 if not set.
    #[must_use]
    pub const fn tag(self, tag: u32) -> Self {
        Self { tag, ..self }
    }
}

/// A timer that is due.
#[derive(Clone, Copy)]
pub struct FiredTimer<'a> {
    timers: Timers<'a>,
    index: usize,
}

impl<'a> FiredTimer<'a> {
    pub(crate) fn new(timers: Timers<'a>, index: usize) -> Self {
        Self { timers, index }
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> &'a [u8] {
        self.timers.keys().get(self.timers.key_of()[self.index] as usize).expect("no key is missing")
    }

    /// Its key as text.
    ///
    /// # Errors
    /// If the key is not UTF-8.
    pub fn key_text(&self) -> Result<&'a str> {
        std::str::from_utf8(self.key()).map_err(|error| Error::failure(format_args!("the key is not UTF-8: {error}")))
    }

    /// When it was due, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn at(&self) -> i64 {
        self.timers.at()[self.index]
    }

    /// Its tag.
    #[must_use]
    pub fn tag(&self) -> u32 {
        self.timers.tags()[self.index]
    }

    /// Its clock.
    #[must_use]
    pub fn domain(&self) -> TimeDomain {
        self.timers.domain()
    }
}

impl fmt::Debug for FiredTimer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("FiredTimer");
        shown.field("domain", &self.domain()).field("key", &Text(self.key()));
        shown.field("at", &self.at()).field("tag", &self.tag()).finish()
    }
}
