//! What must hold between an entry and the one before it.

use std::collections::BTreeMap;

use super::entry::{EntryKind, RunEntry};
use crate::id::CheckpointId;
use crate::manifest::Outlet;

/// Checks that `next` may follow `newest`: ids rise, and no result is forgotten or confirmed that was not sealed.
pub(super) fn check(newest: &RunEntry, next: &RunEntry) -> Result<(), String> {
    check_checkpoint(newest, next)?;
    let (before, after) = (sealed(newest), sealed(next));
    for (outlet, checkpoint) in &before {
        if after.get(outlet) < Some(checkpoint) {
            return Err(format!("outbox {checkpoint} of `{outlet}` is neither published nor named any more"));
        }
    }
    for outlet in newest.published.keys() {
        if next.published.get(outlet) < newest.published.get(outlet) {
            return Err(format!("what was published to `{outlet}` is taken back"));
        }
    }
    for (outlet, checkpoint) in &next.published {
        let sealed =
            newest.manifest.outboxes.iter().any(|outbox| (&outbox.outlet, outbox.checkpoint) == (outlet, *checkpoint));
        if !sealed && newest.published.get(outlet) != Some(checkpoint) {
            return Err(format!("outbox {checkpoint} of `{outlet}` is confirmed, but no entry named it"));
        }
    }
    Ok(())
}

fn check_checkpoint(newest: &RunEntry, next: &RunEntry) -> Result<(), String> {
    let (highest, before, own) = (newest.highest_checkpoint, newest.manifest.checkpoint, next.manifest.checkpoint);
    match next.kind {
        EntryKind::Checkpoint if own <= highest => Err(format!("checkpoint {own} is not above {highest}")),
        EntryKind::Checkpoint | EntryKind::RestoredFrom { .. } => Ok(()),
        EntryKind::Start
        | EntryKind::Takeover
        | EntryKind::Finished
        | EntryKind::Cancelled { .. }
        | EntryKind::Failed { .. }
        | EntryKind::ClaimedBy { .. } => {
            let repeats = own == before;
            if repeats { Ok(()) } else { Err(format!("it holds checkpoint {own}, the entry before it {before}")) }
        }
    }
}

/// The newest outbox of each outlet, published or not.
fn sealed(entry: &RunEntry) -> BTreeMap<&Outlet, CheckpointId> {
    let published = entry.published.iter().map(|(outlet, checkpoint)| (outlet, *checkpoint));
    published.chain(entry.manifest.outboxes.iter().map(|outbox| (&outbox.outlet, outbox.checkpoint))).collect()
}
