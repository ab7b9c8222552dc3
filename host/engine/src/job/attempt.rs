//! One attempt: all tasks of a job, from the newest entry, until they have finished, failed, or are not wanted.
//!
//! Receives what the tasks and their background report; guarantees that the coordinator's decisions are performed in
//! order, one at a time, and that no task of the attempt is heard once it has ended. Does not own what follows.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::watch;
use weir_operator::attempt::{Budget, StateQuota};
use weir_protocol::assembly::Assembly;
use weir_protocol::coordinator::{self, Coordinator};
use weir_protocol::id::{CheckpointId, EntryNumber, SubtaskId};
use weir_protocol::time::Timestamp;

use crate::checkpoint::chain::RunOwner;
use crate::checkpoint::upload::Unsaved;
use crate::exchange::Barrier;
use crate::spawn::{Panicked, TaskGroup};
use crate::task::{SourceCommands, TaskError};

use super::board::Board;
use super::deploy::{Deployer, Deployment};
use super::ended::Ended;
use super::events::{EventQueue, Reported, events};
use super::owned::{Owned, Publishers};
use super::plan::Plan;
use super::restart::Restarts;
use super::shared::Shared;
use super::status::{JobState, StandingCheckpoint};
use super::wish::{Wish, Wishes};

/// How often it is looked whether enough is in the store for another checkpoint.
const ROOM_DELAY: Duration = Duration::from_millis(50);

/// How long tasks that were aborted are waited for.
const STOP_WAIT: Duration = Duration::from_secs(5);

/// How long an attempt that makes way for another spec waits for one more checkpoint.
const LEAVE_WAIT_MS: u64 = 10_000;

pub(super) type Ran = (SubtaskId, Result<(), TaskError>);

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
    let (triggered, triggered_by) = watch::channel(None);
    let (sender, events) = events();
    let deployer = Deployer {
        shared,
        plan,
        board,
        job: owned.owner().job(),
        owner: owned.owner().owner(),
        highest,
        manifest,
        budget: &budget,
        quota: &quota,
        unsaved: &unsaved,
        recorded: recorded_by,
        triggered: triggered_by,
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
    let restored = StandingCheckpoint::of(manifest);
    let assembly = Assembly::new(manifest.clone(), highest);
    // Whoever sees that it runs may ask.
    let hurried = board.fresh().asked();
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
        triggered,
        unsaved,
        sources,
        running: subtasks,
        events,
        tasks: TaskGroup::new(shared.data.clone()),
        reporters: TaskGroup::new(shared.control.clone()),
        hurried,
        leaves_by: None,
    };
    for reporter in reporters {
        let subtask = reporter.subtask.clone();
        let name = format!("report {subtask}");
        attempt.reporters.spawn_stoppable(name, |stop| async move { (subtask, reporter.run(stop).await) });
    }
    for (subtask, task) in tasks {
        attempt.tasks.spawn(subtask.to_string(), async move { (subtask, task.await) });
    }
    Ok(attempt)
}

/// A running attempt.
pub(super) struct Attempt<'a> {
    pub(super) setting: Setting<'a>,
    pub(super) owned: Owned<'a>,
    /// `None`: the job takes no checkpoints.
    pub(super) coordinator: Option<Coordinator>,
    pub(super) assembly: Assembly,
    pub(super) recorded: watch::Sender<CheckpointId>,
    /// For tasks to which no input brings barriers any more.
    pub(super) triggered: watch::Sender<Option<Barrier>>,
    /// What is closed and not in the store yet.
    pub(super) unsaved: Unsaved,
    pub(super) sources: Vec<SourceCommands>,
    /// The subtasks that have not finished.
    running: BTreeSet<SubtaskId>,
    events: EventQueue,
    pub(super) tasks: TaskGroup<Ran>,
    pub(super) reporters: TaskGroup<Ran>,
    /// Changes when somebody wants a checkpoint at once.
    hurried: watch::Receiver<u64>,
    /// The job is to be another: until when the attempt waits for one more checkpoint.
    leaves_by: Option<Timestamp>,
}

/// All that can happen to an attempt.
enum Event {
    Wished(Wish),
    Ran(Result<(String, Ran), Panicked>),
    Reported(Reported),
    Published(Result<(), Ended>),
    Hurried,
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
                Event::Hurried => self.coordinate(coordinator::Event::TriggerNow).await,
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
            Ok(()) = self.hurried.changed() => Event::Hurried,
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
    pub(super) const fn leave(&self) -> Result<(), Ended> {
        if self.leaves_by.is_some() { Err(Ended::Wished(self.setting.wanted)) } else { Ok(()) }
    }

    fn on_published(&mut self) {
        self.setting.board.published(&self.owned.sinks_published());
        self.pace_sources();
    }

    /// Sealed results that cannot be published yet are bounded: at the bound the sources wait.
    pub(super) fn pace_sources(&self) {
        let is_congested = self.owned.is_congested();
        self.sources.iter().for_each(|source| source.pause(is_congested));
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

    /// Ends every task of the attempt. One that does not end in time is left behind: nobody listens to it any more, and
    /// what it may yet upload bears this attempt's name and no other's.
    async fn stop(self) {
        let clock = self.setting.shared.clock;
        let (tasks, reporters) =
            tokio::join!(self.tasks.stop(clock.sleep(STOP_WAIT)), self.reporters.stop(clock.sleep(STOP_WAIT)));
        if !(tasks && reporters) {
            let job = self.owned.owner().job();
            tracing::error!(%job, "a task of the job holds its thread or waits for the store, and was left behind");
        }
        self.setting.board.attempt_ended(clock.now());
    }
}
