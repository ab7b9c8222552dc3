//! Durable JSON documents: a version and a checksum around a body.
//!
//! ```text
//! {"format":1,"xxh3":"0123456789abcdef","body":{…}}⏎
//! ```
//!
//! Guarantees that what is decoded is byte for byte what was encoded: the checksum is the xxh3-64 of the body's text,
//! and the frame around it admits no other spelling. Does not own names or places: whoever read the bytes says where
//! they lay.

use serde::Serialize;
use serde::de::DeserializeOwned;
use xxhash_rust::xxh3::xxh3_64;

use crate::fault::Fault;

/// How every document begins.
pub const BEGIN: &str = "{\"format\":";

/// Why bytes are not a document that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// The frame is not there, or cut short.
    #[error("the bytes are no document of Weir's, or were cut short; restore the object from a copy")]
    Malformed,
    /// Another version wrote it.
    #[error("the document has format {found}, and this version reads format {known}; run the version that wrote it")]
    UnknownFormat {
        /// The format that the document names.
        found: u32,
        /// The only one that is read.
        known: u32,
    },
    /// The body is not the one that was written.
    #[error("the checksum of the document does not match its body; restore the object from a copy")]
    Damaged,
    /// The body is whole, but does not mean anything.
    #[error("the document does not hold together: {0}")]
    Unsound(String),
}

impl DocumentError {
    /// Who must act: always the operator of the node.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        Fault::Corrupt
    }
}

/// The bytes of a document.
///
/// # Panics
/// When the body cannot be JSON (a map whose keys are no texts or numbers).
#[must_use]
pub fn encode<T: Serialize>(format: u32, body: &T) -> Vec<u8> {
    let body = serde_json::to_string(body).expect("durable bodies are plain data with textual keys");
    let checksum = xxh3_64(body.as_bytes());
    format!("{BEGIN}{format},\"xxh3\":\"{checksum:016x}\",\"body\":{body}}}\n").into_bytes()
}

/// The body of a document of the given format.
///
/// # Errors
/// [`DocumentError`]; nothing is guessed.
pub fn decode<T: DeserializeOwned>(format: u32, bytes: &[u8]) -> Result<T, DocumentError> {
    let text = std::str::from_utf8(bytes).map_err(|_| DocumentError::Malformed)?;
    let (found, rest) = text
        .strip_prefix(BEGIN)
        .and_then(|rest| rest.split_once(','))
        .and_then(|(number, rest)| Some((plain_number(number)?, rest)))
        .ok_or(DocumentError::Malformed)?;
    if found != format {
        return Err(DocumentError::UnknownFormat { found, known: format });
    }
    let (checksum, body) = rest
        .strip_prefix("\"xxh3\":\"")
        .and_then(|rest| rest.strip_suffix("}\n"))
        .and_then(|rest| rest.split_once("\",\"body\":"))
        .ok_or(DocumentError::Malformed)?;
    if checksum != format!("{:016x}", xxh3_64(body.as_bytes())) {
        return Err(DocumentError::Damaged);
    }
    serde_json::from_str(body).map_err(|error| DocumentError::Unsound(error.to_string()))
}

/// A number as it is written, without the signs and zeros that could stand before it.
fn plain_number(text: &str) -> Option<u32> {
    text.parse::<u32>().ok().filter(|number| number.to_string() == text)
}
