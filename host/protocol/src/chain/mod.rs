//! A job's two chains: numbered, immutable entries, each made with create-if-absent.
//!
//! `spec/` says what is wanted, and any node appends to it ([`Append`]); `run/` says what happened, and only the job's
//! owner appends ([`Ownership`]). Everything here is a decision over what the store answered: it guarantees that at
//! most one writer wins a number, that a writer whose create had no answer finds out before it sends anything else, and
//! that one who lost stops before it has published or deleted anything. Does not own the calls to the store, nor when
//! they are tried again.

mod append;
mod entry;
mod hash;
mod ownership;
mod retention;
mod step;
mod succession;

pub use append::{Append, AppendStep, CreateOutcome, LookOutcome};
pub use entry::{DroppedOutbox, EntryKind, Owner, Retained, RunEntry, SpecEntry, Stored, Undone, Wanted};
pub use hash::EntryHash;
pub use ownership::Ownership;
pub use retention::{Footprint, Kept};
pub use step::{Confirmed, Next, NextError, Start, Step};
