//! Savepoints: checkpoints that are copied away from their job, and back into another.
//!
//! Receives what an entry names, or the place of a savepoint; guarantees that each object is verified while it is copied,
//! that a folder is a savepoint once `_metadata` is in it, which is written last and deleted first, and that nothing but a
//! savepoint, or what is left of one, is deleted. A savepoint's folder is a store of its own, in which names are what they
//! were in the job's: it may be moved. Does not own which checkpoint is copied, nor what begins from it
//! ([`weir_protocol::savepoint`]).

mod copy;
mod dispose;
mod place;

use bytes::Bytes;
use weir_protocol::savepoint::Savepoint;
use weir_protocol::{Fault, document};

use super::BlobError;
use crate::store::{ObjectName, Store, StoreError};

pub use copy::{Copied, Copies};
pub use dispose::dispose;
pub use place::{SavepointPlace, SavepointTarget};

/// Why a savepoint cannot be taken, read or disposed of; each names the object or the place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SavepointError {
    /// Who must act.
    pub fault: Fault,
    /// What is wrong, where, and the mend.
    pub message: String,
}

impl SavepointError {
    fn new(fault: Fault, message: impl Into<String>) -> Self {
        Self { fault, message: message.into() }
    }
}

impl From<StoreError> for SavepointError {
    fn from(error: StoreError) -> Self {
        Self::new(error.fault(), error.to_string())
    }
}

impl From<BlobError> for SavepointError {
    fn from(error: BlobError) -> Self {
        Self::new(error.fault(), error.to_string())
    }
}

/// What says of a folder that it is a savepoint.
#[derive(Debug)]
enum Document {
    Missing,
    /// Other systems call theirs the same.
    Foreign,
    /// It begins as one of Weir's.
    Ours(Bytes),
}

/// Reads a folder's document, however large, once it is known to be one of Weir's.
async fn read_document(store: &Store) -> Result<Document, StoreError> {
    let (name, begin) = (ObjectName::savepoint(), document::BEGIN.as_bytes());
    let Some(bytes) = store.size(&name).await? else { return Ok(Document::Missing) };
    if bytes < begin.len() as u64 || store.get_part(&name, 0..begin.len() as u64).await?.is_none_or(|at| at != begin) {
        return Ok(Document::Foreign);
    }
    Ok(store.get(&name).await?.map_or(Document::Missing, Document::Ours))
}

/// What lies in a savepoint's folder.
///
/// # Errors
/// There is none; it is damaged; what the store says.
pub async fn read(store: &Store, location: &str) -> Result<Savepoint, SavepointError> {
    let bytes = match read_document(store).await? {
        Document::Missing => return Err(none(location)),
        Document::Foreign => return Err(foreign(location)),
        Document::Ours(bytes) => bytes,
    };
    Savepoint::decode(&bytes).map_err(|error| {
        let message = format!("the savepoint `{location}` cannot be used: its `{}`: {error}", ObjectName::savepoint());
        SavepointError::new(error.fault(), message)
    })
}

fn none(location: &str) -> SavepointError {
    let message = format!(
        "there is no savepoint at `{location}`: it has no `{}`; name the folder that `weir savepoint` printed",
        ObjectName::savepoint()
    );
    SavepointError::new(Fault::Request, message)
}

fn foreign(location: &str) -> SavepointError {
    let message = format!(
        "there is no savepoint at `{location}`: its `{}` is not Weir's, or its first bytes are damaged; name the folder that \
         `weir savepoint` printed",
        ObjectName::savepoint()
    );
    SavepointError::new(Fault::Request, message)
}
