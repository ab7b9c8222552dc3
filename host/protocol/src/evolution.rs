//! What becomes of each state of an operator when another version of the operator goes on with it.
//!
//! Receives the states as they are held (by a checkpoint's files, or as the running version declares them) and as the
//! next version declares them. Guarantees that values are handed to a version only in the form that it declares, or
//! through its `migration`; whatever else would happen is a [`Conflict`], found before anything stops. A time to live
//! may come, go and change: stored values tell themselves whether they bear a stamp. Does not own migrating.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::description::{StateDescription, StateKind};
use crate::fault::Fault;

/// A state as it is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldState {
    /// What it is found by.
    pub name: String,
    /// Its shape.
    pub kind: StateKind,
    /// How its values are encoded.
    pub codec: String,
    /// The version of that encoding.
    pub version: u32,
}

/// What becomes of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Its values are read as they are.
    Kept,
    /// Its values are rewritten before the first record.
    Migrated {
        /// The oldest version that is held.
        from: u32,
    },
    /// It begins empty.
    Added,
    /// It is not declared any more: what is held stays in the checkpoints, for a version that declares it again.
    Dropped,
}

/// Why an operator cannot go on with what is held.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// Another shape.
    #[error(
        "state `{state}` is declared as {}, but what is held is {}; give the new state another name",
        .declared.name(), .held.name()
    )]
    Kind {
        /// The state.
        state: String,
        /// As it is held.
        held: StateKind,
        /// As it is declared.
        declared: StateKind,
    },
    /// Another encoding under the same version.
    #[error(
        "state `{state}` is declared with the codec `{declared}`, but what is held is `{held}`, both as version {version}; \
         raise its version and export `migration`, or keep the codec"
    )]
    Codec {
        /// The state.
        state: String,
        /// The version of both.
        version: u32,
        /// As it is held.
        held: String,
        /// As it is declared.
        declared: String,
    },
    /// An encoding from before.
    #[error(
        "state `{state}` is declared as version {declared}, but what is held is version {held}, and no way leads back; \
         declare a version above {held} that can be migrated to, or give the state another name"
    )]
    Lowered {
        /// The state.
        state: String,
        /// As it is held.
        held: u32,
        /// As it is declared.
        declared: u32,
    },
    /// A raised version, and nobody who could rewrite the values.
    #[error(
        "state `{state}` is declared as version {declared}, but what is held is version {held}, and the component does \
         not migrate from that{}; have its `migration` take version {held}, or give the state another name",
        from(.takes)
    )]
    NoMigration {
        /// The state.
        state: String,
        /// As it is held.
        held: u32,
        /// As it is declared.
        declared: u32,
        /// From which versions it can be migrated.
        takes: Vec<u32>,
    },
}

impl Conflict {
    /// Who must act: the caller.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        Fault::Request
    }
}

fn from(takes: &[u32]) -> String {
    match takes {
        [] => String::new(),
        [only] => format!(" (only from version {only})"),
        several => {
            let several: Vec<_> = several.iter().map(u32::to_string).collect();
            format!(" (only from versions {})", several.join(", "))
        }
    }
}

/// What becomes of every state of one operator that is held or declared, by name. A state may be held in several forms,
/// some of its values in one and some in another.
///
/// # Errors
/// The first [`Conflict`].
pub fn evolution(
    held: &[HeldState],
    declared: &[StateDescription],
    exports_migration: bool,
) -> Result<BTreeMap<String, Change>, Conflict> {
    let mut changes: BTreeMap<_, _> = declared.iter().map(|state| (state.name.clone(), Change::Added)).collect();
    for state in held {
        let next = declared.iter().find(|declared| declared.name == state.name);
        let next = next.map_or(Ok(Change::Dropped), |declared| state.change(declared, exports_migration))?;
        let change = changes.entry(state.name.clone()).or_insert(next);
        *change = change.joined(next);
    }
    Ok(changes)
}

impl Change {
    /// For values some of which change as this says, and some as `other` does.
    const fn joined(self, other: Self) -> Self {
        match (self, other) {
            (Self::Migrated { from }, Self::Migrated { from: other }) if from <= other => self,
            (Self::Migrated { .. }, Self::Kept) => self,
            _ => other,
        }
    }
}

impl HeldState {
    /// What becomes of values that are held like this under the declaration of the same name.
    ///
    /// # Errors
    /// [`Conflict`].
    pub fn change(&self, declared: &StateDescription, exports_migration: bool) -> Result<Change, Conflict> {
        let state = self.name.clone();
        if self.kind != declared.kind {
            return Err(Conflict::Kind { state, held: self.kind, declared: declared.kind });
        }
        let (held, version) = (self.version, declared.version);
        if held > version {
            return Err(Conflict::Lowered { state, held, declared: version });
        }
        if held == version {
            if self.codec == declared.codec {
                return Ok(Change::Kept);
            }
            let (held, declared) = (self.codec.clone(), declared.codec.clone());
            return Err(Conflict::Codec { state, version, held, declared });
        }
        match declared.migrates_from() {
            Some(takes) if exports_migration && !takes.contains(&held) => {
                Err(Conflict::NoMigration { state, held, declared: version, takes })
            }
            Some(_) | None if exports_migration => Ok(Change::Migrated { from: held }),
            Some(_) | None => Err(Conflict::NoMigration { state, held, declared: version, takes: Vec::new() }),
        }
    }
}

impl From<&StateDescription> for HeldState {
    /// As a version that declares this writes it.
    fn from(state: &StateDescription) -> Self {
        Self { name: state.name.clone(), kind: state.kind, codec: state.codec.clone(), version: state.version }
    }
}
