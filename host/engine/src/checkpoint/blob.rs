//! Reading what a manifest holds or names.

use bytes::Bytes;
use weir_protocol::Fault;
use weir_protocol::id::JobId;
use weir_protocol::manifest::{Blob, InlineBytes};

use crate::store::{ObjectName, Store, StoreError};

/// Why what a manifest names cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlobError {
    /// The store says so, or what it gave does not verify.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The name is none of the job's own data.
    #[error("the manifest names object `{0}`, which is no data of its own job")]
    Foreign(String),
}

impl BlobError {
    /// Who must act.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Store(error) => error.fault(),
            Self::Foreign(_) => Fault::Corrupt,
        }
    }
}

/// The bytes of a blob of one of the job's manifests, verified.
///
/// # Errors
/// [`Fault::Corrupt`] where an object is missing or damaged, naming it; [`Fault::Unavailable`].
pub async fn read_blob(store: &Store, job: JobId, blob: &Blob) -> Result<Bytes, BlobError> {
    match blob {
        Blob::Inline(InlineBytes(bytes)) => Ok(Bytes::from_owner(std::sync::Arc::clone(bytes))),
        Blob::Object(object) => {
            let foreign = || BlobError::Foreign(object.name.clone());
            let name = ObjectName::of_manifest(job, &object.name).ok_or_else(foreign)?;
            let Some(bytes) = store.get(&name).await? else {
                return Err(StoreError::Missing { object: object.name.clone() }.into());
            };
            let damaged = |error: weir_protocol::manifest::Unverified| StoreError::Damaged {
                object: error.name,
                reason: format!("{} bytes with checksum {}", error.found_bytes, error.found),
            };
            object.verify(&bytes).map_err(damaged)?;
            Ok(bytes)
        }
    }
}
