//! A checkpoint at once, for whoever wants one.
//!
//! Receives who asks and what became of barriers; guarantees that an attempt which runs hears of each that asks. Does not
//! own whether there is room for a checkpoint: the coordinator decides that.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tokio::sync::watch;
use weir_protocol::time::Timestamp;

/// Between those who ask and the attempt that runs; a cheap handle.
#[derive(Debug, Clone)]
pub(crate) struct Fresh {
    asked: Arc<watch::Sender<u64>>,
    taken: Arc<AtomicI64>,
}

impl Default for Fresh {
    fn default() -> Self {
        Self { asked: Arc::new(watch::Sender::new(0)), taken: Arc::new(AtomicI64::new(Timestamp::MIN)) }
    }
}

impl Fresh {
    /// Asks the attempt that runs, if one does.
    pub(crate) fn ask(&self) {
        self.asked.send_modify(|times| *times += 1);
    }

    /// The attempt's end: it changes when somebody asks from now on.
    pub(crate) fn asked(&self) -> watch::Receiver<u64> {
        self.asked.subscribe()
    }

    /// Whatever came before a barrier of this time is in the newest entry.
    pub(crate) fn covers(&self, triggered_at: Timestamp) {
        self.taken.fetch_max(triggered_at, Ordering::Relaxed);
    }

    /// The time of the newest such barrier.
    pub(crate) fn covered(&self) -> Timestamp {
        self.taken.load(Ordering::Relaxed)
    }
}
