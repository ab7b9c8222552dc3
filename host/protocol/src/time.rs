//! Times as numbers. Nothing here reads a clock.

/// Milliseconds since the Unix epoch, as the contract has them.
pub type Timestamp = i64;

/// A record without event time; also the watermark before the first one.
pub const NO_TIME: Timestamp = i64::MIN;

/// The watermark of an input that has ended: every event-time timer is due.
pub const END_OF_TIME: Timestamp = i64::MAX;
