//! Reads of state that is not in memory.
//!
//! Whoever reads [`KeyedState`](super::KeyedState) says first what it is about to read; where the backend must go to
//! disk for it, it hands out a [`Fetch`], which is waited for where waiting does no harm, and takes back what was found.
//! Then the read itself finds everything in memory.

use std::any::Any;

use futures::future::BoxFuture;

use super::{EntryRange, StateId};
use crate::batch::BytesColumn;

/// What is about to be read. Indices are those of the keys that were selected, and were checked.
#[derive(Debug, Clone, Copy)]
pub enum Read<'a> {
    /// The values of these keys; `None`: of all that are selected.
    Values(StateId, Option<&'a [u32]>),
    /// The lists of these keys.
    Lists(StateId, &'a [u32]),
    /// Entry `i` of the map of key `i`.
    Entries(StateId, &'a [u32], &'a BytesColumn),
    /// Entries of the map of a key, in order.
    Scan(StateId, u32, EntryRange<'a>),
}

/// A read from disk that was not begun yet.
pub trait Fetch: Send {
    /// Reads on this thread, which waits.
    fn now(self: Box<Self>) -> Fetched;

    /// Reads on another thread.
    fn elsewhere(self: Box<Self>) -> BoxFuture<'static, Fetched>;
}

/// What a [`Fetch`] found, or why it found nothing: only the state that handed the fetch out knows what is in it.
#[derive(Debug)]
pub struct Fetched(pub Box<dyn Any + Send>);
