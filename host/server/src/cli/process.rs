//! The process: its runtimes and its signals.

use std::num::NonZero;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::exit::{FAILED, Failure};

/// Threads that answer requests and coordinate jobs.
const CONTROL_THREADS: usize = 2;

/// Threads that wait for state on disk, for each core: one copies while the other waits.
const DISK_THREADS_PER_CORE: usize = 2;

/// How long a thread for blocking work is kept that has none. Each keeps some megabytes of what it worked with, and work
/// that comes now and then would keep all of them that were ever needed: they take turns.
const IDLE_MAX: Duration = Duration::from_secs(1);

/// How long what still runs at the end is waited for.
const GRACE: Duration = Duration::from_secs(3);

/// One runtime for control and one for data, so that busy jobs never make requests wait; and one that has nothing but
/// threads that wait for state on disk. There are reads for every batch, often the next before the thread of the last is
/// seen to be idle: a pool without a bound would grow for as long as the node runs.
pub(super) struct Runtimes {
    pub(super) control: Runtime,
    pub(super) data: Runtime,
    pub(super) disk: Runtime,
}

impl Runtimes {
    /// Starts both; `data_threads` defaults to one a core.
    pub(super) fn start(data_threads: Option<u16>) -> Result<Self, Failure> {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let data_threads = data_threads.map_or(cores, usize::from);
        Ok(Self {
            control: threads("weir-control", CONTROL_THREADS)?,
            data: threads("weir-data", data_threads)?,
            disk: blocking_threads("weir-disk", cores * DISK_THREADS_PER_CORE)?,
        })
    }

    /// Ends them; whatever blocks a thread is left to the end of the process.
    pub(super) fn stop(self) {
        self.data.shutdown_timeout(GRACE);
        self.control.shutdown_timeout(GRACE);
        self.disk.shutdown_timeout(GRACE);
    }
}

fn threads(name: &str, count: usize) -> Result<Runtime, Failure> {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(count).thread_name(name).thread_keep_alive(IDLE_MAX).enable_all();
    builder.build().map_err(unavailable)
}

/// At most so many threads for blocking work, which must not wait for other such work; no tasks run there.
fn blocking_threads(name: &str, max: usize) -> Result<Runtime, Failure> {
    let mut builder = Builder::new_current_thread();
    builder.max_blocking_threads(max).thread_name(name).thread_keep_alive(IDLE_MAX).build().map_err(unavailable)
}

/// A runtime for a command that only asks a node.
pub(super) fn current_thread() -> Result<Runtime, Failure> {
    Builder::new_current_thread().enable_all().build().map_err(unavailable)
}

fn unavailable(error: std::io::Error) -> Failure {
    Failure { code: FAILED, message: format!("the system gives no threads or signals: {error}"), mend: None }
}

/// Ctrl-C and SIGTERM, which from here on no longer kill the process.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub(super) fn listen() -> Result<Self, Failure> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).map_err(unavailable)?,
            terminate: signal(SignalKind::terminate()).map_err(unavailable)?,
        })
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn state_on_disk_is_waited_for_by_few_threads_however_much_is_read_at_once() {
        let runtimes = Runtimes::start(Some(1)).unwrap_or_else(|failure| unreachable!("{}", failure.message));
        let reads: Vec<_> = (0..200)
            .map(|_| {
                runtimes.disk.handle().spawn_blocking(|| {
                    std::hint::black_box(vec![1_u8; 1 << 20]);
                    std::thread::current().id()
                })
            })
            .collect();
        let threads: BTreeSet<_> = runtimes.control.block_on(async {
            let mut threads = BTreeSet::new();
            for read in reads {
                threads.insert(format!("{:?}", read.await.unwrap()));
            }
            threads
        });
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        assert!(threads.len() <= cores * DISK_THREADS_PER_CORE, "{} threads", threads.len());
        runtimes.stop();
    }
}
