//! Compiled code on disk, so that each component is compiled once a node.
//!
//! Receives components by the hash of their bytes; guarantees that only code which was written whole by this engine's
//! settings is used: a file that is cut, altered or of other settings is compiled anew and replaced. The folder belongs
//! to the node, as its program does: whoever can write there can run code. Failing to write costs time and nothing else.

use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use wasmtime::component::Component;

use crate::engine::GuestEngine;

/// The length of the checksum in front of the code.
const CHECKSUM_BYTES: usize = 32;

/// A folder of compiled code.
#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
    settings: String,
}

impl Cache {
    pub(super) fn open(folder: PathBuf, engine: &GuestEngine) -> io::Result<Self> {
        std::fs::create_dir_all(&folder)?;
        Ok(Self { folder, settings: engine.settings() })
    }

    /// The compiled component, if its file is there and whole.
    pub(super) fn load(&self, engine: &GuestEngine, hash: &str) -> Option<Component> {
        let path = self.path(hash);
        let file = match std::fs::read(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "cannot read compiled code; compiling anew");
                return None;
            }
        };
        let component = verified(&file).and_then(|code| deserialize(engine, code));
        if component.is_none() {
            tracing::warn!(path = %path.display(), "compiled code is corrupt; compiling anew");
        }
        component
    }

    /// Keeps compiled code for the next time.
    pub(super) fn store(&self, hash: &str, component: &Component) {
        let path = self.path(hash);
        let stored = component.serialize().map_err(|error| error.to_string());
        let stored = stored.and_then(|code| write_whole(&path, &code).map_err(|error| error.to_string()));
        if let Err(error) = stored {
            tracing::warn!(path = %path.display(), error, "cannot keep compiled code; it will be compiled again");
        }
    }

    fn path(&self, hash: &str) -> PathBuf {
        self.folder.join(format!("{hash}-{}.cwasm", self.settings))
    }
}

/// The code in a file whose checksum is right.
fn verified(file: &[u8]) -> Option<&[u8]> {
    let (checksum, code) = file.split_at_checked(CHECKSUM_BYTES)?;
    (Sha256::digest(code).as_slice() == checksum).then_some(code)
}

#[expect(unsafe_code, reason = "compiled code can only be taken on trust; this is the one place that does")]
fn deserialize(engine: &GuestEngine, code: &[u8]) -> Option<Component> {
    // SAFETY: the bytes are what `Component::serialize` gave for these settings: their checksum is right, the settings
    // are part of the file's name, and only the node writes into its folder. wasmtime checks version and settings again.
    unsafe { Component::deserialize(engine.wasmtime(), code) }.ok()
}

/// Writes under another name first, so that a crash leaves either the whole file or none.
fn write_whole(path: &Path, code: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension(format!("{}.unfinished", std::process::id()));
    let mut file = Sha256::digest(code).to_vec();
    file.extend_from_slice(code);
    std::fs::write(&unfinished, file)?;
    std::fs::rename(&unfinished, path)
}
