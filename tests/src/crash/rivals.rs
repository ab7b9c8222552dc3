//! Two nodes on one store, each with a data folder of its own.
//!
//! A node that starts takes over every job of its store that has not ended. The one that had the job finds out when it
//! appends its next entry; until then both run it, and nothing is doubled. Afterwards the former owner has let go.

use serde_json::Value;

use super::broken::Broken;
use super::life::Rivalry;
use super::play::Play;
use super::stage::{Stage, Waited, completed};
use crate::node::Node;

impl Play {
    pub(super) async fn rivals(&mut self, stage: &mut Stage, rivalry: Rivalry) -> Result<Waited, Broken> {
        let mut first = self.spawn(&stage.first(None))?;
        if rivalry != Rivalry::Race {
            let waited = stage.until(&mut first, "a checkpoint", |job| completed(job) > 0).await?;
            if waited != Waited::Happened {
                self.check_alive(&mut first)?;
                self.kill(first, "all work done")?;
                return Ok(waited);
            }
        }
        if rivalry == Rivalry::Paused {
            first.pause()?;
            self.note("node a", "is paused");
        }
        let mut second = self.spawn(&stage.second())?;
        let waited = match rivalry {
            Rivalry::Race => self.race(stage, &mut first, &mut second).await?,
            Rivalry::Running | Rivalry::Paused => self.takes_over(stage, &mut first, &mut second, rivalry).await?,
        };
        self.check_alive(&mut first)?;
        self.check_alive(&mut second)?;
        self.kill(first, "a node that lost its job")?;
        self.kill(second, "a node that took a job")?;
        Ok(waited)
    }

    /// The second node takes the job, whether the first one runs or not; that one stops by itself.
    async fn takes_over(
        &mut self,
        stage: &mut Stage,
        first: &mut Node,
        second: &mut Node,
        rivalry: Rivalry,
    ) -> Result<Waited, Broken> {
        let waited = stage.until(second, "a checkpoint of the second node", |job| completed(job) > 0).await?;
        self.note("node b", "has the job");
        if rivalry == Rivalry::Paused {
            first.resume()?;
            self.note("node a", "goes on");
        }
        stage.until(first, "the end of the first node's ownership", is_let_go).await?;
        self.note("node a", "has let go");
        self.totals.takeovers += 1;
        if waited == Waited::Finished {
            return Ok(waited);
        }
        let before = completed(&second.get(&stage.job_path()).await?);
        stage.until(second, "another checkpoint of the second node", |job| completed(job) > before).await
    }

    /// Both nodes start; in the end exactly one of them has the job.
    async fn race(&mut self, stage: &mut Stage, first: &mut Node, second: &mut Node) -> Result<Waited, Broken> {
        first.answers().await?;
        second.answers().await?;
        let mut loser = None;
        let mut patience = stage.patience("the end of one node's ownership");
        while loser.is_none() {
            for (name, node) in [("node a", &*first), ("node b", &*second)] {
                if is_let_go(&node.get(&stage.job_path()).await?) {
                    loser = Some(name);
                }
            }
            stage.feed()?;
            patience.bear().await?;
        }
        let loser = loser.unwrap_or_default();
        self.note(loser, "has let go");
        self.totals.takeovers += 1;
        let winner = if loser == "node a" { second } else { first };
        stage.until(winner, "a checkpoint of the winner", |job| completed(job) > 0).await
    }
}

fn is_let_go(job: &Value) -> bool {
    job["state"] == "SUSPENDED"
}
