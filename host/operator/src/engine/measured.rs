//! Measures the CPU time of a guest's own slices.
//!
//! A call is polled in slices, between which other guests run on the same thread; a slice ends when the guest yields.
//! Only the thread's CPU time within the call's slices counts (PROTOCOL 4.4): neither waiting nor a busy neighbour
//! does. What the host does for the guest within a slice counts as the guest's.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use rustix::time::{ClockId, clock_gettime};

use super::ticker::Ticker;

/// The CPU time that one call has used. Only one thread at a time works with it.
pub(crate) struct Meter {
    ticker: Arc<Ticker>,
    limit_ns: AtomicU64,
    /// In slices that have ended.
    used_ns: AtomicU64,
    /// The thread's CPU time when the current slice began.
    slice_began_ns: AtomicU64,
}

impl Meter {
    pub(super) const fn new(ticker: Arc<Ticker>) -> Self {
        Self { ticker, limit_ns: AtomicU64::new(0), used_ns: AtomicU64::new(0), slice_began_ns: AtomicU64::new(0) }
    }

    /// Begins a call that may use this much.
    pub(crate) fn begin(&self, limit_ns: u64) {
        self.limit_ns.store(limit_ns, Ordering::Relaxed);
        self.used_ns.store(0, Ordering::Relaxed);
    }

    /// The limit of the call.
    pub(crate) fn limit_ms(&self) -> u64 {
        self.limit_ns.load(Ordering::Relaxed) / 1_000_000
    }

    /// Whether the call, in the midst of a slice, has used more than it may.
    pub(crate) fn is_exhausted(&self) -> bool {
        let slice = thread_cpu_ns().saturating_sub(self.slice_began_ns.load(Ordering::Relaxed));
        self.used_ns.load(Ordering::Relaxed).saturating_add(slice) > self.limit_ns.load(Ordering::Relaxed)
    }

    fn slice<T>(&self, run: impl FnOnce() -> T) -> T {
        self.ticker.enter();
        let began = thread_cpu_ns();
        self.slice_began_ns.store(began, Ordering::Relaxed);
        let result = run();
        self.used_ns.fetch_add(thread_cpu_ns().saturating_sub(began), Ordering::Relaxed);
        self.ticker.leave();
        result
    }
}

/// A guest's call, measured.
pub(crate) struct Measured<'a, F> {
    call: Pin<&'a mut F>,
    meter: Arc<Meter>,
}

impl<'a, F> Measured<'a, F> {
    pub(crate) const fn new(call: Pin<&'a mut F>, meter: Arc<Meter>) -> Self {
        Self { call, meter }
    }
}

impl<F: Future> Future for Measured<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Self { call, meter } = &mut *self;
        meter.slice(|| call.as_mut().poll(context))
    }
}

fn thread_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}
