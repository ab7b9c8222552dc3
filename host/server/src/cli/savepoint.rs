//! `weir savepoint` and `weir stop`.

use std::time::Duration;

use indicatif::HumanBytes;
use serde_json::json;
use weir_engine::clock::Clock;
use weir_engine::store;
use weir_protocol::Fault;

use crate::api::shape::{Requested, SavepointRequest};
use crate::cli::args::From;
use crate::cli::client::Client;
use crate::cli::exit::{self, Failure};
use crate::cli::process::Signals;
use crate::cli::{terminal, view};

/// Between two looks at a savepoint that is being taken.
const PERIOD: Duration = Duration::from_millis(200);

/// How many looks there are between two lines that say how far it is.
const LOOKS: u32 = 10;

/// What is asked for.
pub(super) struct Wanted {
    /// Of which job.
    pub(super) job: String,
    /// Below which place; `None`: the node's.
    pub(super) target: Option<String>,
    /// Whether the job ends first.
    pub(super) stops: bool,
}

/// Has a savepoint taken, waits for it, and prints where it is.
pub(super) async fn take(client: &Client, wanted: &Wanted, no_wait: bool) -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    let Wanted { job, target, stops } = wanted;
    let target = target.as_ref().map(|target| store::absolute(target));
    let body = json!({ "target-directory": target, "stop": stops });
    let Requested { request_id } = client.take_savepoint(job, &body).await?;
    if no_wait {
        terminal::line(&request_id);
        return Ok(());
    }
    let clock = Clock::system();
    for look in 1_u32.. {
        match client.savepoint(job, &request_id).await? {
            SavepointRequest::Completed { location, checkpoint, size } => {
                terminal::note(&format!("a savepoint of checkpoint {checkpoint}, {}:", HumanBytes(size)));
                terminal::line(&location);
                return Ok(());
            }
            SavepointRequest::Failed { fault, detail } => return Err(failed(job, fault, &detail)),
            SavepointRequest::InProgress { copied, size } if look.is_multiple_of(LOOKS) => {
                terminal::note(&progress(copied, size));
            }
            SavepointRequest::InProgress { .. } => {}
        }
        tokio::select! {
            biased;
            () = signals.next() => {
                terminal::note("\nno longer waiting; the savepoint is taken nevertheless");
                return Ok(());
            }
            () = clock.sleep(PERIOD) => {}
        }
    }
    Ok(())
}

fn progress(copied: u64, size: Option<u64>) -> String {
    match size {
        Some(size) => format!("{} of {} copied", HumanBytes(copied), HumanBytes(size)),
        None => "waiting for a checkpoint".to_owned(),
    }
}

/// What keeps a savepoint from being taken may be known only once that was begun.
pub(super) fn failed(job: &str, fault: Fault, detail: &str) -> Failure {
    Failure {
        code: exit::code_of(fault),
        message: format!("no savepoint of job {job} was taken: {}", view::printable(detail)),
        mend: Some("mend what is named, and ask for it again".to_owned()),
    }
}

/// Deletes a savepoint.
pub(super) async fn dispose(client: &Client, location: &str) -> Result<(), Failure> {
    let location = store::absolute(location);
    client.dispose_savepoint(&location).await?;
    terminal::line(&format!("savepoint {location} is deleted"));
    Ok(())
}

/// How a job that is submitted begins.
pub(super) fn query(from: From) -> Vec<(&'static str, String)> {
    let From { savepoint, allow_non_restored_state, allow_inexact_results } = from;
    let Some(location) = savepoint else { return Vec::new() };
    vec![
        ("from", store::absolute(&location)),
        ("allow-non-restored-state", allow_non_restored_state.to_string()),
        ("allow-inexact-results", allow_inexact_results.to_string()),
    ]
}
