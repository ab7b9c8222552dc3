//! User code that rewrites values which an older version of it wrote.
//!
//! Receives values of one declared state, in the form of one older version; gives as many, in the same order, in the form
//! that the description declares now. Guarantees that what comes back is whole and within the job's limits. Does not
//! own which values are given, nor what is done with them: nothing that user code did before counts if it fails.

use weir_protocol::job_spec::LimitSpec;

use crate::batch::BytesColumn;
use crate::operator::CallError;

/// Rewrites values of one operator's states, outside of any instance that processes records.
pub trait Migrator: Send {
    /// Values that version `from_version` wrote to `state`, rewritten. May hold its thread; nothing in it waits.
    ///
    /// # Errors
    /// A failure of user code (as a failure that names no rows), a trap, a limit. A further call may follow.
    fn migrate(&mut self, state: &str, from_version: u32, values: &BytesColumn) -> Result<BytesColumn, CallError>;
}

/// What user code gave back, if it can be what was asked for.
pub(crate) fn checked(
    values: &BytesColumn,
    rewritten: BytesColumn,
    limits: &LimitSpec,
) -> Result<BytesColumn, CallError> {
    if let Err(error) = rewritten.check() {
        return Err(CallError::Trap(format!("`migrate` returned a malformed column: {error}")));
    }
    if rewritten.len() != values.len() {
        let (given, returned) = (values.len(), rewritten.len());
        return Err(CallError::Trap(format!(
            "`migrate` was given {given} values and returned {returned}; return one for each, in order"
        )));
    }
    let most = limits.emitted_bytes_max;
    if rewritten.data.len() as u64 > most {
        return Err(CallError::Limit(format!(
            "`migrate` returned more than {most} bytes; raise the job's `limits.emitted`, which bounds this too"
        )));
    }
    Ok(rewritten)
}
