//! The `weir` command line in a process that kills or stops itself at a step.
//!
//! Runs what `weir` runs. `WEIR_KILL_AT=before:entry:3` has it sent SIGKILL, by itself, when the third `entry` step is
//! about to be taken; `WEIR_STOP_AT` has it sent SIGSTOP, so that it can go on later. Where both are missing nothing is
//! added.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};

use mimalloc::MiMalloc;
use rustix::process::{Signal, getpid, kill_process};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::Context;
use weir_engine::step;
use weir_tests::crash::kill_at::{KILL_AT, KillAt, STOP_AT};

/// As the node has it.
#[global_allocator]
static MEMORY: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let signals = [(KILL_AT, Signal::KILL), (STOP_AT, Signal::STOP)];
    let wanted = signals.into_iter().filter_map(|(name, signal)| Some((name, std::env::var(name).ok()?, signal)));
    let listeners = wanted.map(|(name, at, signal)| {
        let at = at.parse().unwrap_or_else(|error| unreachable!("{name}: {error}"));
        let filter = Targets::new().with_target(step::TARGET, LevelFilter::TRACE);
        Killer { at, signal, seen: AtomicU32::new(0) }.with_filter(filter).boxed()
    });
    weir::cli::main(listeners.collect())
}

/// Counts the steps of one kind, and kills or stops.
struct Killer {
    at: KillAt,
    signal: Signal,
    seen: AtomicU32,
}

impl<S: Subscriber> Layer<S> for Killer {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut told = Told { at: self.at, step: false, when: false };
        event.record(&mut told);
        if told.step && told.when && self.seen.fetch_add(1, Ordering::Relaxed) + 1 == self.at.nth {
            kill_process(getpid(), self.signal).expect("a process may kill itself");
            while is_pending(self.signal) {
                std::thread::yield_now();
            }
        }
    }
}

/// Whether no thread has taken a signal yet that was sent to the process. Any of them may take it, and it stops all at
/// once: the one that asks goes no further than to the answer.
fn is_pending(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells each process of itself");
    let pending = status.lines().find_map(|line| line.strip_prefix("ShdPnd:")).expect("signals are in it");
    let pending = u64::from_str_radix(pending.trim(), 16).expect("signals are bits, written as hexadecimal digits");
    pending & (1 << (signal.as_raw() - 1)) != 0
}

/// Whether an event tells of the step, and of this side of it.
struct Told {
    at: KillAt,
    step: bool,
    when: bool,
}

impl Visit for Told {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "step" => self.step = value == self.at.step.name(),
            "when" => self.when = value == self.at.when.name(),
            _ => {}
        }
    }

    fn record_debug(&mut self, _field: &Field, _value: &dyn std::fmt::Debug) {}
}
