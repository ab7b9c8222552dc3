//! Tries to break Weir's promises for hours: each topic with as many seeds as it takes, where the last run stopped.
//!
//! `make soak` runs all topics, `make soak TOPIC=engine` one. A topic's progress is a file; a second run goes on from
//! there, `--fresh` starts again. Every broken promise is one line with the command that shows it again, and a file with
//! what led there. Ends with a table of all that was done, and with status 1 if a promise was broken, 2 if a topic ran
//! out of time before its goal.

mod engine;
mod fuzzed;
mod killed;
mod progress;
mod protocol;
mod run;
mod topic;
mod ttl;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use weir_tests::figures::{grouped, table};

use progress::Progress;
use topic::Topic;

/// What is soaked, and where its progress lies.
#[derive(Debug, Parser)]
struct Wanted {
    /// Topics, or beginnings of their names; none: all.
    topics: Vec<String>,
    /// Start again instead of going on.
    #[arg(long)]
    fresh: bool,
    /// Where progress and traces are kept.
    #[arg(long, default_value_os_t = folder())]
    folder: PathBuf,
    /// A goal instead of each topic's own.
    #[arg(long)]
    enough: Option<u64>,
    /// Try this seed alone, and show what led to it if a promise breaks.
    #[arg(long)]
    seed: Option<u64>,
    /// How long the topic `ttl` watches.
    #[arg(long, default_value_t = 1_800)]
    seconds: u64,
}

/// `$WEIR_CACHE/soak`.
fn folder() -> PathBuf {
    let home = std::env::var_os("HOME").map_or_else(|| PathBuf::from("."), PathBuf::from);
    let cache = std::env::var_os("WEIR_CACHE").map(PathBuf::from);
    cache.unwrap_or_else(|| home.join(".cache/weir")).join("soak")
}

fn main() -> ExitCode {
    let wanted = Wanted::parse();
    let all = topic::all(&wanted.folder, Duration::from_secs(wanted.seconds));
    let is_wanted = |topic: &dyn Topic| {
        wanted.topics.is_empty() || wanted.topics.iter().any(|beginning| topic.name().starts_with(beginning))
    };
    let topics: Vec<_> = all.iter().map(AsRef::as_ref).filter(|topic| is_wanted(*topic)).collect();
    if topics.is_empty() {
        let names: Vec<_> = all.iter().map(|topic| topic.name()).collect();
        say(&format!("there is no such topic; there are {}", names.join(", ")));
        return ExitCode::from(2);
    }
    if let Err(error) = std::fs::create_dir_all(&wanted.folder) {
        say(&format!("progress cannot be kept in {}: {error}", wanted.folder.display()));
        return ExitCode::from(2);
    }
    if let Some(seed) = wanted.seed {
        return show(&topics, seed);
    }
    let soaked = topics.into_iter().map(|topic| soak(topic, &wanted));
    summed_up(&soaked.collect::<Vec<_>>())
}

/// Tries one seed of each topic.
fn show(topics: &[&dyn Topic], seed: u64) -> ExitCode {
    let broken: Vec<_> = topics.iter().filter_map(|topic| run::play(*topic, seed).err()).collect();
    broken.iter().for_each(|failure| say(&format!("{failure}\n{}", failure.trace)));
    ExitCode::from(u8::from(!broken.is_empty()))
}

/// Soaks one topic until its goal, or its time is up.
fn soak(topic: &dyn Topic, wanted: &Wanted) -> (String, Progress, bool) {
    let mut progress = Progress::open(&wanted.folder, topic, wanted.fresh);
    let enough = wanted.enough.unwrap_or(topic.goal().enough);
    let is_short = !run::run(topic, enough, &mut progress, &wanted.folder);
    (topic.name().to_owned(), progress, is_short)
}

/// The table at the end.
fn summed_up(soaked: &[(String, Progress, bool)]) -> ExitCode {
    for (name, progress, is_short) in soaked {
        let violations = progress.violations.len() as u64;
        let mut rows = vec![vec![name.clone(), if *is_short { "out of time".to_owned() } else { String::new() }]];
        let counts = progress.counts.rows();
        let own = [("seconds".to_owned(), progress.milliseconds / 1_000), ("violations".to_owned(), violations)];
        rows.extend(
            counts
                .into_iter()
                .chain(own)
                .map(|(what, count)| vec![format!("  {}", what.replace('_', " ")), grouped(count)]),
        );
        say(&table(&rows));
        progress.violations.iter().for_each(|violation| say(&format!("  {violation}")));
    }
    if soaked.iter().any(|(_, progress, _)| !progress.violations.is_empty()) {
        return ExitCode::from(1);
    }
    ExitCode::from(if soaked.iter().any(|(.., is_short)| *is_short) { 2 } else { 0 })
}

/// One line to whoever waits. Nobody may be reading any more; the progress is in its file.
fn say(line: &str) {
    drop(writeln!(std::io::stdout().lock(), "{line}"));
}
