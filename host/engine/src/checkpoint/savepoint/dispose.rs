//! A savepoint goes.

use std::time::Duration;

use weir_protocol::Fault;
use weir_protocol::time::Timestamp;

use super::{SavepointError, SavepointPlace, none, read};
use crate::store::{Found, LEFTOVER_GRACE, ObjectName, Prefix, remove_if_empty};

/// Deletes a savepoint: first what makes it one, so that no half of it looks whole; then what it names. Where that was
/// broken off, or a savepoint was never completed, what is left is deleted too, once nothing was written to it for an hour:
/// until then it may be one that is being taken.
///
/// # Errors
/// It is none, or what lies in its folder is not all of Weir's; what the store says.
pub async fn dispose(place: &SavepointPlace, now: Timestamp) -> Result<(), SavepointError> {
    let SavepointPlace { location, store } = place;
    let found = store.list(&Prefix::everything()).await?;
    match read(store, location).await {
        // One that is damaged is one nevertheless.
        Ok(_) => {}
        Err(error) if error.fault == Fault::Corrupt => {}
        Err(error) if error.fault != Fault::Request => return Err(error),
        Err(_none) => check_leftover(location, &found, now)?,
    }
    if let Some(strange) = found.iter().find(|object| !belongs(object)) {
        let message = format!(
            "`{location}` holds `{}`, which is no part of a savepoint; nothing was deleted: move it elsewhere first",
            strange.name
        );
        return Err(SavepointError::new(Fault::Request, message));
    }
    store.delete(&ObjectName::savepoint()).await?;
    for object in &found {
        store.delete(&object.name).await?;
    }
    remove_if_empty(location);
    Ok(())
}

fn check_leftover(location: &str, found: &[Found], now: Timestamp) -> Result<(), SavepointError> {
    let Some(newest) = found.iter().map(|object| object.modified_at).max() else { return Err(none(location)) };
    let age = Duration::from_millis(u64::try_from(now.saturating_sub(newest)).unwrap_or(0));
    if age >= LEFTOVER_GRACE || !found.iter().all(belongs) {
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
