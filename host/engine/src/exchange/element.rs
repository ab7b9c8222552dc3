//! What travels through a channel.

use weir_operator::batch::Batch;
pub use weir_protocol::alignment::Barrier;
use weir_protocol::time::Timestamp;

/// One thing in a channel. The order in which they were sent is the order in which they arrive.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly every element is a batch; a box would only cost an allocation")]
pub enum Element {
    /// Records; at least one.
    Batch(Batch),
    /// No record with this event time or an earlier one follows. Ends idleness.
    Watermark(Timestamp),
    /// Nothing is to be expected for now: watermarks need not wait for this channel. The next batch or watermark ends
    /// it.
    Idle,
    /// What was sent before it belongs to the checkpoint, what is sent after it does not.
    Barrier(Barrier),
    /// The upstream subtask has finished; nothing follows. A channel that closes without it was abandoned: the
    /// upstream subtask failed or was stopped.
    End,
}
