//! One attempt: all tasks of a job, from the newest entry, until they have finished, failed, or are not wanted.
//!
//! Receives what the tasks and their background report; guarantees that the coordinator's decisions are performed in
//! order, one at a time, and that no task of the attempt is heard once it has ended. Does not own what follows.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::watch;
use weir_operator::attempt::{Budget, StateQuota};
use weir_protocol::assembly::Assembly;
use weir_protocol::coordinator::{self, AbortReason, Action, Complete, Coordinator};
use weir_protocol::id::{CheckpointId, EntryNumber, SubtaskId};
use weir_protocol::time::Timestamp;

use crate::checkpoint::chain::RunOwner;
use crate::checkpoint::upload::Unsaved;
use crate::spawn::{Panicked, TaskGroup};
use crate::task::{SourceCommands, TaskError};

use super::board::Board;
use super::bound;
use super::deploy::{Deployer, Deployment};
use super::ended::{Ended, Failed};
use super::events::{EventQueue, Reported, events};
use super::owned::{Owned, Publishers};
use super::plan::Plan;
use super::restart::Restarts;
use super::shared::Shared;
use super::status::JobState;
use super::wish::{Wish, Wishes};

/// How often it is looked whether enough is in the store for another checkpoint.
const ROOM_DELAY: Duration = Duration::from_millis(50);

/// How long the first failure is looked for once a task says that a neighbour of it has gone.
const BLAME_DELAY: Duration = Duration::from_secs(1);

/// How long tasks that were aborted are waited for.
const STOP_WAIT: Duration = Duration::from_secs(5);

/// How long an attempt that makes way for another spec waits for one more checkpoint.
const LEAVE_WAIT_MS: u64 = 10_000;

type Ran = (SubtaskId, Result<(), TaskError>);

/// What an attempt needs.
pub(crate) struct Setting<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) plan: &'a Plan,
    pub(crate) board: &'a Board,
    pub(crate) restarts: &'a mut Restarts,
    pub(crate) wishes: &'a mut Wishes,
    /// The wish that the attempt performs.
    pub(crate) wanted: Wish,
    /// The entry of the `spec/` chain that the plan was made from.
    pub(crate) spec: EntryNumber,
}

/// Runs an attempt, from the newest entry of an owner that was just begun.
pub(crate) async fn run(setting: Setting<'_>, owner: &mut RunOwner, publishers: &Publishers) -> Ended {
    match begin(setting, owner, publishers).await {
        Ok(mut attempt) => {
            let ended = attempt.drive().await;
            attempt.stop().await;
            ended
        }
        Err(ended) => ended,
    }
}

async fn begin<'a>(
    setting: Setting<'a>,
    owner: &'a mut RunOwner,
    publishers: &Publishers,
) -> Result<Attempt<'a>, Ended> {
    let Setting { shared, plan, board, .. } = setting;
    let owned = Owned::begin((shared, board), owner, publishers, setting.wishes).await?;
    let manifest = owned.manifest();
    let highest = owned.owner().ownership().highest_checkpoint();
    let spec = plan.graph.spec();
    let budget = Budget::new(spec.errors.budget, manifest.rejected);
    let quota = StateQuota::new(spec.limits.state_bytes_max);
    let unsaved = Unsaved::default();
    let (recorded, recorded_by) = watch::channel(highest);
    let (sender, events) = events();
    let deployer = Deployer {
        shared,
        plan,
        job: owned.owner().job(),
        owner: owned.owner().owner(),
        highest,
        manifest,
        budget: &budget,
        quota: &quota,
        unsaved: &unsaved,
        recorded: recorded_by,
        events: sender,
    };
    let deployed = tokio::select! {
        biased;
        wish = setting.wishes.other_than(setting.wanted) => return Err(Ended::Wished(wish)),
        deployed = deployer.deploy() => deployed?,
    };
    let Deployment { tasks, reporters, sources, vertices, recent } = deployed;
    let subtasks: BTreeSet<SubtaskId> = plan.graph.subtasks().collect();
    // The first checkpoint after a change is recorded whatever happened: with it the change is made.
    let must_record = !manifest.outboxes.is_empty() || owned.is_on_trial();
    let coordinator = spec
        .checkpoint
        .clone()
        .map(|spec| Coordinator::new(spec, subtasks.clone(), highest, must_record, shared.clock.now()));
    let restored = Some(manifest.checkpoint).filter(|checkpoint| *checkpoint > CheckpointId(0));
    let assembly = Assembly::new(manifest.clone(), highest);
    board.attempt(vertices, restored, budget);
    board.set_recent(recent);
    board.published(&owned.sinks_published());
    board.enter(JobState::Running, shared.clock.now());
    let mut attempt = Attempt {
        setting,
        owned,
        coordinator,
        assembly,
        recorded,
        unsaved,
        sources,
        running: subtasks,
        events,
        tasks: TaskGroup::new(shared.data.clone()),
        reporters: TaskGroup::new(shared.control.clone()),
        leaves_by: None,
    };
    for reporter in reporters {
        let subtask = reporter.subtask.clone();
        attempt.reporters.spawn(format!("report {subtask}"), async move { (subtask, reporter.run().await) });
    }
    for (subtask, task) in tasks {
        attempt.tasks.spawn(subtask.to_string(), async move { (subtask, task.await) });
    }
    Ok(attempt)
}

