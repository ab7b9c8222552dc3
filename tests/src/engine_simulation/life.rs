//! What happens to the processes of a run, until the job has ended; and that one of them drives it all the time.

use std::time::Duration;

use axum::http::Method;
use weir_engine::job::{JobState, JobStatus};
use weir_protocol::chain::Owner;
use weir_protocol::id::JobId;

use super::plan::{Event, Job, Plan};
use super::process::{Process, World};
use super::{checks, client, status};

/// Simulated time in which a job must end once nothing goes wrong any more.
const PATIENCE: Duration = Duration::from_secs(300);

/// How long late writes may still come after the job's end.
const AFTERMATH: Duration = Duration::from_secs(10);

/// How often a status is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What the processes did.
#[derive(Debug, Clone, Default)]
pub(super) struct Lived {
    pub(super) job: Option<JobId>,
    pub(super) crashes: u64,
    pub(super) starts: u64,
    pub(super) attempts: u64,
    pub(super) checkpoints: u64,
    /// How the job ended, and how many processes had been started when that was first seen.
    ended: Option<(JobState, u64)>,
    /// The job's last status.
    pub(super) last: Option<JobStatus>,
    /// Submissions that had no answer.
    pub(super) refusals: u64,
    /// Somebody asked for the job's end, whatever the answer.
    pub(super) was_asked_to_cancel: bool,
    /// Who had the job when the newest process started.
    found: Option<Owner>,
    /// The job ended once nothing went wrong any more, and not by what a process that had died had sent before.
    pub(super) ends_undisturbed: bool,
    /// Whom the process has met on the store since it started, if anybody.
    rivalry: Option<Rivalry>,
}

/// Two processes on one store: one of them must drive the job.
#[derive(Debug, Clone, Copy)]
struct Rivalry {
    /// Who made the newest entry when they met.
    before: Option<Owner>,
    /// The one that died had let go of the job before.
    is_settled: bool,
}

/// Lives a plan to its end; the process that stands then.
pub(super) async fn live(world: &World, plan: &Plan) -> (Process, Lived) {
    let mut lived = Lived::default();
    if !plan.submits_in_bad_weather {
        world.weather.calm_down();
    }
    let mut process = lived.start(world).await;
    process = client::submit(world, plan, process, &mut lived).await;
    world.weather.rise();
    for (wait, event) in &plan.events {
        world.clock.sleep(*wait).await;
        lived.look(world, &process);
        process = happen(world, plan, *event, process, &mut lived).await;
    }
    world.weather.calm_down();
    world.hazards.cease();
    if lived.has_rivalled() && !plan.keeps_survivors {
        process = lived.replace(world, process).await;
    }
    lived.ends_undisturbed = !checks::has_ended(world);
    process = finish(world, process, &mut lived).await;
    lived.ends_undisturbed &= checks::owner(world) != lived.found;
    world.clock.sleep(AFTERMATH).await;
    lived.look(world, &process);
    (process, lived)
}

async fn happen(world: &World, plan: &Plan, event: Event, process: Process, lived: &mut Lived) -> Process {
    match event {
        Event::Crash(pause) => {
            lived.crash(process);
            world.clock.sleep(Duration::from_millis(pause)).await;
            lived.start(world).await
        }
        Event::Rival(together) => rival(world, together, process, lived).await,
        Event::Stop => {
            let before = world.clock.elapsed();
            process.stop().await;
            if world.clock.elapsed() - before > Duration::from_secs(11) {
                world.log.broken("stops-in-time", "it took longer than it says");
            }
            lived.rivalry = None;
            lived.start(world).await
        }
        Event::Panic => {
            world.hazards.panic_soon();
            process
        }
        Event::Fail => {
            world.hazards.fail_soon();
            process
        }
        Event::Trap => {
            world.hazards.trap_soon();
            process
        }
        Event::Rescale(operators) => {
            let job = Job { operators: Some(operators), ..plan.job.clone() };
            client::change(world, &job, &process).await;
            process
        }
        Event::Break => {
            let job = Job { is_broken: true, ..plan.job.clone() };
            client::change(world, &job, &process).await;
            process
        }
        Event::Cancel => {
            lived.was_asked_to_cancel = true;
            process.ask(Method::POST, "/api/v1/jobs/job/cancel", ("", String::new())).await;
            process
        }
    }
}

