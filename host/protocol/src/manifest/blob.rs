//! Bytes that a manifest holds or names.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use xxhash_rust::xxh3::xxh3_64;

use crate::fault::Fault;
use crate::id::EntryNumber;

/// Bytes that a manifest holds itself, or an object that it names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Blob {
    /// Held in the manifest, and covered by its document's checksum.
    Inline(InlineBytes),
    /// Named by the manifest.
    Object(ObjectRef),
}

/// Bytes held in a manifest, as base64.
#[derive(Clone, PartialEq, Eq)]
pub struct InlineBytes(pub Arc<[u8]>);

/// An immutable object that a manifest names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRef {
    /// The whole name, as the store has it. Nothing here looks into it.
    pub name: String,
    /// The number of the entry by which its writer became owner.
    pub made_by: EntryNumber,
    /// Its length.
    pub bytes: u64,
    /// The xxh3-64 of its bytes.
    pub checksum: Checksum,
}

/// The xxh3-64 of some bytes, written as 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Checksum(pub u64);

/// An object whose bytes are not the ones that were written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("object {name} does not verify: {found_bytes} bytes with checksum {found}, not {bytes} with {checksum}")]
pub struct Unverified {
    /// The object.
    pub name: String,
    /// The length that the manifest names.
    pub bytes: u64,
    /// The checksum that the manifest names.
    pub checksum: Checksum,
    /// The length that was read.
    pub found_bytes: u64,
    /// The checksum of what was read.
    pub found: Checksum,
}

impl Unverified {
    /// Who must act: the operator of the node.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        Fault::Corrupt
    }
}

impl Blob {
    /// The longest blob that is held in a manifest; longer ones are objects.
    pub const INLINE_BYTES_MAX: usize = 8 << 10;

    /// A blob held in the manifest.
    #[must_use]
    pub fn inline(bytes: &[u8]) -> Self {
        Self::Inline(InlineBytes(bytes.into()))
    }

    /// The object that is named, if one is.
    #[must_use]
    pub fn object(&self) -> Option<&ObjectRef> {
        match self {
            Self::Inline(_) => None,
            Self::Object(object) => Some(object),
        }
    }

    /// The length in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Inline(InlineBytes(bytes)) => bytes.len() as u64,
            Self::Object(object) => object.bytes,
        }
    }
}

impl ObjectRef {
    /// Checks bytes read from the store against what was written.
    ///
    /// # Errors
    /// When the length or the checksum differs.
    pub fn verify(&self, bytes: &[u8]) -> Result<(), Unverified> {
        let (found_bytes, found) = (bytes.len() as u64, Checksum::of(bytes));
        if (found_bytes, found) == (self.bytes, self.checksum) {
            return Ok(());
        }
        Err(Unverified { name: self.name.clone(), bytes: self.bytes, checksum: self.checksum, found_bytes, found })
    }
}

impl Checksum {
    /// The checksum of some bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(xxh3_64(bytes))
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Checksum({self})")
    }
}

impl TryFrom<String> for Checksum {
    type Error = String;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let plain = text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let number = u64::from_str_radix(&text, 16).ok().filter(|_| plain);
        number.map(Self).ok_or_else(|| format!("`{text}` is no checksum: 16 hexadecimal digits"))
    }
}

impl From<Checksum> for String {
    fn from(checksum: Checksum) -> Self {
        checksum.to_string()
    }
}

impl fmt::Debug for InlineBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InlineBytes({} bytes)", self.0.len())
    }
}

impl Serialize for InlineBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for InlineBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).map_err(serde::de::Error::custom)?;
        Ok(Self(bytes.into()))
    }
}
