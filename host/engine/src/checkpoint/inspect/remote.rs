//! Checkpoint files in the store, of which only the parts that are needed are read.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use weir_operator::keyed_state::StateError;
use weir_protocol::Fault;
use weir_protocol::key_group::KeyGroupRange;
use weir_protocol::manifest::{Blob, InlineBytes, ObjectRef, StateFile, SubtaskManifest};

use super::{InspectError, Inspector};
use crate::checkpoint::{BlobError, read_blob};
use crate::state::file::{Reader, Remote};
use crate::state::{UnkeyedRow, unkeyed_rows};
use crate::store::{ObjectName, StoreError};

/// Objects up to this size are read as a whole, so that the checksum of the whole is verified too.
const WHOLE_BYTES_MAX: u64 = 256 << 10;
/// How much of a larger one is read at once.
const PART_BYTES: u64 = 256 << 10;

/// A file in the store.
#[derive(Debug)]
struct StoredFile {
    inspector: Inspector,
    name: ObjectName,
    text: String,
    bytes: u64,
    /// The part that was read last, and where it begins.
    last: Mutex<(u64, Bytes)>,
}

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

    /// One file. Holds its thread.
    pub(super) fn open_file(&self, file: &StateFile) -> Result<Reader, InspectError> {
        match &file.blob {
            Blob::Inline(InlineBytes(bytes)) => Ok(Reader::open(Bytes::from_owner(Arc::clone(bytes)))?),
            Blob::Object(object) if object.bytes <= WHOLE_BYTES_MAX => {
                let bytes = self.runtime.wait_for(read_blob(&self.store, self.job, &file.blob))?;
                Ok(Reader::open(bytes).map_err(|error| named(&object.name, error))?)
            }
            Blob::Object(object) => self.open_object(object),
        }
    }

    /// An object as a checkpoint file, of which only the footer is read for now. Holds its thread.
    pub(super) fn open_object(&self, object: &ObjectRef) -> Result<Reader, InspectError> {
        let foreign = || BlobError::Foreign(object.name.clone());
        let name = ObjectName::of_manifest(self.job, &object.name).ok_or_else(foreign)?;
        let found = self.runtime.wait_for(self.store.size(&name))?;
        let found = found.ok_or_else(|| StoreError::Missing { object: object.name.clone() })?;
        if found != object.bytes {
            let reason = format!("it has {found} bytes, not {}", object.bytes);
            return Err(StoreError::Damaged { object: object.name.clone(), reason }.into());
        }
        let (inspector, text, bytes) = (self.clone(), object.name.clone(), object.bytes);
        let file = StoredFile { inspector, name, text, bytes, last: Mutex::default() };
        Ok(Reader::open_remote(Arc::new(file))?)
    }
}

impl Remote for StoredFile {
    fn name(&self) -> &str {
        &self.text
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read(&self, place: Range<u64>) -> Result<Bytes, StateError> {
        let mut last = self.last.lock().expect("nothing panics while it holds this lock");
        if let Some(part) = within(&last, &place) {
            return Ok(part);
        }
        let end = place.end.max(place.start.saturating_add(PART_BYTES).min(self.bytes));
        let Inspector { store, runtime, .. } = &self.inspector;
        let read = runtime.wait_for(store.get_part(&self.name, place.start..end));
        let failed = |error: StoreError| StateError { fault: error.fault(), message: error.to_string() };
        let bytes = read.map_err(failed)?.ok_or_else(|| failed(StoreError::Missing { object: self.text.clone() }))?;
        *last = (place.start, bytes);
        within(&last, &place).ok_or_else(|| {
            let message = format!("object `{}` gives fewer bytes than it has", self.text);
            StateError { fault: Fault::Corrupt, message }
        })
    }
}

fn within((start, bytes): &(u64, Bytes), wanted: &Range<u64>) -> Option<Bytes> {
    let from = usize::try_from(wanted.start.checked_sub(*start)?).ok()?;
    let to = usize::try_from(wanted.end.checked_sub(*start)?).ok()?;
    (to <= bytes.len()).then(|| bytes.slice(from..to))
}

fn named(object: &str, error: StateError) -> StateError {
    StateError { message: format!("object `{object}`: {}", error.message), ..error }
}
