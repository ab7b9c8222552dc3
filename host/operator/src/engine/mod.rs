//! The machine that guests run on: wasmtime's settings, the ticker that makes guests yield, the meter of CPU time.

mod measured;
mod ticker;

pub(crate) use measured::{Measured, Meter};

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use self::ticker::Ticker;

/// A wasmtime engine with its ticker. One for a process is enough.
pub(crate) struct GuestEngine {
    engine: wasmtime::Engine,
    ticker: Arc<Ticker>,
}

impl GuestEngine {
    pub(crate) fn new() -> wasmtime::Result<Self> {
        let engine = wasmtime::Engine::new(&config())?;
        let ticker = Ticker::start(engine.weak());
        Ok(Self { engine, ticker: Arc::new(ticker) })
    }

    pub(crate) const fn wasmtime(&self) -> &wasmtime::Engine {
        &self.engine
    }

    /// A meter for one instance.
    pub(crate) fn meter(&self) -> Arc<Meter> {
        Arc::new(Meter::new(Arc::clone(&self.ticker)))
    }

    /// What compiled code depends on beside the component: settings and version, 16 hexadecimal digits.
    pub(crate) fn settings(&self) -> String {
        let mut hasher = HashBytes(Sha256::new());
        self.engine.precompile_compatibility_hash().hash(&mut hasher);
        hasher.0.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

fn config() -> wasmtime::Config {
    let mut config = wasmtime::Config::new();
    // Concurrency inside a guest is not part of the contract, and costs each call two to four times as much.
    config.concurrency_support(false);
    // Guests yield at each tick, so that none keeps a thread; the same check enforces limits of CPU time.
    config.epoch_interruption(true);
    // The same batches give the same results on every machine (PROTOCOL 4.5).
    config.cranelift_nan_canonicalization(true);
    config.relaxed_simd_deterministic(true);
    config
}

/// Feeds whatever is hashed to SHA-256, whose result does not depend on the build as that of std's hasher may.
struct HashBytes(Sha256);

impl Hasher for HashBytes {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

impl std::fmt::Debug for GuestEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GuestEngine").finish_non_exhaustive()
    }
}
