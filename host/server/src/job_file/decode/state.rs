//! How a job's state is kept: `[state]`, and what Flink's files say of it.
//!
//! Flink has had several keys and names for each of these settings. They are read by their dotted path, whether it is
//! written as a table, as a dotted or as a quoted key. All are accepted that mean something here; what they mean, the
//! book says. Where a key has no effect, or one that may surprise, a warning says so; what is set [elsewhere] is refused
//! with the place.

use weir_protocol::job_graph::{CheckpointStorage, StateBackend, StateSpec};

use super::elsewhere;
use crate::job_file::fields::{FLAG, TEXT};
use crate::job_file::nearest;
use crate::job_file::tree::{Entry, Error, Node, Place, Value};
use crate::job_file::units::SIZE;

/// What is set, and what of it people should know.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) spec: StateSpec,
    pub(super) warnings: Vec<String>,
}

/// One value, by its path.
struct Setting<'a> {
    path: String,
    /// Where its key stands.
    place: &'a Place,
    node: &'a Node,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Backend,
    Storage,
    Incremental,
    LocalDir,
    Memory,
}

/// The job file's own names, then Flink's, newer and older.
const KEYS: [(&str, Key); 12] = [
    ("state.backend", Key::Backend),
    ("state.storage", Key::Storage),
    ("state.incremental", Key::Incremental),
    ("state.local-dir", Key::LocalDir),
    ("state.memory", Key::Memory),
    ("state.backend.type", Key::Backend),
    ("state.backend.incremental", Key::Incremental),
    ("state.backend.rocksdb.localdir", Key::LocalDir),
    ("state.backend.rocksdb.memory.fixed-per-slot", Key::Memory),
    ("state.checkpoint-storage", Key::Storage),
    ("execution.checkpointing.storage", Key::Storage),
    ("execution.checkpointing.incremental", Key::Incremental),
];

/// Of each key's path one of these is the begin.
const CHANGELOG: [&str; 2] = ["state.backend.changelog.", "state.changelog."];

const BACKENDS: [(&str, StateBackend, Option<CheckpointStorage>); 9] = [
    ("hashmap", StateBackend::HashMap, None),
    ("rocksdb", StateBackend::RocksDb, None),
    ("jobmanager", StateBackend::HashMap, Some(CheckpointStorage::JobManager)),
    ("filesystem", StateBackend::HashMap, Some(CheckpointStorage::Store)),
    ("HashMapStateBackend", StateBackend::HashMap, None),
    ("EmbeddedRocksDBStateBackend", StateBackend::RocksDb, None),
    ("RocksDBStateBackend", StateBackend::RocksDb, None),
    ("MemoryStateBackend", StateBackend::HashMap, Some(CheckpointStorage::JobManager)),
    ("FsStateBackend", StateBackend::HashMap, Some(CheckpointStorage::Store)),
];

const STORAGES: [(&str, CheckpointStorage); 5] = [
    ("store", CheckpointStorage::Store),
    ("jobmanager", CheckpointStorage::JobManager),
    ("filesystem", CheckpointStorage::Store),
    ("JobManagerCheckpointStorage", CheckpointStorage::JobManager),
    ("FileSystemCheckpointStorage", CheckpointStorage::Store),
];

const IN_MEMORY: &str = "checkpoint storage `jobmanager` keeps the job and its checkpoints in the node's memory: they \
    are lost when the node exits, and a checkpoint of more than 5 MiB fails; for more than trials say \
    storage = \"store\" in [state]";

/// Whether a key of the job is read here.
pub(super) fn owns(key: &str) -> bool {
    ["state", "execution"].iter().any(|word| key.strip_prefix(word).is_some_and(is_end_or_dot))
}

fn is_end_or_dot(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('.')
}

/// Reads those keys of the job that are read here.
pub(super) fn state(entries: &[Entry]) -> Result<State, Error> {
    let mut settings = Vec::new();
    for entry in entries.iter().filter(|entry| owns(&entry.key)) {
        flatten(entry.key.clone(), &entry.place, &entry.node, &mut settings)?;
    }
    let mut found = Found::default();
    settings.iter().try_for_each(|setting| found.take(setting))?;
    Ok(found.state())
}

fn flatten<'a>(path: String, place: &'a Place, node: &'a Node, into: &mut Vec<Setting<'a>>) -> Result<(), Error> {
    match &node.value {
        Value::Table(entries) => entries
            .iter()
            .try_for_each(|entry| flatten(format!("{path}.{}", entry.key), &entry.place, &entry.node, into)),
        _ if !path.contains('.') => Err(node.error(format!("`{path}` must be a table, not {}", node.shown()))),
        Value::Null | Value::Boolean(_) | Value::Integer(_) | Value::Float(_) | Value::Text(_) | Value::List(_) => {
            into.push(Setting { path, place, node });
            Ok(())
        }
    }
}

