//! The hash by which an entry names its parent.

use std::fmt;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The SHA-256 of an entry's bytes, written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EntryHash(pub [u8; 32]);

impl EntryHash {
    /// The hash of an entry's bytes as they lie in the store.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for EntryHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for EntryHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EntryHash({self})")
    }
}

impl TryFrom<String> for EntryHash {
    type Error = String;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let plain = text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !plain {
            return Err("an entry's hash is 64 hexadecimal digits".to_owned());
        }
        let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("two hexadecimal digits are a byte");
        Ok(Self(std::array::from_fn(|index| digit(2 * index))))
    }
}

impl From<EntryHash> for String {
    fn from(hash: EntryHash) -> Self {
        let mut text = Self::with_capacity(64);
        write!(text, "{hash}").expect("writing to a text does not fail");
        text
    }
}
