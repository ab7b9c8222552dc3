//! State that the host keeps for the operator; a field of the operator's struct.
//!
//! Most state is of each key. In the record form a state means that of the current record's (or timer's) key: all keys
//! of the batch are loaded by one call when the first is looked at, kept decoded, and what was written goes back by one
//! call at the end of the batch. In the batch form whole columns are loaded and stored. What a batch wrote counts when
//! its call has returned ok, and not at all otherwise. Operator lists belong to the parallel instance, broadcast maps to
//! all of them alike.

mod aggregating;
mod broadcast;
mod current;
mod default;
mod list;
mod map;
mod operator;
mod pages;
mod reducing;
mod slots;
mod value;

pub use aggregating::{Aggregate, AggregatingState};
pub use broadcast::{BroadcastEntries, BroadcastState};
pub(crate) use current::{begin, end, has_written, select};
pub use list::ListState;
pub use map::{Entries, MapState};
pub use operator::{OperatorListState, Split, SplitListState, Spread, Union, UnionListState};
pub use reducing::{Max, Min, Reduce, ReducingState, Sum};
pub use value::ValueState;

use crate::error::Error;

/// What the host holds is not what the codec writes.
fn undecodable(state: &str, codec: &str, reason: &str) -> Error {
    Error::failure(format_args!("state `{state}` holds no {codec}: {reason}"))
}

/// A value cannot be written.
fn unencodable(state: &str, codec: &str, reason: &str) -> Error {
    Error::failure(format_args!("state `{state}` cannot be written as {codec}: {reason}"))
}
