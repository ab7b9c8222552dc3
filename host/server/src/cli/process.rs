//! The process: its runtimes and its signals.

use std::num::NonZero;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::exit::{FAILED, Failure};

/// Threads that answer requests and coordinate jobs.
const CONTROL_THREADS: usize = 2;

/// How long what still runs at the end is waited for.
const GRACE: Duration = Duration::from_secs(3);

/// One runtime for control and one for data, so that busy jobs never make requests wait.
pub(super) struct Runtimes {
    pub(super) control: Runtime,
    pub(super) data: Runtime,
}

impl Runtimes {
    /// Starts both; `data_threads` defaults to one a core.
    pub(super) fn start(data_threads: Option<u16>) -> Result<Self, Failure> {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let data_threads = data_threads.map_or(cores, usize::from);
        Ok(Self { control: threads("weir-control", CONTROL_THREADS)?, data: threads("weir-data", data_threads)? })
    }

    /// Ends both; whatever blocks a thread is left to the end of the process.
    pub(super) fn stop(self) {
        self.data.shutdown_timeout(GRACE);
        self.control.shutdown_timeout(GRACE);
    }
}

fn threads(name: &str, count: usize) -> Result<Runtime, Failure> {
    Builder::new_multi_thread().worker_threads(count).thread_name(name).enable_all().build().map_err(unavailable)
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
