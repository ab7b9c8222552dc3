//! What can be asked for.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::cli::checkpoint_name::CheckpointName;
use crate::cli::rocksdb::RocksDb;

/// Where a node listens, and is looked for, unless something else is said.
pub(super) const LISTEN: &str = "127.0.0.1:8081";

/// Weir: stream operators as WebAssembly components, with state that survives crashes.
#[derive(Debug, Parser)]
#[command(
    name = "weir",
    version,
    after_help = "Exit codes: 0 done; 1 it failed, or the job did; 2 the request is wrong; 3 no node answers.",
    disable_help_subcommand = true
)]
pub(super) struct Args {
    /// The node that is asked.
    #[arg(long, global = true, env = "WEIR_SERVER", default_value = "http://127.0.0.1:8081", value_name = "URL")]
    pub(super) server: String,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run a node: jobs, REST API, status page.
    Serve(Serve),
    /// Submit a job and follow it; Ctrl-C ends the following, the job goes on.
    Run(Run),
    /// Look into what a job's operators hold: one key, a page, or all of it.
    #[command(subcommand)]
    State(State),
    /// See which checkpoints a job has, and whether they are whole.
    #[command(subcommand)]
    Checkpoint(Checkpoint),
    #[command(flatten)]
    Request(Request),
}

/// What an operator holds, as of a checkpoint: the newest, or the one that is named.
#[derive(Debug, Subcommand)]
pub(super) enum State {
    /// Show what an operator holds under a key.
    Get {
        /// The job's name or id, or where a savepoint is.
        job: String,
        /// The operator's uid.
        operator: String,
        /// The key, as `ls` shows it; one taken from a field of JSON is JSON text: '"ada"'.
        key: String,
        /// The key is given in base64.
        #[arg(long)]
        base64: bool,
        #[command(flatten)]
        view: View,
    },
    /// List what an operator holds, in the order of the checkpoint's files.
    Ls {
        /// The job's name or id, or where a savepoint is.
        job: String,
        /// The operator's uid.
        operator: String,
        #[command(flatten)]
        view: View,
    },
    /// Write all that operators hold to standard output, one JSON object a line.
    Dump {
        /// The job's name or id, or where a savepoint is.
        job: String,
        /// The operator's uid; default: all operators.
        operator: Option<String>,
        /// This state alone.
        #[arg(long, value_name = "NAME")]
        state: Option<String>,
        /// As of this checkpoint: its number, or `newest`.
        #[arg(long, default_value = "newest", value_name = "CHECKPOINT")]
        checkpoint: CheckpointName,
    },
}

