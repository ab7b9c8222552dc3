//! Where a scenario is played: the folders, the job, what was seen of its results.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use tempfile::TempDir;
use weir_engine::clock::Clock;

use super::broken::Broken;
use super::disk::Disk;
use super::kill_at::{KILL_AT, KillAt, STOP_AT};
use super::scenario::Scenario;
use super::work::{Seen, Settings, Work};
use crate::node::{Launch, Node};

/// How long anything is waited for: much longer than it ever takes.
const PATIENCE: Duration = Duration::from_secs(180);

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(20);

/// How often a job that is waited for gets more to do, in looks.
const LOOKS_A_MEAL: u32 = 8;

/// How often results are read again that do not fit together: more of them were published while they were read.
const READS_MAX: u32 = 20;

/// What a log says where an invariant of Weir is broken.
const PANICS: [&str; 2] = ["panicked at", "broke an invariant"];

/// The job, and where it lives. The folder holds `input`, `data` (with `store` and `output`), a second node's data, the
/// log of all nodes, and the disk's control file.
pub(super) struct Stage {
    folder: TempDir,
    pub(super) random: StdRng,
    pub(super) clock: Clock,
    pub(super) work: Box<dyn Work>,
    /// The job file.
    pub(super) job: String,
    /// The job's id, once it has one.
    pub(super) id: String,
    pub(super) disk: Disk,
    until_step: Duration,
    seen: Seen,
}

/// What a wait ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waited {
    /// What was waited for.
    Happened,
    /// The node has died.
    Died,
    /// The job has done all its work.
    Finished,
}

impl Stage {
    /// Makes the folders and draws the job.
    pub(super) fn set(scenario: &Scenario) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut random = StdRng::seed_from_u64(scenario.seed);
        let [input, data] = ["input", "data"].map(|name| folder.path().join(name));
        std::fs::create_dir(&input)?;
        std::fs::create_dir(&data)?;
        let work = scenario.kind.begin(&input, &mut random)?;
        let settings = Settings::draw(&mut random, scenario.memory).tables();
        let job = format!("name = \"job\"\nparallelism = 2\n{settings}{}", work.job());
        let disk = Disk::new(&data, &folder.path().join("disk"))?;
        let (clock, seen) = (Clock::system(), Seen::default());
        let until_step = scenario.until_step;
        Ok(Self { folder, random, clock, work, job, id: String::new(), disk, until_step, seen })
    }

    /// The first node, which may have to die at a step.
    pub(super) fn first(&self, dies: Option<KillAt>) -> Launch {
        let mut launch = self.launch("data");
        if dies.is_some() {
            launch.program = "weir-killable";
        }
        launch.environment.extend(dies.map(|at| (KILL_AT, at.to_string().into())));
        launch
    }

    /// The first node, on the disk that may fail.
    pub(super) fn first_on_disk(&self, dies: Option<KillAt>) -> Launch {
        let mut launch = self.first(dies);
        launch.environment.extend(self.disk.environment());
        launch
    }

    /// The first node, which stops at a step and can go on later.
    pub(super) fn first_stopping(&self, at: KillAt) -> Launch {
        let mut launch = Launch { program: "weir-killable", ..self.launch("data") };
        launch.environment.push((STOP_AT, at.to_string().into()));
        launch
    }

    /// A second node on the same store.
    pub(super) fn second(&self) -> Launch {
        self.launch("second")
    }

    /// Both work in the same folder, so that the job's relative paths mean the same.
    fn launch(&self, data: &str) -> Launch {
        Launch {
            program: "weir",
            folder: self.path("data"),
            data: self.path(data),
            store: Some(self.store()),
            log: self.log(),
            // So little that what leaves memory is written to files soon, and merged.
            environment: vec![("WEIR_ROCKSDB_CACHE", "1MiB".into()), ("WEIR_ROCKSDB_WRITE_BUFFER", "64KiB".into())],
        }
    }

    /// Whether the node that died last has left state on its disk, which the next one empties.
    pub(super) fn has_state_on_disk(&self) -> bool {
        let state = self.path("data").join("state");
        std::fs::read_dir(state).is_ok_and(|mut entries| entries.next().is_some())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn store(&self) -> PathBuf {
        self.path("data").join("store")
    }

    /// The log of all nodes.
    pub(super) fn log(&self) -> PathBuf {
        self.path("node.log")
    }

    /// Leaves everything where it is, for whoever looks into a failure.
    pub(super) fn keep(self) -> PathBuf {
        self.folder.keep()
    }

    /// The job's path in the REST API.
    pub(super) fn job_path(&self) -> String {
        format!("/api/v1/jobs/{}", self.id)
    }

    /// By how many checkpoints a node is ahead of one that is paused.
    pub(super) fn draw_lead(&mut self, max: u64) -> u64 {
        self.random.random_range(1..=max)
    }

    pub(super) fn feed(&mut self) -> Result<()> {
        self.work.feed(&mut self.random)
    }

    /// Reads what is public and checks it; no node need be running.
    pub(super) async fn look(&mut self, in_the_end: bool) -> Result<(), Broken> {
        let seen = self.read().await?;
        Broken::unless(seen.goes_on_from(&self.seen), "published-stays", || {
            "results that were public are gone, or stand elsewhere".to_owned()
        })?;
        self.seen = seen;
        self.work.check(&self.seen, in_the_end)
    }

    /// What was public at the last look, sorted.
    pub(super) fn results(&self) -> BTreeMap<String, Vec<String>> {
        let mut results = self.seen.lines.clone();
        results.values_mut().for_each(|lines| lines.sort());
        results
    }

    async fn read(&self) -> Result<Seen> {
        let read = || Seen::read(&self.path("data").join("output"), &self.store(), &self.id, self.work.sinks());
        for _ in 1..READS_MAX {
            if let Ok(seen) = read() {
                return Ok(seen);
            }
            self.clock.sleep(LOOK).await;
        }
        read()
    }

    /// Waits until the node says of the job what is waited for, and gives the job more to do meanwhile.
    pub(super) async fn until(
        &mut self,
        node: &mut Node,
        what: &str,
        mut happened: impl FnMut(&Value) -> bool,
    ) -> Result<Waited, Broken> {
        let mut patience = self.patience(what);
        loop {
            if node.ended()?.is_some() {
                return Ok(Waited::Died);
            }
            let job = node.get(&self.job_path()).await;
            job.iter().try_for_each(check_failures)?;
            match job {
                Ok(job) if happened(&job) => return Ok(Waited::Happened),
                Ok(job) if job["state"] == "FINISHED" => return Ok(Waited::Finished),
                Ok(job) => check_state(&job)?,
                // It is starting, or has just died.
                Err(_) => {}
            }
            patience.bear().await?;
            if patience.looks.is_multiple_of(LOOKS_A_MEAL) {
                self.feed()?;
            }
        }
    }

    /// Waits until the node has stopped at its step; whether it has, and not gone on without coming there.
    pub(super) async fn until_paused(&mut self, node: &mut Node) -> Result<bool, Broken> {
        let mut is_long = self.is_long();
        let mut patience = self.patience("a node's pause");
        while !node.is_paused()? {
            if node.ended()?.is_some() {
                return Err(Broken::new("node-stays", "the node ended before it was paused"));
            }
            if is_long() {
                return Ok(false);
            }
            patience.bear().await?;
            if patience.looks.is_multiple_of(LOOKS_A_MEAL) {
                self.feed()?;
            }
        }
        Ok(true)
    }

    /// Tells whether a step that was waited for from now on has not come for long.
    pub(super) fn is_long(&self) -> impl FnMut() -> bool + use<> {
        let (clock, until_step, began) = (self.clock, self.until_step, self.clock.elapsed());
        move || clock.elapsed() - began > until_step
    }

    /// Waits until everything that must be public is.
    pub(super) async fn until_complete(&mut self, node: &mut Node) -> Result<(), Broken> {
        let mut patience = self.patience("all results");
        while !self.work.is_complete(&self.seen) {
            let job = node.get(&self.job_path()).await?;
            check_failures(&job)?;
            check_state(&job)?;
            if let Err(impatient) = patience.bear().await {
                self.look(true).await?;
                return Err(impatient);
            }
            self.look(false).await?;
        }
        Ok(())
    }

    /// Waits until the job is in a state; what else it is in on the way does not matter.
    pub(super) async fn reaches(&self, node: &Node, state: &str) -> Result<(), Broken> {
        let reached = node.reaches(&self.id, state, PATIENCE).await;
        reached.map_err(Broken::naming("goes-on"))?;
        check_failures(&node.get(&self.job_path()).await?)
    }

    /// No node has panicked, in whichever task.
    pub(super) fn check_log(&self) -> Result<(), Broken> {
        let log = std::fs::read(self.log()).map_err(anyhow::Error::from)?;
        let log = String::from_utf8_lossy(&log);
        match log.lines().find(|line| PANICS.iter().any(|panic| line.contains(panic))) {
            None => Ok(()),
            Some(line) => Err(Broken::new("no-bugs", line)),
        }
    }

    /// Waits until the process has died.
    pub(super) async fn until_dead(&self, node: &mut Node) -> Result<std::process::ExitStatus, Broken> {
        let mut patience = self.patience("the node's death");
        loop {
            if let Some(status) = node.ended()? {
                return Ok(status);
            }
            patience.bear().await?;
        }
    }

    /// To be had while something is waited for.
    pub(super) fn patience(&self, what: &str) -> Patience {
        Patience { what: what.to_owned(), clock: self.clock, began: self.clock.elapsed(), looks: 0 }
    }
}

