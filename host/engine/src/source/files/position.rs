//! How far a file has been read, and how to tell later that it is still that file.
//!
//! In manifests: `{"offset": 1234, "fingerprint": "9e3779b97f4a7c15"}`, and `"stopped": true` for a file that was found
//! changed and is read no further.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use weir_protocol::Fault;
use xxhash_rust::xxh3::Xxh3;

use crate::source::SourceError;

/// How much of the file's start, and of what lies before the offset, goes into the fingerprint.
pub(super) const FINGERPRINT_BYTES: usize = 4 << 10;

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Position {
    /// Where reading goes on.
    pub(super) offset: u64,
    /// Of what lies before it.
    fingerprint: Fingerprint,
    /// Whether the file is given up on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) stopped: bool,
}

/// xxh3-64 of the first and the last [`FINGERPRINT_BYTES`] before an offset (fewer where there are fewer), as 16
/// hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
struct Fingerprint(String);

impl Position {
    /// At the beginning of a file.
    pub(super) fn beginning() -> Self {
        Self::new(0, &[], &[])
    }

    /// At `offset`; `head` begins where the file does, `before` ends at the offset, and both hold at least what goes
    /// into the fingerprint.
    pub(super) fn new(offset: u64, head: &[u8], before: &[u8]) -> Self {
        let bytes = fingerprint_bytes(offset);
        let mut hash = Xxh3::new();
        hash.update(&head[..bytes]);
        hash.update(&before[before.len() - bytes..]);
        Self { offset, fingerprint: Fingerprint(format!("{:016x}", hash.digest())), stopped: false }
    }

    /// As manifests have it.
    pub(super) fn to_json(&self) -> Value {
        serde_json::to_value(self).expect("a position is plain JSON")
    }

    /// The position of the file `name`, from a manifest.
    pub(super) fn parse(name: &str, position: &Value) -> Result<Self, SourceError> {
        Self::deserialize(position).map_err(|error| SourceError {
            fault: Fault::Corrupt,
            message: format!("file `{name}` has the position {position}, which is none of a file's: {error}"),
        })
    }
}

/// How many bytes of each end go into the fingerprint of an offset.
pub(super) fn fingerprint_bytes(offset: u64) -> usize {
    usize::try_from(offset).map_or(FINGERPRINT_BYTES, |offset| offset.min(FINGERPRINT_BYTES))
}
