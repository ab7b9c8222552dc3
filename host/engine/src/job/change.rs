//! What people ask of a job that is there: another spec, or its end.
//!
//! Receives a request; guarantees that what was begun is done to its end by a task of the engine's own, though nobody waits
//! for the answer any more: otherwise a wish could be durable, and nobody follow it until the next start. Holds nothing up
//! that concerns other jobs. Does not own how a driver follows a wish.

use std::sync::Arc;

use tokio::sync::oneshot;
use weir_protocol::Fault;
use weir_protocol::chain::Wanted;
use weir_protocol::id::JobId;

use super::engine::Inner;
use super::known::Job;
use super::shared::Shared;
use super::wish::Wish;
use super::{Engine, EngineError};
use crate::checkpoint::chain::SpecChain;

impl Engine {
    /// Asks for a job's end: once this returns the wish is durable, and the job ends by itself soon: it publishes what
    /// its newest entry names, and what came after that is dropped. For a job that has ended this does nothing. What was
    /// begun is done though nobody waits for it.
    ///
    /// # Errors
    /// [`EngineError::UnknownJob`], or what the store says.
    pub async fn cancel(&self, id: JobId) -> Result<(), EngineError> {
        let job = self.inner.find(id)?;
        let shared = self.inner.shared.clone();
        let cancel = async move {
            let shared = shared.of(&job.board.copy().spec);
            cancel(id, &job, &shared).await
        };
        self.inner.perform(format!("cancel {id}"), cancel).await
    }
}

/// Asks for a job's end, unless it has ended.
pub(super) async fn cancel(id: JobId, job: &Job, shared: &Shared) -> Result<(), EngineError> {
    if job.board.copy().state.is_terminal() {
        return Ok(());
    }
    let specs = SpecChain::new(shared.store.clone(), shared.clock, id);
    specs.want(&shared.entropy, &Wanted::Cancel).await?;
    job.ask(Wish::Cancel, shared.clock.now());
    Ok(())
}

impl Inner {
    pub(super) fn find(&self, id: JobId) -> Result<Arc<Job>, EngineError> {
        self.jobs().get(&id).cloned().ok_or(EngineError::UnknownJob(id))
    }

    /// Has this done, from now on, by a task of the engine's own; the future waits for what came of it.
    pub(super) fn perform<T, W>(
        &self,
        name: String,
        work: W,
    ) -> impl Future<Output = Result<T, EngineError>> + Send + use<T, W>
    where
        T: Send + 'static,
        W: Future<Output = Result<T, EngineError>> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let is_begun = self.spawn(name, async move {
            // Whoever asked may have gone.
            let _answered = answer.send(work.await);
        });
        async move {
            if !is_begun {
                let message = "the engine is stopping; ask again once it runs";
                return Err(EngineError::failed(Fault::Unavailable, message));
            }
            let broken_off = |_| {
                let message = "the engine stopped before there was an answer; ask again once it runs";
                Err(EngineError::failed(Fault::Unavailable, message))
            };
            answered.await.unwrap_or_else(broken_off)
        }
    }
}
