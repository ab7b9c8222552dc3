//! What people see: pure, from the shapes of the API to text.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat};
use indicatif::{HumanBytes, HumanCount};
use weir_engine::job::Guarantee;
use weir_protocol::evolution::Change;
use weir_protocol::savepoint::Ancestor;
use weir_protocol::time::Timestamp;
use weir_protocol::upgrade::Changes;

use crate::api::shape::{Checkpoints, Component, Failure, Job, StandingCheckpoint, Vertex, word};
use crate::journal::Line;

/// Longer lines of a live view are cut.
const COLUMNS_MAX: usize = 110;

/// How many of a sink's last records are shown.
const RECENT: usize = 5;

/// Text without anything that a terminal would obey; line feeds stay.
pub(super) fn printable(text: &str) -> String {
    let escaped = |c: char| match c {
        '\n' => "\n".to_owned(),
        c if c.is_control() => c.escape_default().to_string(),
        c => c.to_string(),
    };
    text.chars().map(escaped).collect()
}

pub(super) fn cut(text: &str) -> String {
    let text = printable(&text.replace(['\n', '\t'], " "));
    if text.chars().count() <= COLUMNS_MAX {
        return text;
    }
    text.chars().take(COLUMNS_MAX - 1).chain(['…']).collect()
}

/// `2026-01-31T12:00:00.000Z`.
pub(super) fn time(at: Timestamp) -> String {
    let time = DateTime::from_timestamp_millis(at);
    time.map_or_else(|| at.to_string(), |time| time.to_rfc3339_opts(SecondsFormat::Millis, true))
}

/// Columns padded to their widest cell, two blanks apart.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<_> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

pub(super) fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(ToOwned::to_owned).into()
}

/// Jobs, and below them components.
pub(super) fn list(jobs: &[Job], components: &[Component]) -> String {
    let mut rows = vec![row(["JOB", "STATE", "ID", "STARTED", "NEWEST CHECKPOINT", "DEAD LETTERS"])];
    rows.extend(jobs.iter().map(|job| {
        let newest = job.checkpoints.newest.map_or_else(|| "-".to_owned(), |newest| newest.id.to_string());
        let letters = HumanCount(job.dead_letters).to_string();
        row([&job.name, &job.state, &job.id, &time(job.started_at), &newest, &letters])
    }));
    let mut uploaded = vec![row(["COMPONENT", "OPERATORS", "SIZE", "UPLOADED", "SHA-256"])];
    uploaded.extend(components.iter().map(|component| {
        let names = if component.names.is_empty() { "-".to_owned() } else { component.names.join(", ") };
        let operators: Vec<_> = component.operators.iter().map(|operator| operator.name.as_str()).collect();
        let size = HumanBytes(component.bytes).to_string();
        row([&names, &operators.join(", "), &size, &time(component.uploaded_at), &component.hash])
    }));
    format!("{}\n\n{}", table(&rows), table(&uploaded))
}

/// A job for `describe`; its job file comes after that.
pub(super) fn describe(job: &Job) -> String {
    let mut text = format!("{}  {}  {}  {}", job.name, job.state, job.id, job.guarantee);
    let mut add = |line: String| write!(text, "\n{line}").expect("a text takes what is written to it");
    add(format!("started {}, {} since {}", time(job.started_at), job.state, time(job.state_since)));
    if let Some(Ancestor { location, job, checkpoint }) = &job.began_from {
        add(format!("began from checkpoint {checkpoint} of job {job}: {}", printable(location)));
    }
    if let Some(undone) = &job.undone {
        add(format!("upgrade to spec {} was undone: {}", undone.spec.0, printable(&undone.reason)));
    }
    if job.on_trial {
        // What a job went back to is not undone again.
        let may_be_undone = if job.undone.is_none() { ", and may be undone" } else { "" };
        add(format!("spec {} has taken no checkpoint yet{may_be_undone}", job.spec_number));
    }
    for failure in &job.failures {
        let at = failure.subtask.as_ref().map(|subtask| format!(" at {subtask}")).unwrap_or_default();
        let fault = word(failure.fault);
        add(format!("failed {}{at} ({fault}): {}", time(failure.at), printable(&failure.message)));
    }
    add(String::new());
    // An ended job's are not known any more once its node was restarted.
    let since = if job.attempts == 0 {
        "its tasks have not run since this node started:"
    } else {
        "records since its tasks were started:"
    };
    add(since.to_owned());
    add(vertices(job, None));
    add(String::new());
    add(checkpoints(job));
    let failed = job.checkpoints.history.iter().find(|checkpoint| checkpoint.state == "FAILED");
    if let Some((failed, why)) = failed.and_then(|failed| failed.failure.as_ref().map(|why| (failed, why))) {
        add(format!("checkpoint {} failed: {}", failed.id, printable(why)));
    }
    add(given_up(job));
    text
}

