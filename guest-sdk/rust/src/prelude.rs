//! What most operators use: `use weir_sdk::prelude::*;`.

pub use crate::batch::{Batch, Timers};
pub use crate::codec::{Json, MessagePack, Plain, Postcard};
pub use crate::column::{Column, ColumnBuilder};
pub use crate::describe::{Config, Describe, Port};
pub use crate::error::{Error, OrReject, Result};
pub use crate::operator::{BatchOperator, Context, Operator};
pub use crate::output::{BatchOutput, Emission, Origin, Output};
pub use crate::record::Record;
pub use crate::state::{
    Aggregate, AggregatingState, BroadcastState, ListState, MapState, Max, Min, Reduce, ReducingState, SplitListState,
    Sum, UnionListState, ValueState,
};
pub use crate::telemetry::{Counter, Gauge, Histogram};
pub use crate::timers::{FiredTimer, TimeDomain, Timer};
