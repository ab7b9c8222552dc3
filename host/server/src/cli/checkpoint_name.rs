//! How commands name a checkpoint.

use std::fmt;
use std::str::FromStr;

/// A checkpoint, as commands name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CheckpointName {
    Newest,
    Number(u64),
}

impl FromStr for CheckpointName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "newest" => Ok(Self::Newest),
            number => number.parse().map(Self::Number).map_err(|_| {
                "give the number of a checkpoint, or `newest`; `weir checkpoint ls JOB` lists them".to_owned()
            }),
        }
    }
}

impl fmt::Display for CheckpointName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newest => f.write_str("newest"),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}
