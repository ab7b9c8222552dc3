//! A record that could not be processed, as it is kept for people.
//!
//! Made where a record is given up on; written, one JSON object a line, into the job's dead letters, and read back
//! from there. Does not own when dead letters become durable or public.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use weir_protocol::id::Uid;
use weir_protocol::time::Timestamp;

/// One record that was given up on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DeadLetter {
    /// The source, operator or sink that gave up on it.
    pub uid: Uid,
    /// Its subtask.
    pub subtask: u32,
    /// The processing time at which it did.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
    /// Where the record is from, in the words of whoever knows: `file:offset`, the operator's input, `timer`.
    pub origin: String,
    /// The record's key, where it carries one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Payload>,
    /// The record's value; a deletion has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Payload>,
    /// The record's event time, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_time: Option<Timestamp>,
}

/// Bytes as JSON: as text where they are UTF-8, else in base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Payload {
    /// UTF-8.
    Text(String),
    /// Anything else.
    Base64(String),
}

impl Payload {
    /// The JSON form of these bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Base64(STANDARD.encode(bytes)),
        }
    }
}
