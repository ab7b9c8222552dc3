//! Names of objects: the durable layout.
//!
//! Every name is made here and nowhere else; what follows is the whole layout.
//!
//! ```text
//! components/<sha256>.wasm                                             the bytes; immutable
//! components/<sha256>.json                                             what was found in them; immutable
//! component-names/<name>/<n>.json                                      chain: what the name means
//! jobs/<job>/spec/<n>.json                                             chain: what is wanted
//! jobs/<job>/run/<n>.json                                              chain: what happened
//! jobs/<job>/data/<owner's entry>-<nonce>/<uid>/<subtask>-<seq>.state  checkpoint file
//! jobs/<job>/data/<owner's entry>-<nonce>/<uid>/<subtask>-<seq>.unkeyed snapshot of state that belongs to no key
//! jobs/<job>/data/<owner's entry>-<nonce>/<uid>/<subtask>-<seq>.outbox sealed results
//! jobs/<job>/dead-letters/<checkpoint>-<uid>-<subtask>.ndjson          published dead letters
//! probe/<nonce>                                                        start probe; deleted again
//! probe/<job>                                                          the same in a sink's folder, at submission
//! ```
//!
//! A savepoint is a folder by itself, maybe in another store. In it lie
//!
//! ```text
//! jobs/<job>/data/…                                                    copies, under the names that they have in the job's store
//! _metadata                                                            what they are; written last
//! ```
//!
//! `<n>`, `<owner's entry>`, `<checkpoint>` have 20 digits, so that names sort as numbers do; `<job>` and `<nonce>` 32
//! hexadecimal digits. `<seq>` is a counter of the subtask, unique within its owner.

use std::fmt;

use object_store::path::Path;
use weir_protocol::chain::Owner;
use weir_protocol::id::{CheckpointId, EntryNumber, JobId, Name, Nonce, SubtaskId};

/// The name of one object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName(pub(super) Path);

/// What a number of objects' names begin with: a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix(pub(super) Path);

/// A chain of numbered objects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChainName {
    /// What is wanted of a job.
    Spec(JobId),
    /// What happened to a job.
    Run(JobId),
    /// What a component's name means.
    Component(Name),
}

/// What an object of a job's `data/` holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataKind {
    /// A checkpoint file.
    State,
    /// A snapshot of state that belongs to no key.
    Unkeyed,
    /// Sealed results, or dead letters, of one subtask and epoch.
    Outbox,
}

impl ObjectName {
    /// The bytes of a component; `hash` is their SHA-256 as 64 hexadecimal digits.
    #[must_use]
    pub fn component(hash: &str) -> Self {
        Self(Path::from_iter(["components".to_owned(), format!("{hash}.wasm")]))
    }

    /// What was found in a component at upload.
    #[must_use]
    pub fn component_description(hash: &str) -> Self {
        Self(Path::from_iter(["components".to_owned(), format!("{hash}.json")]))
    }

    /// An entry of a chain.
    #[must_use]
    pub fn entry(chain: &ChainName, number: EntryNumber) -> Self {
        Self(chain.prefix().0.join(format!("{number}.json")))
    }

    /// Something that a subtask made for a checkpoint, under its owner.
    #[must_use]
    pub fn data(job: JobId, owner: Owner, subtask: &SubtaskId, seq: u64, kind: DataKind) -> Self {
        let ending = match kind {
            DataKind::State => "state",
            DataKind::Unkeyed => "unkeyed",
            DataKind::Outbox => "outbox",
        };
        let folder = Prefix::data(job).0.join(format!("{}-{}", owner.number, owner.nonce));
        Self(folder.join(subtask.uid.as_str()).join(format!("{}-{seq}.{ending}", subtask.index)))
    }

    /// Published dead letters of one subtask and checkpoint.
    #[must_use]
    pub fn dead_letters(job: JobId, checkpoint: CheckpointId, subtask: &SubtaskId) -> Self {
        let file = format!("{:020}-{}-{}.ndjson", checkpoint.0, subtask.uid, subtask.index);
        Self(Prefix::dead_letters(job).0.join(file))
    }

