//! A job's two chains, performed: what the protocol decides, done to the store.
//!
//! [`RunOwner`] holds one attempt's ownership of `run/` and appends to it; [`newest`] reads it; [`SpecChain`] reads and
//! appends to `spec/`. Guarantees that a create whose outcome is unknown is looked at before anything else is sent
//! (the protocol says so, and nothing here repeats a create by itself), and that an entry is handed out as standing only
//! after the chain was listed. Does not decide who should try, or what an entry says.

mod error;
mod read;
mod run;
mod spec;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use weir_protocol::Fault;
use weir_protocol::chain::CreateOutcome;
use weir_protocol::id::EntryNumber;

use crate::clock::Clock;
use crate::store::{ChainName, Creation, ObjectName, Store, StoreError};

pub use error::ChainError;
pub use read::{Newest, newest, run_entry};
pub use run::RunOwner;
pub use spec::SpecChain;

/// How often an unanswered step is performed in all before the error is given to the caller, who may go on later.
const ROUNDS_MAX: u32 = 6;
/// The wait after the first unanswered step; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(50);

/// Sends one create, and says what the store answered.
async fn create(store: &Store, chain: &ChainName, number: EntryNumber, bytes: Arc<[u8]>) -> CreateOutcome {
    match store.put_if_absent(&ObjectName::entry(chain, number), Bytes::from_owner(bytes)).await {
        Creation::Created => CreateOutcome::Created,
        Creation::AlreadyExists => CreateOutcome::AlreadyExists,
        Creation::Unknown(error) => {
            tracing::warn!(%error, "a create of an entry had no answer; looking whether it happened");
            CreateOutcome::Unknown
        }
    }
}

/// What is said where a create had no answer, or found the name taken, and the name cannot be read either.
fn unreadable(chain: &ChainName, number: EntryNumber) -> ChainError {
    let object = ObjectName::entry(chain, number).to_string();
    let reason = "it was sent and had no answer, and it is not there".to_owned();
    StoreError::Unavailable { action: "create", object, reason }.into()
}

/// Waits between unanswered steps, and says when it is enough.
struct Patience {
    clock: Clock,
    rounds: u32,
}

impl Patience {
    const fn new(clock: Clock) -> Self {
        Self { clock, rounds: 0 }
    }

    /// Waits; gives the error back where waiting cannot help, or was tried often enough.
    async fn bear(&mut self, error: ChainError) -> Result<(), ChainError> {
        self.rounds += 1;
        if error.fault() != Fault::Unavailable || self.rounds >= ROUNDS_MAX {
            return Err(error);
        }
        self.clock.sleep(FIRST_WAIT * 2_u32.pow(self.rounds - 1)).await;
        Ok(())
    }
}
