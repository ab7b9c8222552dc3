//! Whether everything that a checkpoint names is there and is what was written.
//!
//! One object after the other, none of them whole in memory: first the entries that lead to the checkpoint, then what
//! it needs to run, then what its manifest names or holds. Each gives a verdict; damage to one does not keep the others
//! from being looked at.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use weir_protocol::Fault;
use weir_protocol::chain::{EntryHash, Retained, RunEntry, Stored};
use weir_protocol::id::{CheckpointId, EntryNumber, Uid};
use weir_protocol::manifest::{Blob, Manifest, SubtaskManifest};

use super::{InspectError, Inspector, Which};
use crate::checkpoint::chain::{ChainError, SpecChain};
use crate::store::{ChainName, ObjectName};

mod files;

use files::Use;

/// What was found of one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Verdict {
    /// Its name; for what has no object of its own, the entry that holds it and where, or whose files they are.
    pub object: String,
    /// `savepoint`, `entry`, `spec`, `component`, `state`, `unkeyed`, `outbox` or `subtask` (the files of one subtask, as one).
    pub kind: String,
    /// Its length.
    pub bytes: u64,
    /// What is wrong with it; left out where it verifies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damage: Option<String>,
}

/// A checkpoint that is being verified.
#[derive(Debug)]
pub struct Verification {
    inspector: Inspector,
    /// The entry that holds it.
    number: EntryNumber,
    /// Its name: what is inlined is said to be there.
    entry: String,
    manifest: Manifest,
    done: VecDeque<Verdict>,
    /// The names of objects that are damaged.
    damaged: BTreeSet<String>,
    checks: VecDeque<Check>,
}

/// What is still to be looked at.
#[derive(Debug)]
enum Check {
    Spec(EntryNumber),
    Component(String),
    Blob { blob: Blob, as_what: Use },
    Subtask { uid: Uid, index: usize },
}

impl Inspector {
    /// Begins to verify a checkpoint: entries that lead to it are read, everything else is with
    /// [`Verification::next`].
    ///
    /// # Errors
    /// [`InspectError`]; damage is no error here.
    pub async fn verify(&self, which: Which) -> Result<Verification, InspectError> {
        if let Some(savepoint) = self.savepoint.clone() {
            let mut verification = self.verification(savepoint.entry);
            verification.entry = ObjectName::savepoint().to_string();
            let (object, bytes) = (verification.entry.clone(), self.store.size(&ObjectName::savepoint()).await?);
            let (kind, bytes) = ("savepoint".to_owned(), bytes.unwrap_or_default());
            verification.done.push_back(Verdict { object, kind, bytes, damage: None });
            verification.plan(savepoint.manifest);
            return Ok(verification);
        }
        self.holds.extend(self.job, self.clock.now());
        let numbers = self.store.entries(&ChainName::Run(self.job), EntryNumber(0)).await?;
        let newest = *numbers.last().ok_or(ChainError::NoJob(self.job))?;
        let mut verification = self.verification(newest);
        let Some(entry) = verification.entry(newest, None).await? else { return Ok(verification) };
        let wanted = match which {
            Which::Newest => None,
            Which::Retained(asked) if asked == entry.entry.manifest.checkpoint => None,
            Which::Retained(asked) => Some(retained(&entry.entry, asked)?.clone()),
            Which::Entry(number) => entry.entry.retained.iter().find(|retained| retained.number == number).cloned(),
        };
        let entry = match wanted {
            None => {
                for retained in &entry.entry.retained {
                    verification.entry(retained.number, Some(retained.hash)).await?;
                }
                entry
            }
            Some(wanted) => match verification.entry(wanted.number, Some(wanted.hash)).await? {
                Some(entry) => entry,
                None => return Ok(verification),
            },
        };
        if entry.entry.manifest.checkpoint == CheckpointId(0) {
            return Err(InspectError::NoCheckpoint);
        }
        let RunEntry { number, spec, manifest, .. } = entry.entry;
        (verification.number, verification.entry) = (number, self.entry_name(number));
        verification.checks.push_back(Check::Spec(spec));
        verification.plan(manifest);
        Ok(verification)
    }