    /// The name that a manifest of `job` gives, if it is one of that job's `data/`: manifests never name anything else.
    #[must_use]
    pub fn of_manifest(job: JobId, name: &str) -> Option<Self> {
        let path = Path::parse(name).ok()?;
        path.prefix_matches(&Prefix::data(job).0).then_some(Self(path))
    }

    /// What a savepoint is, in its folder.
    #[must_use]
    pub fn savepoint() -> Self {
        Self(Path::from("_metadata"))
    }

    /// The name that a job which begins with a copy of this object of another job's `data/` gives to its own: that of an
    /// object which whoever creates its entry 0 made. The nonce is the former owner's, so the job's own owners never
    /// give it to anything. `None` for any other object.
    #[must_use]
    pub fn inherited_by(&self, job: JobId) -> Option<Self> {
        let nonce = self.owner()?.nonce;
        let folder = Prefix::data(job).0.join(format!("{}-{nonce}", EntryNumber(0)));
        Some(Self(self.0.parts().skip(4).fold(folder, |folder, part| folder.join(part))))
    }

    /// The owner that made this object of a job's `data/`; `None` for any other object.
    #[must_use]
    pub fn owner(&self) -> Option<Owner> {
        let parts: Vec<_> = self.0.parts().collect();
        if parts.len() != 6 || parts[0].as_ref() != "jobs" || parts[2].as_ref() != "data" {
            return None;
        }
        let (number, nonce) = parts[3].as_ref().split_once('-')?;
        Some(Owner { number: EntryNumber(padded(number)?), nonce: nonce.parse().ok()? })
    }

    /// Whether it was written to try a place out, by whoever died before it was deleted again.
    #[must_use]
    pub fn is_probe(&self) -> bool {
        self.0.prefix_matches(&Prefix::probe().0)
    }

    pub(super) fn probe(nonce: Nonce) -> Self {
        Self(Prefix::probe().0.join(nonce.to_string()))
    }

    pub(super) fn trial(job: JobId) -> Self {
        Self(Prefix::probe().0.join(job.to_string()))
    }

    /// The last part of the name.
    #[must_use]
    pub fn file(&self) -> &str {
        self.0.filename().unwrap_or_default()
    }
}

impl Prefix {
    /// All there is.
    #[must_use]
    pub fn everything() -> Self {
        Self(Path::default())
    }

    /// All components.
    #[must_use]
    pub fn components() -> Self {
        Self(Path::from("components"))
    }

    /// All chains of component names.
    #[must_use]
    pub fn component_names() -> Self {
        Self(Path::from("component-names"))
    }

    /// All jobs.
    #[must_use]
    pub fn jobs() -> Self {
        Self(Path::from("jobs"))
    }

    /// Whatever owners of a job made for its checkpoints.
    #[must_use]
    pub fn data(job: JobId) -> Self {
        Self(Self::jobs().0.join(job.to_string()).join("data"))
    }

    /// A job's published dead letters.
    #[must_use]
    pub fn dead_letters(job: JobId) -> Self {
        Self(Self::jobs().0.join(job.to_string()).join("dead-letters"))
    }

    pub(super) fn probe() -> Self {
        Self(Path::from("probe"))
    }
}

impl ChainName {
    /// The folder that holds the chain's entries and nothing else.
    #[must_use]
    pub fn prefix(&self) -> Prefix {
        let job = |job: &JobId, chain| Prefix::jobs().0.join(job.to_string()).join(chain);
        Prefix(match self {
            Self::Spec(id) => job(id, "spec"),
            Self::Run(id) => job(id, "run"),
            Self::Component(name) => Prefix::component_names().0.join(name.as_str()),
        })
    }

    /// The number of the entry with this name; `None` if it is no entry of this chain.
    pub(super) fn number_of(&self, name: &ObjectName) -> Option<EntryNumber> {
        let number = padded(name.file().strip_suffix(".json")?).map(EntryNumber)?;
        (ObjectName::entry(self, number) == *name).then_some(number)
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/", self.0)
    }
}

fn padded(digits: &str) -> Option<u64> {
    let plain = digits.len() == 20 && digits.bytes().all(|digit| digit.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}
