//! One thing that is held, as it is shown.

use serde::{Deserialize, Serialize};
use weir_operator::turn::TimeDomain;
use weir_operator::unkeyed_state::UnkeyedValue;
use weir_protocol::description::TtlDescription;
use weir_protocol::time::Timestamp;

use super::Shown;
use crate::state::{Held, Holding, UnkeyedRow};

/// One thing that is held: a value, an element of a list, an entry of a map, or a timer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Item {
    /// The state's name; left out for a timer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// `keyed-value`, `keyed-list`, `keyed-map`, `operator-split`, `operator-union`, `broadcast` or `timers`.
    pub kind: String,
    /// The key; left out for what belongs to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Shown>,
    /// The subtask whose list it is, for operator state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subtask: Option<u32>,
    /// An element's place among those of its list that are held, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// The key of a map's entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<Shown>,
    /// The value, element or entry; left out for a timer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Shown>,
    /// The timer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timer: Option<Timer>,
    /// Where the state has a time to live: when it was last written, or read where that refreshes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stamped_at: Option<Timestamp>,
    /// When it expires, where the node knows the state's time to live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// A timer that has not fired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Timer {
    /// `event-time` or `processing-time`.
    pub domain: String,
    /// When it is due.
    pub at: Timestamp,
    /// What its operator knows it by.
    pub tag: u32,
}

impl Item {
    /// What is held under a key, as it is shown; `life` is its state's, where that is known.
    pub(super) fn keyed(holding: &Holding<'_>, life: Option<&TtlDescription>) -> Self {
        let Holding { row, key, entry, held, stamp, .. } = *holding;
        let value = |bytes| Some(Shown::value(&row.codec, bytes));
        let item = Self {
            state: Some(row.name.clone()),
            kind: row.kind.name().to_owned(),
            key: Some(Shown::key(key)),
            subtask: None,
            position: None,
            entry: None,
            value: None,
            timer: None,
            stamped_at: stamp,
            expires_at: stamp.zip(life).map(|(stamp, life)| life.expires_at(stamp)),
        };
        match held {
            Held::Value(bytes) => Self { value: value(bytes), ..item },
            Held::Element { position, value: bytes } => Self { position: Some(position), value: value(bytes), ..item },
            Held::Entry(bytes) => Self { entry: Some(Shown::key(entry)), value: value(bytes), ..item },
            Held::Timer { domain, at, tag } => {
                let domain = match domain {
                    TimeDomain::EventTime => "event-time",
                    TimeDomain::ProcessingTime => "processing-time",
                };
                Self { state: None, timer: Some(Timer { domain: domain.to_owned(), at, tag }), ..item }
            }
        }
    }

    /// What is held for no key, as it is shown.
    pub(super) fn unkeyed(subtask: u32, state: &UnkeyedRow, entry: &[u8], value: &[u8]) -> Self {
        let position = || entry.try_into().map(u64::from_be_bytes).ok();
        let (subtask, position, entry) = match &state.value {
            UnkeyedValue::List(_) => (Some(subtask), position(), None),
            UnkeyedValue::Map(_) => (None, None, Some(Shown::key(entry))),
        };
        Self {
            state: Some(state.name.clone()),
            kind: state.kind.name().to_owned(),
            key: None,
            subtask,
            position,
            entry,
            value: Some(Shown::value(&state.codec, value)),
            timer: None,
            stamped_at: None,
            expires_at: None,
        }
    }
}
