//! The only place that starts tasks: each has a name, an owner that joins it, and a way to stop.
//!
//! A [`TaskGroup`] owns what it spawned: dropping it aborts every task in it, so nothing is ever detached.

use std::future::Future;

use tokio::runtime::Handle;
use tokio::task::JoinSet;

/// Tasks of one owner, on one runtime. `T` is what each returns.
#[derive(Debug)]
pub struct TaskGroup<T> {
    runtime: Handle,
    tasks: JoinSet<(String, T)>,
}

/// A task that panicked, and so broke an invariant.
#[derive(Debug, thiserror::Error)]
#[error("a task panicked: {0}")]
pub struct Panicked(String);

impl<T: Send + 'static> TaskGroup<T> {
    /// An empty group whose tasks will run on `runtime`.
    #[must_use]
    pub fn new(runtime: Handle) -> Self {
        Self { runtime, tasks: JoinSet::new() }
    }

    /// Starts a task.
    pub fn spawn(&mut self, name: impl Into<String>, future: impl Future<Output = T> + Send + 'static) {
        let name = name.into();
        self.tasks.spawn_on(async move { (name, future.await) }, &self.runtime);
    }

    /// Runs blocking work (compression, sorting, disk) off the async threads.
    pub fn spawn_blocking(&mut self, name: impl Into<String>, work: impl FnOnce() -> T + Send + 'static) {
        let name = name.into();
        self.tasks.spawn_blocking_on(move || (name, work()), &self.runtime);
    }

    /// The next task that ends, with its name; `None` when there is none left.
    ///
    /// # Errors
    /// When a task panicked.
    pub async fn next(&mut self) -> Option<Result<(String, T), Panicked>> {
        match self.tasks.join_next().await? {
            Ok(ended) => Some(Ok(ended)),
            Err(error) if error.is_panic() => Some(Err(Panicked(panic_text(error)))),
            Err(_cancelled) => None,
        }
    }

    /// How many tasks have not been joined yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether every task has been joined.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Aborts every task and waits until the last has ended, or until `limit`, whichever comes first: a call that never
    /// returns its thread cannot be ended from outside. Whether all have ended; one that has not does so when it next
    /// waits for anything.
    pub async fn stop(mut self, limit: impl Future<Output = ()>) -> bool {
        self.tasks.abort_all();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        tokio::select! {
            biased;
            () = ended => true,
            () = limit => false,
        }
    }
}

fn panic_text(error: tokio::task::JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_else(|| "no message".to_owned()),
        Err(error) => error.to_string(),
    }
}
