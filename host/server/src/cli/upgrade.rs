//! `weir upgrade`: a running job becomes what its job file says now.

use std::path::Path;

use weir_engine::job::{JobState, Upgrading};

use crate::api::shape::{Job, Upgrade};
use crate::cli::client::Client;
use crate::cli::commands::{JobText, read_job, warn};
use crate::cli::exit::{FAILED, Failure, Outcome};
use crate::cli::follow::{Followed, Watched, follow_until};
use crate::cli::process::Signals;
use crate::cli::{terminal, view};

/// Changes a job, and waits until it has taken a checkpoint as what it was changed to.
pub(super) async fn upgrade(client: Client, path: &Path, how: Upgrading, no_wait: bool) -> Result<Outcome, Failure> {
    let mut signals = Signals::listen()?;
    let JobText { text, draft, content_type } = read_job(path)?;
    let query = [("dry-run", how.dry_run), ("allow-non-restored-state", how.drops_state)];
    let answered = client.upgrade(draft.name().as_str(), &query, text, content_type).await;
    let answer = answered
        .map_err(|failure| Failure { message: format!("{}: {}", path.display(), failure.message), ..failure })?;
    warn(&answer.warnings);
    terminal::line(&said(&answer, how));
    if !answer.accepted || no_wait {
        return Ok(Outcome::Done);
    }
    let (number, id) = (answer.spec_number, answer.id);
    match follow_until(&Watched::Remote { client, id }, &mut signals, |job| is_settled(job, number)).await? {
        Followed::Reached(job) => outcome(&job, number),
        Followed::Interrupted => {
            terminal::note("\nno longer waiting; the upgrade goes on (see `weir describe`)");
            Ok(Outcome::Done)
        }
    }
}

fn said(answer: &Upgrade, how: Upgrading) -> String {
    let Upgrade { id, name, spec_number, accepted, changes, .. } = answer;
    if !changes.any() {
        return format!("job {name} ({id}) is what this job file says, as spec {spec_number}; nothing was changed");
    }
    let becomes = match (accepted, how.dry_run) {
        (true, _) => format!("becomes spec {spec_number}"),
        (false, true) => "would change; nothing was changed".to_owned(),
        (false, false) => format!("is spec {spec_number} already"),
    };
    format!("job {name} ({id}) {becomes}:\n{}", view::changes(changes))
}

/// Whether the job is what it was changed to for good, or is something else by now.
fn is_settled(job: &Job, number: u64) -> bool {
    job.spec_number > number || (job.spec_number == number && !job.on_trial)
}

/// What came of an upgrade to spec `number`, once the job is settled.
pub(super) fn outcome(job: &Job, number: u64) -> Result<Outcome, Failure> {
    if let Some(undone) = job.undone.as_ref().filter(|undone| undone.spec.0 == number) {
        return Err(Failure {
            code: FAILED,
            message: format!("the upgrade of job {} to spec {number} was undone: {}", job.name, undone.reason),
            mend: Some(format!("mend what is named and upgrade again; {}", as_what_it_was(job))),
        });
    }
    if !job.ended && !is_settled(job, number) {
        let why = why(job);
        return Err(Failure {
            code: FAILED,
            message: format!("job {} is {}{why}", job.name, job.state),
            mend: Some("mend what is named, then upgrade it again, or restart the node".to_owned()),
        });
    }
    terminal::line(&format!("job {} ({}) {} as spec {}", job.name, job.id, job.state, job.spec_number));
    Ok(if job.ended { Outcome::of(&job.state) } else { Outcome::Done })
}

/// What becomes of a job whose change was undone.
fn as_what_it_was(job: &Job) -> String {
    let number = job.spec_number;
    if job.ended {
        return format!("as spec {number} the job is {}{}", job.state, why(job));
    }
    if job.state == JobState::Suspended.as_str() {
        return format!("as spec {number} the job cannot go on either, and waits{}", why(job));
    }
    format!("the job goes on as spec {number}")
}

fn why(job: &Job) -> String {
    job.failures.first().map(|failure| format!(": {}", view::why(failure))).unwrap_or_default()
}
