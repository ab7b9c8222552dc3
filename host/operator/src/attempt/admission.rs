//! Whether what a call did may be committed: what it writes must have room.

use weir_protocol::Fault;

use super::quota::StateQuota;
use crate::keyed_state::StateError;
use crate::operator::CallError;
use crate::turn::{Turn, Work};

/// Asks the subtask's own limits first, then the job's. What makes the state no larger may pass it.
///
/// # Errors
/// [`CallError::Limit`], naming the limit; or what kept the state from looking.
pub(super) async fn admit(turn: &mut Turn, quota: &StateQuota) -> Result<(), CallError> {
    let unkeyed = turn.effects.unkeyed.growth();
    let mut most = unkeyed.max(0).cast_unsigned();
    let fired = if let Work::Timers(fired) = &turn.work { Some(fired) } else { None };
    if let Some(state) = &mut turn.state {
        if let Some(fetch) = state.fetch_overwritten(&turn.effects.writes, &turn.effects.timers)? {
            state.supply(fetch.elsewhere().await)?;
        }
        most += state.admit(&turn.effects.writes, &turn.effects.timers, fired)?;
    }
    if quota.has_room(most) {
        return Ok(());
    }
    let keyed = turn.state.as_mut().map_or(0, |state| state.growth(&turn.effects.writes, &turn.effects.timers, fired));
    let growth = unkeyed + keyed;
    if growth <= 0 || quota.has_room(growth.cast_unsigned()) {
        return Ok(());
    }
    Err(CallError::Limit(quota.refusal(growth.cast_unsigned())))
}

impl From<StateError> for CallError {
    fn from(StateError { fault, message }: StateError) -> Self {
        if fault == Fault::Guest { Self::Limit(message) } else { Self::Host { fault, message } }
    }
}
