//! What people write to describe a job: TOML in a file, JSON over REST, one schema for both.
//!
//! Receives text; guarantees a [`Draft`] in which every key is known, every value has the right type and every `from`
//! names a source or an operator of the file, or an [`Error`] that says what is wrong, where (the line of a TOML file,
//! the path in a JSON document) and the mend. A draft becomes a [`JobSpec`](weir_protocol::job_spec::JobSpec) once
//! its components are known ([`Draft::resolve`]), and a spec can be written down again ([`to_toml`], [`to_json`]).
//! Does not own what makes a graph hold together: that is `weir_protocol::job_graph`.
//!
//! The way of a file: text → `tree` → `fields` → `decode` → [`Draft`] → `resolve`.

mod tree;

mod nearest;
mod units;

mod fields;

mod decode;
mod draft;
mod output_ref;
mod resolve;

mod encode;

#[cfg(test)]
mod tests;

pub use draft::{ComponentRef, Draft, InputDraft, OperatorDraft};
pub use encode::{json_to_toml, to_json, to_toml};
pub use resolve::{Component, Components};
pub use tree::{Error, Place};
pub(crate) use units::{bytes, size};

/// The longest job file, in bytes.
pub const BYTES_MAX: usize = 1 << 20;

/// Reads a job file.
///
/// # Errors
/// What is wrong with it first, with its line.
pub fn from_toml(text: &str) -> Result<Draft, Error> {
    decode::job(&tree::toml(text)?)
}

/// Reads a job as REST takes it: the same keys and values as in the file, as JSON.
///
/// # Errors
/// What is wrong with it first, with its path (`source[0].uid`), or line and column where it is no JSON.
pub fn from_json(text: &str) -> Result<Draft, Error> {
    decode::job(&tree::json(text)?)
}
