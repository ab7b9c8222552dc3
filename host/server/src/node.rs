//! One `weir` process: its engine, its components and its journal.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::Arc;

use bytes::Bytes;
use object_store::ObjectStore;
use tokio::runtime::Handle;
use tokio::sync::RwLock;
use weir_engine::clock::{Clock, Entropy};
use weir_engine::component::{Compiler, Registry, RegistryConfig, StoredComponent, Uploaded};
use weir_engine::job::{Engine, EngineConfig, JobStatus, Operators, Origin, Submitted, Upgraded, Upgrading};
use weir_engine::spawn::Runtime;
use weir_engine::state::LocalDisk;
use weir_engine::store::{Places, Store};
use weir_protocol::id::{JobId, Name};
use weir_protocol::job_spec::JobSpec;

use crate::api::Problem;
use crate::job_file::{Component, Components, Draft};
use crate::journal::Journal;
use crate::savepoints::Savepoints;

/// What a node is made of.
#[derive(Debug)]
pub struct NodeConfig {
    /// Where all durable truth is.
    pub objects: Arc<dyn ObjectStore>,
    /// The time.
    pub clock: Clock,
    /// Random numbers.
    pub entropy: Entropy,
    /// Who admits and compiles components.
    pub compiler: Arc<dyn Compiler>,
    /// The jobs' log lines.
    pub journal: Journal,
    /// Where requests are answered, jobs coordinated and components compiled.
    pub control: Runtime,
    /// Where records are processed.
    pub data: Handle,
    /// Whose threads wait for state on disk.
    pub disk_threads: Runtime,
    /// Opens the places that sinks write to.
    pub places: Arc<dyn Places>,
    /// Where state goes that outgrows its memory.
    pub disk: Option<LocalDisk>,
    /// Where savepoints go that name no place of their own; `None`: each has to name one.
    pub savepoints: Option<String>,
}

/// One process; a cheap handle.
#[derive(Debug, Clone)]
pub struct Node {
    engine: Engine,
    registry: Arc<Registry>,
    journal: Journal,
    clock: Clock,
    disk: Option<LocalDisk>,
    savepoints: Arc<Savepoints>,
    /// Held for reading until a job counts as one that uses the components which it names, for writing while a component is
    /// deleted: a job never comes to use a component that is being deleted.
    uses: Arc<RwLock<()>>,
}

