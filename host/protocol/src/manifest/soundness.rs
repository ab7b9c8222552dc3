//! What must hold within a manifest, checked before it is written and after it is read.

use std::collections::BTreeMap;

use super::{Manifest, Outlet, SubtaskManifest};
use crate::id::{CheckpointId, Uid};
use crate::key_group::{KEY_GROUP_FUNCTION, MaxParallelism};

impl Manifest {
    /// Checks that the manifest holds together, given what its entry confirms as published.
    ///
    /// # Errors
    /// What does not hold, naming the uid.
    pub fn check(&self, published: &BTreeMap<Outlet, CheckpointId>) -> Result<(), String> {
        if self.format != Self::FORMAT {
            return Err(format!("the manifest has format {}, and this version reads {}", self.format, Self::FORMAT));
        }
        if self.key_group_function != KEY_GROUP_FUNCTION {
            return Err(format!("the key group function `{}` is unknown", self.key_group_function));
        }
        self.operators.iter().try_for_each(|(uid, subtasks)| check_subtasks(uid, subtasks, self.max_parallelism))?;
        self.check_outboxes(published)
    }

    /// Each outlet's outboxes form a sequence that goes on where the published ones end.
    fn check_outboxes(&self, published: &BTreeMap<Outlet, CheckpointId>) -> Result<(), String> {
        let mut last = published.clone();
        for outbox in &self.outboxes {
            let (outlet, checkpoint) = (&outbox.outlet, outbox.checkpoint);
            if outbox.predecessor != last.get(outlet).copied() {
                return Err(format!("outbox {checkpoint} of `{outlet}` does not follow the one before it"));
            }
            if outbox.predecessor >= Some(checkpoint) || checkpoint > self.checkpoint {
                return Err(format!("outbox {checkpoint} of `{outlet}` is out of order"));
            }
            if outbox.parts.iter().any(|part| part.epoch > checkpoint || Some(part.epoch) <= outbox.predecessor) {
                return Err(format!("outbox {checkpoint} of `{outlet}` holds a part of another checkpoint"));
            }
            last.insert(outlet.clone(), checkpoint);
        }
        Ok(())
    }
}

/// The subtasks are all there, in order, and their key groups are the whole key space, each once.
fn check_subtasks(uid: &Uid, subtasks: &[SubtaskManifest], max: MaxParallelism) -> Result<(), String> {
    let parallelism = u32::try_from(subtasks.len()).map_err(|_| format!("operator `{uid}` has too many subtasks"))?;
    max.check(parallelism).map_err(|error| format!("operator `{uid}`: {error}"))?;
    for (index, subtask) in (0..).zip(subtasks) {
        let expected = (index, parallelism, max.range(index, parallelism));
        if (subtask.index, subtask.parallelism, subtask.key_groups) != expected {
            return Err(format!("subtask {index} of operator `{uid}` is missing, or has key groups not its own"));
        }
    }
    Ok(())
}
