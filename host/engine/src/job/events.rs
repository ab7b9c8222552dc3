//! What the background of an attempt tells its driver.

use tokio::sync::mpsc;
use weir_protocol::coordinator;

use crate::task::TaskError;

/// Reports that may wait for the driver.
const QUEUE_MAX: usize = 64;

/// One report for the coordinator.
#[derive(Debug)]
pub(crate) struct Reported {
    pub(crate) event: coordinator::Event,
    /// What its subtask sealed, in bytes of memory.
    pub(crate) bytes: u64,
}

/// The background's end; a cheap handle.
#[derive(Debug, Clone)]
pub(crate) struct Events(mpsc::Sender<Reported>);

/// The driver's end.
#[derive(Debug)]
pub(crate) struct EventQueue(mpsc::Receiver<Reported>);

/// Both ends.
pub(crate) fn events() -> (Events, EventQueue) {
    let (sender, receiver) = mpsc::channel(QUEUE_MAX);
    (Events(sender), EventQueue(receiver))
}

impl Events {
    pub(crate) async fn report(&self, event: coordinator::Event, bytes: u64) -> Result<(), TaskError> {
        let gone = |_| TaskError::consequence("the job's driver takes no more reports");
        self.0.send(Reported { event, bytes }).await.map_err(gone)
    }
}

impl EventQueue {
    /// The next report. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Reported> {
        self.0.recv().await
    }
}
