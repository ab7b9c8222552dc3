//! Which files are there, whose they are, and whether they look as they did. Blocking.

use std::collections::BTreeSet;
use std::fs;
use std::time::SystemTime;

use weir_protocol::job_spec::FileSourceSpec;
use xxhash_rust::xxh3::xxh3_64;

use super::place::Place;
use crate::source::SourceError;

/// By what a file's change is noticed without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    bytes: u64,
    modified: Option<SystemTime>,
}

impl Look {
    /// `None` for what has vanished.
    pub(super) fn at(name: &str) -> Option<Self> {
        let found = fs::metadata(name).ok()?;
        Some(Self { bytes: found.len(), modified: found.modified().ok() })
    }
}

pub(super) fn places(spec: &FileSourceSpec) -> Result<Vec<Place>, SourceError> {
    spec.paths.iter().map(|path| Place::parse(path)).collect()
}

/// Each file that is there now, once.
pub(super) fn files(places: &[Place]) -> Result<BTreeSet<String>, SourceError> {
    let files: Vec<Vec<String>> = places.iter().map(Place::files).collect::<Result<_, _>>()?;
    Ok(files.into_iter().flatten().collect())
}

/// The subtask that reads a file.
pub(super) fn owner(name: &str, parallelism: u32) -> u32 {
    let owner = xxh3_64(name.as_bytes()) % u64::from(parallelism);
    u32::try_from(owner).expect("a remainder is smaller than its divisor, which fits")
}