    fn verification(&self, number: EntryNumber) -> Verification {
        Verification {
            inspector: self.clone(),
            number,
            entry: self.entry_name(number),
            manifest: Manifest::start(Default::default(), 0, BTreeMap::new()),
            done: VecDeque::new(),
            damaged: BTreeSet::new(),
            checks: VecDeque::new(),
        }
    }

    fn entry_name(&self, number: EntryNumber) -> String {
        ObjectName::entry(&ChainName::Run(self.job), number).to_string()
    }
}

fn retained(newest: &RunEntry, asked: CheckpointId) -> Result<&Retained, InspectError> {
    newest.retained.iter().rev().find(|retained| retained.checkpoint == asked).ok_or_else(|| {
        let mut known: Vec<_> = newest.retained.iter().map(|retained| retained.checkpoint).collect();
        known.push(newest.manifest.checkpoint);
        known.sort_unstable();
        known.dedup();
        InspectError::NotRetained { asked, retained: known }
    })
}

impl Verification {
    /// The checkpoint; 0 where the entry that holds it could not be read.
    #[must_use]
    pub const fn checkpoint(&self) -> CheckpointId {
        self.manifest.checkpoint
    }

    /// Looks at the next object; `None`: that was all.
    ///
    /// # Errors
    /// [`Fault::Unavailable`]: nobody knows. Damage is a verdict.
    pub async fn next(&mut self) -> Result<Option<Verdict>, InspectError> {
        if let Some(done) = self.done.pop_front() {
            return Ok(Some(done));
        }
        let Some(check) = self.checks.pop_front() else { return Ok(None) };
        self.inspector.holds.extend(self.inspector.job, self.inspector.clock.now());
        let verdict = match check {
            Check::Spec(number) => self.spec(number).await?,
            Check::Component(hash) => self.component(&hash).await?,
            Check::Blob { blob, as_what } => {
                let verdict = self.blob(&blob, as_what).await?;
                self.damaged.extend(verdict.damage.is_some().then(|| verdict.object.clone()));
                verdict
            }
            Check::Subtask { uid, index } => self.subtask(&uid, index).await?,
        };
        if verdict.damage.is_some() && !self.inspector.names(self.number).await? {
            return Err(InspectError::Gone);
        }
        Ok(Some(verdict))
    }

    /// Reads an entry and notes what was found; the entry where it can be believed.
    async fn entry(
        &mut self,
        number: EntryNumber,
        hash: Option<EntryHash>,
    ) -> Result<Option<Stored<RunEntry>>, InspectError> {
        let chain = ChainName::Run(self.inspector.job);
        let object = self.inspector.entry_name(number);
        let mut verdict = Verdict { object, kind: "entry".to_owned(), bytes: 0, damage: None };
        let bytes = self.inspector.store.get(&ObjectName::entry(&chain, number)).await?;
        verdict.bytes = bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
        let decoded = bytes.map(|bytes| RunEntry::decode(number, &bytes).map_err(|error| error.to_string()));
        let found = match decoded.unwrap_or_else(|| Err("it is missing".to_owned())) {
            Err(error) => Err(error),
            Ok(found) if hash.is_some_and(|hash| hash != found.hash) => {
                Err("it is not the entry that the newest one retains: its hash is another".to_owned())
            }
            Ok(found) if hash.is_none() && self.follows_another(&found.entry).await? => {
                Err("it does not follow the entry before it, whose hash is another".to_owned())
            }
            Ok(found) => Ok(found),
        };
        if found.is_err() && hash.is_some() && !self.inspector.names(number).await? {
            // Whoever owns the job dropped it meanwhile.
            return Ok(None);
        }
        let (found, damage) = found.map_or_else(|damage| (None, Some(damage)), |found| (Some(found), None));
        self.done.push_back(Verdict { damage, ..verdict });
        Ok(found)
    }

