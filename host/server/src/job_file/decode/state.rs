//! How a job's state is kept: `[state]`, and what Flink's files say of it.
//!
//! Flink has had several keys and names for each of these settings. They are read by their dotted path, whether it is
//! written as a table, as a dotted or as a quoted key. All are accepted that mean something here; what they mean, the
//! book says. Where a key has no effect, or one that may surprise, a warning says so; what is set [elsewhere] is refused
//! with the place.

use weir_protocol::job_graph::{CheckpointStorage, StateBackend, StateSpec};

use super::{elsewhere, timers};
use crate::job_file::fields::{FLAG, TEXT};
use crate::job_file::nearest;
use crate::job_file::tree::{Entry, Error, Node, Place, Value};
use crate::job_file::units::{SIZE, size};

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

/// Four of the pieces that a subtask's state consists of: less is worth a word.
const MEMORY_BYTES_MIN: u64 = 1 << 20;

const IN_MEMORY: &str = "checkpoint storage `jobmanager` keeps the job and its checkpoints in the node's memory: they \
    are lost when the node exits, and a checkpoint of more than 5 MiB fails; for more than trials say \
    storage = \"store\" in [state]";

/// Whether a key of the job is read here.
pub(super) fn owns(key: &str) -> bool {
    ["state", "execution", "table"].iter().any(|word| key.strip_prefix(word).is_some_and(is_end_or_dot))
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
    found.check_memory(&settings)?;
    let mut places = settings.iter().filter(|setting| setting.path == timers::PLACE);
    places.try_for_each(|place| timers::check(place.node, found.backend()))?;
    Ok(found.state())
}

fn flatten<'a>(path: String, place: &'a Place, node: &'a Node, into: &mut Vec<Setting<'a>>) -> Result<(), Error> {
    // The job file's own table may hold nothing; any other that does is a key like one with a value.
    if let Value::Table(entries) = &node.value
        && (path == "state" || !entries.is_empty())
    {
        let inner = |entry: &'a Entry| flatten(format!("{path}.{}", entry.key), &entry.place, &entry.node, into);
        return entries.iter().try_for_each(inner);
    }
    if !path.contains('.') && !matches!(node.value, Value::Table(_)) {
        return Err(node.error(format!("`{path}` must be a table, not {}", node.shown())));
    }
    into.push(Setting { path, place, node });
    Ok(())
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
        // Whether timers are where that says is known once all is read.
        if path == timers::PLACE || elsewhere::asks_for_what_is(path, node) {
            return Ok(());
        }
        if let Some(pointer) = elsewhere::pointer(path) {
            return Err(error(format!("{what} is not read: {pointer}; leave the key out")));
        }
        let Some((_, key)) = KEYS.iter().find(|(known, _)| known == path) else {
            return Err(error(unknown(path)));
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

    /// With all state in memory so little would have nearly every record given up on.
    fn check_memory(&self, settings: &[Setting<'_>]) -> Result<(), Error> {
        let Some((path, bytes)) = &self.memory_bytes else { return Ok(()) };
        if *bytes >= MEMORY_BYTES_MIN || self.backend() != StateBackend::HashMap {
            return Ok(());
        }
        let setting = settings.iter().find(|setting| setting.path == *path).expect("its key said it");
        Err(setting.node.error(format!(
            "`{path}` is {}, but the backend `hashmap` keeps all state of a subtask in that, and gives up on records \
             whose state does not fit: say \"{}\" or more, or backend = \"rocksdb\", which writes the rest to disk; what \
             the job may hold in all is bounded by `state` in [limits]",
            size(*bytes),
            size(MEMORY_BYTES_MIN)
        )))
    }

    fn backend(&self) -> StateBackend {
        self.backend.as_ref().map_or(StateSpec::default().backend, |(_, backend)| *backend)
    }

    fn state(self) -> State {
        let default = StateSpec::default();
        let spec = StateSpec {
            backend: self.backend(),
            storage: self.storage.map(|(_, storage)| storage).or(self.implied).unwrap_or(default.storage),
            incremental: self.incremental.map_or(default.incremental, |(_, incremental)| incremental),
            local_dir: self.local_dir.as_ref().map(|(_, dir)| dir.clone()),
            memory_bytes: self.memory_bytes.as_ref().map(|(_, bytes)| *bytes),
        };
        let mut warnings = Vec::new();
        if spec.storage == CheckpointStorage::JobManager {
            warnings.push(IN_MEMORY.to_owned());
        }
        if let Some((path, _)) = self.local_dir.filter(|_| spec.backend == StateBackend::HashMap) {
            warnings.push(format!("`{path}` has no effect: the backend `hashmap` keeps nothing on disk"));
        }
        if let Some((path, bytes)) = self.memory_bytes.filter(|(_, bytes)| *bytes < MEMORY_BYTES_MIN) {
            warnings.push(format!(
                "`{path}` is {}: the job works with that, but slowly, since its state goes to disk, and comes from there, \
                 in as small pieces; say \"{}\" at least, or \"16MiB\" if there is that much",
                size(bytes),
                size(MEMORY_BYTES_MIN)
            ));
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

/// What is said of a key that there is not: what it is called here, or where that is set, if it is one of Flink's of which
/// only the end is given, or one that stands below another; else the nearest.
fn unknown(path: &str) -> String {
    let given = path.strip_prefix("state.").unwrap_or(path);
    if let Some((flinks, key)) = KEYS.iter().find(|(known, _)| elsewhere::is_end_of(given, known)) {
        let (own, _) = KEYS.iter().find(|(_, known)| known == key).expect("each key has a name of its own, the first");
        let own = own.trim_start_matches("state.");
        return format!("[state] has no key `{given}`; what Flink calls `{flinks}` is `{own}` in [state]");
    }
    if let Some((flinks, pointer)) =
        elsewhere::pointer(given).map(|pointer| (given, pointer)).or_else(|| elsewhere::ending_in(given))
    {
        return format!("[state] has no key `{given}`; `{flinks}` is not read: {pointer}");
    }
    format!("there is no key `{path}`; {}", nearest::mend(path, KEYS.iter().map(|(known, _)| *known)))
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
pub(super) fn named<'a, T>(node: &Node, what: &str, all: &'a [T], name: fn(&T) -> &str) -> Result<&'a T, Error> {
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
