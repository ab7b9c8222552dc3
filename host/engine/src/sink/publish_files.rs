//! Publishes the outboxes of a file sink.
//!
//! Parts are created one by one under names that follow from the outbox's identity; then the list, which names them: it
//! is the marker, and the atomic read. Whatever was interrupted is done again under the same names with the same bytes.

use std::sync::Mutex;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde::Serialize;
use weir_protocol::id::{CheckpointId, JobId, Uid};
use weir_protocol::job_spec::FileSinkSpec;
use xxhash_rust::xxh3::xxh3_64;

use super::folder::{Created, Folder, list_name, part_name};
use super::{OpenOutbox, Publisher, SinkError};
use crate::clock::Clock;
use crate::step::{Place, Step};
use crate::store::Places;

/// The one publisher of a sink.
#[derive(Debug)]
pub(super) struct FilePublisher {
    folder: Folder,
    /// The newest list as this publisher saw, found or made it, so that the folder is listed once and not for each
    /// outbox.
    newest: Mutex<Option<CheckpointId>>,
}

/// `{"checkpoint":7,"predecessor":6,"parts":[{"name":"part-…","bytes":120,"records":3,"checksum":"…"}]}`; the first has
/// the predecessor `null`. A checksum is xxh3-64 as 16 hexadecimal digits.
#[derive(Debug, Serialize)]
struct List {
    checkpoint: CheckpointId,
    predecessor: Option<CheckpointId>,
    parts: Vec<ListedPart>,
}

#[derive(Debug, Serialize)]
struct ListedPart {
    name: String,
    bytes: usize,
    records: u64,
    checksum: String,
}

impl FilePublisher {
    pub(super) fn open(
        spec: &FileSinkSpec,
        job: JobId,
        sink: &Uid,
        places: (&dyn Places, &Clock),
    ) -> Result<Self, SinkError> {
        Ok(Self::over(Folder::open(spec, job, sink, places)?))
    }

    pub(super) fn over(folder: Folder) -> Self {
        Self { folder, newest: Mutex::new(None) }
    }

    async fn publish_outbox(&self, outbox: &OpenOutbox) -> Result<(), SinkError> {
        let list = list_bytes(outbox);
        let name = list_name(outbox.checkpoint);
        // In this order: what a former owner's late write adds after the listing is then found by its name.
        let newest = self.known_newest().await?;
        match self.folder.read(&name).await? {
            Some(found) if found == list => {}
            Some(_) => return Err(self.is_different(&name)),
            None => {
                self.check_predecessor(newest, outbox).await?;
                for part in &outbox.parts {
                    self.create(&part_name(outbox.checkpoint, part.subtask), part.part.bytes.clone()).await?;
                }
                let place = Place::default().at(outbox.checkpoint);
                Step::Marker.before(place);
                self.create(&name, list).await?;
                Step::Marker.after(place);
            }
        }
        self.remember(Some(outbox.checkpoint));
        Ok(())
    }

    async fn known_newest(&self) -> Result<Option<CheckpointId>, SinkError> {
        let known = *self.newest.lock().expect("nothing panics while it holds this lock");
        if known.is_some() { Ok(known) } else { self.newest().await }
    }

    /// The marker moves only from predecessor to successor.
    async fn check_predecessor(&self, newest: Option<CheckpointId>, outbox: &OpenOutbox) -> Result<(), SinkError> {
        if newest != outbox.predecessor {
            let show = |id: Option<CheckpointId>| id.map_or_else(|| "none".to_owned(), |id| id.to_string());
            let (newest, wanted) = (show(newest), show(outbox.predecessor));
            let what = format!("must follow the list of checkpoint {wanted}, but the newest is that of {newest}");
            return Err(self.folder.corrupt(&list_name(outbox.checkpoint), &what));
        }
        let Some(predecessor) = outbox.predecessor else { return Ok(()) };
        let name = list_name(predecessor);
        match self.folder.read(&name).await? {
            Some(_) => Ok(()),
            None => Err(self.folder.corrupt(&name, "is missing, though results were published after it")),
        }
    }

    async fn create(&self, name: &str, bytes: Bytes) -> Result<(), SinkError> {
        match self.folder.create(name, bytes).await? {
            Created::Same => Ok(()),
            Created::Different => Err(self.is_different(name)),
        }
    }

    async fn newest(&self) -> Result<Option<CheckpointId>, SinkError> {
        let newest = self.folder.newest_list().await?;
        self.remember(newest);
        Ok(newest)
    }

    fn remember(&self, newest: Option<CheckpointId>) {
        *self.newest.lock().expect("nothing panics while it holds this lock") = newest;
    }

    fn is_different(&self, name: &str) -> SinkError {
        self.folder.corrupt(
            name,
            "holds something else than this job publishes there; move it away, or give the sink another path",
        )
    }
}

impl Publisher for FilePublisher {
    fn publish<'a>(&'a self, outbox: &'a OpenOutbox) -> BoxFuture<'a, Result<(), SinkError>> {
        self.publish_outbox(outbox).boxed()
    }

    fn marker(&self) -> BoxFuture<'_, Result<Option<CheckpointId>, SinkError>> {
        self.newest().boxed()
    }
}

fn list_bytes(outbox: &OpenOutbox) -> Bytes {
    let parts = outbox.parts.iter().map(|part| ListedPart {
        name: part_name(outbox.checkpoint, part.subtask),
        bytes: part.part.bytes.len(),
        records: part.part.records,
        checksum: format!("{:016x}", xxh3_64(&part.part.bytes)),
    });
    let OpenOutbox { checkpoint, predecessor, .. } = *outbox;
    let list = List { checkpoint, predecessor, parts: parts.collect() };
    serde_json::to_vec(&list).expect("a list is plain JSON").into()
}
