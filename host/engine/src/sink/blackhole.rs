//! Drops what it is given; the task's counters tell how much.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use weir_operator::batch::Batch;

use super::{Recent, SealedPart, Sink, SinkError};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Blackhole {
    recent: Arc<Recent>,
}

impl Sink for Blackhole {
    fn write(&mut self, batch: Batch) -> BoxFuture<'_, Result<(), SinkError>> {
        self.recent.note(&batch);
        ready(Ok(())).boxed()
    }

    fn flush(&mut self) -> BoxFuture<'_, Result<(), SinkError>> {
        ready(Ok(())).boxed()
    }

    fn seal(&mut self) -> Option<SealedPart> {
        None
    }

    fn pending_bytes(&self) -> u64 {
        0
    }

    fn recent(&self) -> &Arc<Recent> {
        &self.recent
    }
}
