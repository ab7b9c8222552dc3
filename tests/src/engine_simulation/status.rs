//! What a status may say while a job runs, whatever goes wrong.

use weir_engine::job::{CheckpointState, JobStatus};
use weir_protocol::Fault;

use super::hazards::PANIC;
use super::operators::REFUSAL;
use super::panics;
use super::process::World;

/// Checks one status; what is broken goes to the log.
pub(super) fn check(world: &World, status: &JobStatus) {
    no_panics(world);
    no_bugs(world, status);
    checkpoints_are_sane(world, status);
}

/// Nothing has panicked, whoever caught it.
pub(super) fn no_panics(world: &World) {
    if let Some(panic) = panics::first() {
        world.log.broken("no-bugs", panic);
    }
}

/// A job fails because the store is away, because an operator was made to panic, or because it cannot become what it was
/// changed to; for no other reason.
fn no_bugs(world: &World, status: &JobStatus) {
    let is_expected = |fault: Fault, message: &str| match fault {
        Fault::Unavailable => true,
        Fault::Bug => message.ends_with(PANIC),
        // More of the job had ended when it was to be changed than when that was asked for.
        Fault::Request => message.contains("had finished at checkpoint"),
        Fault::Guest => message.ends_with(REFUSAL),
        Fault::Corrupt => false,
    };
    if let Some(failure) = status.failures.iter().find(|failure| !is_expected(failure.fault, &failure.message)) {
        world.log.broken("no-bugs", format!("{failure:?}"));
    }
}

fn checkpoints_are_sane(world: &World, status: &JobStatus) {
    // An attempt that failed may have used an id that no entry records; the next one uses it again.
    let history = &status.checkpoints.history;
    let mut shown: Vec<_> = history.iter().map(|checkpoint| (checkpoint.id, checkpoint.triggered_at)).collect();
    shown.sort_unstable();
    if shown.windows(2).any(|pair| pair[0] == pair[1]) {
        world.log.broken("statuses-are-sane", format!("a checkpoint stands twice in {shown:?}"));
    }
    let open = history.iter().filter(|one| one.state == CheckpointState::InProgress).count();
    let counted = status.checkpoints.in_progress;
    if open as u64 != counted {
        world.log.broken("statuses-are-sane", format!("{open} checkpoints are on their way, and {counted} counted"));
    }
}