impl Node {
    /// Probes the store and resumes all jobs that have not ended.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn start(config: NodeConfig) -> Result<Self, Problem> {
        let NodeConfig { objects, clock, entropy, compiler, journal, control, data, disk_threads, .. } = config;
        let NodeConfig { places, disk, savepoints, .. } = config;
        let registry = Arc::new(Registry::new(RegistryConfig {
            store: Store::new(Arc::clone(&objects), clock),
            clock,
            entropy: entropy.clone(),
            compiler,
            runtime: control.clone(),
            concurrency: std::thread::available_parallelism().map_or(1, NonZero::get).div_ceil(2),
        }));
        let operators = Arc::<Registry>::clone(&registry) as Arc<dyn Operators>;
        let (store, local) = (objects, disk.clone());
        let savepoints = Arc::new(Savepoints::new(savepoints, entropy.clone()));
        let config =
            EngineConfig { store, clock, entropy, control, data, disk_threads, operators, places, disk: local };
        let engine = Engine::start(config).await?;
        Ok(Self { engine, registry, journal, clock, disk, savepoints, uses: Arc::default() })
    }

    /// The jobs.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The components.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The jobs' log lines.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Where savepoints go, and what became of those that went.
    #[must_use]
    pub fn savepoints(&self) -> &Savepoints {
        &self.savepoints
    }

    /// The time.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Where state goes that outgrows its memory.
    #[must_use]
    pub fn disk(&self) -> Option<&LocalDisk> {
        self.disk.as_ref()
    }

    /// Looks up what a job names, and submits it.
    ///
    /// # Errors
    /// What is wrong with the job, or that another job has its name.
    pub async fn submit(&self, draft: &Draft) -> Result<Submitted, Problem> {
        let _uses = self.uses.read().await;
        let spec = self.resolve(draft).await?;
        Ok(self.engine.submit(spec).await?)
    }

    /// Looks up what a job names, and begins it from a savepoint.
    ///
    /// # Errors
    /// What is wrong with the job, or why it cannot begin from that; or that another job has its name.
    pub async fn submit_from(&self, draft: &Draft, origin: &Origin) -> Result<Submitted, Problem> {
        let spec = self.resolve(draft).await?;
        // Long, where the savepoint is large: nobody waits meanwhile who deletes a component.
        let prepared = self.engine.prepare(spec, origin).await?;
        let _uses = self.uses.read().await;
        Ok(self.engine.submit_prepared(prepared).await?)
    }

    /// Looks up what a job names, and has a running job become it.
    ///
    /// # Errors
    /// What is wrong with the job, or why the running one cannot become it.
    pub async fn upgrade(&self, job: JobId, draft: &Draft, how: Upgrading) -> Result<Upgraded, Problem> {
        let uses = self.uses.read().await;
        let spec = self.resolve(draft).await?;
        let upgraded = self.engine.upgrade(job, spec, how);
        // The job counts as one that uses them, as long as it is not decided.
        drop(uses);
        Ok(upgraded.await?)
    }

    /// What a job says, with the hashes of the components that it names.
    async fn resolve(&self, draft: &Draft) -> Result<JobSpec, Problem> {
        let mut components = Components::new();
        for named in draft.components() {
            match self.registry.find(named).await {
                Ok(StoredComponent { hash, operators, .. }) => {
                    components.insert(named.to_owned(), Component { hash, operators });
                }
                Err(weir_engine::component::RegistryError::Unknown(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(draft.resolve(&components)?)
    }

    /// Admits and keeps a component.
    ///
    /// # Errors
    /// Why it is not admitted.
    pub async fn upload(&self, bytes: Bytes, name: Option<&Name>) -> Result<Uploaded, Problem> {
        Ok(self.registry.upload(bytes, name).await?)
    }

    /// Deletes a component, by name or by hash, with all its names.
    ///
    /// # Errors
    /// While a job that has not ended uses it.
    pub async fn delete_component(&self, name_or_hash: &str) -> Result<(), Problem> {
        let _uses = self.uses.write().await;
        let hash = self.registry.find(name_or_hash).await?.hash;
        let uses = |job: &JobStatus| job.components().any(|component| component == hash);
        if let Some(job) = self.engine.jobs().iter().find(|job| !job.state.is_terminal() && uses(job)) {
            return Err(Problem::in_use(name_or_hash, job));
        }
        Ok(self.registry.delete(&hash).await?)
    }

    /// The job that an id or a name means; of several with one name the one that has not ended, else the newest.
    ///
    /// # Errors
    /// When there is none.
    pub fn job(&self, id_or_name: &str) -> Result<JobStatus, Problem> {
        let by_id = id_or_name.parse::<JobId>().ok().and_then(|id| self.engine.job(id));
        let by_name = || {
            let mut named = self.engine.jobs();
            named.retain(|job| job.name.as_str() == id_or_name);
            let living = named.iter().position(|job| !job.state.is_terminal()).unwrap_or(0);
            (living < named.len()).then(|| named.swap_remove(living))
        };
        by_id.or_else(by_name).ok_or_else(|| Problem::unknown_job(id_or_name))
    }
}

/// Names of components by hash.
pub type Names = BTreeMap<String, Vec<Name>>;

impl Node {
    /// The names of each component.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn names(&self) -> Result<Names, Problem> {
        let mut names = Names::new();
        for (name, hash) in self.registry.names().await? {
            names.entry(hash).or_default().push(name);
        }
        Ok(names)
    }
}
