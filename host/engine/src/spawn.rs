//! The only place that starts tasks: each has a name, an owner that joins it, and a way to stop.
//!
//! A [`TaskGroup`] owns what it spawned: dropping it aborts every task in it, so nothing is ever detached.

use std::future::Future;
use std::num::NonZero;
use std::thread::available_parallelism;

use tokio::runtime::Handle;
use tokio::task::JoinSet;

/// Where tasks run, and where their blocking work does.
#[derive(Debug, Clone)]
pub struct Runtime {
    handle: Handle,
    blocking: Blocking,
}

/// Where work that holds its thread runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blocking {
    /// On threads of its own, off the async ones.
    Threads,
    /// Between the other tasks.
    Inline,
}

/// Blocking work has threads of its own.
impl From<Handle> for Runtime {
    fn from(handle: Handle) -> Self {
        Self { handle, blocking: Blocking::Threads }
    }
}

impl Runtime {
    /// Blocking work runs between the other tasks, so that on a runtime of one thread everything happens in an order
    /// that the same events bring about again: what a simulation needs. Nothing else runs meanwhile.
    #[must_use]
    pub const fn of_one_thread(handle: Handle) -> Self {
        Self { handle, blocking: Blocking::Inline }
    }

    /// Whether blocking work has threads of its own, so that it may wait for tasks.
    #[must_use]
    pub fn has_threads(&self) -> bool {
        self.blocking == Blocking::Threads
    }

    /// How much work for cores is worth beginning at once.
    #[must_use]
    pub fn cores(&self) -> usize {
        match self.blocking {
            Blocking::Threads => available_parallelism().map_or(1, NonZero::get),
            Blocking::Inline => 1,
        }
    }

    /// Holds its thread until `future` is done: for blocking work that has a thread of its own, and nowhere else.
    pub fn wait_for<F: Future>(&self, future: F) -> F::Output {
        self.handle.block_on(future)
    }
}

/// Tasks of one owner, on one runtime. `T` is what each returns.
#[derive(Debug)]
pub struct TaskGroup<T> {
    runtime: Runtime,
    tasks: JoinSet<(String, T)>,
}

/// A task that panicked, and so broke an invariant.
#[derive(Debug, thiserror::Error)]
#[error("a task panicked: {0}")]
pub struct Panicked(String);

impl<T: Send + 'static> TaskGroup<T> {
    /// An empty group whose tasks will run on `runtime`.
    #[must_use]
    pub fn new(runtime: impl Into<Runtime>) -> Self {
        Self { runtime: runtime.into(), tasks: JoinSet::new() }
    }

    /// Starts a task.
    pub fn spawn(&mut self, name: impl Into<String>, future: impl Future<Output = T> + Send + 'static) {
        let name = name.into();
        self.tasks.spawn_on(async move { (name, future.await) }, &self.runtime.handle);
    }

    /// Runs blocking work (compression, sorting, disk) where the runtime has it run.
    pub fn spawn_blocking(&mut self, name: impl Into<String>, work: impl FnOnce() -> T + Send + 'static) {
        let name = name.into();
        match self.runtime.blocking {
            Blocking::Threads => self.tasks.spawn_blocking_on(move || (name, work()), &self.runtime.handle),
            Blocking::Inline => self.tasks.spawn_on(async move { (name, work()) }, &self.runtime.handle),
        };
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
