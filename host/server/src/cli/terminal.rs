//! The only writer to standard output and standard error.
//!
//! A reader that went away (`weir list | head`) is no error: what it does not want is dropped.

use std::io::{self, Write};

/// A result: a line, or several, to standard output.
pub(super) fn line(text: &str) {
    drop(writeln!(io::stdout().lock(), "{text}"));
}

/// Progress or an error: a line, or several, to standard error.
pub(super) fn note(text: &str) {
    drop(writeln!(io::stderr().lock(), "{text}"));
}

/// What clap has to say, where and in the colours that it wants.
pub(super) fn print(message: &clap::Error) {
    drop(message.print());
}
