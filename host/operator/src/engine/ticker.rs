//! Makes running guests yield, about every millisecond.
//!
//! Owns one thread, which advances the engine's epoch only while a guest runs (and a little longer) and waits
//! otherwise, so that an idle node does not wake up. Dropping the ticker stops the thread and joins it. Does not own
//! what happens at a yield.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmtime::EngineWeak;

/// From one tick to the next.
const TICK: Duration = Duration::from_millis(1);

/// Ticks without a guest after which the thread waits for one.
const IDLE_TICKS_MAX: u32 = 100;

pub(super) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    /// Guests that are running right now.
    running: AtomicUsize,
    /// Whether the thread waits for a guest.
    parked: AtomicBool,
    stopped: Mutex<bool>,
    wake: Condvar,
}

impl Ticker {
    pub(super) fn start(engine: EngineWeak) -> Self {
        let shared = Arc::new(Shared {
            running: AtomicUsize::new(0),
            parked: AtomicBool::new(false),
            stopped: Mutex::new(false),
            wake: Condvar::new(),
        });
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("weir-ticker".into()).spawn(move || of_thread.tick(&engine));
        Self { shared, thread: Some(thread.expect("a process can start one more thread")) }
    }

    /// A guest runs from now on.
    pub(super) fn enter(&self) {
        self.shared.running.fetch_add(1, Ordering::SeqCst);
        // Either this sees the thread parked, or the thread, which looks again after it says so, sees the guest.
        if self.shared.parked.load(Ordering::SeqCst) {
            let _stopped = self.shared.stopped.lock().unwrap_or_else(PoisonError::into_inner);
            self.shared.wake.notify_one();
        }
    }

    /// It does no longer.
    pub(super) fn leave(&self) {
        self.shared.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Shared {
    fn tick(&self, engine: &EngineWeak) {
        let mut idle_ticks = 0;
        let mut stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        while !*stopped {
            if self.running.load(Ordering::SeqCst) > 0 {
                idle_ticks = 0;
            }
            if idle_ticks < IDLE_TICKS_MAX {
                idle_ticks += 1;
                let Some(engine) = engine.upgrade() else { return };
                engine.increment_epoch();
                drop(engine);
                stopped = self.wake.wait_timeout(stopped, TICK).unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            self.parked.store(true, Ordering::SeqCst);
            while !*stopped && self.running.load(Ordering::SeqCst) == 0 {
                stopped = self.wake.wait(stopped).unwrap_or_else(PoisonError::into_inner);
            }
            self.parked.store(false, Ordering::SeqCst);
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        *self.shared.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.wake.notify_one();
        // A thread that drops the engine from within its own tick cannot join itself.
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
            && thread.join().is_err()
        {
            tracing::error!("the ticker's thread panicked");
        }
    }
}