/// Looking again and again, but not for ever.
pub(super) struct Patience {
    what: String,
    clock: Clock,
    began: Duration,
    looks: u32,
}

impl Patience {
    /// Waits until the next look.
    pub(super) async fn bear(&mut self) -> Result<(), Broken> {
        self.looks += 1;
        let is_lost = self.clock.elapsed() - self.began > PATIENCE;
        Broken::unless(!is_lost, "goes-on", || format!("{} did not come", self.what))?;
        self.clock.sleep(LOOK).await;
        Ok(())
    }
}

/// How many checkpoints the job has completed in this node.
pub(super) fn completed(job: &Value) -> u64 {
    job["checkpoints"]["completed"].as_u64().unwrap_or(0)
}

/// A job that nothing is wrong with neither fails nor is let go.
fn check_state(job: &Value) -> Result<(), Broken> {
    let state = job["state"].as_str().unwrap_or_default();
    let is_wrong = ["FAILED", "FAILING", "CANCELED", "SUSPENDED"].contains(&state);
    Broken::unless(!is_wrong, "goes-on", || format!("the job is {state}: {}", job["failures"]))
}

/// Whatever is done to a node and its disk, no invariant of Weir breaks by it, and nothing is damaged.
pub(super) fn check_failures(job: &Value) -> Result<(), Broken> {
    let mut failures = job["failures"].as_array().into_iter().flatten();
    match failures.find(|failure| failure["fault"] == "bug" || failure["fault"] == "corrupt") {
        None => Ok(()),
        Some(failure) => Err(Broken::new("no-bugs", failure)),
    }
}

/// Whether `path` is the folder of the second node's data.
pub(super) fn is_second(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "second")
}
