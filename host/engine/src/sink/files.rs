//! The subtasks of a file sink: records into parts, one line each.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use weir_operator::batch::Batch;
use weir_protocol::job_spec::FileSinkSpec;

use super::folder::{Created, Folder, part_at_once_name};
use super::{Recent, SealedPart, Sink, SinkContext, SinkError};
use crate::clock::Clock;
use crate::store::Places;

/// A job without checkpoints writes a part at the latest when it holds this many bytes.
const PART_BYTES_MAX: usize = 8 << 20;

/// Records as they will stand in a part: each value and a line feed; a deletion has no value, and is passed over.
#[derive(Debug, Default)]
struct Lines {
    bytes: Vec<u8>,
    records: u64,
}

impl Lines {
    fn append(&mut self, batch: &Batch) {
        self.bytes.reserve(batch.values.values.data.len() + batch.rows as usize);
        for value in batch.values.iter().flatten() {
            self.bytes.extend_from_slice(value);
            self.bytes.push(b'\n');
            self.records += 1;
        }
    }

    fn take(&mut self) -> Option<SealedPart> {
        let Self { bytes, records } = std::mem::take(self);
        (records > 0).then(|| SealedPart { bytes: Bytes::from(bytes), records })
    }

    fn pending_bytes(&self) -> u64 {
        u64::try_from(self.bytes.len()).unwrap_or(u64::MAX)
    }
}

/// With checkpoints: holds an epoch's records until they are sealed.
#[derive(Debug, Default)]
pub(super) struct EpochFiles {
    lines: Lines,
    recent: Arc<Recent>,
}

impl Sink for EpochFiles {
    fn write(&mut self, batch: Batch) -> BoxFuture<'_, Result<(), SinkError>> {
        self.recent.note(&batch);
        self.lines.append(&batch);
        ready(Ok(())).boxed()
    }

    fn flush(&mut self) -> BoxFuture<'_, Result<(), SinkError>> {
        ready(Ok(())).boxed()
    }

    fn seal(&mut self) -> Option<SealedPart> {
        self.lines.take()
    }

    fn pending_bytes(&self) -> u64 {
        self.lines.pending_bytes()
    }

    fn recent(&self) -> &Arc<Recent> {
        &self.recent
    }
}

/// Without checkpoints: writes parts at once, at-least-once.
#[derive(Debug)]
pub(super) struct FilesAtOnce {
    folder: Folder,
    context: SinkContext,
    /// How many parts were written.
    parts: u64,
    lines: Lines,
    recent: Arc<Recent>,
}

impl FilesAtOnce {
    pub(super) fn open(
        spec: &FileSinkSpec,
        context: SinkContext,
        places: (&dyn Places, &Clock),
    ) -> Result<Self, SinkError> {
        let folder = Folder::open(spec, context.job, &context.subtask.uid, places)?;
        Ok(Self::over(folder, context))
    }

    pub(super) fn over(folder: Folder, context: SinkContext) -> Self {
        Self { folder, context, parts: 0, lines: Lines::default(), recent: Arc::default() }
    }

    async fn publish(&mut self) -> Result<(), SinkError> {
        let Some(part) = self.lines.take() else { return Ok(()) };
        let name = part_at_once_name(self.context.attempt, self.context.subtask.index, self.parts);
        self.parts += 1;
        match self.folder.create(&name, part.bytes).await? {
            Created::Same => Ok(()),
            Created::Different => {
                Err(self.folder.corrupt(&name, "is there already, though no other attempt has its name"))
            }
        }
    }
}

impl Sink for FilesAtOnce {
    fn write(&mut self, batch: Batch) -> BoxFuture<'_, Result<(), SinkError>> {
        self.recent.note(&batch);
        self.lines.append(&batch);
        if self.lines.bytes.len() < PART_BYTES_MAX { ready(Ok(())).boxed() } else { self.publish().boxed() }
    }

    fn flush(&mut self) -> BoxFuture<'_, Result<(), SinkError>> {
        self.publish().boxed()
    }

    fn seal(&mut self) -> Option<SealedPart> {
        None
    }

    fn pending_bytes(&self) -> u64 {
        self.lines.pending_bytes()
    }

    fn recent(&self) -> &Arc<Recent> {
        &self.recent
    }
}
