//! Who submits the job, and insists: after a call that had no answer it asks again.

use std::time::Duration;

use axum::http::Method;

use super::life::Lived;
use super::plan::{Job, Plan};
use super::process::{Process, World};

/// How long it waits before it asks again.
const WAIT: Duration = Duration::from_millis(200);

/// After so many rounds nothing goes wrong any more.
const ROUNDS_MAX: u64 = 40;

/// Every so many rounds it has the process started anew, where it does that at all.
const ROUNDS_OF_A_PROCESS: u64 = 4;

/// Submits the job, however often that takes; the process that has it then.
pub(super) async fn submit(world: &World, plan: &Plan, process: Process, lived: &mut Lived) -> Process {
    let mut process = process;
    let mut outage = plan.outage_at_submission;
    for round in 1.. {
        if uploads(&process).await {
            if let Some((start, length)) = outage.take() {
                world.weather.go_away(start, length);
            }
            if submits(world, plan, &process, lived).await {
                return process;
            }
            if round % ROUNDS_OF_A_PROCESS == 0 && plan.restarts_to_submit {
                process = lived.replace(world, process).await;
            }
            // One that has ended already would not keep the same job from being submitted once more.
            let known = process.jobs().into_iter().find(|job| plan.restarts_to_submit || job.state.is_terminal());
            if let Some(job) = known {
                lived.job = Some(job.id);
                return process;
            }
        }
        if round >= ROUNDS_MAX {
            world.weather.calm_down();
        }
        world.clock.sleep(WAIT).await;
    }
    process
}

async fn uploads(process: &Process) -> bool {
    let upload = ("application/wasm", "native".to_owned());
    process.ask(Method::POST, "/api/v1/components?name=native", upload).await.status.is_success()
}

/// Whether there is nothing left to submit: it is accepted, or refused for good.
async fn submits(world: &World, plan: &Plan, process: &Process, lived: &mut Lived) -> bool {
    let job = ("application/toml", plan.job.to_toml());
    let submitted = process.ask(Method::POST, "/api/v1/jobs", job).await;
    if submitted.status.is_success() {
        lived.job = submitted.json["id"].as_str().and_then(|id| id.parse().ok());
        let jobs: Vec<_> = process.jobs().iter().map(|job| (job.id, job.state)).collect();
        if jobs.len() != 1 {
            world.log.broken("one-job-a-name", format!("{jobs:?} once it was submitted"));
        }
        return true;
    }
    lived.refusals += 1;
    if submitted.status.is_client_error() {
        world.log.broken("accepts-the-job", format!("{}: {}", submitted.status, submitted.json));
    }
    submitted.status.is_client_error()
}

/// Asks once for the job to be changed.
pub(super) async fn change(world: &World, job: &Job, process: &Process) {
    world.hazards.rescales();
    let answer = process.ask(Method::PUT, "/api/v1/jobs/job", ("application/toml", job.to_toml())).await;
    // It has ended; or so much of it has that what is left cannot be dealt out anew; or the store is away.
    let detail = answer.json["detail"].as_str().unwrap_or_default();
    let is_expected = match answer.status.as_u16() {
        200 | 202 | 409 | 503 => true,
        422 => detail.contains("had finished at checkpoint"),
        _ => false,
    };
    if !is_expected {
        world.log.broken("changes-the-job", format!("{}: {detail}", answer.status));
    }
}
