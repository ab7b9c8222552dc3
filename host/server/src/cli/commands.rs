//! The commands that ask a node.

use std::path::Path;
use std::time::Duration;

use weir_engine::clock::Clock;
use weir_engine::job::Upgrading;

use crate::api::shape::{Job, Submission};
use crate::cli::args::{From, Request};
use crate::cli::client::Client;
use crate::cli::exit::{Failure, Outcome};
use crate::cli::follow::{Followed, Watched, follow};
use crate::cli::process::Signals;
use crate::cli::savepoint::{self, Wanted};
use crate::cli::{terminal, upgrade, view};
use crate::job_file::{self, Draft};

/// Between two looks at something that is waited for.
const PERIOD: Duration = Duration::from_millis(200);

/// Performs a request, and shows what is answered.
pub(super) async fn perform(request: Request, server: &str) -> Result<Outcome, Failure> {
    let client = Client::new(server)?;
    match request {
        Request::Upload { file, name } => upload(&client, &file, name).await?,
        Request::Savepoint { dispose: Some(location), .. } => savepoint::dispose(&client, &location).await?,
        Request::Savepoint { job, target, no_wait, dispose: None } => {
            let job = job.expect("it is required without --dispose");
            savepoint::take(&client, &Wanted { job, target, stops: false }, no_wait).await?;
        }
        Request::Stop { job, target } => {
            savepoint::take(&client, &Wanted { job, target, stops: true }, false).await?;
        }
        Request::Deploy { job, from } => {
            let submission = submit(&client, &job, from).await?;
            terminal::line(&submitted(&submission));
        }
        Request::Upgrade { job, dry_run, allow_non_restored_state, no_wait } => {
            let how = Upgrading { dry_run, drops_state: allow_non_restored_state };
            return upgrade::upgrade(client, &job, how, no_wait).await;
        }
        Request::List => {
            let (jobs, components) = tokio::try_join!(client.jobs(), client.components())?;
            terminal::line(&view::list(&jobs, &components));
        }
        Request::Describe { job, json, toml } => describe(&client.job(&job).await?, json, toml),
        Request::Logs { job, lines, follow } => logs(&client, &job, lines, follow).await?,
        Request::Cancel { job, no_wait } => cancel(&client, &job, no_wait).await?,
    }
    Ok(Outcome::Done)
}

/// A job file: its text, what it says, and the content type that it is sent with.
pub(super) struct JobText {
    pub(super) text: String,
    pub(super) draft: Draft,
    pub(super) content_type: &'static str,
}

/// Reads a job file; what is wrong with it is said with the file's name.
pub(super) fn read_job(path: &Path) -> Result<JobText, Failure> {
    let text = read(path, "a job file", |path| std::fs::read_to_string(path))?;
    let is_json = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
    let (draft, content_type) = if is_json {
        (job_file::from_json(&text), "application/json")
    } else {
        (job_file::from_toml(&text), "application/toml")
    };
    let draft = draft.map_err(|error| {
        let failure = Failure::from(error.clone());
        Failure { message: format!("{}: {error}", path.display()), ..failure }
    })?;
    Ok(JobText { text, draft, content_type })
}

/// Reads a file that was named in the command.
pub(super) fn read<T>(path: &Path, what: &str, read: impl FnOnce(&Path) -> std::io::Result<T>) -> Result<T, Failure> {
    read(path).map_err(|error| {
        let mend = format!("name {what} that can be read; paths are relative to where the command is given");
        Failure::wrong_use(format!("cannot read {}: {error}", path.display()), mend)
    })
}

async fn submit(client: &Client, path: &Path, from: From) -> Result<Submission, Failure> {
    let job = read_job(path)?;
    let submitted = client.submit(&savepoint::query(from), job.text, job.content_type).await;
    let submission = submitted
        .map_err(|failure| Failure { message: format!("{}: {}", path.display(), failure.message), ..failure })?;
    warn(&submission.warnings);
    Ok(submission)
}

