//! A scenario as it is played: nodes one after the other, each with its troubles, and what they did to the job.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use serde_json::Value;
use weir_engine::clock::Clock;
use weir_simulator::failure::Failure;
use weir_simulator::trace::Trace;

use super::broken::Broken;
use super::kill_at::KillAt;
use super::life::Life;
use super::scenario::Scenario;
use super::stage::{Stage, Waited, check_failures, completed, is_second};
use super::totals::Totals;
use crate::node::{Launch, Node, log_end};

/// Calls that a full disk refuses before it has room again.
const REFUSALS: u64 = 10;

/// What stands before the time in a line of a log.
const DATE_CHARS: usize = "2000-01-01T".len();

/// As much of a line of a log as a trace shows.
const LOG_CHARS_MAX: usize = 140;

/// The number of the signal that nothing survives.
const SIGKILL: i32 = 9;

/// What came of a scenario in which every promise was kept.
#[derive(Debug)]
pub struct Played {
    /// What was done to the nodes.
    pub totals: Totals,
    /// All results of each sink, sorted.
    pub results: BTreeMap<String, Vec<String>>,
}

/// A scenario on its way.
pub(super) struct Play {
    scenario: Scenario,
    clock: Clock,
    began: Duration,
    pub(super) totals: Totals,
    trace: Trace,
    life: u64,
}

impl Play {
    pub(super) fn begin(scenario: Scenario) -> Self {
        let clock = Clock::system();
        Self { scenario, began: clock.elapsed(), clock, totals: Totals::default(), trace: Trace::default(), life: 0 }
    }

    pub(super) async fn play(mut self) -> Result<Played, Box<Failure>> {
        let mut stage = match Stage::set(&self.scenario) {
            Ok(stage) => stage,
            Err(error) => return Err(Box::new(self.failure(error.into()))),
        };
        match self.perform(&mut stage).await {
            Ok(()) => Ok(Played { totals: self.totals, results: stage.results() }),
            Err(broken) => {
                log_end(&stage.log()).lines().for_each(|line| self.note("log", shortened(line)));
                let kept = stage.keep();
                self.note("harness", format!("everything is left in {}", kept.display()));
                Err(Box::new(self.failure(broken)))
            }
        }
    }

    fn failure(self, Broken { invariant, detail }: Broken) -> Failure {
        let Scenario { seed, reproduce, .. } = self.scenario;
        Failure { topic: "crash", seed, step: self.life, invariant, detail, reproduce, trace: self.trace }
    }

    async fn perform(&mut self, stage: &mut Stage) -> Result<(), Broken> {
        let memory = match self.scenario.memory {
            Some(bytes) => format!("{bytes} bytes of memory and a disk for state"),
            None => "state in memory".to_owned(),
        };
        self.note("harness", format!("plays a job of the kind {}, {memory}", self.scenario.kind.name()));
        self.create(stage).await?;
        for life in self.scenario.lives.clone() {
            self.life += 1;
            self.note("harness", life.to_string());
            stage.feed()?;
            let waited = match life {
                Life::Dies { at, slow } => self.dies(stage, at, slow).await,
                Life::Killed { after, running, slow } => self.killed(stage, (after, running), slow).await,
                Life::Full { recovers } => self.full(stage, recovers).await,
                Life::Rivals(rivalry) => self.rivals(stage, rivalry).await,
            }?;
            self.totals.on_disk += u64::from(stage.has_state_on_disk());
            heal(stage)?;
            stage.check_log()?;
            stage.look(false).await?;
            if waited == Waited::Finished {
                break;
            }
        }
        self.life += 1;
        self.finish(stage).await?;
        self.totals.note_disk(stage.disk.suffered()?);
        self.totals.scenarios += 1;
        Ok(())
    }

    /// Submits the job; again, where the node dies of it.
    async fn create(&mut self, stage: &mut Stage) -> Result<(), Broken> {
        let mut dies = self.scenario.creation;
        loop {
            let mut node = self.spawn(&stage.first(dies))?;
            node.answers().await?;
            let (name, component) = stage.work.component();
            node.upload(name, component.as_ref()).await?;
            let submitted = node.deploy(&stage.job).await;
            match (submitted, dies.take()) {
                (Ok(answer), _) => {
                    stage.id = answer["id"].as_str().unwrap_or_default().to_owned();
                    self.note("node a", format!("has job {}", stage.id));
                    return self.kill(node, "as the job was accepted");
                }
                (Err(_), Some(at)) => self.mourn(stage, node, at).await?,
                (Err(error), None) => return Err(error.into()),
            }
        }
    }

    /// A node that kills itself, unless the job has done its work before, or the step does not come.
    async fn dies(&mut self, stage: &mut Stage, at: KillAt, slow: Duration) -> Result<Waited, Broken> {
        stage.disk.set_slow(slow)?;
        let launch = if slow.is_zero() { stage.first(Some(at)) } else { stage.first_on_disk(Some(at)) };
        let mut node = self.spawn(&launch)?;
        let mut is_long = stage.is_long();
        let waited = stage.until(&mut node, &at.to_string(), |_| is_long()).await?;
        match waited {
            Waited::Died => self.mourn(stage, node, at).await?,
            Waited::Finished => self.kill(node, "all work done")?,
            Waited::Happened => self.kill(node, "the step did not come")?,
        }
        Ok(waited)
    }

