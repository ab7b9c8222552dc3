//! What happens to the processes of a run, until the job has ended.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use weir_engine::job::{CheckpointState, JobState, JobStatus};
use weir_protocol::id::JobId;

use super::checks;
use super::plan::{Event, Plan};
use super::process::{Process, World};

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
    /// Somebody asked for the job's end, and was told that it will come.
    pub(super) is_cancelled: bool,
    /// Somebody asked, whatever the answer.
    pub(super) was_asked_to_cancel: bool,
    /// The job ended once nothing went wrong any more.
    pub(super) ends_undisturbed: bool,
    /// The process has had the store to itself since it started.
    is_alone: bool,
}

/// Lives a plan to its end; the process that stands then.
pub(super) async fn live(world: &World, plan: &Plan) -> (Process, Lived) {
    let mut lived = Lived::default();
    if !plan.submits_in_bad_weather {
        world.weather.calm_down();
    }
    let mut process = lived.start(world).await;
    lived.is_alone = true;
    process = submit(world, plan, process, &mut lived).await;
    world.weather.rise();
    for (wait, event) in &plan.events {
        world.clock.sleep(*wait).await;
        lived.look(world, &process);
        process = happen(world, *event, process, &mut lived).await;
    }
    world.weather.calm_down();
    world.hazards.cease();
    if !lived.is_alone {
        process.crash();
        process = lived.start(world).await;
    }
    lived.ends_undisturbed = !checks::has_ended(world);
    finish(world, &process, &mut lived).await;
    world.clock.sleep(AFTERMATH).await;
    lived.look(world, &process);
    (process, lived)
}

/// A client that insists: after an error it looks whether the job is there, and asks again.
async fn submit(world: &World, plan: &Plan, process: Process, lived: &mut Lived) -> Process {
    let mut process = process;
    for round in 0.. {
        let upload = ("application/wasm", "native".to_owned());
        let uploaded = process.ask(Method::POST, "/api/v1/components?name=native", upload).await;
        if !uploaded.status.is_success() {
            world.clock.sleep(Duration::from_millis(200)).await;
            continue;
        }
        let job = ("application/toml", plan.job.to_toml());
        let submitted = process.ask(Method::POST, "/api/v1/jobs", job).await;
        if let Some(id) = submitted.json["id"].as_str().filter(|_| submitted.status.is_success()) {
            lived.job = id.parse().ok();
            return process;
        }
        if submitted.status.is_client_error() {
            world.log.broken("accepts-the-job", format!("{}: {}", submitted.status, submitted.json));
        }
        if round == 40 {
            world.weather.calm_down();
        }
        if round % 4 == 3 {
            process.crash();
            process = lived.start(world).await;
            lived.crashes += 1;
            if let Some(job) = process.jobs().first() {
                lived.job = Some(job.id);
                return process;
            }
        }
        world.clock.sleep(Duration::from_millis(200)).await;
    }
    process
}

async fn happen(world: &World, event: Event, process: Process, lived: &mut Lived) -> Process {
    match event {
        Event::Crash(pause) => {
            process.crash();
            lived.crashes += 1;
            world.clock.sleep(Duration::from_millis(pause)).await;
            lived.is_alone = true;
            lived.start(world).await
        }
        Event::Rival(together) => {
            let rival = lived.start(world).await;
            world.clock.sleep(Duration::from_millis(together)).await;
            lived.look(world, &process);
            process.crash();
            lived.crashes += 1;
            lived.is_alone = false;
            rival
        }
        Event::Stop => {
            let before = world.clock.elapsed();
            process.stop().await;
            if world.clock.elapsed() - before > Duration::from_secs(11) {
                world.log.broken("stops-in-time", "it took longer than it says");
            }
            lived.is_alone = true;
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
        Event::Cancel => {
            lived.was_asked_to_cancel = true;
            let answer = process.ask(Method::POST, "/api/v1/jobs/job/cancel", ("", String::new())).await;
            lived.is_cancelled = answer.status == StatusCode::ACCEPTED;
            process
        }
    }
}

/// Nothing goes wrong any more: the job ends by itself.
async fn finish(world: &World, process: &Process, lived: &mut Lived) {
    let start = world.clock.elapsed();
    loop {
        lived.look(world, process);
        if lived.last.as_ref().is_some_and(|job| job.state.is_terminal()) {
            return;
        }
        if lived.last.as_ref().is_some_and(|job| job.state == JobState::Suspended) {
            world.log.broken("stays-driven", format!("{:?}", lived.last.as_ref().map(|job| &job.failures)));
            return;
        }
        if world.clock.elapsed() - start > PATIENCE {
            let shown = lived.last.as_ref().map(|job| (job.state, &job.failures, &job.checkpoints));
            world.log.broken("comes-to-an-end", format!("{shown:?}"));
            return;
        }
        if world.log.first_broken().is_some() {
            return;
        }
        world.clock.sleep(LOOK_EVERY).await;
    }
}

impl Lived {
    async fn start(&mut self, world: &World) -> Process {
        self.starts += 1;
        if let Some(last) = &self.last {
            self.attempts += last.attempts;
            self.checkpoints += last.checkpoints.completed;
        }
        Process::start(world, self.starts).await
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
        // An attempt that failed may have used an id that no entry records; the next one uses it again.
        let history = &status.checkpoints.history;
        let mut shown: Vec<_> = history.iter().map(|checkpoint| (checkpoint.id, checkpoint.triggered_at)).collect();
        shown.sort_unstable();
        if shown.windows(2).any(|pair| pair[0] == pair[1]) {
            world.log.broken("statuses-are-sane", format!("a checkpoint stands twice in {shown:?}"));
        }
        let open = status.checkpoints.history.iter().filter(|one| one.state == CheckpointState::InProgress).count();
        if open as u64 != status.checkpoints.in_progress {
            let counted = status.checkpoints.in_progress;
            world
                .log
                .broken("statuses-are-sane", format!("{open} checkpoints are on their way, and {counted} counted"));
        }
        let changed = self.last.as_ref().is_none_or(|last| last.state != status.state);
        if changed {
            world.log.note("process", format!("{} says {}", process.number, status.state.as_str()));
        }
        self.last = Some(status);
    }
}
