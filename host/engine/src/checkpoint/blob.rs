//! Reading what a manifest holds or names.

use bytes::Bytes;
use weir_operator::keyed_state::StateError;
use weir_protocol::Fault;
use weir_protocol::id::JobId;
use weir_protocol::manifest::{Blob, Checksum, InlineBytes, ObjectRef};
use xxhash_rust::xxh3::Xxh3;

use crate::store::{ObjectName, Store, StoreError};

/// How much of a large object is read at once.
const PART_BYTES: u64 = 4 << 20;

/// Why what a manifest names cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlobError {
    /// The store says so, or what it gave does not verify.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A part of it cannot be read, or does not verify.
    #[error("{message}")]
    Part {
        /// Who must act.
        fault: Fault,
        /// What is wrong, with the object's name.
        message: String,
    },
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
            Self::Part { fault, .. } => *fault,
            Self::Foreign(_) => Fault::Corrupt,
        }
    }
}

impl From<StateError> for BlobError {
    fn from(StateError { fault, message }: StateError) -> Self {
        Self::Part { fault, message }
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
            let name = name_of(job, object)?;
            let bytes = store.get(&name).await?.ok_or_else(|| missing(object))?;
            let damaged = |error: weir_protocol::manifest::Unverified| StoreError::Damaged {
                object: error.name,
                reason: format!("{} bytes with checksum {}", error.found_bytes, error.found),
            };
            object.verify(&bytes).map_err(damaged)?;
            Ok(bytes)
        }
    }
}

/// Reads all of a blob, of which no more than a part is in memory at any time.
///
/// # Errors
/// As [`read_blob`].
pub(super) async fn verify_blob(store: &Store, job: JobId, blob: &Blob) -> Result<(), BlobError> {
    let Blob::Object(object) = blob else { return Ok(()) };
    let found = checksum(store, job, object).await?;
    if found == object.checksum {
        return Ok(());
    }
    let reason = format!("its bytes have checksum {found}, not {}", object.checksum);
    Err(StoreError::Damaged { object: object.name.clone(), reason }.into())
}

/// The checksum that an object's bytes have.
///
/// # Errors
/// [`Fault::Corrupt`] where it is missing or has another length; [`Fault::Unavailable`].
pub(super) async fn checksum(store: &Store, job: JobId, object: &ObjectRef) -> Result<Checksum, BlobError> {
    let name = size_checked(store, job, object).await?;
    let mut hash = Xxh3::new();
    let mut at = 0;
    while at < object.bytes {
        let end = object.bytes.min(at + PART_BYTES);
        hash.update(&store.get_part(&name, at..end).await?.ok_or_else(|| missing(object))?);
        at = end;
    }
    Ok(Checksum(hash.digest()))
}

/// The name of an object that has the length that it must have.
///
/// # Errors
/// As [`checksum`].
pub(super) async fn size_checked(store: &Store, job: JobId, object: &ObjectRef) -> Result<ObjectName, BlobError> {
    let name = name_of(job, object)?;
    let found = store.size(&name).await?.ok_or_else(|| missing(object))?;
    if found == object.bytes {
        return Ok(name);
    }
    let reason = format!("it has {found} bytes, not {}", object.bytes);
    Err(StoreError::Damaged { object: object.name.clone(), reason }.into())
}

fn name_of(job: JobId, object: &ObjectRef) -> Result<ObjectName, BlobError> {
    ObjectName::of_manifest(job, &object.name).ok_or_else(|| BlobError::Foreign(object.name.clone()))
}

pub(super) fn missing(object: &ObjectRef) -> BlobError {
    StoreError::Missing { object: object.name.clone() }.into()
}