/// What failed and why, as one sentence.
pub(super) fn why(failure: &Failure) -> String {
    match &failure.subtask {
        Some(subtask) => format!("{subtask}: {}", failure.message),
        None => failure.message.clone(),
    }
}

/// What an upgrade changes: a line for each source, operator and sink.
pub(super) fn changes(changes: &Changes) -> String {
    let rows = changes.vertices.iter().map(|change| {
        let parallelism = match (change.parallelism_before, change.parallelism) {
            (Some(before), Some(now)) if before != now => format!("parallelism {before} -> {now}"),
            (_, Some(now)) => format!("parallelism {now}"),
            (_, None) => String::new(),
        };
        let states = change.states.iter().map(|(name, change)| match change {
            Change::Kept => format!("{name} kept"),
            Change::Migrated { from } => format!("{name} migrated from version {from}"),
            Change::Added => format!("{name} added"),
            Change::Dropped => format!("{name} dropped"),
        });
        let states = states.collect::<Vec<_>>().join(", ");
        let states = if states.is_empty() { states } else { format!("state: {states}") };
        row(["", change.kind.as_str(), change.uid.as_str(), &word(change.fate), &parallelism, &states])
    });
    let settings = if changes.settings { "\n  the job's settings change" } else { "" };
    format!("{}{settings}", table(&rows.collect::<Vec<_>>()))
}

/// A log line.
pub(super) fn log_line(line: &Line) -> String {
    let level = line.level.to_uppercase();
    let subtask = line.subtask.as_ref().map(|subtask| format!("{subtask} ")).unwrap_or_default();
    printable(&format!("{} {level:5} {subtask}{}", time(line.at), line.message))
}

/// What a job looked like before, and how long ago that was.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before<'a> {
    pub(super) job: &'a Job,
    pub(super) seconds: f64,
}

/// A job as it is followed in a terminal: several lines.
pub(super) fn live(job: &Job, before: Option<Before<'_>>) -> String {
    let failure = job.failures.first().filter(|_| job.state != "RUNNING");
    let failure = failure.map(|failure| format!("\nfailed: {}", why(failure))).unwrap_or_default();
    let mut text = format!("{}  {}  {}{failure}\n", job.name, job.state, job.guarantee);
    text += &vertices(job, before);
    text += &format!("\n{}\n{}", checkpoints(job), given_up(job));
    for sink in &job.sinks {
        let published = sink.published.map(|id| format!(", published up to checkpoint {id}")).unwrap_or_default();
        text += &format!("\nlast at {}{published}:", sink.uid);
        let newest = sink.recent.iter().skip(sink.recent.len().saturating_sub(RECENT));
        newest.for_each(|record| text += &format!("\n  {}", record.replace('\n', " ")));
    }
    text.split('\n').map(cut).collect::<Vec<_>>().join("\n")
}

/// The same where there is no terminal: one line.
pub(super) fn plain(job: &Job) -> String {
    let counts = job.vertices.iter().map(|vertex| format!("{} {}", vertex.uid, counts(vertex).join(" ")));
    let counts = counts.collect::<Vec<_>>().join(" | ");
    let failure = job.failures.first().filter(|_| job.state != "RUNNING");
    let failure = failure.map(|failure| format!(" ({})", why(failure).replace('\n', " "))).unwrap_or_default();
    let (state, checkpoints, given_up) = (&job.state, checkpoints(job), given_up(job));
    let line = format!("{} {state}{failure} | {counts} | {checkpoints} | {given_up}", job.name);
    printable(&line)
}

