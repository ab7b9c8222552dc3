//! Which failure ended an attempt.
//!
//! Receives tasks that have ended; guarantees that people are told of the failure that came first, and not of what followed
//! from it where a task noticed that a neighbour had gone.

use std::time::Duration;

use weir_protocol::Fault;

use crate::spawn::Panicked;

use super::attempt::{Attempt, Ran};
use super::ended::{Ended, Failed};

/// How long the first failure is looked for once a task says that a neighbour of it has gone.
const BLAME_DELAY: Duration = Duration::from_secs(1);

impl Attempt<'_> {
    pub(super) async fn on_ran(&mut self, ran: Result<(String, Ran), Panicked>) -> Result<(), Ended> {
        let failed = match failure(ran) {
            None => return Ok(()),
            Some(failed) if !failed.is_consequence => failed,
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
                if let Some(failed) = failure(ran).filter(|failed| !failed.is_consequence) {
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
}

/// What failed, if anything did.
fn failure(ran: Result<(String, Ran), Panicked>) -> Option<Failed> {
    match ran {
        Ok((_, (_, Ok(())))) => None,
        Ok((_, (subtask, Err(error)))) => Some(Failed::of_subtask(subtask, error)),
        Err(panicked) => Some(Failed::new(Fault::Bug, panicked.to_string())),
    }
}
