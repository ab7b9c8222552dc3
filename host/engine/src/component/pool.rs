//! Compiles, each component once, a few at a time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::sync::{OnceCell, Semaphore};

use crate::component::{Compiled, Compiler, RegistryError};
use crate::spawn::Runtime;

type Cell = Arc<OnceCell<Arc<dyn Compiled>>>;

/// Compiled components by hash.
#[derive(Debug)]
pub(super) struct Pool {
    compiler: Arc<dyn Compiler>,
    runtime: Runtime,
    permits: Semaphore,
    cells: Mutex<BTreeMap<String, Cell>>,
}

impl Pool {
    /// Compiles up to `concurrency` components at once, where `runtime` has blocking work run.
    pub(super) fn new(compiler: Arc<dyn Compiler>, runtime: Runtime, concurrency: usize) -> Self {
        Self { compiler, runtime, permits: Semaphore::new(concurrency), cells: Mutex::default() }
    }

    /// The compiled component; whoever asks for it while it is being compiled waits for that. What fails is forgotten,
    /// so that the next one who asks tries again.
    pub(super) async fn get<F>(&self, hash: &str, bytes: F) -> Result<Arc<dyn Compiled>, RegistryError>
    where
        F: Future<Output = Result<Bytes, RegistryError>>,
    {
        let cell = Arc::clone(self.cells().entry(hash.to_owned()).or_default());
        let compiled = cell
            .get_or_try_init(|| async {
                let bytes = bytes.await?;
                let _permit = self.permits.acquire().await.expect("the semaphore is never closed");
                self.compile(hash.to_owned(), bytes).await
            })
            .await?;
        Ok(Arc::clone(compiled))
    }

    async fn compile(&self, hash: String, bytes: Bytes) -> Result<Arc<dyn Compiled>, RegistryError> {
        let (compiler, named) = (Arc::clone(&self.compiler), hash.clone());
        let compiled = self.runtime.blocking(format!("compile {hash}"), move || compiler.compile(&named, &bytes)).await;
        Ok(compiled.map_err(|panicked| RegistryError::Compiling { hash, panicked })??)
    }

    /// Forgets a component. Jobs that run it keep it.
    pub(super) fn forget(&self, hash: &str) {
        self.cells().remove(hash);
    }

    fn cells(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Cell>> {
        self.cells.lock().expect("nothing panics while it holds this lock")
    }
}