/// A running attempt.
struct Attempt<'a> {
    setting: Setting<'a>,
    owned: Owned<'a>,
    /// `None`: the job takes no checkpoints.
    coordinator: Option<Coordinator>,
    assembly: Assembly,
    recorded: watch::Sender<CheckpointId>,
    /// What is closed and not in the store yet.
    unsaved: Unsaved,
    sources: Vec<SourceCommands>,
    /// The subtasks that have not finished.
    running: BTreeSet<SubtaskId>,
    events: EventQueue,
    tasks: TaskGroup<Ran>,
    reporters: TaskGroup<Ran>,
    /// The job is to be another: until when the attempt waits for one more checkpoint.
    leaves_by: Option<Timestamp>,
}

/// All that can happen to an attempt.
enum Event {
    Wished(Wish),
    Ran(Result<(String, Ran), Panicked>),
    Reported(Reported),
    Published(Result<(), Ended>),
    Tick,
    Late,
}

impl Attempt<'_> {
    async fn drive(&mut self) -> Ended {
        loop {
            let step = match self.next().await {
                Event::Wished(wish) => self.on_wish(wish).await,
                Event::Late => Err(Ended::Wished(self.setting.wanted)),
                Event::Ran(ran) => self.on_ran(ran).await,
                Event::Reported(reported) => self.on_reported(reported).await,
                Event::Published(noted) => noted.map(|()| self.on_published()),
                Event::Tick => self.coordinate(coordinator::Event::Tick).await,
            };
            if let Err(ended) = step {
                return ended;
            }
        }
    }

    async fn next(&mut self) -> Event {
        let clock = self.setting.shared.clock;
        let wake = self.coordinator.as_mut().and_then(|coordinator| {
            coordinator.set_room(self.unsaved.has_room());
            coordinator.next_wake()
        });
        let look_for_room = self.coordinator.is_some() && !self.unsaved.has_room();
        let tick = async {
            let due = async {
                match wake {
                    Some(at) => clock.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = due => {}
                () = clock.sleep(ROOM_DELAY), if look_for_room => {}
            }
        };
        let late = async {
            match self.leaves_by {
                Some(at) => clock.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            wish = self.setting.wishes.other_than(self.setting.wanted) => Event::Wished(wish),
            Some(ran) = self.tasks.next() => Event::Ran(ran),
            Some(ran) = self.reporters.next() => Event::Ran(ran),
            Some(reported) = self.events.next() => Event::Reported(reported),
            noted = self.owned.published() => Event::Published(noted),
            () = tick => Event::Tick,
            () = late => Event::Late,
        }
    }

    /// What follows is another attempt: where that is to be of another spec, a checkpoint now spares it what was done since
    /// the newest one.
    async fn on_wish(&mut self, wish: Wish) -> Result<(), Ended> {
        if !matches!(wish, Wish::Run(_)) || self.coordinator.is_none() {
            return Err(Ended::Wished(wish));
        }
        self.setting.wanted = wish;
        self.leaves_by.get_or_insert_with(|| self.setting.shared.clock.now().saturating_add_unsigned(LEAVE_WAIT_MS));
        self.coordinate(coordinator::Event::TriggerNow).await
    }

    /// Ends the attempt where a checkpoint was all that it waited for.
    const fn leave(&self) -> Result<(), Ended> {
        if self.leaves_by.is_some() { Err(Ended::Wished(self.setting.wanted)) } else { Ok(()) }
    }

    fn on_published(&mut self) {
        self.setting.board.published(&self.owned.sinks_published());
        self.pace_sources();
    }

    /// Sealed results that cannot be published yet are bounded: at the bound the sources wait.
    fn pace_sources(&self) {
        let is_congested = self.owned.is_congested();
        self.sources.iter().for_each(|source| source.pause(is_congested));
    }

    async fn on_ran(&mut self, ran: Result<(String, Ran), Panicked>) -> Result<(), Ended> {
        let failed = match failure(ran) {
            None => return Ok(()),
            Some(failed) if !is_consequence(&failed) => failed,
            Some(consequence) => self.blame(consequence).await,
        };
        Err(failed.into())
    }

    /// A task failed because a neighbour had gone: that one's failure is what people should be told.
    async fn blame(&mut self, consequence: Failed) -> Failed {
        let Self { tasks, reporters, .. } = self;
        let search = async {
            loop {
                let ran = tokio::select! {
                    biased;
                    Some(ran) = tasks.next() => ran,
                    Some(ran) = reporters.next() => ran,
                    else => return None,
                };
                if let Some(failed) = failure(ran).filter(|failed| !is_consequence(failed)) {
                    return Some(failed);
                }
            }
        };
        tokio::select! {
            biased;
            found = search => found.unwrap_or(consequence),
            () = self.setting.shared.clock.sleep(BLAME_DELAY) => consequence,
        }
    }

    async fn on_reported(&mut self, Reported { event, bytes }: Reported) -> Result<(), Ended> {
        match &event {
            coordinator::Event::Acknowledged { checkpoint, .. } => {
                self.setting.board.checkpoint_acknowledged(*checkpoint, bytes);
            }
            coordinator::Event::Finished { subtask, .. } => {
                self.running.remove(subtask);
            }
            coordinator::Event::Tick
            | coordinator::Event::TriggerNow
            | coordinator::Event::Declined { .. }
            | coordinator::Event::Recorded { .. }
            | coordinator::Event::RecordFailed { .. } => {}
        }
        if self.coordinator.is_none() && self.running.is_empty() {
            return Err(Ended::Finished);
        }
        self.coordinate(event).await
    }

    /// Tells the coordinator what happened, and performs what it decides until it wants nothing more.
    async fn coordinate(&mut self, event: coordinator::Event) -> Result<(), Ended> {
        let mut happened = vec![event];
        while let Some(event) = happened.pop() {
            let now = self.setting.shared.clock.now();
            let Some(coordinator) = &mut self.coordinator else { return Ok(()) };
            coordinator.set_room(self.unsaved.has_room());
            for action in coordinator.on(event, now) {
                if let Some(followed) = self.perform(action).await? {
                    happened.push(followed);
                }
            }
        }
        Ok(())
    }

    /// Performs one action; what followed at once from it.
    async fn perform(&mut self, action: Action) -> Result<Option<coordinator::Event>, Ended> {
        let (board, now) = (self.setting.board, self.setting.shared.clock.now());
        match action {
            Action::Trigger(barrier) => {
                let subtasks = self.setting.plan.graph.subtasks().count();
                board.checkpoint_triggered(barrier.checkpoint, false, u32::try_from(subtasks).unwrap_or(u32::MAX), now);
                self.sources.iter().for_each(|source| source.trigger(barrier));
            }
            Action::Record(complete) => return self.record(complete).await.map(Some),
            Action::Skip { checkpoint } => {
                board.checkpoint_skipped(checkpoint);
                self.leave()?;
            }
            Action::Abort { checkpoint, reason } => {
                board.checkpoint_failed(checkpoint, reason.to_string(), now);
                if !matches!(reason, AbortReason::Subsumed { .. }) {
                    self.leave()?;
                }
            }
            Action::FailJob { checkpoint, reason } => return Err(Failed::of_checkpoint(checkpoint, &reason).into()),
        }
        Ok(None)
    }

    /// The checkpoint exists once its entry does; only then is anything published or deleted.
    async fn record(&mut self, complete: Complete) -> Result<coordinator::Event, Ended> {
        let Setting { shared, plan, board, restarts, wishes, wanted: _, spec } = &mut self.setting;
        let checkpoint = complete.checkpoint;
        if complete.last {
            board.checkpoint_triggered(
                checkpoint,
                true,
                u32::try_from(complete.reports.len()).unwrap_or(u32::MAX),
                complete.at,
            );
        }
        let storage = plan.graph.spec().state.storage;
        if let Some(reason) = bound::exceeded(storage, || self.owned.bytes(&self.assembly, &complete)) {
            if complete.last {
                return Err(Failed::of_checkpoint(checkpoint, &AbortReason::RecordFailed { reason }).into());
            }
            return Ok(coordinator::Event::RecordFailed { checkpoint, reason });
        }
        self.owned.record(&self.assembly, &complete, wishes).await?;
        let unconfirmed = !self.owned.manifest().outboxes.is_empty();
        self.assembly.recorded(checkpoint);
        self.recorded.send_replace(checkpoint);
        restarts.progressed();
        board.checkpoint_completed(checkpoint, shared.clock.now());
        board.proven(*spec);
        self.pace_sources();
        if complete.last {
            return Err(Ended::Finished);
        }
        self.leave()?;
        Ok(coordinator::Event::Recorded { checkpoint, unconfirmed })
    }

    /// Ends every task of the attempt. One that holds its thread is left behind: nobody listens to it any more, and what
    /// it may yet upload bears this attempt's name and no other's.
    async fn stop(self) {
        let clock = self.setting.shared.clock;
        let (tasks, reporters) =
            tokio::join!(self.tasks.stop(clock.sleep(STOP_WAIT)), self.reporters.stop(clock.sleep(STOP_WAIT)));
        if !(tasks && reporters) {
            let job = self.owned.owner().job();
            tracing::error!(%job, "a task of the job holds its thread, and was left behind");
        }
        self.setting.board.attempt_ended(clock.now());
    }
}

/// Whether it failed only because another had.
fn is_consequence(failed: &Failed) -> bool {
    failed.is_consequence
}

/// What failed, if anything did.
fn failure(ran: Result<(String, Ran), Panicked>) -> Option<Failed> {
    match ran {
        Ok((_, (_, Ok(())))) => None,
        Ok((_, (subtask, Err(error)))) => Some(Failed::of_subtask(subtask, error)),
        Err(panicked) => Some(Failed::new(weir_protocol::Fault::Bug, panicked.to_string())),
    }
}
