//! A promise that was found broken, before it is known where and when.

use std::fmt::Display;

/// Which promise, and what was found.
#[derive(Debug)]
pub(super) struct Broken {
    /// Its short name.
    pub(super) invariant: &'static str,
    /// What was found, and what should have been.
    pub(super) detail: String,
}

impl Broken {
    pub(super) fn new(invariant: &'static str, detail: impl Display) -> Self {
        Self { invariant, detail: detail.to_string() }
    }

    /// `Ok` where the promise is kept.
    pub(super) fn unless(kept: bool, invariant: &'static str, detail: impl FnOnce() -> String) -> Result<(), Self> {
        if kept { Ok(()) } else { Err(Self::new(invariant, detail())) }
    }

    /// Gives an error of the oracle the name of the promise that it found broken.
    pub(super) fn naming<E: Display>(invariant: &'static str) -> impl FnOnce(E) -> Self {
        move |error| Self::new(invariant, error)
    }
}

/// What goes wrong outside of any promise is a promise too: that a node answers, and files can be read.
impl From<anyhow::Error> for Broken {
    fn from(error: anyhow::Error) -> Self {
        Self::new("it-works", format!("{error:#}"))
    }
}
