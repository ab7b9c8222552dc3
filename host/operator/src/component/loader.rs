//! From uploaded bytes to a component that can be run.

use std::path::PathBuf;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use sha2::{Digest, Sha256};
use wasmtime::component::{Component, InstancePre, Linker};
use weir_protocol::description::OperatorDescription;

use super::cache::Cache;
use super::call::{Exports, FAILED_START, outcome};
use super::{AdmissionError, Guest, LoadedComponent, START_CPU_NS_MAX, admission, describe, migration};
use crate::abilities::{Abilities, Phase};
use crate::engine::{GuestEngine, Measured};
use crate::{imports, wasi};

/// Loads components, for a whole node.
pub struct Loader {
    engine: Arc<GuestEngine>,
    linker: Linker<Guest>,
    cache: Option<Cache>,
}

/// Why there is no loader.
#[derive(Debug, thiserror::Error)]
pub enum LoaderError {
    /// wasmtime does not run here.
    #[error("components cannot be run on this machine: {0}")]
    Engine(String),
    /// The folder for compiled code cannot be used.
    #[error("the folder for compiled code, {folder}, cannot be made: {error}; check its path and permissions")]
    Folder {
        /// Its path.
        folder: PathBuf,
        /// Why.
        error: std::io::Error,
    },
}

impl Loader {
    /// A loader that keeps compiled code in a folder of its own, made where it is missing; `None`: nowhere.
    ///
    /// # Errors
    /// When the folder cannot be made, or this machine cannot run components.
    pub fn new(cache: Option<PathBuf>) -> Result<Self, LoaderError> {
        let engine = GuestEngine::new().map_err(|error| LoaderError::Engine(error.to_string()))?;
        let linker = linker(&engine).map_err(|error| LoaderError::Engine(error.to_string()))?;
        let open = |folder: PathBuf| {
            Cache::open(folder.clone(), &engine).map_err(|error| LoaderError::Folder { folder, error })
        };
        let cache = cache.map(open).transpose()?;
        Ok(Self { engine: Arc::new(engine), linker, cache })
    }

    /// Compiles (or takes from the folder) and admits a component. Takes up to seconds of CPU time: call it where
    /// blocking is allowed.
    ///
    /// # Errors
    /// Why the component is refused.
    pub fn load(&self, bytes: &[u8]) -> Result<Arc<LoadedComponent>, AdmissionError> {
        admission::check_header(bytes)?;
        let hash = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let cached = self.cache.as_ref().and_then(|cache| cache.load(&self.engine, &hash));
        let was_cached = cached.is_some();
        let component = cached.map_or_else(|| self.compile(bytes), Ok)?;
        admission::check_names(&component)?;
        let pre = self.linker.instantiate_pre(&component);
        let pre = pre.map_err(|error| AdmissionError::MisfittingImport { detail: format!("{error:#}") })?;
        let (operators, exports_migration) = self.describe(&pre)?;
        describe::check(&operators)?;
        if let Some(cache) = self.cache.as_ref().filter(|_| !was_cached) {
            cache.store(&hash, &component);
        }
        let operators = operators.into_iter().map(Arc::new).collect();
        Ok(Arc::new(LoadedComponent { hash, operators, exports_migration, pre, engine: Arc::clone(&self.engine) }))
    }

    fn compile(&self, bytes: &[u8]) -> Result<Component, AdmissionError> {
        let compiled = Component::from_binary(self.engine.wasmtime(), bytes);
        compiled.map_err(|error| AdmissionError::NotAComponent { detail: format!("{error:#}") })
    }

    /// Asks a component what it is, in an instance that is thrown away, and looks whether it can migrate.
    fn describe(&self, pre: &InstancePre<Guest>) -> Result<(Vec<OperatorDescription>, bool), AdmissionError> {
        let mut store = Guest::store(&self.engine, Abilities::of_nothing(), 0);
        store.data().begin(0, 0, START_CPU_NS_MAX);
        let meter = Arc::clone(&store.data().meter);
        let described = async {
            store.set_epoch_deadline(1);
            let instance = pre.instantiate_async(&mut store).await;
            let instance = match instance {
                Ok(instance) => instance,
                Err(error) => return Err(failed(outcome(&mut store, FAILED_START, &error).to_string())),
            };
            let exports = Exports::of(&instance, &mut store)?;
            let exports_migration = migration::export(&instance, &mut store)?.is_some();
            store.data_mut().abilities.enter(Phase::Describe);
            match exports.describe(&mut store).await {
                Ok(operators) => Ok((operators, exports_migration)),
                Err(error) => Err(failed(outcome(&mut store, "describe", &error).to_string())),
            }
        };
        let (operators, exports_migration) = run(Measured::new(std::pin::pin!(described), meter))?;
        Ok((operators.into_iter().map(OperatorDescription::from).collect(), exports_migration))
    }
}

fn failed(reason: String) -> AdmissionError {
    AdmissionError::DescribeFailed { reason }
}

fn linker(engine: &GuestEngine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine.wasmtime());
    wasi::link(&mut linker)?;
    imports::link(&mut linker)?;
    Ok(linker)
}

/// Runs a guest on this thread. Nothing in a guest waits but reads of state, which neither `describe` nor `migrate` may
/// do; so whatever is pending is a guest that yielded.
pub(super) fn run<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
            return result;
        }
    }
}

impl std::fmt::Debug for Loader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loader").field("cache", &self.cache).finish_non_exhaustive()
    }
}
