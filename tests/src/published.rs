//! What a file sink has published, read the atomic way: through its list objects.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use serde::Deserialize;

#[derive(Deserialize)]
struct List {
    checkpoint: u64,
    predecessor: Option<u64>,
    parts: Vec<Part>,
}

#[derive(Deserialize)]
struct Part {
    name: String,
    bytes: u64,
    records: u64,
}

/// The published lines of a sink, in order; `folder` is the sink's own: `PATH/JOB ID/SINK UID`.
///
/// # Errors
/// When a list does not follow the one before, or a part is not what its list says.
pub fn lines(folder: &Path) -> Result<Vec<String>> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut files = BTreeMap::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        files.insert(name, Bytes::from(std::fs::read(&path)?));
    }
    lines_in(&files)
}

/// The same, of files that are at hand by name.
///
/// # Errors
/// As [`lines`].
pub fn lines_in(files: &BTreeMap<String, Bytes>) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    let mut before = None;
    for (path, bytes) in files.iter().filter(|(name, _)| is_list(name)) {
        let list: List = serde_json::from_slice(bytes)?;
        ensure!(list.predecessor == before, "{path} follows {:?}, not {before:?}", list.predecessor);
        before = Some(list.checkpoint);
        for part in list.parts {
            let name = part.name.rsplit('/').next().unwrap_or_default();
            let bytes = files.get(name).with_context(|| format!("{path} names {name}"))?;
            ensure!(bytes.len() as u64 == part.bytes, "{name} has {} bytes, its list says {}", bytes.len(), part.bytes);
            let text = std::str::from_utf8(bytes)?;
            ensure!(text.lines().count() as u64 == part.records, "{name} does not hold {} records", part.records);
            lines.extend(text.lines().map(str::to_owned));
        }
    }
    Ok(lines)
}

/// The checkpoint of the newest list.
///
/// # Errors
/// When that is no list.
pub fn newest_list_in(files: &BTreeMap<String, Bytes>) -> Result<Option<u64>> {
    let Some((_, bytes)) = files.iter().rfind(|(name, _)| is_list(name)) else { return Ok(None) };
    let list: List = serde_json::from_slice(bytes)?;
    Ok(Some(list.checkpoint))
}

fn is_list(name: &str) -> bool {
    name.starts_with("list-") && name.ends_with(".json")
}

/// Lines of the form `KEY<TAB>VALUE`, by key, in order.
///
/// # Errors
/// When a line is not of that form.
pub fn by_key(lines: &[String]) -> Result<BTreeMap<String, Vec<String>>> {
    let mut keys: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in lines {
        let (key, value) = line.split_once('\t').with_context(|| format!("`{line}` has no tab"))?;
        keys.entry(key.to_owned()).or_default().push(value.to_owned());
    }
    Ok(keys)
}
