//! A job that another owner has.
//!
//! Guarantees that it is left alone, that it is shown as that owner has ended it, and that what looks damaged to an owner
//! which has lost the job is not taken for damage.

use weir_protocol::Fault;

use super::driver::{Driver, LOSS_DELAY, Next};
use super::ended::{Ended, Failed};
use super::wish::Wish;
use crate::checkpoint::chain::{self, Newest};

impl Driver {
    /// What looks damaged to an owner that has lost the job is what its successor did: it published, and deleted.
    pub(super) async fn weighed(&self, ended: Ended) -> Ended {
        match ended {
            Ended::Failed(failed) if failed.fault == Fault::Corrupt && self.is_anothers().await => {
                Ended::Lost(format!("another owner has job {}", self.job))
            }
            Ended::Finished | Ended::Wished(_) | Ended::Lost(_) | Ended::Failed(_) => ended,
        }
    }

    async fn is_anothers(&self) -> bool {
        let Some(last) = self.hold.last() else { return false };
        let newest = chain::newest(&self.shared.store, self.job).await;
        newest.is_ok_and(|newest| newest.stored.entry.owner != last)
    }

    /// Where the other owner has ended the job, it is over; else this process lets go.
    pub(super) async fn after_loss(&mut self, message: String) -> Next {
        loop {
            match chain::newest(&self.shared.store, self.job).await {
                Ok(Newest { stored, .. }) if stored.entry.kind.is_terminal() => {
                    self.board.ended(&stored.entry);
                    return Next::Over;
                }
                Err(error) if error.fault() == Fault::Unavailable && self.wishes.now() != Wish::Stop => {
                    self.back_off(LOSS_DELAY).await;
                }
                Ok(_) | Err(_) => {
                    self.tell(&Failed::new(Fault::Unavailable, message), "the job is left to its other owner");
                    return Next::LetGo;
                }
            }
        }
    }
}
