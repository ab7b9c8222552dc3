//! Two nodes on one store, each with a data folder of its own.
//!
//! A node that starts takes over every job of its store that has not ended. Whoever appends the next entry has the job;
//! the other one finds out when it wants to append its own, and lets go. Until then both may run it, and nothing is
//! doubled. What a paused node had begun, it ends when it goes on, long after another one has done the same.

use serde_json::Value;

use super::broken::Broken;
use super::kill_at::KillAt;
use super::life::Rivalry;
use super::play::Play;
use super::stage::{Stage, Waited, check_failures, completed};
use crate::node::Node;

/// Checkpoints that the second node completes before the first one goes on, at most.
const LEAD_MAX: u64 = 5;

impl Play {
    pub(super) async fn rivals(&mut self, stage: &mut Stage, rivalry: Rivalry) -> Result<Waited, Broken> {
        let mut first = match rivalry {
            Rivalry::Running | Rivalry::Paused(None) => {
                let mut first = self.spawn(&stage.first(None))?;
                let waited = stage.until(&mut first, "a checkpoint", |job| completed(job) > 0).await?;
                if waited != Waited::Happened {
                    return self.nobody_left(first, waited);
                }
                first
            }
            Rivalry::Paused(Some(at)) => self.spawn(&stage.first_stopping(at))?,
            Rivalry::Race => self.spawn(&stage.first(None))?,
        };
        if let Rivalry::Paused(at) = rivalry {
            self.pauses(stage, &mut first, at).await?;
        }
        let mut second = self.spawn(&stage.second())?;
        let waited = match rivalry {
            Rivalry::Race | Rivalry::Running => self.race(stage, &mut first, &mut second).await?,
            Rivalry::Paused(_) => self.takes_over(stage, &mut first, &mut second).await?,
        };
        self.check_alive(&mut first)?;
        self.check_alive(&mut second)?;
        let jobs = [first.get(&stage.job_path()).await?, second.get(&stage.job_path()).await?];
        jobs.iter().try_for_each(check_failures)?;
        let is_one_left = jobs.iter().any(|job| has_let_go(job) || is_finished(job));
        Broken::unless(is_one_left, "one-owner", || format!("both nodes run the job: {jobs:?}"))?;
        self.kill(first, "one of two nodes")?;
        self.kill(second, "one of two nodes")?;
        Ok(waited)
    }

    /// The job had done all its work before there was a second node.
    fn nobody_left(&mut self, mut first: Node, waited: Waited) -> Result<Waited, Broken> {
        self.check_alive(&mut first)?;
        self.kill(first, "all work done")?;
        Ok(waited)
    }

    /// At its step, or anywhere where it does not come there.
    async fn pauses(&mut self, stage: &mut Stage, node: &mut Node, at: Option<KillAt>) -> Result<(), Broken> {
        let stops_itself = match at {
            Some(_) => stage.until_paused(node).await?,
            None => false,
        };
        if !stops_itself {
            node.pause()?;
        }
        let place = at.filter(|_| stops_itself).map_or_else(|| "any moment".to_owned(), KillAt::place);
        self.totals.note_pause(&place);
        self.note("node a", format!("is paused: {place}"));
        Ok(())
    }

    /// The second node takes the job while the first one is paused; that one goes on, and stops by itself.
    async fn takes_over(&mut self, stage: &mut Stage, first: &mut Node, second: &mut Node) -> Result<Waited, Broken> {
        let lead = stage.draw_lead(LEAD_MAX);
        let waited = stage.until(second, "checkpoints of the second node", |job| completed(job) >= lead).await?;
        self.note("node b", format!("has the job, {waited:?}"));
        first.resume()?;
        self.note("node a", "goes on");
        first.answers().await?;
        let mut patience = stage.patience("the end of the first node's ownership");
        loop {
            let job = first.get(&stage.job_path()).await?;
            if has_let_go(&job) {
                break;
            }
            // Whichever of the two has done the last of the work, the other one finds that out.
            if is_finished(&job) && is_finished(&second.get(&stage.job_path()).await?) {
                return Ok(Waited::Finished);
            }
            stage.feed()?;
            patience.bear().await?;
        }
        self.note("node a", "has let go");
        self.totals.takeovers += 1;
        if waited == Waited::Finished {
            return Ok(waited);
        }
        let before = completed(&second.get(&stage.job_path()).await?);
        stage.until(second, "another checkpoint of the second node", |job| completed(job) > before).await
    }

    /// Both nodes run; in the end exactly one of them has the job, or it is done.
    async fn race(&mut self, stage: &mut Stage, first: &mut Node, second: &mut Node) -> Result<Waited, Broken> {
        first.answers().await?;
        second.answers().await?;
        let mut patience = stage.patience("the end of one node's ownership");
        let winner = loop {
            let jobs = [first.get(&stage.job_path()).await?, second.get(&stage.job_path()).await?];
            match jobs.each_ref().map(has_let_go) {
                [true, true] => return Err(Broken::new("goes-on", format!("both let go: {jobs:?}"))),
                [true, false] => break second,
                [false, true] => break first,
                [false, false] if jobs.iter().all(is_finished) => return Ok(Waited::Finished),
                [false, false] => {}
            }
            stage.feed()?;
            patience.bear().await?;
        };
        self.note("harness", format!("the node at {} has the job", winner.url));
        self.totals.takeovers += 1;
        let before = completed(&winner.get(&stage.job_path()).await?);
        stage.until(winner, "a checkpoint of the winner", |job| completed(job) > before).await
    }
}

fn has_let_go(job: &Value) -> bool {
    job["state"] == "SUSPENDED"
}

fn is_finished(job: &Value) -> bool {
    job["state"] == "FINISHED"
}
