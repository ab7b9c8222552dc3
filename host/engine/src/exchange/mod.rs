//! Carries records from one subtask to the next, in order, through bounded channels.
//!
//! Receives whole batches from sources and emissions from operators ([`Outputs`]); guarantees that each record reaches
//! the subtask that its edge says, once, in the order of (sending subtask, receiving subtask), with watermarks and
//! barriers in their places between the records ([`Inputs`]). A full channel makes the sender wait: that is
//! backpressure. Does not own what a barrier or a watermark means to a task.

mod element;

mod channel;

mod outputs;

mod resolve;

mod partition;

mod json_key;

mod edge;

mod hash_edge;

mod whole_edge;

mod builder;

mod dictionary;

mod inputs;

pub use channel::{CHANNEL_ELEMENTS, ChannelReceiver, ChannelSender, Closed, Connection, channel, connect};
pub use edge::Edge;
pub use element::{Barrier, Element};
pub use inputs::{Abandoned, InputChannel, InputIndex, Inputs};
pub use outputs::{BATCH_BYTES_MAX, BATCH_ROWS_MAX, Outputs};
