//! Sorted files: what comes in the base's own order, it takes over as files, without merging anything.
//!
//! Receives the records of each state in the order of their keys; others are refused. Guarantees that the base holds all
//! of them once [`Sorted::finish`] returns. One file a state is open at a time, of which memory holds a block and the index.
//! Does not own where records come from; what is written when it is given up goes with the base's folder.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::LazyLock;

use rocksdb::{DBCompressionType, Options, SstFileWriter};
use weir_operator::keyed_state::StateError;
use weir_protocol::Fault;
use weir_protocol::key_group::KeyGroup;

use super::Base;
use super::outgoing::write_key;

/// A file is closed once it has so many bytes: as large as the base makes its own.
const FILE_BYTES: usize = 64 << 20;

/// As the tables of the last level are: neither compressed, nor with a filter.
static TABLES: LazyLock<Options> = LazyLock::new(|| {
    let mut options = Options::default();
    options.set_compression_type(DBCompressionType::None);
    options
});

/// Files for the base that are being written.
#[derive(Debug)]
pub(in crate::state) struct Sorted {
    base: Base,
    /// By state.
    open: BTreeMap<u16, SortedFile>,
    begun: usize,
    key: Vec<u8>,
}

struct SortedFile {
    writer: SstFileWriter<'static>,
    path: PathBuf,
    bytes: usize,
    /// The key that was added last.
    last: Vec<u8>,
}

impl Sorted {
    /// Nothing is written yet.
    pub(in crate::state) const fn new(base: Base) -> Self {
        Self { base, open: BTreeMap::new(), begun: 0, key: Vec::new() }
    }

    /// Adds a record, whose key and entry lie behind those that were added of its state.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] where it does not; [`Fault::Unavailable`] when the local disk failed.
    pub(in crate::state) fn push(
        &mut self,
        state: u16,
        group: KeyGroup,
        key: &[u8],
        entry: &[u8],
        stored: &[u8],
    ) -> Result<(), StateError> {
        self.key.clear();
        write_key(state, group, key, entry, &mut self.key);
        let file = match self.open.get_mut(&state) {
            Some(file) => file,
            None => {
                let file = SortedFile::begin(&self.base, self.begun)?;
                self.begun += 1;
                self.open.entry(state).or_insert(file)
            }
        };
        if self.key <= file.last {
            let message = format!("its records are out of order in key group {}", group.0);
            return Err(StateError { fault: Fault::Corrupt, message });
        }
        file.writer.put(&self.key, stored).map_err(|error| self.base.0.failed("write a file for", &error))?;
        file.bytes += self.key.len() + stored.len();
        std::mem::swap(&mut file.last, &mut self.key);
        if file.bytes >= FILE_BYTES {
            self.close(state)?;
        }
        Ok(())
    }

    /// Hands all of it to the base.
    ///
    /// # Errors
    /// When the local disk failed.
    pub(in crate::state) fn finish(mut self) -> Result<(), StateError> {
        while let Some((&state, _)) = self.open.first_key_value() {
            self.close(state)?;
        }
        Ok(())
    }

    fn close(&mut self, state: u16) -> Result<(), StateError> {
        let Some(mut file) = self.open.remove(&state) else { return Ok(()) };
        file.writer.finish().map_err(|error| self.base.0.failed("write a file for", &error))?;
        self.base.take_over(file.path)
    }
}

impl SortedFile {
    fn begin(base: &Base, number: usize) -> Result<Self, StateError> {
        let path = base.folder()?.join(format!("restored-{number}"));
        let writer = SstFileWriter::create(&TABLES);
        writer.open(&path).map_err(|error| base.0.failed("write a file for", &error))?;
        Ok(Self { writer, path, bytes: 0, last: Vec::new() })
    }
}

impl std::fmt::Debug for SortedFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SortedFile").field("path", &self.path).field("bytes", &self.bytes).finish_non_exhaustive()
    }
}