/// Which part is shown, and how.
#[derive(Debug, clap::Args)]
pub(super) struct View {
    /// This state alone.
    #[arg(long, value_name = "NAME")]
    pub(super) state: Option<String>,
    /// As of this checkpoint: its number, or `newest`.
    #[arg(long, default_value = "newest", value_name = "CHECKPOINT")]
    pub(super) checkpoint: CheckpointName,
    /// How many items.
    #[arg(short = 'n', long, default_value_t = 100, value_parser = at_least_1)]
    pub(super) limit: usize,
    /// Go on where an answer ended: what it gave as `next`.
    #[arg(long, value_name = "NEXT")]
    pub(super) after: Option<String>,
    /// The node's answer, as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Checkpoint {
    /// List the checkpoints that can be restored or looked into.
    Ls {
        /// The job's name or id, or where a savepoint is.
        job: String,
        /// The node's answer, as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Read every object that a checkpoint names, and say which are damaged or missing.
    Verify {
        /// The job's name or id, or where a savepoint is.
        job: String,
        /// The checkpoint's number, or `newest`.
        #[arg(default_value = "newest")]
        checkpoint: CheckpointName,
        /// The node's answer, as JSON: one object a line.
        #[arg(long)]
        json: bool,
    },
}

/// What is one request to a node, or a few.
#[derive(Debug, Subcommand)]
pub(super) enum Request {
    /// Upload a component.
    Upload {
        /// A WebAssembly component (`.wasm`).
        file: PathBuf,
        /// What jobs call it; default: the file's name without its ending.
        #[arg(long)]
        name: Option<String>,
    },
    /// Submit a job. The same job again changes nothing.
    Deploy {
        /// The job: TOML, or JSON if the name ends in `.json`.
        job: PathBuf,
        #[command(flatten)]
        from: From,
    },
    /// Take a savepoint of a job, wait for it, and print where it is; or delete one.
    Savepoint {
        /// The job's name or id.
        #[arg(required_unless_present = "dispose")]
        job: Option<String>,
        /// Below which place; default: the node's (`weir serve --savepoint-dir`).
        target: Option<String>,
        /// Delete the savepoint that is here.
        #[arg(short, long, value_name = "LOCATION", conflicts_with_all = ["job", "target", "no_wait"])]
        dispose: Option<String>,
        /// Do not wait until it is there.
        #[arg(long)]
        no_wait: bool,
    },
    /// End a job with a savepoint, from which it can go on exactly.
    Stop {
        /// The job's name or id.
        job: String,
        /// Below which place; default: the node's (`weir serve --savepoint-dir`).
        target: Option<String>,
    },
    /// Change a running job to what its job file says now, from a checkpoint; waits until one stands.
    Upgrade {
        /// The job: TOML, or JSON if the name ends in `.json`; it has the running job's name.
        job: PathBuf,
        /// Only say what would change.
        #[arg(long)]
        dry_run: bool,
        /// Drop the state of operators, and the positions of sources, that are no more.
        #[arg(long)]
        allow_non_restored_state: bool,
        /// Do not wait until the job has taken a checkpoint as what it was changed to.
        #[arg(long, conflicts_with = "dry_run")]
        no_wait: bool,
    },
    /// List jobs and components.
    List,
    /// Show a job: state, failures, vertices, checkpoints, and its job file.
    Describe {
        /// Its name or id.
        job: String,
        /// Everything the node says of it, as JSON.
        #[arg(long, conflicts_with = "toml")]
        json: bool,
        /// Its job file alone, as TOML.
        #[arg(long)]
        toml: bool,
    },
    /// Show a job's recent log lines: its own code's, and what happened to it.
    Logs {
        /// Its name or id.
        job: String,
        /// How many lines.
        #[arg(short = 'n', long, default_value_t = 200)]
        lines: usize,
        /// Go on with what comes, until Ctrl-C.
        #[arg(short, long)]
        follow: bool,
    },
    /// End a job: what its newest checkpoint holds is published, what came later is dropped.
    Cancel {
        /// Its name or id.
        job: String,
        /// Do not wait until it has ended.
        #[arg(long)]
        no_wait: bool,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Serve {
    /// Where to listen.
    #[arg(long, env = "WEIR_LISTEN", default_value = LISTEN, value_name = "ADDRESS:PORT")]
    pub(super) listen: String,
    /// The folder for whatever is kept; made where it is missing, used by one node at a time.
    #[arg(long, env = "WEIR_DATA", default_value = "weir-data", value_name = "FOLDER")]
    pub(super) data: PathBuf,
    /// The object store for components, jobs and checkpoints: a folder, or `s3://`, `gs://`, `az://`; default: `store` in
    /// the data folder.
    #[arg(long, env = "WEIR_STORE", value_name = "LOCATION")]
    pub(super) store: Option<String>,
    /// Where savepoints go that name no place of their own, as for --store; default: `savepoints` in the object store.
    #[arg(long, env = "WEIR_SAVEPOINT_DIR", value_name = "LOCATION")]
    pub(super) savepoint_dir: Option<String>,
    /// Threads that process records; default: one a core.
    #[arg(long, env = "WEIR_DATA_THREADS", value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) data_threads: Option<u16>,
    #[command(flatten)]
    pub(super) rocksdb: RocksDb,
}

/// What a job begins from; nothing: anew.
#[derive(Debug, clap::Args)]
pub(super) struct From {
    /// Begin with the state and positions of this savepoint (Flink's `-s`).
    #[arg(short = 's', long = "from", value_name = "LOCATION")]
    pub(super) savepoint: Option<String>,
    /// Drop the state of operators, and the positions of sources, that the job does not have.
    #[arg(long, requires = "savepoint")]
    pub(super) allow_non_restored_state: bool,
    /// Begin though results of the savepoint's job would come twice where the new job publishes, or be missing.
    #[arg(long, requires = "savepoint")]
    pub(super) allow_inexact_results: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Run {
    /// The job: TOML, or JSON if the name ends in `.json`.
    pub(super) job: PathBuf,
    #[command(flatten)]
    pub(super) from: From,
    /// Run it in this process, without a node, until it ends or Ctrl-C; the same command goes on where it stopped.
    #[arg(long, conflicts_with = "savepoint")]
    pub(super) local: bool,
    /// With --local: a component that the job names.
    #[arg(long, requires = "local", value_name = "NAME=FILE", value_parser = component)]
    pub(super) component: Vec<(String, PathBuf)>,
    /// With --local: the folder for whatever is kept; default: weir-data/local/JOB.
    #[arg(long, requires = "local", value_name = "FOLDER")]
    pub(super) data: Option<PathBuf>,
}

fn at_least_1(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| "write a whole number of at least 1".to_owned())
}

fn component(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, file)) if !name.is_empty() && !file.is_empty() => Ok((name.to_owned(), file.into())),
        _ => Err("write NAME=FILE, for example word-count=target/word_count.wasm".to_owned()),
    }
}