/// Tells what whoever submits a job should know.
pub(super) fn warn(warnings: &[String]) {
    warnings.iter().for_each(|warning| terminal::note(&format!("warning: {warning}")));
}

fn submitted(submission: &Submission) -> String {
    let what =
        if submission.created { "is accepted" } else { "is there already, from this job file; nothing was changed" };
    format!("job {} ({}) {what}", submission.name, submission.id)
}

/// `weir run`: submits a job, and follows it.
pub(super) async fn run(server: &str, path: &Path, from: From) -> Result<Outcome, Failure> {
    let client = Client::new(server)?;
    let mut signals = Signals::listen()?;
    let submission = submit(&client, path, from).await?;
    terminal::note(&format!("{}; status page: {}/", submitted(&submission), client.url()));
    let watched = Watched::Remote { client, id: submission.id };
    match follow(&watched, &mut signals).await? {
        Followed::Reached(job) => {
            terminal::line(&format!("job {} {}", job.name, job.state));
            Ok(Outcome::of(&job.state))
        }
        Followed::Interrupted => {
            let name = submission.name;
            terminal::note(&format!("\nno longer following; job {name} goes on (end it with `weir cancel {name}`)"));
            Ok(Outcome::Done)
        }
    }
}

async fn upload(client: &Client, file: &Path, name: Option<String>) -> Result<(), Failure> {
    let bytes = read(file, "a component", |path| std::fs::read(path))?;
    let name = name.unwrap_or_else(|| crate::api::stem(&file.to_string_lossy()));
    let uploaded = client.upload(bytes, &name).await?;
    let what = if uploaded.created { "is uploaded" } else { "is there already; nothing was changed" };
    let operators: Vec<_> = uploaded.component.operators.iter().map(|operator| operator.name.as_str()).collect();
    terminal::line(&format!("component {name} {what}: {}", uploaded.component.hash));
    terminal::line(&format!("operators: {}", operators.join(", ")));
    Ok(())
}

fn describe(job: &Job, json: bool, toml: bool) {
    if json {
        terminal::line(&serde_json::to_string_pretty(job).expect("a job has a JSON form"));
        return;
    }
    let spec = job.spec.clone().map(job_file::json_to_toml).unwrap_or_default();
    if !toml {
        terminal::line(&view::describe(job));
        terminal::line("");
    }
    terminal::line(spec.trim_end());
}

async fn logs(client: &Client, job: &str, lines: usize, follow: bool) -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    let clock = Clock::system();
    let mut seen = client.logs(job, lines).await?;
    seen.iter().for_each(|line| terminal::line(&view::log_line(line)));
    if !follow {
        return Ok(());
    }
    loop {
        tokio::select! {
            biased;
            () = signals.next() => return Ok(()),
            () = clock.sleep(PERIOD) => {}
        }
        let now = client.logs(job, crate::journal::LINES_MAX).await?;
        new_lines(&seen, &now).iter().for_each(|line| terminal::line(&view::log_line(line)));
        seen = now;
    }
}

/// What stands in `now` behind the last of what was seen.
pub(super) fn new_lines<'a, T: PartialEq>(seen: &[T], now: &'a [T]) -> &'a [T] {
    let Some(last) = seen.last() else { return now };
    let behind = now.iter().rposition(|line| line == last).map_or(0, |at| at + 1);
    &now[behind..]
}

async fn cancel(client: &Client, job: &str, no_wait: bool) -> Result<(), Failure> {
    let named = client.cancel(job).await?;
    if no_wait {
        terminal::line(&format!("job {} ({}) will end", named.name, named.id));
        return Ok(());
    }
    let clock = Clock::system();
    loop {
        let job = client.job(&named.id).await?;
        if job.ended {
            terminal::line(&format!("job {} ({}) {}", job.name, job.id, job.state));
            return Ok(());
        }
        clock.sleep(PERIOD).await;
    }
}
