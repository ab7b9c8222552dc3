//! The folder of one file sink of one job, and the names in it.
//!
//! ```text
//! <path>/<job id>/<sink uid>/part-<checkpoint, 20 digits>-<subtask, 5 digits>.out
//! <path>/<job id>/<sink uid>/list-<checkpoint, 20 digits>.json
//! <path>/<job id>/<sink uid>/part-<attempt's nonce>-<subtask, 5 digits>-<number, 10 digits>.out
//! ```
//!
//! The last form is that of jobs without checkpoints. Nothing in it is ever overwritten.

use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use weir_protocol::Fault;
use weir_protocol::id::{CheckpointId, JobId, Nonce, Uid};
use weir_protocol::job_spec::FileSinkSpec;

use super::SinkError;
use crate::clock::Clock;
use crate::store::{self, Places, Store, StoreError, shown};

/// See the module. What it creates is durable.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    objects: Arc<dyn ObjectStore>,
    /// For messages.
    location: String,
}

/// What became of an attempt to create a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Created {
    /// It is there, with the bytes given.
    Same,
    /// Something else is there.
    Different,
}

impl Folder {
    /// Opens (and makes) the folder. Blocks on the disk.
    pub(super) fn open(
        spec: &FileSinkSpec,
        job: JobId,
        sink: &Uid,
        (places, clock): (&dyn Places, &Clock),
    ) -> Result<Self, SinkError> {
        let location = format!("{}/{job}/{sink}", spec.path.trim_end_matches('/'));
        let objects = places.open(&location, clock).map_err(|error| SinkError {
            fault: error.fault(),
            message: format!("sink `{sink}` cannot write below `{}`: {error}", shown(&spec.path)),
        })?;
        Ok(Self::over(objects, location))
    }

    /// The folder at the root of an object store.
    pub(super) fn over(objects: Arc<dyn ObjectStore>, location: String) -> Self {
        Self { objects, location }
    }

    /// Writes, reads and deletes a probe.
    pub(super) async fn try_out(&self, job: JobId, clock: Clock) -> Result<(), StoreError> {
        if store::forgets(&self.location) {
            let reason = "it forgets what is written; name a folder or a bucket".to_owned();
            return Err(StoreError::Refused { location: self.location.clone(), reason });
        }
        Store::new(Arc::clone(&self.objects), clock).try_out(job).await
    }

    /// Creates a file, or finds it as it should be.
    pub(super) async fn create(&self, name: &str, bytes: Bytes) -> Result<Created, SinkError> {
        let payload = PutPayload::from(bytes.clone());
        match self.objects.put_opts(&Path::from(name), payload, PutOptions::from(PutMode::Create)).await {
            Ok(_) => Ok(Created::Same),
            Err(error @ Error::AlreadyExists { .. }) => match self.read(name).await? {
                Some(found) if found == bytes => Ok(Created::Same),
                Some(_) => Ok(Created::Different),
                // A cloud may send back two that create at one moment.
                None => Err(self.unavailable("create", name, &error)),
            },
            Err(error) => Err(self.unavailable("create", name, &error)),
        }
    }

    pub(super) async fn read(&self, name: &str) -> Result<Option<Bytes>, SinkError> {
        let read = async { self.objects.get(&Path::from(name)).await?.bytes().await };
        match read.await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.unavailable("read", name, &error)),
        }
    }

    /// The newest checkpoint that has a list.
    pub(super) async fn newest_list(&self) -> Result<Option<CheckpointId>, SinkError> {
        let listed = self.objects.list(None).map_ok(|found| list_checkpoint(&found.location));
        let newest = listed.try_fold(None, |newest, found| async move { Ok(newest.max(found)) });
        newest.await.map_err(|error| self.unavailable("list", "", &error))
    }

    pub(super) fn corrupt(&self, name: &str, what: &str) -> SinkError {
        SinkError { fault: Fault::Corrupt, message: format!("`{}/{name}` {what}", self.location) }
    }

    fn unavailable(&self, action: &str, name: &str, error: &Error) -> SinkError {
        SinkError {
            fault: Fault::Unavailable,
            message: format!("could not {action} `{}/{name}`: {error}", self.location),
        }
    }
}

pub(super) fn part_name(checkpoint: CheckpointId, subtask: u32) -> String {
    format!("part-{checkpoint:020}-{subtask:05}.out")
}

pub(super) fn list_name(checkpoint: CheckpointId) -> String {
    format!("list-{checkpoint:020}.json")
}

pub(super) fn part_at_once_name(attempt: Nonce, subtask: u32, number: u64) -> String {
    format!("part-{attempt}-{subtask:05}-{number:010}.out")
}

fn list_checkpoint(location: &Path) -> Option<CheckpointId> {
    let number = location.filename()?.strip_prefix("list-")?.strip_suffix(".json")?;
    number.parse().ok().map(CheckpointId)
}