/// A second process starts on the same store; after a while the first one dies.
async fn rival(world: &World, together: u64, process: Process, lived: &mut Lived) -> Process {
    let rivalry = Rivalry { before: checks::owner(world), is_settled: false };
    if !lived.is_suspended() {
        lived.rivalry = Some(rivalry);
    }
    let rival = lived.start(world).await;
    world.clock.sleep(Duration::from_millis(together)).await;
    lived.look(world, &process);
    let is_settled = lived.is_suspended();
    lived.crash(process);
    lived.rivalry = Some(Rivalry { is_settled, ..rivalry });
    lived.look(world, &rival);
    rival
}

/// Nothing goes wrong any more: the job ends by itself.
async fn finish(world: &World, process: Process, lived: &mut Lived) -> Process {
    let mut process = process;
    let start = world.clock.elapsed();
    loop {
        lived.look(world, &process);
        let is_over = lived.last.as_ref().is_some_and(|job| job.state.is_terminal());
        if is_over || world.log.first_broken().is_some() {
            return process;
        }
        // It let go of the job because of another process, which has died: people start it again.
        if lived.is_suspended() {
            process = lived.replace(world, process).await;
        }
        if world.clock.elapsed() - start > PATIENCE {
            let shown = lived.last.as_ref().map(|job| (job.state, &job.failures, &job.checkpoints));
            world.log.broken("comes-to-an-end", format!("{shown:?}"));
            return process;
        }
        world.clock.sleep(LOOK_EVERY).await;
    }
}

impl Lived {
    async fn start(&mut self, world: &World) -> Process {
        self.starts += 1;
        self.found = checks::owner(world);
        if let Some(last) = &self.last {
            self.attempts += last.attempts;
            self.checkpoints += last.checkpoints.completed;
        }
        Process::start(world, self.starts).await
    }

    /// The process dies where it stands.
    fn crash(&mut self, process: Process) {
        process.crash();
        self.crashes += 1;
        self.rivalry = None;
    }

    /// The process dies, and another one starts at once.
    pub(super) async fn replace(&mut self, world: &World, process: Process) -> Process {
        self.look(world, &process);
        self.crash(process);
        self.start(world).await
    }

    /// The process has met another one.
    pub(super) const fn has_rivalled(&self) -> bool {
        self.rivalry.is_some()
    }

    /// The process has let go of the job.
    fn is_suspended(&self) -> bool {
        self.last.as_ref().is_some_and(|job| job.state == JobState::Suspended)
    }

    /// A process may leave the job alone only where another one that had not left it alone itself took it over meanwhile.
    fn may_let_go(&self, world: &World) -> bool {
        self.rivalry.is_some_and(|rivalry| !rivalry.is_settled && checks::owner(world) != rivalry.before)
    }

    /// Looks at the job; what was seen before bounds what may be seen now.
    pub(super) fn look(&mut self, world: &World, process: &Process) {
        let Some(status) = self.job.and_then(|job| process.job(job)) else { return };
        match self.ended {
            // A process that had the job before may not know yet how another one ended it.
            Some((ended, starts))
                if ended != status.state && (process.number > starts || status.state.is_terminal()) =>
            {
                let (before, now) = (ended.as_str(), status.state.as_str());
                world.log.broken("an-end-is-an-end", format!("{before} became {now}"));
            }
            Some(_) => {}
            None => self.ended = status.state.is_terminal().then_some((status.state, self.starts)),
        }
        status::check(world, &status);
        if status.state == JobState::Suspended && !self.may_let_go(world) {
            world.log.broken("stays-driven", format!("{} lets go: {:?}", process.number, status.failures));
        }
        let changed = self.last.as_ref().is_none_or(|last| last.state != status.state);
        if changed {
            world.log.note("process", format!("{} says {}", process.number, status.state.as_str()));
        }
        self.last = Some(status);
    }
}
