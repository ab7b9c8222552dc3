//! What a node knows of savepoints beside its jobs: where they go by default, and what became of those that were deleted.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};

use weir_engine::clock::Entropy;
use weir_engine::job::Engine;
use weir_protocol::id::Nonce;

use crate::api::Problem;

/// Answers to those who had savepoints deleted that are remembered.
const DISPOSALS_MAX: usize = 100;

/// A node's savepoints.
#[derive(Debug)]
pub struct Savepoints {
    place: Option<String>,
    entropy: Entropy,
    /// The oldest first.
    disposals: Mutex<VecDeque<(Nonce, Result<(), String>)>>,
}

impl Savepoints {
    /// Savepoints go to `place` that name no place of their own; `None`: each has to name one.
    #[must_use]
    pub const fn new(place: Option<String>, entropy: Entropy) -> Self {
        Self { place, entropy, disposals: Mutex::new(VecDeque::new()) }
    }

    /// Where a savepoint goes.
    ///
    /// # Errors
    /// Nobody says where.
    pub fn target(&self, wanted: Option<String>) -> Result<String, Problem> {
        wanted.or_else(|| self.place.clone()).ok_or_else(Problem::no_savepoint_target)
    }

    /// Deletes a savepoint; what became of that is [remembered](Self::disposal) under the name that it gives.
    pub async fn dispose(&self, engine: &Engine, location: &str) -> Nonce {
        let disposed = engine.dispose_savepoint(location).await.map_err(|error| error.to_string());
        let request = self.entropy.nonce();
        let mut disposals = self.lock();
        disposals.push_back((request, disposed));
        if disposals.len() > DISPOSALS_MAX {
            disposals.pop_front();
        }
        request
    }

    /// What became of a savepoint that was to go; `None`: nothing is known of that.
    #[must_use]
    pub fn disposal(&self, request: Nonce) -> Option<Result<(), String>> {
        self.lock().iter().find(|(known, _)| *known == request).map(|(_, disposed)| disposed.clone())
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(Nonce, Result<(), String>)>> {
        self.disposals.lock().expect("nothing panics while it holds this lock")
    }
}
