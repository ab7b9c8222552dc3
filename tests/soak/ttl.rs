//! A real node whose state has a time to live: nothing may grow while the load is steady.
//!
//! One job for each backend gets records of keys that come, stay away for longer than their state lives, and come
//! again. Every ten seconds the bytes and entries of its state are noted, the memory that the process has, and what lies
//! in the store. After a warm-up all of that must be flat: the medians of the second and of the last quarter of what is
//! left may differ by a tenth. Medians, since files are merged and memory is given back in steps; the second quarter and
//! not the first, since allocators settle for longer than state does; a tenth, since a leak that matters within a week
//! passes that in half an hour, and chance does not.
//!
//! Two things are bounded rather than flat, and judged by their bounds. RocksDB's cache, which all jobs share, fills for
//! long with blocks of files that are gone, so it is taken from the process's memory and may be what it is set to and
//! a tenth more. The local disk holds what RocksDB has not merged yet, and swings with that: ten times the state's bytes
//! are too many.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::runtime::Builder;
use weir_engine::clock::Clock;
use weir_simulator::failure::Failure;
use weir_simulator::trace::Trace;
use weir_tests::figures::{grouped, table};
use weir_tests::guests;
use weir_tests::node::Node;

use crate::say;
use crate::topic::{Counts, Goal, Pace, Topic};

/// As the operator declares it.
const TTL: Duration = Duration::from_secs(60);
/// At least so long, and twice the time to live, is not judged.
const WARM_UP: Duration = Duration::from_secs(300);
const NOTE_EVERY: Duration = Duration::from_secs(10);
/// Set for all jobs of a node, and a tenth.
const CACHE_MAX: u64 = (64 << 20) / 10 * 11;
const DISK_MAX: u64 = 80 << 20;
/// Fewer figures than this have no quarters worth comparing.
const NOTES_MIN: usize = 24;
/// How much more may be there in the last quarter, of a hundred.
const GROWTH_MAX: f64 = 10.0;
const START_MAX: Duration = Duration::from_secs(120);
/// What both jobs are called after, and how each is to keep its state.
const BACKENDS: [(&str, &str); 2] =
    [("hashmap", "backend = \"hashmap\""), ("rocksdb", "backend = \"rocksdb\"\nmemory = \"2MiB\"")];

/// State that expires, under steady load.
pub(crate) struct Ttl {
    /// How long it is watched.
    pub(crate) length: Duration,
    /// Where the figures are kept.
    pub(crate) folder: PathBuf,
}

/// What is watched, and its figures.
struct Watched {
    what: String,
    judged: Judged,
    figures: Vec<u64>,
}

/// What a figure must be.
#[derive(Clone, Copy)]
enum Judged {
    Flat,
    AtMost(u64),
}

/// A figure, before there are more of its kind.
struct Noted {
    what: String,
    judged: Judged,
    figure: u64,
}

impl Topic for Ttl {
    fn name(&self) -> &str {
        "ttl"
    }

    fn goal(&self) -> Goal {
        Goal { what: "seeds", enough: 1 }
    }

    fn first_seed(&self) -> u64 {
        1
    }

    fn pace(&self) -> Pace {
        Pace { at_once: 1, turn: 1 }
    }

    fn play(&self, seed: u64) -> Result<Counts, Box<Failure>> {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a thread can be a runtime");
        let mut trace = Trace::default();
        let watched = runtime.block_on(self.watch());
        let judged = watched.and_then(|watched| {
            let (rows, judged) = judge(&watched);
            let shown = table(&rows);
            shown.lines().for_each(|line| trace.note(seed, "ttl", line));
            say(&shown);
            judged.map(|()| watched)
        });
        let broken = |error: anyhow::Error| Failure {
            topic: "soak",
            seed,
            step: 0,
            invariant: "what-expires-leaves",
            detail: format!("{error:#}"),
            reproduce: format!("make soak TOPIC=ttl SECONDS={} FRESH=1", self.length.as_secs()),
            trace,
        };
        let watched = judged.map_err(|error| Box::new(broken(error)))?;
        let mut counts = Counts::default();
        let last = |watched: &Watched| (watched.what.clone(), quarters(&watched.figures).1);
        counts.highest = watched.iter().map(last).collect();
        Ok(counts)
    }
}

impl Ttl {
    /// Runs both jobs and notes figures until the time is up; those behind the warm-up.
    async fn watch(&self) -> Result<Vec<Watched>> {
        let data = tempfile::tempdir_in(&self.folder)?;
        let node = Node::start(data.path()).await?;
        node.upload("expiring-state", Path::new(guests::EXPIRING_STATE)).await?;
        let mut jobs = Vec::new();
        for (name, state) in BACKENDS {
            let job = node.deploy(&job(name, state)).await?;
            jobs.push((name, job["id"].as_str().context("a job has an id")?.to_owned()));
        }
        for (_, id) in &jobs {
            node.completes(id, 1, START_MAX).await?;
        }
        let mut file = fs::File::create(self.folder.join("ttl.tsv"))?;
        let (clock, mut watched) = (Clock::system(), Vec::new());
        let start = clock.elapsed();
        let mut next = Duration::ZERO;
        while next < self.length {
            clock.sleep((start + next).saturating_sub(clock.elapsed())).await;
            let noted = note(&node, &jobs, data.path()).await?;
            writeln!(file, "{}\t{}", next.as_secs(), line(&noted))?;
            if next.as_secs().is_multiple_of(60) {
                say(&format!("ttl: {} s: {}", next.as_secs(), line(&noted)));
            }
            if next >= WARM_UP.max(2 * TTL) {
                keep(&mut watched, noted);
            }
            next += NOTE_EVERY;
        }
        Ok(watched)
    }
}

