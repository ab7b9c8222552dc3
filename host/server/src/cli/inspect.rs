//! `weir state` and `weir checkpoint`: looking into what a job has saved.

use std::path::Path;

use indicatif::{HumanBytes, HumanCount};
use serde::{Deserialize, Serialize};
use weir_engine::checkpoint::inspect::{ITEMS_MAX, Item, Verdict};

use crate::api::Problem;
use crate::api::shape::{HeldCheckpoint, StatePage, Verified};
use crate::cli::args::{Checkpoint, State, View};
use crate::cli::checkpoint_name::CheckpointName;
use crate::cli::client::{Client, savepoint_at};
use crate::cli::exit::{FAILED, Failure, Outcome};
use crate::cli::{terminal, view};

/// How many items there are between two signs of life of a dump.
const PROGRESS: u64 = 100_000;

/// Performs `weir state …`.
pub(super) async fn state(state: State, server: &str) -> Result<Outcome, Failure> {
    let client = Client::new(server)?;
    let (State::Get { job, .. } | State::Ls { job, .. } | State::Dump { job, .. }) = &state;
    let named = job.clone();
    look(state, &client).await.map_err(|failure| or_folder(&named, failure))
}

async fn look(state: State, client: &Client) -> Result<Outcome, Failure> {
    match state {
        State::Get { job, operator, key, base64, view } => {
            let key = (if base64 { "key-base64" } else { "key" }, key);
            show(&client.state(&job, &operator, &query(&view, Some(key))).await?, view.json);
        }
        State::Ls { job, operator, view } => {
            show(&client.state(&job, &operator, &query(&view, None)).await?, view.json);
        }
        State::Dump { job, operator, state, checkpoint } => {
            dump(client, &job, operator, state.as_deref(), checkpoint).await?;
        }
    }
    Ok(Outcome::Done)
}

/// Performs `weir checkpoint …`.
pub(super) async fn checkpoint(checkpoint: Checkpoint, server: &str) -> Result<Outcome, Failure> {
    let client = Client::new(server)?;
    let (Checkpoint::Ls { job, .. } | Checkpoint::Verify { job, .. }) = &checkpoint;
    let named = job.clone();
    look_at(checkpoint, &client).await.map_err(|failure| or_folder(&named, failure))
}

async fn look_at(checkpoint: Checkpoint, client: &Client) -> Result<Outcome, Failure> {
    match checkpoint {
        Checkpoint::Ls { job, json } => {
            let checkpoints = client.checkpoints(&job).await?;
            terminal::line(&if json { pretty(&checkpoints) } else { checkpoint_table(&checkpoints) });
            Ok(Outcome::Done)
        }
        Checkpoint::Verify { job, checkpoint, json } => verify(client, &job, checkpoint, json).await,
    }
}

/// Of a job nothing was found; a savepoint that lies right here may be meant.
pub(super) fn or_folder(named: &str, failure: Failure) -> Failure {
    if savepoint_at(named).is_some() || !Path::new(named).is_dir() {
        return failure;
    }
    let folder = format!("where the folder `{named}` that lies here is meant, write `./{named}`");
    Failure { mend: Some(failure.mend.map_or(folder.clone(), |mend| format!("{mend}; {folder}"))), ..failure }
}

fn query(view: &View, key: Option<(&'static str, String)>) -> Vec<(&'static str, String)> {
    let mut query = vec![("limit", view.limit.to_string()), ("checkpoint", view.checkpoint.to_string())];
    query.extend(key);
    query.extend(view.state.clone().map(|state| ("state", state)));
    query.extend(view.after.clone().map(|after| ("after", after)));
    query
}

fn show(page: &StatePage, json: bool) {
    if json {
        terminal::line(&pretty(page));
        return;
    }
    terminal::line(&item_table(&page.items));
    let HeldCheckpoint { id, at, .. } = page.checkpoint;
    terminal::note(&format!("as of checkpoint {id} of {}, {}", page.name, view::time(at)));
    if let Some(next) = &page.next {
        terminal::note(&format!("there is more: --after {next}"));
    }
}

/// What an operator holds, a line an item.
pub(super) fn item_table(items: &[Item]) -> String {
    let mut rows = vec![view::row(["STATE", "KEY", "AT", "VALUE"])];
    rows.extend(items.iter().map(|item| {
        let place = item.position.map(|position| position.to_string());
        let place = place.or_else(|| item.entry.as_ref().map(ToString::to_string)).unwrap_or_default();
        let timer = item.timer.as_ref().map(|timer| format!("{} {}", timer.domain, view::time(timer.at)));
        let value = item.value.as_ref().map(ToString::to_string).or(timer).unwrap_or_default();
        let state = item.state.as_deref().unwrap_or("(timer)");
        let subtask = item.subtask.map(|subtask| format!("(subtask {subtask})"));
        let key = item.key.as_ref().map(ToString::to_string).or(subtask).unwrap_or_default();
        [state, &key, &place, &value].map(view::cut).into()
    }));
    view::table(&rows)
}

fn checkpoint_table(checkpoints: &[HeldCheckpoint]) -> String {
    let mut rows = vec![view::row(["CHECKPOINT", "TAKEN", "SIZE", "ENTRY", "OPERATORS"])];
    rows.extend(checkpoints.iter().map(|checkpoint| {
        let HeldCheckpoint { id, at, entry, bytes, operators } = checkpoint;
        let (id, bytes, entry) = (id.to_string(), HumanBytes(*bytes).to_string(), entry.to_string());
        view::row([&id, &view::time(*at), &bytes, &entry, &operators.join(", ")])
    }));
    view::table(&rows)
}

/// A line of a dump.
#[derive(Serialize)]
struct Dumped<'a> {
    checkpoint: u64,
    operator: &'a str,
    #[serde(flatten)]
    item: &'a Item,
}

