//! A savepoint goes.

use std::time::Duration;

use weir_protocol::Fault;
use weir_protocol::time::Timestamp;

use super::{Document, SavepointError, SavepointPlace, foreign, none, read_document};
use crate::clock::Clock;
use crate::store::{Found, LEFTOVER_GRACE, ObjectName, Prefix, remove_emptied};

/// Deletes a savepoint, also one that is damaged: first what makes it one, so that no half of it looks whole; then what it
/// names. Where that was broken off, or a savepoint was never completed, what is left is deleted too, once nothing was
/// written to it for an hour: until then it may be one that is being taken.
///
/// # Errors
/// It is none, or what lies in its folder is not all of Weir's; what the store says.
pub async fn dispose(place: &SavepointPlace, clock: Clock) -> Result<(), SavepointError> {
    let SavepointPlace { location, store } = place;
    let document = read_document(store).await?;
    let found = match (&document, store.list_if_all(&Prefix::everything(), belongs).await?) {
        (Document::Foreign, _) => return Err(foreign(location)),
        (Document::Missing | Document::Ours(_), Ok(found)) => found,
        (Document::Missing | Document::Ours(_), Err(strange)) => {
            let message = format!(
                "`{location}` holds `{strange}`, which is no part of a savepoint; nothing was deleted: move it elsewhere first"
            );
            return Err(SavepointError::new(Fault::Request, message));
        }
    };
    if matches!(document, Document::Missing) {
        check_leftover(location, &found, clock.now())?;
    }
    store.delete(&ObjectName::savepoint()).await?;
    for object in &found {
        store.delete(&object.name).await?;
    }
    remove_emptied(location, &clock);
    Ok(())
}

fn check_leftover(location: &str, found: &[Found], now: Timestamp) -> Result<(), SavepointError> {
    let Some(newest) = found.iter().map(|object| object.modified_at).max() else { return Err(none(location)) };
    let age = Duration::from_millis(u64::try_from(now.saturating_sub(newest)).unwrap_or(0));
    if age >= LEFTOVER_GRACE {
        return Ok(());
    }
    let message = format!(
        "`{location}` is no savepoint, but may become one: it was written to less than an hour ago; ask again later, or \
         delete the folder"
    );
    Err(SavepointError::new(Fault::Request, message))
}

fn belongs(object: &Found) -> bool {
    object.name == ObjectName::savepoint() || object.name.owner().is_some() || object.name.is_probe()
}
