//! What a manifest names, opened for a look: no more of it is in memory than a look needs.

use weir_protocol::key_group::KeyGroupRange;
use weir_protocol::manifest::{Blob, ObjectRef, StateFile, SubtaskManifest};

use super::{InspectError, Inspector};
use crate::checkpoint::read_blob;
use crate::checkpoint::stored::{StoredFiles, WINDOW_BYTES_MIN, named};
use crate::state::file::Reader;
use crate::state::{UnkeyedRow, unkeyed_rows};

impl Inspector {
    /// The files of a subtask that hold some key groups, oldest first. Holds its thread.
    pub(super) fn open(
        &self,
        subtask: &SubtaskManifest,
        key_groups: KeyGroupRange,
    ) -> Result<Vec<(Reader, KeyGroupRange)>, InspectError> {
        let clipped = subtask.state_files().map(|file| (file, file.key_groups.clip(subtask.key_groups)));
        let wanted = clipped.filter(|(_, slice)| !slice.clip(key_groups).is_empty());
        wanted.map(|(file, slice)| Ok((self.open_file(file)?, slice))).collect()
    }

    /// What a subtask holds for no key. Holds its thread.
    pub(super) fn unkeyed(&self, subtask: &SubtaskManifest) -> Result<Vec<UnkeyedRow>, InspectError> {
        let Some(blob) = &subtask.unkeyed else { return Ok(Vec::new()) };
        let bytes = self.runtime.wait_for(read_blob(&self.store, self.job, blob))?;
        let name = blob.object().map_or("(inlined)", |object| &object.name);
        Ok(unkeyed_rows(&bytes).map_err(|error| named(name, error))?)
    }

    /// One file. Small ones are read whole, so that the checksum of the whole is verified too. Holds its thread.
    pub(super) fn open_file(&self, file: &StateFile) -> Result<Reader, InspectError> {
        match &file.blob {
            Blob::Object(object) if object.bytes > WINDOW_BYTES_MIN => self.open_object(object),
            small @ (Blob::Object(_) | Blob::Inline(_)) => Ok(self.runtime.wait_for(self.files().open_whole(small))?),
        }
    }

    /// An object as a checkpoint file, of which only the footer is read for now. Holds its thread.
    pub(super) fn open_object(&self, object: &ObjectRef) -> Result<Reader, InspectError> {
        Ok(self.files().open_object(object, WINDOW_BYTES_MIN, false)?)
    }

    fn files(&self) -> StoredFiles {
        StoredFiles::new(self.store.clone(), self.job, self.runtime.clone())
    }
}
