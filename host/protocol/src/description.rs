//! What an operator says of itself: the answer of `describe`, as data.
//!
//! Mirrors `operator-spec` of the contract (`wit/world.wit`) word for word; the job graph is validated against it.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// One operator of a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct OperatorDescription {
    /// Unique within its component.
    pub name: String,
    /// For people.
    pub doc: String,
    /// The order is the contract's `input` index.
    pub inputs: Vec<InputDescription>,
    /// The order is the contract's port index; port 0 is the main output.
    pub outputs: Vec<String>,
    /// The state that it may open, by name.
    pub states: Vec<StateDescription>,
    /// A JSON Schema of its configuration; empty: any.
    pub config_schema: String,
    /// Room for what later versions of the contract need.
    pub properties: Vec<(String, String)>,
}

/// One input of an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputDescription {
    /// Unique within its operator.
    pub name: String,
    /// How records reach it.
    pub kind: InputKind,
    /// The columns whose bytes the operator reads.
    pub columns: Columns,
}

/// How records reach an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InputKind {
    /// By key: all records of a key reach the same subtask, and keyed state is open.
    Keyed,
    /// In any distribution, without keys.
    Unkeyed,
    /// Every record reaches every subtask.
    Broadcast,
}

/// The columns whose bytes an operator reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Columns {
    /// The bytes of the distinct keys.
    pub keys: bool,
    /// The values.
    pub values: bool,
    /// The event times.
    pub timestamps: bool,
}

/// One state that an operator declares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateDescription {
    /// Unique within its operator.
    pub name: String,
    /// Its shape.
    pub kind: StateKind,
    /// How values are encoded, for people and tools.
    pub codec: String,
    /// Raised by the author when the encoding changes.
    pub version: u32,
    /// How long values live.
    pub ttl: Option<TtlDescription>,
    /// Room for what later versions of the contract need.
    pub properties: Vec<(String, String)>,
}

impl StateDescription {
    /// The property that says from which older versions the component's `migration` takes values: decimal numbers with
    /// commas between them, or nothing.
    pub const MIGRATES_FROM: &str = "migrates-from";

    /// What [`MIGRATES_FROM`](Self::MIGRATES_FROM) says; `None`: nothing, so that any version may be tried. Admission has
    /// seen to it that there are but numbers.
    #[must_use]
    pub fn migrates_from(&self) -> Option<Vec<u32>> {
        let (_, versions) = self.properties.iter().find(|(name, _)| name == Self::MIGRATES_FROM)?;
        Some(versions.split(',').filter_map(|version| version.trim().parse().ok()).collect())
    }
}

/// The shape of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StateKind {
    /// One value per key.
    KeyedValue,
    /// An append-only list per key.
    KeyedList,
    /// An ordered map per key.
    KeyedMap,
    /// A list per subtask, split when the parallelism changes.
    OperatorSplit,
    /// A list per subtask, repeated whole when the parallelism changes.
    OperatorUnion,
    /// A map that is the same on every subtask.
    Broadcast,
}

impl StateKind {
    /// Whether it belongs to keys.
    #[must_use]
    pub const fn is_keyed(self) -> bool {
        match self {
            Self::KeyedValue | Self::KeyedList | Self::KeyedMap => true,
            Self::OperatorSplit | Self::OperatorUnion | Self::Broadcast => false,
        }
    }

    /// The contract's word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::KeyedValue => "keyed-value",
            Self::KeyedList => "keyed-list",
            Self::KeyedMap => "keyed-map",
            Self::OperatorSplit => "operator-split",
            Self::OperatorUnion => "operator-union",
            Self::Broadcast => "broadcast",
        }
    }
}

/// How long what a state holds lives: each value, each element of a list, each entry of a map for itself. Its *stamp* is
/// the processing time at which it was last written (or read, where that refreshes it).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TtlDescription {
    /// Milliseconds since the last write (or read, see below).
    pub duration_ms: u64,
    /// Whether a read makes the value live longer too.
    pub refresh_on_read: bool,
    /// Whether a read may still see an expired value that was not cleaned up yet.
    pub return_expired: bool,
}

impl TtlDescription {
    /// When what bears this stamp expires; never, where that is beyond the end of time.
    #[must_use]
    pub fn expires_at(&self, stamp: Timestamp) -> Timestamp {
        stamp.saturating_add_unsigned(self.duration_ms)
    }

    /// Whether what bears this stamp has expired. What has stays so, however time goes on.
    #[must_use]
    pub fn has_expired(&self, stamp: Timestamp, now: Timestamp) -> bool {
        self.expires_at(stamp) <= now
    }

    /// Whether a read may see what bears this stamp and was not cleaned up.
    #[must_use]
    pub fn shows(&self, stamp: Timestamp, now: Timestamp) -> bool {
        self.return_expired || !self.has_expired(stamp, now)
    }

    /// Whether a read gives what bears this stamp another one. It revives nothing that has expired.
    #[must_use]
    pub fn is_refreshed(&self, stamp: Timestamp, now: Timestamp) -> bool {
        self.refresh_on_read && stamp < now && !self.has_expired(stamp, now)
    }
}
