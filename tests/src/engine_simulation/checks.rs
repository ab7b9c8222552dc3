//! What must hold once the job has ended.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use weir_engine::job::JobState;
use weir_protocol::chain::{Owner, RunEntry};
use weir_protocol::id::{EntryNumber, JobId};
use weir_protocol::manifest::Outlet;

use super::life::Lived;
use super::operators::is_poison;
use super::plan::{Job, Plan};
use super::process::{Process, World};
use crate::oracle::{self, Expected};
use crate::published;

/// Checks everything; what is broken goes to the log.
pub(super) async fn check(world: &World, plan: &Plan, process: &Process, lived: &Lived) {
    let Some(status) = &lived.last else {
        return world.log.broken("accepts-the-job", "there is no job");
    };
    let is_whole = status.state == JobState::Finished;
    let is_cut_short = status.state == JobState::Canceled && lived.was_asked_to_cancel;
    if !is_whole && !is_cut_short {
        let failures = &status.failures;
        return world.log.broken("comes-to-an-end", format!("{}: {failures:?}", status.state.as_str()));
    }
    if process.jobs().len() != 1 {
        world.log.broken("one-job-a-name", format!("{} jobs", process.jobs().len()));
    }
    results(world, &plan.job, lived, is_whole);
    published_before_the_end(world, status.id);
    dead_letters(world, &plan.job, process, is_whole).await;
    leftovers(world, lived.ends_undisturbed);
}

/// Each key's results are a part, from the first on, of what a run without failures gives; all of it where the job has
/// finished.
fn results(world: &World, job: &Job, lived: &Lived, is_whole: bool) {
    let id = lived.job.expect("there is a job");
    let lines = published::lines_in(&below(&world.outside.contents(), &format!("out/{id}/out/")));
    let keys = lines.and_then(|lines| published::by_key(&lines));
    let found = match keys {
        Ok(keys) => keys,
        Err(error) => return world.log.broken("lists-and-parts-agree", error.to_string()),
    };
    if let Err(error) = oracle::results_are_exact(&found, &expected(job), is_whole) {
        world.log.broken("results-are-exact", error.to_string());
    }
}

/// A job that finished or was cancelled has published everything that its entries name, and its last entry says so.
fn published_before_the_end(world: &World, job: JobId) {
    let Some(last) = newest(world) else { return };
    let open: Vec<_> = last.manifest.outboxes.iter().map(|outbox| outbox.checkpoint).collect();
    if !open.is_empty() {
        world.log.broken("publishes-before-the-end", format!("{open:?} are named, and not published"));
    }
    let confirmed = last.published.iter().find(|(outlet, _)| matches!(outlet, Outlet::Sink(_)));
    let confirmed = confirmed.map(|(_, checkpoint)| checkpoint.0);
    let lists = below(&world.outside.contents(), &format!("out/{job}/out/"));
    match published::newest_list_in(&lists) {
        Ok(listed) if listed == confirmed => {}
        Ok(listed) => {
            let detail = format!("the last entry confirms {confirmed:?}, the newest list is of {listed:?}");
            world.log.broken("publishes-before-the-end", detail);
        }
        Err(error) => world.log.broken("lists-and-parts-agree", error.to_string()),
    }
}

/// The lines that are public, in order; none where they cannot be read.
pub(super) fn published(world: &World, lived: &Lived) -> Vec<String> {
    let Some(id) = lived.job else { return Vec::new() };
    published::lines_in(&below(&world.outside.contents(), &format!("out/{id}/out/"))).unwrap_or_default()
}

/// For each key and label the numbers that its results carry, in order.
pub(super) fn expected(job: &Job) -> Expected {
    let mut expected = Expected::new();
    let width = (job.keys - 1).checked_ilog10().unwrap_or(0) as usize + 1;
    for (source, &records) in job.records.iter().enumerate() {
        for number in (0..records).filter(|number| !is_poison(*number, job.poison)) {
            let key = format!("k{:0width$}", number % job.keys);
            let labels = expected.entry(key).or_default();
            labels.entry(format!("in{source}")).or_default().push(number);
            if job.has_timers {
                labels.entry(format!("timer{source}")).or_default().push(number);
            }
        }
    }
    expected
}