    /// Whether the entry before is there, and is not the one that the newest names as its parent. Where the newest
    /// retains it, its own verdict says so.
    async fn follows_another(&self, entry: &RunEntry) -> Result<bool, InspectError> {
        let Some((before, parent)) = entry.number.0.checked_sub(1).zip(entry.parent) else { return Ok(false) };
        let before = EntryNumber(before);
        if entry.retained.iter().any(|retained| retained.number == before) {
            return Ok(false);
        }
        let name = ObjectName::entry(&ChainName::Run(self.inspector.job), before);
        let bytes = self.inspector.store.get(&name).await?;
        let decoded = bytes.and_then(|bytes| RunEntry::decode(before, &bytes).ok());
        Ok(decoded.is_some_and(|before| before.hash != parent))
    }

    fn plan(&mut self, manifest: Manifest) {
        for (uid, subtasks) in &manifest.operators {
            for (index, subtask) in subtasks.iter().enumerate() {
                self.plan_subtask(uid, index, subtask);
            }
        }
        for part in manifest.outboxes.iter().flat_map(|outbox| &outbox.parts) {
            self.plan_blob(&part.blob, Use::Outbox(part.subtask.clone()));
        }
        self.manifest = manifest;
    }

    fn plan_subtask(&mut self, uid: &Uid, index: usize, subtask: &SubtaskManifest) {
        if let Some(file) = &subtask.base {
            self.plan_blob(&file.blob, Use::Base(uid.clone(), subtask.index));
        }
        for file in &subtask.files {
            self.plan_blob(&file.blob, Use::File(uid.clone(), subtask.index));
        }
        if let Some(blob) = &subtask.unkeyed {
            self.plan_blob(blob, Use::Unkeyed(uid.clone(), subtask.index));
        }
        if subtask.state_files().next().is_some() {
            self.checks.push_back(Check::Subtask { uid: uid.clone(), index });
        }
    }

    /// Each object once, however many subtasks share it.
    fn plan_blob(&mut self, blob: &Blob, as_what: Use) {
        let is_planned = |check: &Check| match (check, blob.object()) {
            (Check::Blob { blob: planned, .. }, Some(object)) => planned.object() == Some(object),
            _ => false,
        };
        if !self.checks.iter().any(is_planned) {
            self.checks.push_back(Check::Blob { blob: blob.clone(), as_what });
        }
    }

    async fn spec(&mut self, number: EntryNumber) -> Result<Verdict, InspectError> {
        let Inspector { store, clock, job, .. } = &self.inspector;
        let object = ObjectName::entry(&ChainName::Spec(*job), number);
        let bytes = store.size(&object).await?.unwrap_or_default();
        let verdict = Verdict { object: object.to_string(), kind: "spec".to_owned(), bytes, damage: None };
        match SpecChain::new(store.clone(), *clock, *job).deployed(number).await {
            Ok(spec) => {
                let mut components: Vec<_> = spec.operators.into_iter().map(|operator| operator.component).collect();
                components.sort_unstable();
                components.dedup();
                components.into_iter().for_each(|hash| self.checks.push_front(Check::Component(hash)));
                Ok(verdict)
            }
            Err(error) => verdict.or(error.into()),
        }
    }

    async fn component(&self, hash: &str) -> Result<Verdict, InspectError> {
        let object = ObjectName::component(hash);
        let verdict = Verdict { object: object.to_string(), kind: "component".to_owned(), bytes: 0, damage: None };
        let Some(bytes) = self.inspector.components.get(&object).await? else {
            return Ok(Verdict { damage: Some("it is missing".to_owned()), ..verdict });
        };
        let found = EntryHash::of(&bytes).to_string();
        let damage = (found != hash).then(|| format!("its SHA-256 is {found}, not the one that names it"));
        Ok(Verdict { bytes: bytes.len() as u64, damage, ..verdict })
    }
}

impl Verdict {
    /// Damage is a verdict; that something is away is none.
    fn or(self, error: InspectError) -> Result<Self, InspectError> {
        match error.fault() {
            Fault::Corrupt => Ok(Self { damage: Some(error.to_string()), ..self }),
            Fault::Request | Fault::Guest | Fault::Unavailable | Fault::Bug => Err(error),
        }
    }
}
