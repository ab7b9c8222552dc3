//! What is kept beside a component's bytes.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use weir_protocol::description::OperatorDescription;
use weir_protocol::document;
use weir_protocol::time::Timestamp;

use crate::store::StoreError;

const FORMAT: u32 = 1;

/// A component as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredComponent {
    /// The SHA-256 of its bytes, in 64 hexadecimal digits.
    pub hash: String,
    /// How many bytes.
    pub bytes: u64,
    /// When it was first uploaded.
    pub uploaded_at: Timestamp,
    /// What its operators say of themselves.
    pub operators: Vec<OperatorDescription>,
}

/// The object `components/<sha256>.json`:
///
/// ```text
/// {"format":1,"xxh3":"…","body":{"bytes":81234,"uploaded-at":1700000000000,"operators":[{"name":"split",…}]}}
/// ```
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Object {
    bytes: u64,
    uploaded_at: Timestamp,
    operators: Vec<OperatorDescription>,
}

impl StoredComponent {
    pub(super) fn encode(&self) -> Bytes {
        let Self { hash: _, bytes, uploaded_at, operators } = self.clone();
        document::encode(FORMAT, &Object { bytes, uploaded_at, operators }).into()
    }

    /// Reads what was written for `hash`; `object` is what an error names.
    pub(super) fn decode(hash: &str, object: impl ToString, json: &[u8]) -> Result<Self, StoreError> {
        let Object { bytes, uploaded_at, operators } = document::decode(FORMAT, json)
            .map_err(|error| StoreError::Damaged { object: object.to_string(), reason: error.to_string() })?;
        Ok(Self { hash: hash.to_owned(), bytes, uploaded_at, operators })
    }
}
