//! What an upgrade changes, as people are told it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::evolution::Change;
use crate::id::Uid;

/// All that an upgrade changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Changes {
    /// Whether the job's own settings change: checkpoints, state, restarts, errors, limits.
    pub settings: bool,
    /// Each source, operator and sink, in the order of the new graph; then those that are no more.
    pub vertices: Vec<VertexChange>,
}

/// What becomes of a source, an operator or a sink.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct VertexChange {
    /// Its uid.
    pub uid: Uid,
    /// What it is.
    pub kind: VertexWord,
    /// What becomes of it.
    pub fate: Fate,
    /// How many subtasks it has; `None`: it is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallelism_before: Option<u32>,
    /// How many it will have; `None`: it is no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallelism: Option<u32>,
    /// What becomes of each state of an operator, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub states: BTreeMap<String, Change>,
}

/// What a vertex is, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VertexWord {
    /// A source.
    Source,
    /// An operator.
    Operator,
    /// A sink.
    Sink,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It goes on as it is, but for its parallelism.
    Kept,
    /// It goes on with its state or positions, as something else.
    Changed,
    /// It is new.
    Added,
    /// It is no more.
    Removed,
}

impl Changes {
    /// Whether anything changes at all.
    #[must_use]
    pub fn any(&self) -> bool {
        self.settings || self.vertices.iter().any(VertexChange::is_any)
    }
}

impl VertexChange {
    /// Whether anything changes.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.fate != Fate::Kept || self.parallelism_before != self.parallelism
    }
}

impl VertexWord {
    pub(super) const fn with_article(self) -> &'static str {
        match self {
            Self::Source => "a source",
            Self::Operator => "an operator",
            Self::Sink => "a sink",
        }
    }

    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Operator => "operator",
            Self::Sink => "sink",
        }
    }
}