async fn dead_letters(world: &World, job: &Job, process: &Process, is_whole: bool) {
    let answer = process.get("/api/v1/jobs/job/dead-letters?limit=10000").await;
    let letters = answer.json.as_array().cloned().unwrap_or_default();
    let mut found: BTreeMap<(String, u64), u64> = BTreeMap::new();
    for letter in &letters {
        let value: serde_json::Value =
            letter["value"]["text"].as_str().and_then(|value| serde_json::from_str(value).ok()).unwrap_or_default();
        let number = value["number"].as_u64().unwrap_or(u64::MAX);
        *found.entry((letter["origin"].as_str().unwrap_or_default().to_owned(), number)).or_default() += 1;
    }
    let wanted: BTreeSet<(String, u64)> = (0..)
        .zip(&job.records)
        .flat_map(|(source, &records)| {
            let bad = (0..records).filter(|number| is_poison(*number, job.poison));
            bad.map(move |number| (format!("input `in{source}`"), number))
        })
        .collect();
    let doubled: Vec<_> = found.iter().filter(|(_, times)| **times > 1).collect();
    let strange: Vec<_> = found.keys().filter(|letter| !wanted.contains(*letter)).collect();
    let missing: Vec<_> = wanted.iter().filter(|letter| is_whole && !found.contains_key(*letter)).collect();
    if !(doubled.is_empty() && strange.is_empty() && missing.is_empty()) {
        let detail = format!("twice {doubled:?}, none {strange:?}, missing {missing:?}; {}", answer.status);
        world.log.broken("dead-letters-once", detail);
    }
}

/// Everything that the last entry and those that it retains name is there; where nothing disturbed the job's end, nothing
/// else that was ever named is. (Whoever dies after the end and before the last deletion leaves what it did not delete; and
/// nobody deletes again what a late write makes again, which is below the newest entry and so means nothing.)
fn leftovers(world: &World, is_undisturbed: bool) {
    let mut contents = world.store.contents();
    let back = world.store.resurrected();
    contents.retain(|name, _| !back.contains(name));
    let entries: Vec<RunEntry> = contents.iter().filter_map(|(name, bytes)| entry(name, bytes)).collect();
    let Some(newest) = entries.iter().max_by_key(|entry| entry.number) else {
        return world.log.broken("keeps-its-end", "there is no entry");
    };
    let retained: BTreeSet<EntryNumber> =
        newest.retained.iter().map(|kept| kept.number).chain([newest.number]).collect();
    let surplus: Vec<u64> = entries
        .iter()
        .map(|entry| entry.number)
        .filter(|number| !retained.contains(number))
        .map(|number| number.0)
        .collect();
    if is_undisturbed && !surplus.is_empty() {
        world.log.broken("nothing-leaks", format!("entries {surplus:?} are dropped, and still there"));
    }
    let named: BTreeSet<&str> = entries
        .iter()
        .filter(|entry| retained.contains(&entry.number))
        .flat_map(|entry| entry.manifest.objects())
        .map(|object| object.name.as_str())
        .collect();
    let missing: Vec<&&str> =
        named.iter().filter(|name| !contents.keys().any(|there| there.ends_with(**name))).collect();
    if !missing.is_empty() {
        world.log.broken("keeps-what-it-names", format!("{missing:?}"));
    }
    let ever_named = world.store.ever_named();
    let leaked: Vec<&String> =
        ever_named.iter().filter(|name| !named.contains(name.as_str()) && contents.contains_key(*name)).collect();
    if is_undisturbed && !leaked.is_empty() {
        world.log.broken("nothing-leaks", format!("{leaked:?}"));
    }
}

/// Whether the newest entry ends the job.
pub(super) fn has_ended(world: &World) -> bool {
    newest(world).is_some_and(|newest| newest.kind.is_terminal())
}

/// Who made the newest entry.
pub(super) fn owner(world: &World) -> Option<Owner> {
    newest(world).map(|newest| newest.owner)
}

fn newest(world: &World) -> Option<RunEntry> {
    let contents = world.store.contents();
    contents.iter().filter_map(|(name, bytes)| entry(name, bytes)).max_by_key(|entry| entry.number)
}

fn entry(name: &str, bytes: &Bytes) -> Option<RunEntry> {
    let (folder, file) = name.rsplit_once('/')?;
    let number: u64 = file.strip_suffix(".json")?.parse().ok()?;
    folder
        .ends_with("/run")
        .then(|| RunEntry::decode(EntryNumber(number), bytes).ok())
        .flatten()
        .map(|stored| stored.entry)
}

/// What lies in a folder, by the rest of its name.
fn below(contents: &BTreeMap<String, Bytes>, folder: &str) -> BTreeMap<String, Bytes> {
    let inside =
        contents.iter().filter_map(|(name, bytes)| Some((name.strip_prefix(folder)?.to_owned(), bytes.clone())));
    inside.collect()
}
