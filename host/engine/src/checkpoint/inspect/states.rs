//! Which states an operator holds in a checkpoint, whether or not they are declared any more.

use std::collections::BTreeSet;

use weir_protocol::evolution::HeldState;
use weir_protocol::manifest::SubtaskManifest;

use super::{InspectError, Inspector};

impl Inspector {
    /// The states that the files and snapshots of an operator's subtasks name, in each form in which one is held. Reads no
    /// more of large files than their ends.
    ///
    /// # Errors
    /// [`InspectError`]; a file that does not verify is named.
    pub async fn states(&self, subtasks: &[SubtaskManifest]) -> Result<Vec<HeldState>, InspectError> {
        let (inspector, subtasks) = (self.clone(), subtasks.to_vec());
        self.on_a_thread("look which states there are", move || inspector.read_states(&subtasks)).await
    }

    /// Holds its thread.
    fn read_states(&self, subtasks: &[SubtaskManifest]) -> Result<Vec<HeldState>, InspectError> {
        let mut states = Vec::new();
        let mut note = |state: HeldState| {
            if !states.contains(&state) {
                states.push(state);
            }
        };
        // After another parallelism several subtasks have slices of one file.
        let mut seen = BTreeSet::new();
        for subtask in subtasks {
            for file in subtask.state_files() {
                if file.blob.object().is_some_and(|object| !seen.insert(object.name.clone())) {
                    continue;
                }
                for row in &self.open_file(file)?.header().rows {
                    let (name, codec, version) = (row.name.clone(), row.codec.clone(), row.version);
                    row.kind.declared().into_iter().for_each(|kind| {
                        note(HeldState { name: name.clone(), kind, codec: codec.clone(), version });
                    });
                }
            }
            for row in self.unkeyed(subtask)? {
                note(HeldState { name: row.name, kind: row.kind, codec: row.codec, version: row.version });
            }
        }
        Ok(states)
    }
}
