//! The only place that starts tasks: each has a name, an owner that joins it, and a way to stop.
//!
//! A [`TaskGroup`] owns what it spawned: dropping it aborts every task in it, or asks it to [`Stop`] where it has to
//! leave things in order, so nothing is ever detached.

use std::future::{Future, pending};
use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::{Arc, LazyLock};
use std::thread::available_parallelism;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

/// How much blocking work may wait for tasks at the same time. What it waits for (a file that is read) needs threads for
/// blocking work itself, of which a runtime has some hundreds: most of them must never wait.
const WAITING_MAX: usize = 64;

static CORES: LazyLock<usize> = LazyLock::new(|| available_parallelism().map_or(1, NonZero::get));

/// Where tasks run, and where their blocking work does. Clones share their bounds.
#[derive(Debug, Clone)]
pub struct Runtime {
    handle: Handle,
    blocking: Blocking,
    turns: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
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
        Self::new(handle, Blocking::Threads)
    }
}

impl Runtime {
    /// Blocking work runs between the other tasks, so that on a runtime of one thread everything happens in an order
    /// that the same events bring about again: what a simulation needs. Nothing else runs meanwhile.
    #[must_use]
    pub fn of_one_thread(handle: Handle) -> Self {
        Self::new(handle, Blocking::Inline)
    }

    fn new(handle: Handle, blocking: Blocking) -> Self {
        let cores = if blocking == Blocking::Threads { *CORES } else { 1 };
        let (turns, waiting) = (Arc::new(Semaphore::new(cores)), Arc::new(Semaphore::new(WAITING_MAX)));
        Self { handle, blocking, turns, waiting }
    }

    /// Whether blocking work has threads of its own, so that it may wait for tasks.
    #[must_use]
    pub fn has_threads(&self) -> bool {
        self.blocking == Blocking::Threads
    }

    /// The same, but so much other work of its own [waits for](Self::wait_for) tasks at once: it keeps nothing else from
    /// that, and nothing else it.
    #[must_use]
    pub fn with_places(&self, places: usize) -> Self {
        Self { waiting: Arc::new(Semaphore::new(places)), ..self.clone() }
    }

    /// How much work for cores is worth beginning at once.
    #[must_use]
    pub fn cores(&self) -> usize {
        match self.blocking {
            Blocking::Threads => *CORES,
            Blocking::Inline => 1,
        }
    }

    /// A turn among what keeps a core busy for long: there are as many as cores.
    pub async fn turn(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.turns).acquire_owned().await.expect("the semaphore is never closed")
    }

    /// Runs blocking work (compression, sorting, disk) where it does no harm. It goes on though nobody waits for it any
    /// more.
    ///
    /// # Errors
    /// When it panicked.
    pub async fn blocking<T: Send + 'static>(
        &self,
        name: impl Into<String>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Panicked> {
        let mut task = TaskGroup::new(self.clone());
        task.spawn_blocking(name, work);
        match task.next().await {
            Some(ended) => Ok(ended?.1),
            None => Err(Panicked("its runtime was shut down".to_owned())),
        }
    }

    /// The same for work that [waits for](Self::wait_for) tasks, of which only so much may run at once.
    ///
    /// # Errors
    /// When it panicked.
    pub async fn waiting<T: Send + 'static>(
        &self,
        name: impl Into<String>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Panicked> {
        let place = self.place().await;
        self.waiting_in(place, name, work).await
    }

    /// A place among what waits for tasks.
    pub async fn place(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.waiting).acquire_owned().await.expect("the semaphore is never closed")
    }

    /// The same as [`waiting`](Self::waiting) for who has a [place](Self::place) already.
    ///
    /// # Errors
    /// When it panicked.
    pub async fn waiting_in<T: Send + 'static>(
        &self,
        place: OwnedSemaphorePermit,
        name: impl Into<String>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Panicked> {
        let work = move || {
            let _place = place;
            work()
        };
        self.blocking(name, work).await
    }

    /// Holds its thread until `future` is done: for what was begun with [`waiting`](Self::waiting), and nowhere else.
    pub fn wait_for<F: Future>(&self, future: F) -> F::Output {
        self.handle.block_on(future)
    }
}

/// What tells a task that it should end: its owner says so, or is gone. Who stops a group waits until the last of these
/// is gone, so whatever works for the task holds one too.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Waits until the task should end.
    pub async fn asked(&self) {
        // That the owner is gone says the same.
        drop(self.0.clone().wait_for(|is_asked| *is_asked).await);
    }

    /// What the future gives; `None`: the task should end before that.
    pub async fn before<F: Future>(&self, future: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            () = self.asked() => None,
            output = future => Some(output),
        }
    }
}

/// Tasks of one owner, on one runtime. `T` is what each returns.
#[derive(Debug)]
pub struct TaskGroup<T> {
    runtime: Runtime,
    tasks: JoinSet<(String, T)>,
    stop: watch::Sender<bool>,
}

/// A task that panicked, and so broke an invariant.
#[derive(Debug, thiserror::Error)]
#[error("a task panicked: {0}")]
pub struct Panicked(String);

