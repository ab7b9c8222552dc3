//! The object store: every object's name and every call.
//!
//! Receives names from [`name`] and bytes; guarantees that calls which failed for a passing reason were tried again a
//! bounded number of times, and that an attempt to create an entry is never repeated behind its caller's back (the
//! caller must look first). A cloud's client may send the same bytes again within one attempt; so that a name exists may
//! be the attempt's own doing, and who is told so looks. Does not own what the bytes mean, nor whether they are the ones
//! that were written.

mod cause;
mod cloud;
mod data_folder;
mod environment;
mod error;
mod location;
pub mod name;
mod open;
mod parts;
mod probe;

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::{Error, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use weir_protocol::id::EntryNumber;
use weir_protocol::time::Timestamp;

use crate::clock::Clock;

pub use data_folder::{DataFolder, DataFolderError};
pub use environment::Environment;
pub use error::StoreError;
pub(crate) use location::shown;
pub use name::{ChainName, DataKind, ObjectName, Prefix};
pub use open::{
    Everywhere, LEFTOVER_GRACE, Places, absolute, canonical, check, forgets, is_local, open, open_existing, open_in,
    prepare, remove_emptied,
};
pub use parts::{ABORT_WAIT, PART_BYTES, Parts, part_bytes};

/// How often a call is tried in all before its error is given to the caller.
const ATTEMPTS_MAX: u32 = 4;
/// The wait before the second try; each further one is four times as long.
const FIRST_DELAY: Duration = Duration::from_millis(20);

/// A handle to one object store; cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    clock: Clock,
}

/// What became of one attempt to create an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Creation {
    /// It was created.
    Created,
    /// An object of that name exists; whose it is, the caller must look.
    AlreadyExists,
    /// Nobody knows whether it was created; the caller must look.
    Unknown(StoreError),
}

/// An object that was found in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub name: ObjectName,
    /// Its size.
    pub bytes: u64,
    /// When the store says that it was written.
    pub modified_at: Timestamp,
}

impl Store {
    /// Wraps an object store. It should have passed [`probe`](Self::probe) before anything is entrusted to it.
    #[must_use]
    pub fn new(objects: Arc<dyn ObjectStore>, clock: Clock) -> Self {
        Self { objects, clock }
    }

    /// What it waits by.
    pub(crate) const fn clock(&self) -> Clock {
        self.clock
    }

    /// Tries, once, to create an object that does not exist.
    pub async fn put_if_absent(&self, name: &ObjectName, bytes: Bytes) -> Creation {
        let options = PutOptions::from(PutMode::Create);
        match self.objects.put_opts(&name.0, PutPayload::from(bytes), options).await {
            Ok(_) => Creation::Created,
            Err(Error::AlreadyExists { .. }) => Creation::AlreadyExists,
            Err(error) => Creation::Unknown(unavailable("create", name, &error)),
        }
    }

    /// Writes an object under a name that nobody else writes other bytes to, so that it may be repeated.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; then the object may exist or not.
    pub async fn put(&self, name: &ObjectName, bytes: Bytes) -> Result<(), StoreError> {
        let put = || parts::put(self.objects.as_ref(), name, &bytes, self.clock);
        self.retried(put).await.map_err(|error| unavailable("write", name, &error))?;
        Ok(())
    }

    /// Begins to write an object in parts of this size, under a name that nobody else writes to.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; then there is none.
    pub async fn put_in_parts(&self, name: &ObjectName, part_bytes: usize) -> Result<Parts, StoreError> {
        let begun = self.retried(|| self.objects.put_multipart(&name.0)).await;
        let upload = begun.map_err(|error| unavailable("write", name, &error))?;
        Ok(Parts::new(name.clone(), upload, part_bytes, self.clock))
    }

