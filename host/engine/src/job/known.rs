//! A job that this process knows of.

use std::time::Duration;

use tokio::sync::watch;
use weir_protocol::Fault;

use super::EngineError;
use super::board::Board;
use super::wish::Asker;
use crate::clock::Clock;

/// How long whoever submits a job waits to hear that it exists.
const CREATION_WAIT: Duration = Duration::from_secs(5);

/// One job of this process, driven or ended.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) board: Board,
    pub(super) asker: Asker,
    /// Whether it is known to exist: its first entry stands. The sender lives as long as the job is driven.
    pub(super) exists: watch::Receiver<bool>,
}

impl Job {
    /// Waits, though not for ever, until the job is known to exist.
    ///
    /// # Errors
    /// The store does not answer whether it does.
    pub(super) async fn exists(&self, clock: Clock) -> Result<(), EngineError> {
        let mut exists = self.exists.clone();
        tokio::select! {
            biased;
            Ok(_) = exists.wait_for(|exists| *exists) => Ok(()),
            () = clock.sleep(CREATION_WAIT) => {
                let message = "the store does not answer whether the job was created; submit it again to wait for that";
                Err(EngineError::failed(Fault::Unavailable, message))
            }
        }
    }
}
