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

/// Sends one create, and says what the store answered; where that was no answer, why is noted.
async fn create(
    store: &Store,
    chain: &ChainName,
    (number, bytes): (EntryNumber, Arc<[u8]>),
    patience: &mut Patience,
) -> CreateOutcome {
    match store.put_if_absent(&ObjectName::entry(chain, number), Bytes::from_owner(bytes)).await {
        Creation::Created => CreateOutcome::Created,
        Creation::AlreadyExists => CreateOutcome::AlreadyExists,
        Creation::Unknown(error) => {
            tracing::warn!(%error, "a create of an entry had no answer; looking whether it happened");
            patience.unanswered = Some(error);
            CreateOutcome::Unknown
        }
    }
}

/// Waits between unanswered steps, and says when it is enough.
struct Patience {
    clock: Clock,
    rounds: u32,
    /// Why the last create had no answer.
    unanswered: Option<StoreError>,
}

impl Patience {
    const fn new(clock: Clock) -> Self {
        Self { clock, rounds: 0, unanswered: None }
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

    /// The same where a create had no answer, or found the name taken, and the name cannot be read either.
    async fn bear_absence(&mut self, chain: &ChainName, number: EntryNumber) -> Result<(), ChainError> {
        let object = ObjectName::entry(chain, number).to_string();
        let reason = match &self.unanswered {
            Some(StoreError::Unavailable { reason, .. } | StoreError::Denied { reason, .. }) => reason.clone(),
            Some(error) => error.to_string(),
            None => "it was sent, and it is not there".to_owned(),
        };
        self.bear(StoreError::Unavailable { action: "create", object, reason }.into()).await
    }
}