    /// Reads an object; `None` if there is none.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn get(&self, name: &ObjectName) -> Result<Option<Bytes>, StoreError> {
        let get = || async { self.objects.get(&name.0).await?.bytes().await };
        match self.retried(get).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(unavailable("read", name, &error)),
        }
    }

    /// The length of an object; `None` if there is none.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn size(&self, name: &ObjectName) -> Result<Option<u64>, StoreError> {
        match self.retried(|| self.objects.head(&name.0)).await {
            Ok(object) => Ok(Some(object.size)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(unavailable("read", name, &error)),
        }
    }

    /// Reads a part of an object, which must lie within its length; `None` if there is no object.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn get_part(&self, name: &ObjectName, part: Range<u64>) -> Result<Option<Bytes>, StoreError> {
        match self.retried(|| self.objects.get_range(&name.0, part.clone())).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(unavailable("read", name, &error)),
        }
    }

    /// The numbers of a chain's entries, from `first` on, in order.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn entries(&self, chain: &ChainName, first: EntryNumber) -> Result<Vec<EntryNumber>, StoreError> {
        let prefix = chain.prefix();
        let after = first.0.checked_sub(1).map(|before| ObjectName::entry(chain, EntryNumber(before)));
        let list = || {
            let found = match &after {
                Some(after) => self.objects.list_with_offset(Some(&prefix.0), &after.0),
                None => self.objects.list(Some(&prefix.0)),
            };
            found.try_collect::<Vec<_>>()
        };
        let found = self.retried(list).await.map_err(|error| unavailable("list", &prefix, &error))?;
        let number = |object: ObjectMeta| chain.number_of(&ObjectName(object.location));
        // Not every server that speaks a cloud's protocol knows where a listing is to start.
        let mut numbers: Vec<_> = found.into_iter().filter_map(number).filter(|number| *number >= first).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// All objects below a prefix, in the order of their names.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn list(&self, prefix: &Prefix) -> Result<Vec<Found>, StoreError> {
        let list = || self.objects.list(Some(&prefix.0)).try_collect::<Vec<_>>();
        let found = self.retried(list).await.map_err(|error| unavailable("list", prefix, &error))?;
        let mut found: Vec<_> = found.into_iter().map(Found::from).collect();
        found.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// All objects below a prefix, in the order of their names, if each `belongs` there; else the name of one that does not:
    /// nothing more is looked at, in a place that may be anything.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn list_if_all(
        &self,
        prefix: &Prefix,
        belongs: fn(&Found) -> bool,
    ) -> Result<Result<Vec<Found>, ObjectName>, StoreError> {
        let list = || async {
            let (mut found, mut listing) = (Vec::new(), self.objects.list(Some(&prefix.0)));
            while let Some(object) = listing.try_next().await? {
                let object = Found::from(object);
                if !belongs(&object) {
                    return Ok(Err(object.name));
                }
                found.push(object);
            }
            found.sort_unstable_by(|a, b| a.name.cmp(&b.name));
            Ok(Ok(found))
        };
        self.retried(list).await.map_err(|error| unavailable("list", prefix, &error))
    }

    /// The names of the folders directly below a prefix, in order: the ids of all jobs, the names of all components.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn folders(&self, prefix: &Prefix) -> Result<Vec<String>, StoreError> {
        let list = || self.objects.list_with_delimiter(Some(&prefix.0));
        let found = self.retried(list).await.map_err(|error| unavailable("list", prefix, &error))?;
        let last = |path: &object_store::path::Path| path.filename().map(ToOwned::to_owned);
        let mut folders: Vec<_> = found.common_prefixes.iter().filter_map(last).collect();
        folders.sort_unstable();
        Ok(folders)
    }

    /// Deletes an object; that there is none is no error.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn delete(&self, name: &ObjectName) -> Result<(), StoreError> {
        match self.retried(|| self.objects.delete(&name.0)).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(unavailable("delete", name, &error)),
        }
    }

    /// Tries until it succeeds, fails for good, or was tried [`ATTEMPTS_MAX`] times.
    async fn retried<T, F>(&self, call: impl Fn() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut delay = FIRST_DELAY;
        for _ in 1..ATTEMPTS_MAX {
            match call().await {
                Err(error) if passes(&error) => self.clock.sleep(delay).await,
                ended => return ended,
            }
            delay *= 4;
        }
        call().await
    }
}

/// Whether trying again can help.
fn passes(error: &Error) -> bool {
    !matches!(
        error,
        Error::NotFound { .. }
            | Error::AlreadyExists { .. }
            | Error::InvalidPath { .. }
            | Error::NotSupported { .. }
            | Error::NotImplemented { .. }
            | Error::PermissionDenied { .. }
            | Error::Unauthenticated { .. }
    )
}

fn unavailable(action: &'static str, object: &impl ToString, error: &Error) -> StoreError {
    let object = object.to_string();
    if let Error::PermissionDenied { source, .. } | Error::Unauthenticated { source, .. } = error {
        return StoreError::Denied { action, object, reason: source.to_string() };
    }
    let reason = cause::cause(error);
    match open::is_for_people(error) {
        true => StoreError::Denied { action, object, reason },
        false => StoreError::Unavailable { action, object, reason },
    }
}

impl From<ObjectMeta> for Found {
    fn from(object: ObjectMeta) -> Self {
        let modified_at = object.last_modified.timestamp_millis();
        Self { name: ObjectName(object.location), bytes: object.size, modified_at }
    }
}

#[cfg(test)]
pub(crate) mod counted;
#[cfg(test)]
mod flawed;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod troubled;