impl<T: Send + 'static> TaskGroup<T> {
    /// An empty group whose tasks will run on `runtime`.
    #[must_use]
    pub fn new(runtime: impl Into<Runtime>) -> Self {
        Self { runtime: runtime.into(), tasks: JoinSet::new(), stop: watch::Sender::new(false) }
    }

    /// Starts a task.
    pub fn spawn(&mut self, name: impl Into<String>, future: impl Future<Output = T> + Send + 'static) {
        let name = name.into();
        self.tasks.spawn_on(async move { (name, future.await) }, &self.runtime.handle);
    }

    /// Starts a task that leaves things in order when it ends: it is never aborted, but asked to stop when the group is
    /// stopped or dropped.
    pub fn spawn_stoppable<F>(&mut self, name: impl Into<String>, begin: impl FnOnce(Stop) -> F)
    where
        F: Future<Output = T> + Send + 'static,
    {
        let (name, held) = (name.into(), self.stop.subscribe());
        let future = begin(Stop(held.clone()));
        let task = self.runtime.handle.spawn(async move {
            let output = future.await;
            drop(held);
            output
        });
        self.tasks.spawn_on(async move { (name, joined(task).await) }, &self.runtime.handle);
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

    /// Aborts every task, or asks it to stop, and waits until the last has ended, or until `limit`, whichever comes first:
    /// a call that never returns its thread cannot be ended from outside. Whether all have ended; one that has not does so
    /// when it next waits for anything.
    pub async fn stop(mut self, limit: impl Future<Output = ()>) -> bool {
        self.stop.send_replace(true);
        self.tasks.abort_all();
        let ended = async {
            while self.tasks.join_next().await.is_some() {}
            self.stop.closed().await;
        };
        tokio::select! {
            biased;
            () = ended => true,
            () = limit => false,
        }
    }
}

async fn joined<T>(task: JoinHandle<T>) -> T {
    match task.await.map_err(tokio::task::JoinError::try_into_panic) {
        Ok(output) => output,
        Err(Ok(panic)) => resume_unwind(panic),
        // Its runtime is shut down, and this task goes with it.
        Err(Err(_cancelled)) => pending().await,
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

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use futures::future::join_all;
    use tokio::runtime::Builder;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn who_stops_a_group_waits_until_what_it_asked_has_put_things_in_order() {
        let mut group = TaskGroup::new(Handle::current());
        let (ordered, is_ordered) = oneshot::channel();
        group.spawn_stoppable("orderly", |stop| async move {
            stop.asked().await;
            tokio::task::yield_now().await;
            ordered.send(()).unwrap();
        });
        assert!(group.stop(pending()).await);
        assert_eq!(is_ordered.now_or_never(), Some(Ok(())));
    }

    #[tokio::test]
    async fn who_stops_a_group_waits_for_whatever_works_for_its_tasks() {
        let mut group = TaskGroup::new(Handle::current());
        let (worker, mut works) = oneshot::channel();
        group.spawn_stoppable("owner", |stop| async move { drop(worker.send(stop)) });
        group.next().await.unwrap().unwrap();
        let held = works.try_recv().unwrap();
        let stopped = group.stop(pending());
        tokio::pin!(stopped);
        assert_eq!(stopped.as_mut().now_or_never(), None);
        held.asked().await;
        drop(held);
        assert!(stopped.await);
    }

    #[tokio::test]
    async fn a_task_that_is_asked_to_stop_is_asked_too_where_its_group_is_dropped() {
        let mut group = TaskGroup::new(Handle::current());
        let (ordered, is_ordered) = oneshot::channel();
        group.spawn_stoppable("orderly", |stop| async move {
            stop.asked().await;
            ordered.send(()).unwrap();
        });
        drop(group);
        is_ordered.await.unwrap();
    }

    #[tokio::test]
    async fn a_task_that_is_asked_to_stop_says_why_it_panicked() {
        let mut group = TaskGroup::<()>::new(Handle::current());
        group.spawn_stoppable("clumsy", |_| async { panic!("oh") });
        assert_eq!(group.next().await.unwrap().unwrap_err().to_string(), "a task panicked: oh");
    }

    #[tokio::test]
    async fn work_with_places_of_its_own_keeps_nothing_else_waiting() {
        let runtime = Runtime::from(Handle::current());
        let apart = runtime.with_places(2);
        let held = join_all([apart.place(), apart.place()]).await;
        assert!(apart.place().now_or_never().is_none());
        runtime.waiting("other", || ()).await.unwrap();
        drop(held);
        apart.waiting("own", || ()).await.unwrap();
    }

    #[test]
    fn work_that_waits_for_blocking_work_never_takes_all_threads_of_it() {
        let threads =
            Builder::new_multi_thread().worker_threads(1).max_blocking_threads(WAITING_MAX + 1).build().unwrap();
        let runtime = Runtime::from(threads.handle().clone());
        let all = (0..3 * WAITING_MAX).map(|_| {
            let inner = runtime.clone();
            runtime.waiting("outer", move || inner.wait_for(inner.blocking("inner", || ())))
        });
        assert!(threads.block_on(join_all(all)).iter().all(|ended| matches!(ended, Ok(Ok(())))));
    }
}
