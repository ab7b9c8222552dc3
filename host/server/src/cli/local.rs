//! `weir run --local`: one job in this process, without a node.

use std::path::PathBuf;

use weir_engine::clock::Clock;
use weir_engine::state::LocalDiskOptions;
use weir_engine::store::DataFolder;
use weir_protocol::id::Name;

use crate::api::Problem;
use crate::cli::args::Run;
use crate::cli::commands::{JobText, read, read_job, warn};
use crate::cli::exit::{Failure, Outcome};
use crate::cli::follow::{Followed, Watched, follow};
use crate::cli::log::{self, Listener};
use crate::cli::process::{Runtimes, Signals};
use crate::cli::serve::Start;
use crate::cli::terminal;
use crate::journal::Journal;
use crate::node::Node;

/// Runs the job until it ends, or until a signal.
pub(super) fn run(args: Run, listeners: Vec<Listener>) -> Result<Outcome, Failure> {
    let clock = Clock::system();
    let journal = Journal::new(clock);
    log::start(&journal, "warn", listeners)?;
    let job = read_job(&args.job)?;
    let folder = args.data.clone().unwrap_or_else(|| PathBuf::from("weir-data/local").join(job.draft.name().as_str()));
    let runtimes = Runtimes::start(None)?;
    let ended = runtimes.control.block_on(async {
        let mut signals = Signals::listen()?;
        let folder = DataFolder::lock(&folder)?;
        let start = Start {
            folder: folder.path(),
            store: None,
            savepoints: None,
            rocksdb: LocalDiskOptions::default(),
            clock,
            journal,
        };
        let node = start.start(&runtimes).await?;
        let ended = run_in(&node, &job, &args.component, &mut signals).await;
        node.engine().stop().await;
        ended
    });
    runtimes.stop();
    ended
}

async fn run_in(
    node: &Node,
    job: &JobText,
    components: &[(String, PathBuf)],
    signals: &mut Signals,
) -> Result<Outcome, Failure> {
    for (name, file) in components {
        let name: Name = name.parse().map_err(Problem::from)?;
        let bytes = read(file, "a component", |path| std::fs::read(path))?;
        node.upload(bytes.into(), Some(&name)).await.map_err(|problem| {
            let failure = Failure::from(problem);
            Failure { message: format!("{}: {}", file.display(), failure.message), ..failure }
        })?;
    }
    let submitted = node.submit(&job.draft).await?;
    warn(job.draft.warnings());
    match follow(&Watched::Here { node: Box::new(node.clone()), id: submitted.id }, signals).await? {
        Followed::Reached(ended) => {
            terminal::note(&format!("job {} {}", job.draft.name(), ended.state));
            Ok(Outcome::of(&ended.state))
        }
        Followed::Interrupted => {
            terminal::note("\nstopped; the same command goes on from the newest checkpoint");
            Ok(Outcome::Done)
        }
    }
}
