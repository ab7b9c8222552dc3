//! Where a savepoint is, or will be.

use std::sync::Arc;

use weir_protocol::Fault;
use weir_protocol::id::{JobId, Nonce};

use super::{SavepointError, none};
use crate::clock::Clock;
use crate::store::{self, ObjectName, Places, Store, shown};

/// How many hexadecimal digits of a job's id stand in a savepoint's name.
const JOB_DIGITS: usize = 6;
/// How many random ones.
const OWN_DIGITS: usize = 12;

/// Where savepoints are to be taken to: what holds objects, and does not forget them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavepointTarget(String);

impl SavepointTarget {
    /// By its text alone: nothing is opened or made.
    ///
    /// # Errors
    /// It can be no such place.
    pub fn new(location: String) -> Result<Self, SavepointError> {
        store::check(&location)?;
        if store::forgets(&location) {
            let message = format!("`{location}` forgets what is written to it; name a folder, s3://, gs:// or az://");
            return Err(SavepointError::new(Fault::Request, message));
        }
        Ok(Self(location))
    }

    /// Makes it where it is a folder of this machine; a cloud is asked once there is something to write.
    ///
    /// # Errors
    /// None can be made.
    pub fn prepare(&self) -> Result<(), SavepointError> {
        Ok(store::prepare(&self.0)?)
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A savepoint's folder.
#[derive(Debug, Clone)]
pub struct SavepointPlace {
    /// How people name it.
    pub location: String,
    /// Its objects.
    pub store: Store,
}

impl SavepointPlace {
    /// A new folder below `target`, which is tried out.
    ///
    /// # Errors
    /// The target cannot be used, or forgets what is written to it.
    pub async fn new(
        target: &SavepointTarget,
        (job, nonce): (JobId, Nonce),
        (places, clock): (&Arc<dyn Places>, Clock),
    ) -> Result<Self, SavepointError> {
        let (job_text, own) = (job.to_string(), nonce.to_string());
        let name = format!("savepoint-{}-{}", &job_text[..JOB_DIGITS], &own[..OWN_DIGITS]);
        let location = format!("{}/{name}", store::absolute(target.as_str()).trim_end_matches('/'));
        let store = Store::new(places.open(&location, &clock)?, clock);
        store.try_out(job).await?;
        Ok(Self { location, store })
    }

    /// A folder that is there, or that of a `_metadata` that is. It may be anything: nothing in it is changed.
    ///
    /// # Errors
    /// It is not, or cannot be opened.
    pub fn existing(location: &str, (places, clock): (&Arc<dyn Places>, Clock)) -> Result<Self, SavepointError> {
        let location = folder_of(store::absolute(location));
        let Some(objects) = places.open_existing(&location, &clock)? else { return Err(none(&shown(&location))) };
        Ok(Self { location, store: Store::new(objects, clock) })
    }
}

/// The folder of what is named: people name its document as well.
fn folder_of(location: String) -> String {
    let document = ObjectName::savepoint().to_string();
    let folder = location.strip_suffix(&document).and_then(|above| above.strip_suffix('/'));
    folder.map_or(location.clone(), ToOwned::to_owned)
}
