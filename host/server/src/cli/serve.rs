//! `weir serve`.

use std::io::ErrorKind;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use weir_engine::checkpoint::savepoint::SavepointTarget;
use weir_engine::clock::{Clock, Entropy};
use weir_engine::component::Compiler;
use weir_engine::state::{LocalDisk, LocalDiskOptions};
use weir_engine::store::{self, DataFolder, Everywhere};
use weir_operator::component::Loader;

use crate::api;
use crate::cli::args::Serve;
use crate::cli::client::Client;
use crate::cli::exit::{FAILED, Failure, Outcome, WRONG_USE};
use crate::cli::log::{self, Listener};
use crate::cli::process::{Runtimes, Signals};
use crate::journal::Journal;
use crate::node::{Node, NodeConfig};

/// How long requests that are being answered may still take after a signal.
const REQUEST_GRACE: Duration = Duration::from_secs(2);

/// Runs a node until SIGINT or SIGTERM.
pub(super) fn serve(args: Serve, listeners: Vec<Listener>) -> Result<Outcome, Failure> {
    let clock = Clock::system();
    let journal = Journal::new(clock);
    let rocksdb = args.rocksdb.options()?;
    // Of each request that is sent again the library would tell; what comes of them all, whoever asked says.
    log::start(&journal, "info,object_store=warn", listeners)?;
    let runtimes = Runtimes::start(args.data_threads)?;
    let ended = runtimes.control.block_on(async {
        let mut signals = Signals::listen()?;
        let listener = listen(&args.listen).await?;
        let folder = DataFolder::lock(&args.data)?;
        let (store, savepoints) = (args.store.as_deref(), args.savepoint_dir);
        let node = Start { folder: folder.path(), store, savepoints, rocksdb, clock, journal };
        let node = node.start(&runtimes).await?;
        answer(listener, node, &mut signals).await
    });
    runtimes.stop();
    ended.map(|()| Outcome::Done)
}

/// What a node in this process is started from.
pub(super) struct Start<'a> {
    /// Locked by the caller.
    pub(super) folder: &'a Path,
    /// Where the object store is; `None`: in the folder.
    pub(super) store: Option<&'a str>,
    /// Where savepoints go; `None`: `savepoints` in the object store.
    pub(super) savepoints: Option<String>,
    /// For state that does not fit into memory.
    pub(super) rocksdb: LocalDiskOptions,
    pub(super) clock: Clock,
    pub(super) journal: Journal,
}

impl Start<'_> {
    /// Starts it: all jobs that have not ended go on.
    pub(super) async fn start(self, runtimes: &Runtimes) -> Result<Node, Failure> {
        self.savepoints.as_deref().map_or(Ok(()), prepare_for_savepoints)?;
        let inside = self.folder.join("store");
        let location = self.store.map_or_else(|| inside.to_string_lossy().into_owned(), ToOwned::to_owned);
        let other_place = match self.store {
            Some(_) => "another store with --store",
            None => "another folder with --data",
        };
        let objects = store::open(&location, &self.clock)
            .map_err(|error| Failure::wrong_use(error.to_string(), format!("name {other_place}")))?;
        let loader = Loader::new(Some(self.folder.join("cache"))).map_err(|error| Failure {
            code: FAILED,
            message: error.to_string(),
            mend: Some("look after what it names; the folder may be emptied at any time".to_owned()),
        })?;
        let disk = LocalDisk::open(&self.folder.join("state"), self.rocksdb).map_err(|error| Failure {
            code: FAILED,
            message: format!("the folder for local state in {} cannot be used: {error}", self.folder.display()),
            mend: Some("look after it; what is in it may be deleted while no node runs".to_owned()),
        })?;
        let beside = (!store::forgets(&location)).then(|| format!("{}/savepoints", location.trim_end_matches('/')));
        let config = NodeConfig {
            objects,
            clock: self.clock,
            entropy: Entropy::system(),
            compiler: Arc::new(loader) as Arc<dyn Compiler>,
            journal: self.journal,
            control: runtimes.control.handle().clone().into(),
            data: runtimes.data.handle().clone(),
            disk_threads: runtimes.disk.handle().clone().into(),
            places: Arc::new(Everywhere),
            disk: Some(disk),
            savepoints: self.savepoints.or(beside),
        };
        Node::start(config).await.map_err(|problem| Failure {
            message: format!("the node cannot start: {}", problem.detail),
            mend: Some(format!("mend what is named, or name {other_place}")),
            ..Failure::from(problem)
        })
    }
}

/// Whoever starts the node learns of a place that can be none, instead of whoever wants the first savepoint.
pub(super) fn prepare_for_savepoints(place: &str) -> Result<(), Failure> {
    let prepared = SavepointTarget::new(place.to_owned()).and_then(|target| target.prepare());
    let mend = "name another place for savepoints with --savepoint-dir, or none";
    prepared.map_err(|error| Failure::wrong_use(format!("--savepoint-dir: {error}"), mend))
}

/// Takes the address, or says who has it.
async fn listen(address: &str) -> Result<TcpListener, Failure> {
    let failed = |message: String, mend: &str| Failure { code: WRONG_USE, message, mend: Some(mend.to_owned()) };
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            let url = format!("http://{address}");
            let mend = "stop it, or give another address with --listen";
            Err(match Client::new(&url)?.health().await {
                Ok(health) => {
                    let (version, pid) = (health.version, health.pid);
                    failed(format!("weir is already running at {url} (version {version}, process {pid})"), mend)
                }
                Err(_) => failed(format!("the address {address} is in use by another program"), mend),
            })
        }
        Err(error) => Err(failed(format!("cannot listen at {address}: {error}"), "give another address with --listen")),
    }
}

/// Answers requests until a signal, then stops the jobs' tasks; a second signal ends without waiting for them.
async fn answer(listener: TcpListener, node: Node, signals: &mut Signals) -> Result<(), Failure> {
    let failed =
        |error: std::io::Error| Failure { code: FAILED, message: format!("the listener failed: {error}"), mend: None };
    let address = listener.local_addr().map_err(failed)?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = axum::serve(listener, api::router(node.clone())).with_graceful_shutdown(async {
        drop(stopped.await);
    });
    let mut server = pin!(server.into_future());
    tracing::info!(pid = std::process::id(), jobs = node.engine().jobs().len(), "weir listens at http://{address}");
    tokio::select! {
        biased;
        () = signals.next() => {}
        ended = &mut server => return ended.map_err(failed),
    }
    tracing::info!("stopping; jobs go on at the next start");
    drop(stop);
    let clock = node.clock();
    tokio::select! {
        biased;
        () = signals.next() => return Ok(()),
        _ended = &mut server => {}
        () = clock.sleep(REQUEST_GRACE) => {}
    }
    tokio::select! {
        biased;
        () = signals.next() => tracing::warn!("stopped at once; jobs go on from their newest checkpoints"),
        () = node.engine().stop() => tracing::info!("stopped"),
    }
    Ok(())
}
