//! What is wanted of a job's driver.

use tokio::sync::watch;
use weir_protocol::id::EntryNumber;

/// What is wanted of a job's driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// The job runs, as this entry of its `spec/` chain says.
    Run(EntryNumber),
    /// The job ends.
    Cancel,
    /// This process lets go of the job, which resumes at the next start.
    Stop,
}

/// The driver's end.
#[derive(Debug)]
pub(crate) struct Wishes(watch::Receiver<Wish>);

impl Wishes {
    pub(crate) fn new(receiver: watch::Receiver<Wish>) -> Self {
        Self(receiver)
    }

    /// What is wanted now. A facade that has gone wants the driver to let go.
    pub(crate) fn now(&self) -> Wish {
        if self.0.has_changed().is_err() { Wish::Stop } else { *self.0.borrow() }
    }

    /// Waits until something else than `known` is wanted. Cancel-safe.
    pub(crate) async fn other_than(&mut self, known: Wish) -> Wish {
        match self.0.wait_for(|wish| *wish != known).await {
            Ok(wish) => *wish,
            Err(_gone) => Wish::Stop,
        }
    }
}
