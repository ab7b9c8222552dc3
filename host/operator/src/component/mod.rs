//! Components: loaded and admitted once, instantiated for each subtask, called batch by batch.
//!
//! Receives bytes that a stranger uploaded; guarantees that what it admits fits the contract, and that no instance
//! passes its limits. Does not own where components are stored, nor what follows from a failed call.

mod admission;
mod cache;
mod call;
mod describe;
mod instance;
mod limiter;
mod loader;
mod migration;

pub use admission::AdmissionError;
pub use loader::{Loader, LoaderError};

use std::sync::Arc;

use wasmtime::component::InstancePre;
use wasmtime::{Store, UpdateDeadline};
use wasmtime_wasi::{WasiCtxView, WasiView};
use weir_protocol::description::OperatorDescription;
use weir_protocol::time::Timestamp;

use crate::abilities::{Abilities, Violation};
use crate::engine::{GuestEngine, Meter};
use crate::operator::Factory;
use crate::wasi::Wasi;

use self::instance::ComponentFactory;
use self::limiter::Limiter;

/// A component that was admitted: its compiled code, and what it says of itself.
pub struct LoadedComponent {
    hash: String,
    operators: Vec<Arc<OperatorDescription>>,
    exports_migration: bool,
    pre: InstancePre<Guest>,
    engine: Arc<GuestEngine>,
}

impl LoadedComponent {
    /// The SHA-256 of its bytes: 64 hexadecimal digits.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Its operators, at least one, in the order of `describe`.
    pub fn operators(&self) -> impl ExactSizeIterator<Item = &OperatorDescription> {
        self.operators.iter().map(|operator| &**operator)
    }

    /// Makes instances of one of its operators; `None` where it has no such operator.
    #[must_use]
    pub fn factory(self: &Arc<Self>, operator: &str) -> Option<Arc<dyn Factory>> {
        let description = self.operators.iter().find(|description| description.name == operator)?;
        Some(Arc::new(ComponentFactory { component: Arc::clone(self), description: Arc::clone(description) }))
    }
}

impl std::fmt::Debug for LoadedComponent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadedComponent").field("hash", &self.hash).finish_non_exhaustive()
    }
}

/// What belongs to one instance on the host's side.
pub(crate) struct Guest {
    pub(crate) abilities: Abilities,
    pub(crate) wasi: Wasi,
    limiter: Limiter,
    meter: Arc<Meter>,
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.wasi.view()
    }
}

/// CPU time that starting an instance and `describe`, or `open`, may take together, where the job does not allow more:
/// what a language's runtime needs to start is not what a call needs.
const START_CPU_NS_MAX: u64 = 2_000_000_000;

/// Bytes that one import may bring from guest to host, beyond what a call may emit: names, indices, offsets.
const IMPORT_BYTES_EXTRA: u64 = 16 << 20;

impl Guest {
    /// A store for one instance. `seed` is what the instance's hash tables and the like are seeded with.
    fn store(engine: &GuestEngine, abilities: Abilities, seed: u64) -> Store<Self> {
        let limits = abilities.limits().clone();
        let meter = engine.meter();
        let guest = Self { abilities, wasi: Wasi::new(seed), limiter: Limiter::new(limits.memory_bytes_max), meter };
        let mut store = Store::new(engine.wasmtime(), guest);
        store.limiter(|guest| &mut guest.limiter);
        // One import brings at most what one call may emit; `emitted` bounds their sum, this bounds each copy.
        let fuel = limits.emitted_bytes_max.saturating_add(IMPORT_BYTES_EXTRA);
        store.set_hostcall_fuel(usize::try_from(fuel).unwrap_or(usize::MAX));
        store.epoch_deadline_callback(|guest| {
            let meter = &guest.data().meter;
            if meter.is_exhausted() {
                return Err(Violation::Limit(format!(
                    "the call used more than {} ms of CPU time; look for an endless loop, or raise the job's \
                     `limits.call-cpu` and `limits.row-cpu-us`",
                    meter.limit_ms()
                ))
                .into());
            }
            Ok(UpdateDeadline::Yield(1))
        });
        store
    }

    /// Prepares whatever is called next: its times, its randomness, its share of CPU time.
    fn begin(&self, now: Timestamp, seed: u64, cpu_ns: u64) {
        self.wasi.begin(now, seed);
        self.meter.begin(cpu_ns);
    }

    /// Turns what was printed into log lines; the last few lines, for the reason of a trap.
    fn flush_lines(&mut self) -> String {
        const KEPT: usize = 20;
        let lines = self.wasi.take_lines();
        let last: Vec<_> = lines.iter().skip(lines.len().saturating_sub(KEPT)).map(|(_, line)| line.clone()).collect();
        lines.iter().for_each(|(level, line)| self.abilities.write_line(*level, line));
        last.join("\n")
    }
}