fn job(name: &str, state: &str) -> String {
    format!(
        r#"
        name = "{name}"

        [checkpoint]
        interval = "5s"

        [state]
        {state}

        [[source]]
        uid = "numbers"
        type = "generator"
        rate = 400
        keys = 40000
        distribution = "uniform"
        value-bytes = 200

        [[operator]]
        uid = "visits"
        component = "expiring-state"
        operator = "visits"
        inputs = [{{ from = "numbers" }}]

        [[sink]]
        uid = "nothing"
        type = "blackhole"
        from = "visits"
        "#
    )
}

/// What there is now.
async fn note(node: &Node, jobs: &[(&'static str, String)], data: &Path) -> Result<Vec<Noted>> {
    let mut noted = Vec::new();
    for (name, id) in jobs {
        let status = node.get(&format!("/api/v1/jobs/{id}")).await?;
        ensure!(
            status["state"] == "RUNNING" && status["attempts"] == 1,
            "job `{name}` failed: {status}\n{}",
            node.log()
        );
        let vertices = status["vertices"].as_array().context("a job has vertices")?;
        let visits = vertices.iter().find(|vertex| vertex["uid"] == "visits").context("it has an operator")?;
        let number = |of: &Value, field: &str| of[field].as_u64().with_context(|| format!("no `{field}`: {status}"));
        let states = visits["states"].as_array().context("the operator has states")?;
        let entries: u64 = states.iter().map(|state| number(state, "entries")).sum::<Result<u64>>()?;
        let bytes = number(visits, "state-bytes")?;
        noted.push(Noted { what: format!("{name}: state, bytes"), judged: Judged::Flat, figure: bytes });
        noted.push(Noted { what: format!("{name}: state, entries"), judged: Judged::Flat, figure: entries });
    }
    let cache = node.metric("weir_rocksdb_cache_bytes").await?;
    let memory = node.resident_bytes()?.saturating_sub(cache);
    let (store, disk) = (bytes_below(&data.join("store")), bytes_below(&data.join("state")));
    let rest = [
        ("store, bytes", Judged::Flat, store),
        ("memory without RocksDB's cache, bytes", Judged::Flat, memory),
        ("RocksDB's cache, bytes", Judged::AtMost(CACHE_MAX), cache),
        ("local disk, bytes", Judged::AtMost(DISK_MAX), disk),
    ];
    noted.extend(rest.map(|(what, judged, figure)| Noted { what: what.to_owned(), judged, figure }));
    Ok(noted)
}

/// The length of all files below a folder. Files go while it looks; those count nothing.
fn bytes_below(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let bytes = |entry: fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => bytes_below(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    };
    entries.filter_map(Result::ok).map(bytes).sum()
}

fn line(noted: &[Noted]) -> String {
    noted.iter().map(|noted| format!("{} {}", noted.what, grouped(noted.figure))).collect::<Vec<_>>().join("\t")
}

fn keep(watched: &mut Vec<Watched>, noted: Vec<Noted>) {
    if watched.is_empty() {
        let begun = |noted: &Noted| Watched { what: noted.what.clone(), judged: noted.judged, figures: Vec::new() };
        watched.extend(noted.iter().map(begun));
    }
    watched.iter_mut().zip(noted).for_each(|(watched, noted)| watched.figures.push(noted.figure));
}

/// The medians of the second and of the last quarter.
fn quarters(figures: &[u64]) -> (u64, u64) {
    let quarter = figures.len() / 4;
    let middle = |part: &[u64]| {
        let mut sorted = part.to_vec();
        sorted.sort_unstable();
        sorted[sorted.len() / 2]
    };
    (middle(&figures[quarter..2 * quarter]), middle(&figures[3 * quarter..]))
}

/// A table, and whether all of it is flat.
fn judge(watched: &[Watched]) -> (Vec<Vec<String>>, Result<()>) {
    let noted = watched.first().map_or(0, |watched| watched.figures.len());
    if noted < NOTES_MIN {
        let wanted = WARM_UP.max(2 * TTL) + NOTE_EVERY * u32::try_from(NOTES_MIN).unwrap_or(u32::MAX);
        let judged = Err(anyhow::anyhow!("nothing can be said before {} s", wanted.as_secs()));
        return (Vec::new(), judged);
    }
    let mut rows = vec![["", "second quarter", "last quarter", "more", "most"].map(ToOwned::to_owned).to_vec()];
    let mut broken = Vec::new();
    for Watched { what, judged, figures } in watched {
        let (second, last) = quarters(figures);
        let growth = (last as f64 / second.max(1) as f64 - 1.0) * 100.0;
        let most = figures.iter().max().copied().unwrap_or(0);
        let cells = [what.clone(), grouped(second), grouped(last), format!("{growth:+.1} %"), grouped(most)];
        match judged {
            _ if most == 0 => broken.push(format!("there was nothing to watch: {what}")),
            Judged::Flat if growth > GROWTH_MAX => {
                broken.push(format!("{what} grew by {growth:.1} %, from {} to {}", grouped(second), grouped(last)));
            }
            Judged::AtMost(bound) if most > *bound => {
                broken.push(format!("{what} came to {}, beyond {}", grouped(most), grouped(*bound)));
            }
            Judged::Flat | Judged::AtMost(_) => {}
        }
        rows.push(cells.to_vec());
    }
    let judged = if broken.is_empty() { Ok(()) } else { Err(anyhow::anyhow!("{}", broken.join("; "))) };
    (rows, judged)
}