    /// A node that is killed whatever it is doing. Only where the job runs in it is that a kill that counts.
    async fn killed(
        &mut self,
        stage: &mut Stage,
        (after, running): (Duration, bool),
        slow: Duration,
    ) -> Result<Waited, Broken> {
        stage.disk.set_slow(slow)?;
        let launch = if slow.is_zero() { stage.first(None) } else { stage.first_on_disk(None) };
        let mut node = self.spawn(&launch)?;
        if running {
            let waited = stage.until(&mut node, "the job to run", is_running).await?;
            if waited != Waited::Happened {
                self.kill(node, "all work done")?;
                return Ok(waited);
            }
        }
        self.clock.sleep(after / 2).await;
        stage.feed()?;
        self.clock.sleep(after / 2).await;
        let job = node.get(&stage.job_path()).await;
        job.iter().try_for_each(check_failures)?;
        if job.is_ok_and(|job| is_running(&job)) {
            self.kill(node, if slow.is_zero() { "any moment" } else { "any moment, slow disk" })?;
        } else {
            self.note("harness", "kills it: no job runs in it");
            self.totals.starting += 1;
            end(node)?;
        }
        Ok(Waited::Died)
    }

    /// There is no room for a while. Nothing is lost by it, and the job goes on by itself.
    async fn full(&mut self, stage: &mut Stage, recovers: bool) -> Result<Waited, Broken> {
        let mut node = self.spawn(&stage.first_on_disk(None))?;
        let mut waited = stage.until(&mut node, "a checkpoint", |job| completed(job) > 0).await?;
        if waited == Waited::Happened {
            stage.disk.set_full(true)?;
            self.note("disk", "is full");
            let (disk, enough) = (stage.disk.clone(), stage.disk.suffered()?.refused + REFUSALS);
            let refused = |_: &_| disk.suffered().is_ok_and(|now| now.refused >= enough);
            waited = stage.until(&mut node, "refusals of a full disk", refused).await?;
        }
        if recovers && waited == Waited::Happened {
            let before = completed(&node.get(&stage.job_path()).await?);
            stage.disk.set_full(false)?;
            self.note("disk", "has room");
            waited = stage.until(&mut node, "another checkpoint", |job| completed(job) > before).await?;
            self.totals.recoveries += u64::from(waited == Waited::Happened);
        }
        self.check_alive(&mut node)?;
        self.kill(node, if recovers { "the disk was full" } else { "the disk is full" })?;
        Ok(waited)
    }

    /// The last node: it lives until the job is done.
    async fn finish(&mut self, stage: &mut Stage) -> Result<(), Broken> {
        let mut node = self.spawn(&stage.first(None))?;
        node.answers().await?;
        stage.work.end()?;
        if stage.work.is_endless() {
            stage.until_complete(&mut node).await?;
            node.cancel(&stage.id).await?;
            stage.reaches(&node, "CANCELED").await?;
        } else {
            stage.reaches(&node, "FINISHED").await?;
        }
        end(node)?;
        stage.check_log()?;
        stage.look(true).await?;
        self.note("harness", "everything is as it would have been");
        Ok(())
    }

    pub(super) fn spawn(&mut self, launch: &Launch) -> Result<Node, Broken> {
        self.totals.starts += 1;
        self.note(if is_second(&launch.data) { "node b" } else { "node a" }, "starts");
        Ok(Node::spawn(launch)?)
    }

    /// Kills a node that has the job.
    pub(super) fn kill(&mut self, node: Node, place: &str) -> Result<(), Broken> {
        self.note("harness", format!("kills it: {place}"));
        self.totals.note_kill(place);
        end(node)
    }

    /// A node that was to kill itself has died, and of nothing else.
    async fn mourn(&mut self, stage: &Stage, mut node: Node, at: KillAt) -> Result<(), Broken> {
        check_killed(stage.until_dead(&mut node).await?)?;
        let place = at.place();
        self.note("node a", format!("has died: {place}"));
        self.totals.note_kill(&place);
        Ok(())
    }

    /// A node that nobody killed runs.
    pub(super) fn check_alive(&self, node: &mut Node) -> Result<(), Broken> {
        match node.ended()? {
            None => Ok(()),
            Some(status) => Err(Broken::new("node-stays", format!("the node ended with {status}"))),
        }
    }

    pub(super) fn note(&mut self, actor: &str, text: impl Into<String>) {
        let at = u64::try_from((self.clock.elapsed() - self.began).as_millis()).unwrap_or(u64::MAX);
        self.trace.note(at, actor, text);
    }
}

/// A line of a log without its date, and not wider than a trace should be.
fn shortened(line: &str) -> String {
    line.chars().skip(DATE_CHARS).take(LOG_CHARS_MAX).collect()
}

/// Kills a node, which lives until then.
fn end(node: Node) -> Result<(), Broken> {
    check_killed(node.kill()?)
}

/// Nothing ends a node but SIGKILL.
fn check_killed(status: ExitStatus) -> Result<(), Broken> {
    Broken::unless(status.signal() == Some(SIGKILL), "node-stays", || format!("the node ended with {status}"))
}

fn is_running(job: &Value) -> bool {
    job["state"] == "RUNNING"
}

fn heal(stage: &Stage) -> Result<(), Broken> {
    stage.disk.set_full(false)?;
    Ok(stage.disk.set_slow(Duration::ZERO)?)
}