/// What was read so far, each with the key that said it.
#[derive(Debug, Default)]
struct Found {
    backend: Option<(String, StateBackend)>,
    storage: Option<(String, CheckpointStorage)>,
    /// What the name of the backend says of the storage; what is said of the storage itself counts more.
    implied: Option<CheckpointStorage>,
    incremental: Option<(String, bool)>,
    local_dir: Option<(String, String)>,
    memory_bytes: Option<(String, u64)>,
    changelog: Option<String>,
}

impl Found {
    fn take(&mut self, setting: &Setting<'_>) -> Result<(), Error> {
        let Setting { path, place, node } = setting;
        let what = format!("`{path}`");
        if CHANGELOG.iter().any(|begin| path.starts_with(begin)) {
            self.changelog.get_or_insert_with(|| path.clone());
            return Ok(());
        }
        let error = |message| Error { place: (*place).clone(), message };
        if elsewhere::asks_for_what_is(path, node) {
            return Ok(());
        }
        if let Some(pointer) = elsewhere::pointer(path) {
            return Err(error(format!("{what} is not read: {pointer}; leave the key out")));
        }
        let Some((_, key)) = KEYS.iter().find(|(known, _)| known == path) else {
            let mend = nearest::mend(path, KEYS.iter().map(|(known, _)| *known));
            return Err(error(format!("there is no key `{path}`; {mend}")));
        };
        match key {
            Key::Backend => {
                let (_, backend, storage) = named(node, &what, &BACKENDS, |(name, ..)| name)?;
                self.implied = self.implied.or(*storage);
                once(&mut self.backend, setting, *backend)
            }
            Key::Storage => {
                let (_, storage) = named(node, &what, &STORAGES, |(name, _)| name)?;
                once(&mut self.storage, setting, *storage)
            }
            Key::Incremental => once(&mut self.incremental, setting, flag(node, &what)?),
            Key::Memory => match SIZE(node, &what)? {
                0 => Err(node.error(format!("{what} must be more than 0"))),
                bytes => once(&mut self.memory_bytes, setting, bytes),
            },
            Key::LocalDir => match TEXT(node, &what)? {
                dir if dir.is_empty() => Err(node.error(format!("{what} is empty; name a local folder"))),
                dir if dir.contains("://") => {
                    Err(node.error(format!("{what} must be a folder of the node's machine, not a URL")))
                }
                dir => once(&mut self.local_dir, setting, dir),
            },
        }
    }

    fn state(self) -> State {
        let default = StateSpec::default();
        let spec = StateSpec {
            backend: self.backend.map_or(default.backend, |(_, backend)| backend),
            storage: self.storage.map(|(_, storage)| storage).or(self.implied).unwrap_or(default.storage),
            incremental: self.incremental.map_or(default.incremental, |(_, incremental)| incremental),
            local_dir: self.local_dir.as_ref().map(|(_, dir)| dir.clone()),
            memory_bytes: self.memory_bytes.map(|(_, bytes)| bytes),
        };
        let mut warnings = Vec::new();
        if spec.storage == CheckpointStorage::JobManager {
            warnings.push(IN_MEMORY.to_owned());
        }
        if let Some((path, _)) = self.local_dir.filter(|_| spec.backend == StateBackend::HashMap) {
            warnings.push(format!("`{path}` has no effect: the backend `hashmap` keeps nothing on disk"));
        }
        if let Some(path) = self.changelog {
            warnings.push(format!(
                "`{path}` has no effect: state is a log whatever is set, and each checkpoint uploads only what was \
                 written since the one before"
            ));
        }
        State { spec, warnings }
    }
}

/// Two keys may say the same thing, if it is the same.
fn once<T: PartialEq>(known: &mut Option<(String, T)>, setting: &Setting<'_>, value: T) -> Result<(), Error> {
    match known {
        Some((path, known)) if *known != value => {
            let message = match *path == setting.path {
                true => format!("`{path}` is written in two ways, which say different things; leave one out"),
                false => format!("`{path}` and `{}` say different things; leave one out", setting.path),
            };
            Err(Error { place: setting.place.clone(), message })
        }
        _ => {
            *known = Some((setting.path.clone(), value));
            Ok(())
        }
    }
}

/// One of several names, in any case.
fn named<'a, T>(node: &Node, what: &str, all: &'a [T], name: fn(&T) -> &str) -> Result<&'a T, Error> {
    let given = if let Value::Text(text) = &node.value { text.as_str() } else { "" };
    all.iter().find(|one| name(one).eq_ignore_ascii_case(given)).ok_or_else(|| {
        let known = all.iter().map(|one| format!("{:?}", name(one))).collect::<Vec<_>>().join(", ");
        let shown = node.shown();
        node.error(format!("{what} must be one of {known}, not {shown}; classes of one's own cannot be loaded"))
    })
}

/// Files of Flink's hold texts.
fn flag(node: &Node, what: &str) -> Result<bool, Error> {
    let Value::Text(text) = &node.value else { return FLAG(node, what) };
    match text.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => FLAG(node, what),
    }
}