/// How many records were given up on, by what became of them.
fn given_up(job: &Job) -> String {
    let what = if job.error_policy == "skip" { "skipped records" } else { "dead letters" };
    format!("{} {what}", HumanCount(job.dead_letters))
}

/// How many records a vertex has seen: a source sends, a sink receives, an operator does both.
fn counts(vertex: &Vertex) -> Vec<String> {
    let (records_in, records_out) = (HumanCount(vertex.records_in), HumanCount(vertex.records_out));
    match vertex.kind.as_str() {
        "source" => vec![format!("out {records_out}")],
        "sink" => vec![format!("in {records_in}")],
        _ => vec![format!("in {records_in}"), format!("out {records_out}")],
    }
}

fn vertices(job: &Job, before: Option<Before<'_>>) -> String {
    let rows = job.vertices.iter().map(|vertex| {
        let mut counts = counts(vertex);
        if vertex.kind == "source" {
            counts.insert(0, String::new());
        }
        counts.resize(2, String::new());
        let mut row = row(["", &vertex.uid, &vertex.kind, &vertex.title]);
        row.extend(counts);
        row.push(before.map_or_else(|| held(vertex), |before| rate(vertex, before).unwrap_or_default()));
        row
    });
    table(&rows.collect::<Vec<_>>())
}

/// How much state and how many pending timers it has; nothing where there are none.
fn held(vertex: &Vertex) -> String {
    if vertex.state_bytes == 0 {
        return String::new();
    }
    let timers = if vertex.timers == 0 { String::new() } else { format!(", timers {}", HumanCount(vertex.timers)) };
    format!("state {}{timers}", HumanBytes(vertex.state_bytes))
}

/// Records a second since it was looked at before; nothing once it started anew.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "for people")]
fn rate(vertex: &Vertex, before: Before<'_>) -> Option<String> {
    let then = before.job.vertices.iter().find(|then| then.uid == vertex.uid)?;
    let seen = |vertex: &Vertex| vertex.records_in.max(vertex.records_out);
    let records = seen(vertex).checked_sub(seen(then))?;
    (before.seconds > 0.0).then(|| format!("{}/s", HumanCount((records as f64 / before.seconds) as u64)))
}

/// The newest, which lasts, and what this process has counted.
fn checkpoints(job: &Job) -> String {
    let stats = &job.checkpoints;
    if job.guarantee == word(Guarantee::AtLeastOnce) {
        return "it takes no checkpoints".to_owned();
    }
    let newest = stats.newest.map_or_else(|| "no checkpoint yet".to_owned(), |newest| newest_checkpoint(newest, stats));
    let failed = if stats.failed == 0 { String::new() } else { format!(", {} failed", HumanCount(stats.failed)) };
    let waits = stats.history.iter().filter(|checkpoint| checkpoint.state == "IN_PROGRESS");
    let waits = waits.filter_map(|checkpoint| Some((checkpoint.id, checkpoint.failure.as_ref()?)));
    let waits =
        waits.map(|(id, why)| format!("; checkpoint {id} waits: {}", printable(why))).next().unwrap_or_default();
    format!("{newest}; since this node runs it: {} completed{failed}{waits}", HumanCount(stats.completed))
}

fn newest_checkpoint(newest: StandingCheckpoint, stats: &Checkpoints) -> String {
    let own = stats.history.iter().find(|checkpoint| checkpoint.id == newest.id);
    let took = own.and_then(|own| own.duration_ms).map(|ms| format!("{ms} ms, ")).unwrap_or_default();
    let written = own.map(|own| format!(", {} of it written", HumanBytes(own.bytes))).unwrap_or_default();
    format!("newest checkpoint: {} ({took}{}{written})", newest.id, HumanBytes(newest.size))
}
