//! The sinks of a job, opened.

use std::collections::BTreeSet;
use std::sync::Arc;

use weir_protocol::id::{JobId, Uid};
use weir_protocol::job_spec::{JobSpec, SinkConnector, SinkSpec};
use weir_protocol::manifest::Outlet;

use crate::checkpoint::chain::RunOwner;
use crate::sink::{self, Publisher, Sink, SinkContext, SinkError};
use crate::store::{Store, StoreError, shown};

use super::driver::Driver;
use super::ended::Ended;
use super::owned::Publishers;
use super::shared::Shared;

/// The publishers of the job's sinks that have an outbox; a job without checkpoints has none.
///
/// # Errors
/// A place that a sink names cannot be used.
pub(crate) fn publishers(spec: &JobSpec, job: JobId, shared: &Shared) -> Result<Publishers, SinkError> {
    let mut publishers = Publishers::new();
    for SinkSpec { uid, connector, .. } in &spec.sinks {
        let opened = publisher(connector, job, uid, shared)?;
        publishers.extend(opened.filter(|_| spec.checkpoint.is_some()).map(|opened| (uid.clone(), opened)));
    }
    Ok(publishers)
}

/// The publisher of one sink; `None`: it has no outbox.
///
/// # Errors
/// The place that it names cannot be used.
pub(crate) fn publisher(
    connector: &SinkConnector,
    job: JobId,
    uid: &Uid,
    shared: &Shared,
) -> Result<Option<Arc<dyn Publisher>>, SinkError> {
    let opened = sink::publisher(connector, job, uid, (shared.places.as_ref(), &shared.clock));
    opened.map_err(|error| SinkError { message: format!("sink `{uid}`: {error}"), ..error })
}

impl Driver {
    /// The same, with those of sinks that the job has or had and that have results which are not published.
    ///
    /// # Errors
    /// As [`publisher`]; what the store says.
    pub(super) async fn with_former(&self, mut known: Publishers, owner: &RunOwner) -> Result<Publishers, Ended> {
        let newest = &owner.newest().expect("its first entry stands").entry;
        let unknown = newest.manifest.outboxes.iter().filter_map(|outbox| match &outbox.outlet {
            Outlet::Sink(uid) if !known.contains_key(uid) => Some(uid.clone()),
            Outlet::Sink(_) | Outlet::DeadLetters => None,
        });
        let unknown: BTreeSet<Uid> = unknown.collect();
        for (uid, connector) in self.specs().places(self.spec_number, unknown).await? {
            let opened = publisher(&connector, self.job, &uid, &self.shared)?;
            known.extend(opened.map(|opened| (uid, opened)));
        }
        Ok(known)
    }
}

/// Writes, reads and deletes a probe in every directory of this job's that a job will write to.
///
/// # Errors
/// One of them cannot be used.
pub(crate) async fn try_out(spec: &JobSpec, job: JobId, shared: &Shared) -> Result<(), SinkError> {
    for SinkSpec { uid, connector, .. } in &spec.sinks {
        sink::try_out(connector, job, uid, (shared.places.as_ref(), &shared.clock)).await?;
    }
    let Some(folder) = &spec.state.local_dir else { return Ok(()) };
    let tried = match shared.places.open(folder, &shared.clock) {
        Ok(opened) => Store::new(opened, shared.clock).try_out(job).await,
        Err(error) => Err(error),
    };
    tried.map_err(|error| SinkError {
        fault: error.fault(),
        message: format!("the local folder for state, `{}`, cannot be used: {}", shown(folder), of_disk(error)),
    })
}

/// What a local disk said: it holds files, and is no object store.
fn of_disk(error: StoreError) -> String {
    match error {
        StoreError::Refused { reason, .. } => reason,
        StoreError::Unavailable { action, reason, .. } | StoreError::Denied { action, reason, .. } => {
            format!("could not {action} a file in it: {reason}")
        }
        StoreError::Missing { .. } => "a file that was written to it was not there".to_owned(),
        StoreError::Damaged { reason, .. } => format!("a file that was written to it was damaged: {reason}"),
    }
}

/// One subtask of a sink.
///
/// # Errors
/// The place that it names cannot be used.
pub(crate) fn open(spec: &SinkSpec, context: SinkContext, shared: &Shared) -> Result<Box<dyn Sink>, SinkError> {
    sink::open(&spec.connector, context, &shared.stdout, (shared.places.as_ref(), &shared.clock))
}
