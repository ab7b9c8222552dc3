//! Lines for people, at once: at-least-once.

use std::io::Write;
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use tokio::runtime::Handle;
use weir_operator::batch::Batch;
use weir_protocol::Fault;
use weir_protocol::job_spec::StdoutSpec;

use super::{Recent, SealedPart, Sink, SinkError};
use crate::spawn::Runtime;

/// Where lines go: standard output, or what a test reads. A cheap handle; lines of different writers never mix.
#[derive(Clone)]
pub struct LineWriter {
    writer: Arc<Mutex<dyn Write + Send>>,
}

impl LineWriter {
    /// A writer of one's own.
    pub fn new(writer: impl Write + Send + 'static) -> Self {
        Self { writer: Arc::new(Mutex::new(writer)) }
    }

    /// The process's standard output.
    #[must_use]
    pub fn stdout() -> Self {
        Self::new(std::io::stdout())
    }

    /// Writes whole lines and flushes them. Blocks.
    fn write(&self, lines: &[u8]) -> std::io::Result<()> {
        let mut writer = self.writer.lock().expect("nothing panics while it holds this lock");
        writer.write_all(lines)?;
        writer.flush()
    }
}

impl std::fmt::Debug for LineWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LineWriter")
    }
}

/// One subtask: each record's value as a line behind the prefix; a deletion has none.
#[derive(Debug)]
pub(super) struct Stdout {
    prefix: String,
    writer: LineWriter,
    recent: Arc<Recent>,
}

impl Stdout {
    pub(super) fn new(spec: &StdoutSpec, writer: LineWriter) -> Self {
        Self { prefix: spec.prefix.clone(), writer, recent: Arc::default() }
    }

    /// A reader that does not keep up holds up this task, and no thread that others need.
    async fn print(&self, lines: Vec<u8>) -> Result<(), SinkError> {
        let writer = self.writer.clone();
        let written =
            Runtime::from(Handle::current()).blocking("write to standard output", move || writer.write(&lines)).await;
        let failed =
            |fault, why: String| SinkError { fault, message: format!("cannot write to standard output: {why}") };
        match written {
            Ok(written) => written.map_err(|error| failed(Fault::Unavailable, error.to_string())),
            Err(panicked) => Err(failed(Fault::Bug, panicked.to_string())),
        }
    }
}

impl Sink for Stdout {
    fn write(&mut self, batch: Batch) -> BoxFuture<'_, Result<(), SinkError>> {
        self.recent.note(&batch);
        let mut lines = Vec::with_capacity(batch.values.bytes() + batch.rows as usize * (self.prefix.len() + 1));
        for value in batch.values.iter().flatten() {
            lines.extend_from_slice(self.prefix.as_bytes());
            lines.extend_from_slice(value);
            lines.push(b'\n');
        }
        self.print(lines).boxed()
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
