//! Where a savepoint is, or will be.

use std::sync::Arc;

use weir_protocol::Fault;
use weir_protocol::id::{JobId, Nonce};

use super::{SavepointError, none};
use crate::clock::Clock;
use crate::store::{self, Places, Store, shown};

/// How many hexadecimal digits of a job's id stand in a savepoint's name.
const JOB_DIGITS: usize = 6;
/// How many random ones.
const OWN_DIGITS: usize = 12;

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
        target: &str,
        (job, nonce): (JobId, Nonce),
        (places, clock): (&Arc<dyn Places>, Clock),
    ) -> Result<Self, SavepointError> {
        if store::forgets(target) {
            let message = format!("`{target}` forgets what is written to it; name a folder, s3://, gs:// or az://");
            return Err(SavepointError::new(Fault::Request, message));
        }
        let (job_text, own) = (job.to_string(), nonce.to_string());
        let name = format!("savepoint-{}-{}", &job_text[..JOB_DIGITS], &own[..OWN_DIGITS]);
        let location = format!("{}/{name}", store::absolute(target).trim_end_matches('/'));
        let store = Store::new(places.open(&location, &clock)?, clock);
        store.try_out(job).await?;
        Ok(Self { location, store })
    }

    /// A folder that is there. It may be anything: nothing in it is changed.
    ///
    /// # Errors
    /// It is not, or cannot be opened.
    pub fn existing(location: &str, (places, clock): (&Arc<dyn Places>, Clock)) -> Result<Self, SavepointError> {
        let location = store::absolute(location);
        let Some(objects) = places.open_existing(&location, &clock)? else { return Err(none(&shown(&location))) };
        Ok(Self { location, store: Store::new(objects, clock) })
    }
}
