//! What a snapshot holds, for people and tools, who look without restoring.

use weir_operator::keyed_state::StateError;
use weir_operator::unkeyed_state::UnkeyedValue;
use weir_protocol::description::StateKind;

use super::format;

/// One state of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnkeyedRow {
    /// As declared.
    pub name: String,
    /// A split list, a union list or a broadcast map.
    pub kind: StateKind,
    /// As declared.
    pub codec: String,
    /// As declared.
    pub version: u32,
    /// What it holds.
    pub value: UnkeyedValue,
}

/// The states of a snapshot, by name.
///
/// # Errors
/// [`weir_protocol::Fault::Corrupt`] where it does not verify.
pub fn unkeyed_rows(snapshot: &[u8]) -> Result<Vec<UnkeyedRow>, StateError> {
    let row = |row: super::Row| {
        let super::Named { name, kind, version, codec } = row.named;
        UnkeyedRow { name, kind, codec, version, value: row.value }
    };
    Ok(format::decode(snapshot)?.into_iter().map(row).collect())
}