/// All operators as of one checkpoint.
async fn dump(
    client: &Client,
    job: &str,
    operator: Option<String>,
    state: Option<&str>,
    checkpoint: CheckpointName,
) -> Result<(), Failure> {
    let checkpoints = client.checkpoints(job).await?;
    let chosen = checkpoints.iter().find(|held| match checkpoint {
        CheckpointName::Newest => true,
        CheckpointName::Number(wanted) => wanted == held.id,
    });
    // The newest as of now, for all of it.
    let checkpoint = chosen.map_or(checkpoint, |chosen| CheckpointName::Number(chosen.id));
    let operators = match (operator, chosen) {
        (Some(operator), _) => vec![operator],
        (None, Some(chosen)) => chosen.operators.clone(),
        // The node says what is wrong.
        (None, None) => operators_of(client, job).await?,
    };
    let (mut items, mut said) = (0, 0);
    for operator in &operators {
        let mut after = None;
        loop {
            let view = View { state: state.map(ToOwned::to_owned), checkpoint, limit: ITEMS_MAX, after, json: true };
            let page = client.state(job, operator, &query(&view, None)).await?;
            for item in &page.items {
                let dumped = Dumped { checkpoint: page.checkpoint.id, operator, item };
                terminal::line(&serde_json::to_string(&dumped).expect("an item has a JSON form"));
            }
            items += page.items.len() as u64;
            if items - said >= PROGRESS {
                said = items;
                terminal::note(&format!("{} items so far, at `{operator}`", HumanCount(items)));
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
    }
    terminal::note(&format!("{} items of checkpoint {checkpoint}: {}", HumanCount(items), operators.join(", ")));
    Ok(())
}

async fn operators_of(client: &Client, job: &str) -> Result<Vec<String>, Failure> {
    let vertices = client.job(job).await?.vertices.into_iter();
    Ok(vertices.filter(|vertex| vertex.kind == "operator").map(|vertex| vertex.uid).collect())
}

/// A line of the answer to a verification.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Verdict(Verdict),
    Verified(Verified),
    Problem(Problem),
}

async fn verify(client: &Client, job: &str, checkpoint: CheckpointName, json: bool) -> Result<Outcome, Failure> {
    let (mut end, mut damaged) = (None, Vec::new());
    let named = checkpoint.to_string();
    let taken = client.verify(job, &named, |text| {
        let line = serde_json::from_slice(text).map_err(|error| client.stranger(&error.to_string()))?;
        if json && !matches!(line, Line::Problem(_)) {
            terminal::line(&String::from_utf8_lossy(text));
        }
        match line {
            Line::Verdict(verdict) => {
                if !json {
                    terminal::line(&verdict_line(&verdict));
                }
                damaged.extend(verdict.damage.is_some().then_some(verdict.object));
            }
            Line::Verified(verified) => end = Some(verified),
            Line::Problem(problem) => return Err(problem.into()),
        }
        Ok(())
    });
    taken.await?;
    let Some(Verified { checkpoint, objects, .. }) = end else {
        return Err(client.stranger("its answer ended too early"));
    };
    if damaged.is_empty() {
        terminal::note(&format!("checkpoint {checkpoint} is whole: {} objects verify", HumanCount(objects)));
        return Ok(Outcome::Done);
    }
    Err(Failure {
        code: FAILED,
        message: format!("{} of {objects} objects are damaged or missing: {}", damaged.len(), damaged.join(", ")),
        mend: Some(restoring(job).to_owned()),
    })
}

/// What to do where some of it is damaged.
pub(super) fn restoring(job: &str) -> &'static str {
    match savepoint_at(job) {
        Some(_) => "restore them from a copy of the savepoint; another savepoint, or its job, may be whole",
        None => {
            "restore them from a copy of the store; `weir checkpoint ls` lists other checkpoints, which may be whole"
        }
    }
}

fn verdict_line(verdict: &Verdict) -> String {
    let Verdict { object, kind, bytes, damage } = verdict;
    let found = damage.as_ref().map_or_else(|| "ok".to_owned(), |damage| format!("DAMAGED: {damage}"));
    view::printable(&format!("{kind:9}  {:>10}  {object}  {found}", HumanBytes(*bytes).to_string()))
}

fn pretty<T: Serialize>(value: &T) -> String {
    serde_json::to_string_pretty(value).expect("what a node answers has a JSON form")
}
