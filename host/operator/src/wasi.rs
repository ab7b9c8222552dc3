//! The virtual WASI 0.2: what a language's runtime expects to find, with nothing of the world behind it.
//!
//! Receives the time, seed and output of each call; guarantees that a guest sees no other time and chance, no files,
//! arguments, environment or network, and that what it prints becomes log lines. Does not own which interfaces a
//! component may import (admission does).

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng, TryRng};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, ResourceTable};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{DynPollable, OutputStream, Pollable, StreamResult};
use wasmtime_wasi::{HostWallClock, WasiCtx, WasiCtxBuilder, WasiCtxView};
use weir_protocol::time::Timestamp;

use crate::abilities::{Level, Violation};
use crate::component::Guest;

/// WASI resources (streams, pollables) that one instance may hold at once.
const RESOURCES_MAX: usize = 1_024;
/// Lines of one call that are kept until it ends; further ones are dropped.
const LINES_MAX: usize = 1_000;
/// The longest line; a longer one is broken.
const LINE_BYTES_MAX: usize = 8_192;

/// One instance's WASI.
pub(crate) struct Wasi {
    context: WasiCtx,
    table: ResourceTable,
    time: Arc<AtomicU64>,
    random: Arc<Mutex<StdRng>>,
    printed: Arc<Mutex<Printed>>,
}

impl Wasi {
    pub(crate) fn new(instance_seed: u64) -> Self {
        let time = Arc::new(AtomicU64::new(0));
        let random = Arc::new(Mutex::new(StdRng::seed_from_u64(instance_seed)));
        let printed = Arc::new(Mutex::new(Printed::default()));
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCES_MAX);
        let context = WasiCtxBuilder::new()
            .wall_clock(CallTime(Arc::clone(&time)))
            .secure_random(CallRandom(Arc::clone(&random)))
            .insecure_random(CallRandom(Arc::clone(&random)))
            .insecure_random_seed(u128::from(instance_seed))
            .stdout(Print { level: Level::Info, printed: Arc::clone(&printed) })
            .stderr(Print { level: Level::Warn, printed: Arc::clone(&printed) })
            .build();
        Self { context, table, time, random, printed }
    }

    /// Sets what the next call sees.
    pub(crate) fn begin(&self, now: Timestamp, seed: u64) {
        self.time.store(u64::try_from(now).unwrap_or(0), Ordering::Relaxed);
        *lock(&self.random) = StdRng::seed_from_u64(seed);
    }

    /// What was printed since the last time, line by line; an unfinished line is one too.
    pub(crate) fn take_lines(&self) -> VecDeque<(Level, String)> {
        lock(&self.printed).take()
    }

    pub(crate) const fn view(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.context, table: &mut self.table }
    }
}

/// Links the interfaces. Waiting for a time is shadowed: the call's time stands still, so the wait would never end.
pub(crate) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    const MONOTONIC_CLOCK: &str = "wasi:clocks/monotonic-clock@0.2.12";
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    linker.allow_shadowing(true);
    let mut clock = linker.instance(MONOTONIC_CLOCK)?;
    clock.func_wrap("now", |guest: StoreContextMut<'_, Guest>, ()| {
        let ms = guest.data().wasi.time.load(Ordering::Relaxed);
        Ok((ms.saturating_mul(1_000_000),))
    })?;
    clock.func_wrap("resolution", |_: StoreContextMut<'_, Guest>, ()| Ok((1_000_000_u64,)))?;
    clock.func_wrap("subscribe-instant", |_: StoreContextMut<'_, Guest>, (_,): (u64,)| no_waiting())?;
    clock.func_wrap("subscribe-duration", |_: StoreContextMut<'_, Guest>, (_,): (u64,)| no_waiting())?;
    linker.allow_shadowing(false);
    Ok(())
}

fn no_waiting() -> wasmtime::Result<(Resource<DynPollable>,)> {
    let text = "an operator cannot sleep: time stands still during a call; register a timer instead";
    Err(Violation::Rule(text.to_owned()).into())
}

/// The call's processing time, in milliseconds since the Unix epoch.
struct CallTime(Arc<AtomicU64>);

impl HostWallClock for CallTime {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// The call's random numbers.
struct CallRandom(Arc<Mutex<StdRng>>);

impl TryRng for CallRandom {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(lock(&self.0).next_u32())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(lock(&self.0).next_u64())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        lock(&self.0).fill_bytes(bytes);
        Ok(())
    }
}

/// What a guest printed, until the call ends.
#[derive(Default)]
struct Printed {
    lines: VecDeque<(Level, String)>,
    unfinished: Vec<u8>,
    unfinished_level: Option<Level>,
}

impl Printed {
    fn write(&mut self, level: Level, bytes: &[u8]) {
        if self.unfinished_level.is_some_and(|before| before != level) {
            self.end_line();
        }
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let line = piece.strip_suffix(b"\n");
            self.unfinished_level = Some(level);
            let room = LINE_BYTES_MAX - self.unfinished.len().min(LINE_BYTES_MAX);
            let text = line.unwrap_or(piece);
            self.unfinished.extend_from_slice(&text[..text.len().min(room)]);
            if line.is_some() {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        if let Some(level) = self.unfinished_level.take() {
            if self.lines.len() < LINES_MAX {
                self.lines.push_back((level, String::from_utf8_lossy(&self.unfinished).into_owned()));
            }
            self.unfinished.clear();
        }
    }

    fn take(&mut self) -> VecDeque<(Level, String)> {
        self.end_line();
        std::mem::take(&mut self.lines)
    }
}

/// Standard output, or standard error.
#[derive(Clone)]
struct Print {
    level: Level,
    printed: Arc<Mutex<Printed>>,
}

impl IsTerminal for Print {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Print {
    /// Only other versions of WASI ask for it.
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Print {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        lock(&self.printed).write(self.level, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(LINE_BYTES_MAX)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Print {
    async fn ready(&mut self) {}
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
