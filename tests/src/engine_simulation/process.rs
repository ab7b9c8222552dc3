//! One process: a node and its router, on the stores of the run. Dropping it is a crash.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode};
use serde_json::Value;
use tokio::runtime::Handle;
use tower::ServiceExt;
use weir::api;
use weir::journal::Journal;
use weir::node::{Node, NodeConfig};
use weir_engine::clock::{Clock, Entropy};
use weir_engine::job::JobStatus;
use weir_engine::spawn::Runtime;
use weir_engine::state::{LocalDisk, LocalDiskOptions};
use weir_protocol::id::JobId;

use super::hazards::Hazards;
use super::log::Log;
use super::operators::Native;
use super::store::{Outside, SimulatedStore};
use super::weather::Weather;

/// Everything that outlives processes.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) clock: Clock,
    pub(super) log: Log,
    pub(super) weather: Weather,
    pub(super) store: SimulatedStore,
    pub(super) outside: SimulatedStore,
    pub(super) hazards: Hazards,
    pub(super) seed: u64,
    /// What processes keep on their local disks: nothing that outlives one.
    pub(super) disks: Arc<tempfile::TempDir>,
}

impl World {
    fn disk(&self, process: u64) -> Result<LocalDisk, String> {
        let options =
            LocalDiskOptions { block_cache_bytes: 1 << 20, write_buffer_bytes: 64 << 10, ..Default::default() };
        let folder = self.disks.path().join(process.to_string());
        LocalDisk::open(&folder, options).map_err(|error| error.to_string())
    }
}

/// A running process.
#[derive(Debug)]
pub(super) struct Process {
    node: Node,
    router: Router,
    log: Log,
    /// Which of the run's processes, from 1.
    pub(super) number: u64,
}

/// What it answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) json: Value,
}

impl Process {
    /// Starts a process; where the store keeps it from starting, another one, as a supervisor would.
    pub(super) async fn start(world: &World, number: u64) -> Self {
        loop {
            world.log.note("process", format!("{number} starts"));
            match Self::try_start(world, number).await {
                Ok(process) => return process,
                Err(problem) => world.log.note("process", format!("{number} cannot start: {problem}")),
            }
            world.clock.sleep(Duration::from_millis(100)).await;
        }
    }

    async fn try_start(world: &World, number: u64) -> Result<Self, String> {
        let config = NodeConfig {
            objects: Arc::new(world.store.clone()),
            clock: world.clock,
            entropy: Entropy::seeded(world.seed.wrapping_mul(1_000).wrapping_add(number)),
            compiler: Arc::new(Native(world.hazards.clone())),
            journal: Journal::new(world.clock),
            control: Runtime::of_one_thread(Handle::current()),
            disk_threads: Runtime::of_one_thread(Handle::current()),
            data: Handle::current(),
            places: Arc::new(Outside(world.outside.clone())),
            disk: Some(world.disk(number)?),
            savepoints: None,
        };
        let node = Node::start(config).await.map_err(|problem| format!("{problem:?}"))?;
        Ok(Self { router: api::router(node.clone()), node, log: world.log.clone(), number })
    }

    /// Asks over REST.
    pub(super) async fn ask(&self, method: Method, path: &str, body: (&str, String)) -> Answer {
        let request = Request::builder().method(method).uri(path).header("content-type", body.0);
        let request = request.body(Body::from(body.1)).expect("it is a request");
        let response = self.router.clone().oneshot(request).await.unwrap_or_else(|error| match error {});
        let status = response.status();
        let bytes = to_bytes(response.into_body(), usize::MAX).await.expect("the body is in memory");
        let json = serde_json::from_slice(&bytes).unwrap_or_default();
        self.log.note("client", format!("{path}: {status}"));
        Answer { status, json }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, ("", String::new())).await
    }

    /// The job as the engine has it, without a request.
    pub(super) fn job(&self, job: JobId) -> Option<JobStatus> {
        self.node.engine().job(job)
    }

    /// The jobs that it has.
    pub(super) fn jobs(&self) -> Vec<JobStatus> {
        self.node.engine().jobs()
    }

    /// Stops cleanly.
    pub(super) async fn stop(self) {
        self.node.engine().stop().await;
        self.log.note("process", format!("{} has stopped", self.number));
    }

    /// Dies where it stands.
    pub(super) fn crash(self) {
        self.log.note("process", format!("{} crashes", self.number));
    }
}
