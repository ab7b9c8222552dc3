//! A job that this process knows of.

use std::time::Duration;

use tokio::sync::watch;
use weir_protocol::Fault;
use weir_protocol::time::Timestamp;

use super::EngineError;
use super::board::Board;
use super::wish::{Asker, Wish};
use crate::clock::Clock;

/// How long whoever submits a job waits to hear that it exists.
const CREATION_WAIT: Duration = Duration::from_secs(5);

/// What is certain of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing: the store has not said whether its first entry stands.
    Begun,
    /// It is there.
    Exists,
    /// Its last entry is on its way: whatever is asked from here on comes too late, if that stands.
    Ends,
}

/// One job of this process, driven or ended.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) board: Board,
    pub(super) asker: Asker,
    /// The sender lives as long as the job is driven.
    pub(super) standing: watch::Receiver<Standing>,
}

impl Job {
    /// Asks its driver for this. From then on the job is not shown as let go of, unless it is let go of anew.
    pub(super) fn ask(&self, wish: Wish, now: Timestamp) {
        self.asker.ask_and(wish, || self.board.wake(now));
    }

    /// Waits, though not for ever, until the job is known to exist.
    ///
    /// # Errors
    /// The store does not answer whether it does.
    pub(super) async fn exists(&self, clock: Clock) -> Result<(), EngineError> {
        let mut standing = self.standing.clone();
        tokio::select! {
            biased;
            Ok(_) = standing.wait_for(|standing| *standing != Standing::Begun) => Ok(()),
            () = clock.sleep(CREATION_WAIT) => {
                let message = "the store does not answer whether the job was created; submit it again to wait for that";
                Err(EngineError::failed(Fault::Unavailable, message))
            }
        }
    }

    /// Where the job's last entry is on its way, waits for what comes of that.
    ///
    /// # Errors
    /// This process stops before there is an answer.
    pub(super) async fn is_decided(&self) -> Result<(), EngineError> {
        let decided = self.standing.clone().wait_for(|standing| *standing != Standing::Ends).await.is_ok();
        if decided || self.board.copy().state.is_terminal() {
            return Ok(());
        }
        let message = "the engine stopped while the job was ending; ask again once it runs";
        Err(EngineError::failed(Fault::Unavailable, message))
    }
}
