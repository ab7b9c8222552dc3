//! The folder of one server process, locked.
//!
//! Receives a path; guarantees that no other process on this machine holds the same folder as long as the
//! [`DataFolder`] lives. The lock ends with the process, however it ends.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

const LOCK_FILE: &str = "lock";

/// A folder that this process alone uses.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    _lock: File,
}

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataFolderError {
    /// Another process holds it.
    #[error("the data folder `{}` is in use by another process{}; stop that one or name another folder", path.display(), pid_text(pid))]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The id of the process, where it could be read; empty else.
        pid: String,
    },
    /// It cannot be made or written to.
    #[error("the data folder `{}` cannot be used: {reason}", path.display())]
    Unusable {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
}

impl DataFolder {
    /// Makes the folder if it is missing, and locks it.
    ///
    /// # Errors
    /// [`DataFolderError`], naming the folder and, where another process holds it, that process.
    pub fn lock(path: &Path) -> Result<Self, DataFolderError> {
        let unusable = |error: io::Error| DataFolderError::Unusable { path: path.into(), reason: error.to_string() };
        make(path).map_err(unusable)?;
        let file = path.join(LOCK_FILE);
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(file);
        let mut file = opened.map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(DataFolderError::InUse { path: path.into(), pid: read_pid(&mut file) });
            }
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
        write_pid(&mut file).map_err(unusable)?;
        Ok(Self { path: path.into(), _lock: file })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Makes a folder, with those above it, unless it is there.
///
/// # Errors
/// Where none can be made it is said which folder does not take one.
pub(super) fn make(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder).map_err(|error| {
        if folder.exists() || !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) {
            return error;
        }
        let above = folder.ancestors().skip(1).find(|above| above.is_dir()).unwrap_or(Path::new("."));
        let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        let text = format!("it does not exist, and nothing can be made in `{}`: {error}", above.display());
        io::Error::new(error.kind(), text)
    })
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

/// What the holder wrote; empty when it cannot be read or is no number.
fn read_pid(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.take(32).read_to_string(&mut text);
    let pid = text.trim();
    let plain = read.is_ok() && pid.bytes().all(|digit| digit.is_ascii_digit());
    if plain { pid.to_owned() } else { String::new() }
}

fn pid_text(pid: &str) -> String {
    if pid.is_empty() { String::new() } else { format!(" (pid {pid})") }
}
