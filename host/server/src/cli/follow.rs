//! Following a job until it ends.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use weir_engine::clock::Clock;
use weir_engine::job::JobState;
use weir_protocol::Fault;
use weir_protocol::id::JobId;

use crate::api::shape::Job;
use crate::cli::client::Client;
use crate::cli::exit::{Failure, NO_ANSWER};
use crate::cli::process::Signals;
use crate::cli::terminal;
use crate::cli::view::{self, Before};
use crate::node::Node;

/// Between two looks at the job.
const PERIOD: Duration = Duration::from_millis(500);

/// How long a node may be away, for a restart, before we give up.
const AWAY_MAX: Duration = Duration::from_secs(60);

/// Where the job runs.
pub(super) enum Watched {
    /// In a node.
    Remote { client: Client, id: String },
    /// In this process.
    Here { node: Box<Node>, id: JobId },
}

/// Why the following ended.
pub(super) enum Followed {
    /// The job came to where it was followed to.
    Reached(Box<Job>),
    /// A signal; the job has not.
    Interrupted,
}

impl Watched {
    async fn look(&self) -> Result<Job, Failure> {
        match self {
            Self::Remote { client, id } => client.job(id).await,
            Self::Here { node, id } => Ok(Job::whole(&node.job(&id.to_string())?)),
        }
    }
}

/// Shows the job's progress on standard error until it ends, or waits for a person, or a signal comes.
pub(super) async fn follow(watched: &Watched, signals: &mut Signals) -> Result<Followed, Failure> {
    follow_until(watched, signals, |_| false).await
}

/// The same, or until it is as wanted.
pub(super) async fn follow_until(
    watched: &Watched,
    signals: &mut Signals,
    is_wanted: impl Fn(&Job) -> bool,
) -> Result<Followed, Failure> {
    let clock = Clock::system();
    let mut screen = Screen::new();
    let mut before: Option<(Job, Duration)> = None;
    let mut answered_at = clock.elapsed();
    loop {
        let looked = tokio::select! {
            biased;
            () = signals.next() => return Ok(Followed::Interrupted),
            looked = watched.look() => looked,
        };
        let now = clock.elapsed();
        match looked {
            Ok(job) => {
                answered_at = now;
                let then = before.as_ref().map(|(job, at)| Before { job, seconds: (now - *at).as_secs_f64() });
                screen.show(&job, then);
                if job.ended || waits_for_a_person(&job) || is_wanted(&job) {
                    return Ok(Followed::Reached(Box::new(job)));
                }
                before = Some((job, now));
            }
            Err(failure) if failure.code == NO_ANSWER && now - answered_at < AWAY_MAX => screen.away(&failure),
            Err(failure) => return Err(failure),
        }
        tokio::select! {
            biased;
            () = signals.next() => return Ok(Followed::Interrupted),
            () = clock.sleep(PERIOD) => {}
        }
    }
}

/// Whether the job goes on only once somebody has mended something. (A node that stops suspends its jobs too, but they
/// go on by themselves when it starts again.)
fn waits_for_a_person(job: &Job) -> bool {
    let needs_a_person =
        |failure: &crate::api::shape::Failure| matches!(failure.fault, Fault::Corrupt | Fault::Request);
    job.state == JobState::Suspended.as_str() && job.failures.first().is_some_and(needs_a_person)
}

/// What was shown last stays, however the following ends.
impl Drop for Screen {
    fn drop(&mut self) {
        if let Self::Live(bar) = self {
            bar.abandon();
        }
    }
}

/// Where progress is shown.
enum Screen {
    /// A terminal: lines that are drawn anew.
    Live(ProgressBar),
    /// Anything else: a line for each change.
    Plain { last: String },
}

impl Screen {
    fn new() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Plain { last: String::new() };
        }
        let bar = ProgressBar::new_spinner();
        bar.set_style(ProgressStyle::with_template("{msg}").expect("the template is a constant"));
        Self::Live(bar)
    }

    fn show(&mut self, job: &Job, before: Option<Before<'_>>) {
        match self {
            Self::Live(bar) => {
                bar.set_message(view::live(job, before));
            }
            Self::Plain { last } => {
                let line = view::plain(job);
                if line != *last {
                    terminal::note(&line);
                    *last = line;
                }
            }
        }
    }

    fn away(&mut self, failure: &Failure) {
        let line = format!("{}; waiting for it", view::printable(&failure.message));
        match self {
            Self::Live(bar) => bar.set_message(line),
            Self::Plain { last } => {
                if line != *last {
                    terminal::note(&line);
                    *last = line;
                }
            }
        }
    }
}
