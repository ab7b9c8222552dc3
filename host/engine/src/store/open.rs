//! Opens an object store by its location.
//!
//! Receives what a person wrote; guarantees a store whose writes are durable when they return, with the leftovers of
//! writers that died swept away. Other kinds of stores are refused by name until they come.

use std::fmt;
use std::fs;
use std::io;
use std::io::ErrorKind::{
    AlreadyExists, InvalidFilename, InvalidInput, NotADirectory, NotFound, PermissionDenied, ReadOnlyFilesystem,
};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use rustix::io::Errno;

use super::StoreError;
use crate::clock::Clock;

/// How old the unfinished file of a writer must be before it counts as left over.
pub const LEFTOVER_GRACE: Duration = Duration::from_secs(60 * 60);

/// Opens a store: a local folder (made if it is missing), `file:///…`, or `memory:` for trials, which forgets. Blocks
/// on the disk, so call it at the start.
///
/// # Errors
/// [`StoreError::Refused`], naming the location, why, and the mend; [`StoreError::Unavailable`] where the disk fails.
pub fn open(location: &str, clock: &Clock) -> Result<Arc<dyn ObjectStore>, StoreError> {
    if location == "memory:" {
        return Ok(Arc::new(InMemory::new()));
    }
    let folder = match location.split_once("://") {
        Some(("file", path)) => path,
        Some((scheme, _)) => {
            return Err(refused(location, format!("no support for `{scheme}://` yet; name a local folder")));
        }
        None => location,
    };
    open_folder(Path::new(folder), clock).map_err(|error| match is_for_people(&error) {
        true => refused(location, error.to_string()),
        false => StoreError::Unavailable { action: "open", object: location.to_owned(), reason: error.to_string() },
    })
}

/// Whether somebody must change something. A disk that is full or fails may be well again without that.
fn is_for_people(error: &io::Error) -> bool {
    let is_a_loop = error.raw_os_error() == Some(Errno::LOOP.raw_os_error());
    is_a_loop
        || matches!(
            error.kind(),
            NotFound
                | PermissionDenied
                | NotADirectory
                | AlreadyExists
                | InvalidInput
                | InvalidFilename
                | ReadOnlyFilesystem
        )
}

/// Opens places outside the engine's own store: those that sinks write to.
pub trait Places: Send + Sync + fmt::Debug {
    /// As [`open`].
    ///
    /// # Errors
    /// As [`open`].
    fn open(&self, location: &str, clock: &Clock) -> Result<Arc<dyn ObjectStore>, StoreError>;
}

/// What [`open`] opens: this machine's folders.
#[derive(Debug, Clone, Copy)]
pub struct Folders;

impl Places for Folders {
    fn open(&self, location: &str, clock: &Clock) -> Result<Arc<dyn ObjectStore>, StoreError> {
        open(location, clock)
    }
}

fn open_folder(folder: &Path, clock: &Clock) -> io::Result<Arc<dyn ObjectStore>> {
    fs::create_dir_all(folder)?;
    sweep(folder, clock)?;
    let objects = LocalFileSystem::new_with_prefix(fs::canonicalize(folder)?).map_err(io::Error::other)?;
    // Without cleanup each attempt of each job would leave its empty folders behind for ever. A folder that is removed
    // while a writer is about to use it is made again by that writer.
    Ok(Arc::new(objects.with_fsync(true).with_automatic_cleanup(true)))
}

/// Removes unfinished files (`name#1`) of writers that died; the store hides them from listings, so nobody else would.
/// Writers that live may finish theirs meanwhile: what has gone is no error.
fn sweep(folder: &Path, clock: &Clock) -> io::Result<()> {
    let Some(entries) = unless_gone(fs::read_dir(folder))? else { return Ok(()) };
    for entry in entries {
        unless_gone(sweep_entry(&entry?, clock))?;
    }
    Ok(())
}

fn sweep_entry(entry: &fs::DirEntry, clock: &Clock) -> io::Result<()> {
    let kind = entry.file_type()?;
    if kind.is_dir() {
        sweep(&entry.path(), clock)?;
    } else if kind.is_file() && is_unfinished(&entry.file_name().to_string_lossy()) && is_old(entry, clock)? {
        fs::remove_file(entry.path())?;
    }
    Ok(())
}

fn unless_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == NotFound => Ok(None),
        result => result.map(Some),
    }
}

fn is_unfinished(file: &str) -> bool {
    let digits = file.split_once('#').map_or("", |(_, digits)| digits);
    !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit())
}

fn is_old(entry: &fs::DirEntry, clock: &Clock) -> io::Result<bool> {
    let modified = entry.metadata()?.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let now = Duration::from_millis(u64::try_from(clock.now()).unwrap_or(0));
    Ok(now.saturating_sub(modified) > LEFTOVER_GRACE)
}

fn refused(location: &str, reason: String) -> StoreError {
    StoreError::Refused { location: location.to_owned(), reason }
}
