//! What a file sink has published, read the atomic way: through its list objects.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
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
    let mut lines = Vec::new();
    let mut before = None;
    for path in lists(folder)? {
        let list: List = serde_json::from_slice(&std::fs::read(&path)?)?;
        ensure!(list.predecessor == before, "{} follows {:?}, not {before:?}", path.display(), list.predecessor);
        before = Some(list.checkpoint);
        for part in list.parts {
            let name = part.name.rsplit('/').next().unwrap_or_default();
            let bytes = std::fs::read(folder.join(name)).with_context(|| format!("{} names {name}", path.display()))?;
            ensure!(bytes.len() as u64 == part.bytes, "{name} has {} bytes, its list says {}", bytes.len(), part.bytes);
            let text = String::from_utf8(bytes)?;
            ensure!(text.lines().count() as u64 == part.records, "{name} does not hold {} records", part.records);
            lines.extend(text.lines().map(str::to_owned));
        }
    }
    Ok(lines)
}

fn lists(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut lists = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("list-") && name.ends_with(".json") {
            lists.push(path);
        }
    }
    lists.sort();
    Ok(lists)
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
