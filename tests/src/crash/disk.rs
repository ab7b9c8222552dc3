//! A node's disk that is full or slow for a while.
//!
//! The node runs with a library loaded (`disk.c`) that stands between it and the system; both share a small file, which
//! says what is wrong with the disk and counts what that did. The faults concern one folder and all below it.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

/// The disk of one node; a cheap handle.
#[derive(Debug, Clone)]
pub(super) struct Disk {
    control: Arc<File>,
    path: PathBuf,
    folder: PathBuf,
}

/// What faults have done to the process that has this disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Suffered {
    /// Calls that failed for want of room.
    pub(super) refused: u64,
    /// Writes that were cut short for want of room.
    pub(super) torn: u64,
    /// Calls that took long.
    pub(super) delayed: u64,
}

/// The words of the control file, in their order.
const FULL: u64 = 0;
const SLOW_MICROS: u64 = 1;
const REFUSED: u64 = 2;
const TORN: u64 = 3;
const DELAYED: u64 = 4;
const WORDS: u64 = 5;

impl Disk {
    /// A disk that works, for what lies below `folder`; `control` is made.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn new(folder: &Path, control: &Path) -> Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(control)?;
        file.set_len(WORDS * 8)?;
        Ok(Self { control: Arc::new(file), path: control.to_owned(), folder: std::fs::canonicalize(folder)? })
    }

    /// What a node must find in its environment to have this disk.
    pub(super) fn environment(&self) -> Vec<(&'static str, OsString)> {
        vec![
            ("LD_PRELOAD", env!("WEIR_DISK").into()),
            ("WEIR_DISK_FOLDER", self.folder.clone().into()),
            ("WEIR_DISK_CONTROL", self.path.clone().into()),
        ]
    }

    /// From now on there is no room, or there is again.
    ///
    /// # Errors
    /// When the control file cannot be written.
    pub(super) fn set_full(&self, is_full: bool) -> Result<()> {
        self.write(FULL, u64::from(is_full))
    }

    /// From now on each call takes this much longer.
    ///
    /// # Errors
    /// When the control file cannot be written.
    pub(super) fn set_slow(&self, by: Duration) -> Result<()> {
        self.write(SLOW_MICROS, u64::try_from(by.as_micros())?)
    }

    /// What the faults have done so far.
    ///
    /// # Errors
    /// When the control file cannot be read.
    pub(super) fn suffered(&self) -> Result<Suffered> {
        Ok(Suffered { refused: self.read(REFUSED)?, torn: self.read(TORN)?, delayed: self.read(DELAYED)? })
    }

    fn write(&self, word: u64, value: u64) -> Result<()> {
        Ok(self.control.write_all_at(&value.to_ne_bytes(), word * 8)?)
    }

    fn read(&self, word: u64) -> Result<u64> {
        let mut bytes = [0; 8];
        self.control.read_exact_at(&mut bytes, word * 8)?;
        Ok(u64::from_ne_bytes(bytes))
    }
}
