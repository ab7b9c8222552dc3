//! Where a page ended.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use weir_protocol::Fault;
use weir_protocol::id::EntryNumber;
use weir_protocol::key_group::KeyGroup;

use super::InspectError;
use crate::state::Holding;
use crate::state::file::{Place, RowKind};

/// Behind every key group: there are at most half as many.
pub(super) const UNKEYED: u16 = u16::MAX;

/// Where a page ended: a place in one checkpoint. As text it is opaque.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The entry that holds the checkpoint.
    pub checkpoint: EntryNumber,
    group: u16,
    subtask: u32,
    state: Option<String>,
    key: Vec<u8>,
    entry: Vec<u8>,
}

/// A place among all that an operator holds, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At<'a> {
    /// [`UNKEYED`] for what belongs to no key.
    pub(super) group: u16,
    /// For what belongs to no key: whose it is.
    pub(super) subtask: u32,
    /// `None`: timers.
    pub(super) state: Option<&'a str>,
    pub(super) key: &'a [u8],
    pub(super) entry: &'a [u8],
}

impl<'a> At<'a> {
    pub(super) fn of(holding: &Holding<'a>) -> Self {
        let state = (holding.row.kind != RowKind::Timers).then_some(holding.row.name.as_str());
        Self { group: holding.group.0, subtask: 0, state, key: holding.key, entry: holding.entry }
    }
}

impl Mark {
    pub(super) fn of(checkpoint: EntryNumber, at: &At<'_>) -> Self {
        Self {
            checkpoint,
            group: at.group,
            subtask: at.subtask,
            state: at.state.map(ToOwned::to_owned),
            key: at.key.to_vec(),
            entry: at.entry.to_vec(),
        }
    }

    /// The key that the page ended in: it may have more.
    pub(super) fn place(&self) -> Place {
        Place { group: KeyGroup(self.group), state: self.state.clone(), key: self.key.clone() }
    }

    pub(super) const fn group(&self) -> u16 {
        self.group
    }

    pub(super) fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }

    pub(super) fn is_before(&self, at: &At<'_>) -> bool {
        let Self { group, subtask, state, key, entry, .. } = self;
        At { group: *group, subtask: *subtask, state: state.as_deref(), key, entry } < *at
    }

    /// The mark as text.
    #[must_use]
    pub fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).expect("a mark is plain data"))
    }

    /// The mark that a text is.
    ///
    /// # Errors
    /// When it is none.
    pub fn decode(text: &str) -> Result<Self, InspectError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok();
        bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).ok_or_else(|| InspectError::Failed {
            fault: Fault::Request,
            message: "`after` is not what a page gave as `next`".to_owned(),
        })
    }
}
