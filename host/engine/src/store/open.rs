//! Opens an object store by its location.
//!
//! Receives what a person wrote; guarantees a store whose writes are durable when they return, with the leftovers of
//! writers that died swept away. Whether it can carry chains is not known yet: the start probe finds that out.

use std::error::Error;
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

use super::cloud;
use super::data_folder::make;
use super::location::{Location, refused};
use super::{Environment, StoreError};
use crate::clock::Clock;

/// How old the unfinished file of a writer must be before it counts as left over.
pub const LEFTOVER_GRACE: Duration = Duration::from_secs(60 * 60);

/// Opens a store: a local folder (made if it is missing) by path or `file:///…`, a cloud's by `s3://`, `gs://` or
/// `az://`, or `memory:` for trials, which forgets. Credentials of clouds are taken from the environment. Blocks on the
/// disk, so call it at the start.
///
/// # Errors
/// [`StoreError::Refused`], naming the location, why, and the mend; [`StoreError::Unavailable`] where the disk fails.
pub fn open(location: &str, clock: &Clock) -> Result<Arc<dyn ObjectStore>, StoreError> {
    open_in(location, clock, &Environment::of_process())
}

/// As [`open`], with other variables than those of this process.
///
/// # Errors
/// As [`open`].
pub fn open_in(location: &str, clock: &Clock, environment: &Environment) -> Result<Arc<dyn ObjectStore>, StoreError> {
    match Location::parse(location)? {
        Location::Memory => Ok(Arc::new(InMemory::new())),
        Location::Cloud(at) => cloud::open(&at, environment),
        Location::Folder(folder) => {
            let made = make(&folder).and_then(|()| sweep(&folder, clock));
            made.and_then(|()| objects_in(&folder)).map_err(|error| unusable(location, &error))
        }
    }
}

/// Whether a place may be one, by its text alone: nothing is opened.
///
/// # Errors
/// [`StoreError::Refused`], as [`open`].
pub fn check(location: &str) -> Result<(), StoreError> {
    Location::parse(location).map(drop)
}

/// Makes a folder of this machine, unless it is there, and changes nothing in it; of what is at a cloud only the text is
/// looked at.
///
/// # Errors
/// As [`open`].
pub fn prepare(location: &str) -> Result<(), StoreError> {
    match Location::parse(location)? {
        Location::Folder(folder) => make(&folder).map_err(|error| unusable(location, &error)),
        Location::Memory | Location::Cloud(_) => Ok(()),
    }
}

/// Opens a store that is there already, and changes nothing in it, whatever it turns out to be; `None`: it is a folder of
/// this machine that is not there.
///
/// # Errors
/// As [`open`].
pub fn open_existing(location: &str, clock: &Clock) -> Result<Option<Arc<dyn ObjectStore>>, StoreError> {
    match Location::parse(location)? {
        Location::Folder(folder) if !folder.is_dir() => Ok(None),
        Location::Folder(folder) => objects_in(&folder).map(Some).map_err(|error| unusable(location, &error)),
        Location::Memory | Location::Cloud(_) => open(location, clock).map(Some),
    }
}

fn unusable(location: &str, error: &io::Error) -> StoreError {
    match is_of_people(error) {
        true => refused(location, error.to_string()),
        false => StoreError::Unavailable { action: "open", object: location.to_owned(), reason: error.to_string() },
    }
}

/// Whether somebody must change something about this machine's disk.
pub(super) fn is_for_people(error: &(dyn Error + 'static)) -> bool {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.filter_map(|cause| cause.downcast_ref()).any(is_of_people)
}

/// A disk that is full or fails may be well again without that.
fn is_of_people(error: &io::Error) -> bool {
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

/// Whether what is written there is forgotten when it is opened again.
#[must_use]
pub fn forgets(location: &str) -> bool {
    Location::parse(location).is_ok_and(|location| location == Location::Memory)
}

/// The same text for the same place, however it is written: as far as this machine can tell.
#[must_use]
pub fn canonical(location: &str) -> String {
    match Location::parse(location) {
        Ok(Location::Folder(folder)) => {
            let folder = std::path::absolute(&folder).unwrap_or(folder);
            // What is not there yet may yet be below what is.
            let there = folder.ancestors().find_map(|above| Some((above, fs::canonicalize(above).ok()?)));
            let whole = there.map(|(above, found)| found.join(folder.strip_prefix(above).unwrap_or(Path::new(""))));
            whole.unwrap_or(folder).to_string_lossy().trim_end_matches('/').to_owned()
        }
        Ok(Location::Cloud(at)) => at.to_string(),
        Ok(Location::Memory) | Err(_) => location.to_owned(),
    }
}

/// Whether it is a folder of this machine: what was not answered there does not happen later.
#[must_use]
pub fn is_local(location: &str) -> bool {
    matches!(Location::parse(location), Ok(Location::Folder(_)))
}

/// A folder of this machine by its whole path; what is at a cloud as it is.
#[must_use]
pub fn absolute(location: &str) -> String {
    let folder = match Location::parse(location) {
        Ok(Location::Folder(folder)) => std::path::absolute(folder).ok(),
        Ok(Location::Memory | Location::Cloud(_)) | Err(_) => None,
    };
    folder.and_then(|folder| folder.into_os_string().into_string().ok()).unwrap_or_else(|| location.to_owned())
}

/// Removes what is left of a store on this machine that has no objects any more: unfinished files that nobody will finish,
/// and the folder, where it is empty then. Stores of clouds have neither.
pub fn remove_emptied(location: &str, clock: &Clock) {
    if let Ok(Location::Folder(folder)) = Location::parse(location) {
        // What cannot be removed, or is somebody else's, does no harm.
        let _swept = sweep(&folder, clock);
        remove_empty(&folder);
    }
}

fn remove_empty(folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let is_folder = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    entries.filter(is_folder).for_each(|entry| remove_empty(&entry.path()));
    let _left = fs::remove_dir(folder);
}

/// Opens places outside the engine's own store: those that sinks write to, and savepoints.
pub trait Places: Send + Sync + fmt::Debug {
    /// As [`open`].
    ///
    /// # Errors
    /// As [`open`].
    fn open(&self, location: &str, clock: &Clock) -> Result<Arc<dyn ObjectStore>, StoreError>;

    /// As [`open_existing`]; the same as [`open`](Self::open) where to open changes nothing.
    ///
    /// # Errors
    /// As [`open`].
    fn open_existing(&self, location: &str, clock: &Clock) -> Result<Option<Arc<dyn ObjectStore>>, StoreError> {
        self.open(location, clock).map(Some)
    }
}

/// All that [`open`] opens.
#[derive(Debug, Clone, Copy)]
pub struct Everywhere;

impl Places for Everywhere {
    fn open(&self, location: &str, clock: &Clock) -> Result<Arc<dyn ObjectStore>, StoreError> {
        open(location, clock)
    }

    fn open_existing(&self, location: &str, clock: &Clock) -> Result<Option<Arc<dyn ObjectStore>>, StoreError> {
        open_existing(location, clock)
    }
}

fn objects_in(folder: &Path) -> io::Result<Arc<dyn ObjectStore>> {
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
