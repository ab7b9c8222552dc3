//! The base: a local RocksDB, where the oldest records of a subtask go when they outgrow its memory.
//!
//! Receives records that the log hands over, and answers what it holds of keys that no index knows. It is a cache
//! without a log of its own: what is durable is the checkpoint files, and after a failure it is made anew from them
//! (PROTOCOL 2.2). So whatever goes wrong with it, a full disk, a folder that is gone, a damaged file, ends the attempt
//! and nothing else. Opened when it is first written to; most subtasks never do.
//!
//! Everything here may wait for the disk: it runs where that does no harm.

mod local_disk;
mod outgoing;
mod sorted;

pub use local_disk::{LocalDisk, LocalDiskOptions};

pub(super) use outgoing::{Outgoing, write_key, write_timer_key};
pub(super) use sorted::Sorted;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use rocksdb::{
    CompactionDecision, DB, DEFAULT_COLUMN_FAMILY_NAME, Direction, IngestExternalFileOptions, IteratorMode, Options,
    ReadOptions, WriteBatch, WriteOptions,
};
use weir_operator::batch::{BytesColumn, OptionalColumn};
use weir_operator::keyed_state::StateError;
use weir_protocol::Fault;
use weir_protocol::time::{NO_TIME, Timestamp};

use super::size::Size;
use super::stamp::Life;
use crate::step::{Place, Step};
use outgoing::{Told, state_of};

/// Keys deleted in one write while a list or map is cleared.
const CLEARED_AT_ONCE: usize = 4_096;

/// Where one subtask's oldest records go.
#[derive(Debug, Clone)]
pub(super) struct Base(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    disk: LocalDisk,
    /// The folder that the job named.
    named: Option<PathBuf>,
    name: String,
    opened: OnceLock<(PathBuf, DB)>,
    /// By the record's state: how long what it holds lives.
    lives: Arc<[Option<Life>]>,
    /// What had expired by then may go with the next compaction.
    expired_by: Arc<AtomicI64>,
}

/// Part of a list or map.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) entries: BytesColumn,
    pub(super) values: BytesColumn,
    /// Whether nothing of the key lies behind these.
    pub(super) is_last: bool,
    /// Whether something in between was left out.
    pub(super) has_hidden: bool,
}

impl Base {
    /// One that holds nothing, and is not opened yet. It will lie in the folder `named`, or else in the node's; `name` is
    /// for people who look there.
    pub(super) fn new(disk: LocalDisk, named: Option<PathBuf>, name: String, lives: Vec<Option<Life>>) -> Self {
        let expired_by = Arc::new(AtomicI64::new(NO_TIME));
        Self(Arc::new(Inner { disk, named, name, opened: OnceLock::new(), lives: lives.into(), expired_by }))
    }

    /// What has expired by then may go.
    pub(super) fn expire(&self, until: Timestamp) {
        self.0.expired_by.fetch_max(until, Ordering::Relaxed);
    }

    /// Writes what the log hands over.
    pub(super) fn write(&self, outgoing: &Outgoing) -> Result<(), StateError> {
        let db = self.0.db()?;
        Step::Eviction.before(Place::default());
        Inner::write(db, outgoing).map_err(|error| self.0.failed("write to", &error))?;
        Step::Eviction.after(Place::default());
        Ok(())
    }

    /// What is held under some keys, sorted.
    pub(super) fn values(&self, keys: &[Vec<u8>], into: &mut OptionalColumn) -> Result<(), StateError> {
        let Some((_, db)) = self.0.opened.get() else {
            keys.iter().for_each(|_| into.push(None));
            return Ok(());
        };
        let family = db.cf_handle(DEFAULT_COLUMN_FAMILY_NAME).expect("it was opened by that name");
        for found in db.batched_multi_get_cf(&family, keys, true) {
            let found = found.map_err(|error| self.0.failed("read from", &error))?;
            into.push(found.as_deref());
        }
        Ok(())
    }

    /// The folder that it lies in; opens it.
    fn folder(&self) -> Result<&Path, StateError> {
        self.0.db()?;
        let (folder, _) = self.0.opened.get().expect("it was opened just now");
        Ok(folder)
    }

    /// Takes over a file, which is gone afterwards. What it holds lies between no two keys of another file, nor of what was
    /// written.
    fn take_over(&self, file: PathBuf) -> Result<(), StateError> {
        let mut options = IngestExternalFileOptions::default();
        options.set_move_files(true);
        let taken = self.0.db()?.ingest_external_file_opts(&options, vec![file]);
        taken.map_err(|error| self.0.failed("hand a file to", &error))
    }

    /// Adds the size of all under a prefix, which is of a key of so many bytes, but the entries in `resident`, which are in
    /// order.
    pub(super) fn measure(
        &self,
        prefix: &[u8],
        key_len: usize,
        resident: &[Box<[u8]>],
        into: &mut Size,
    ) -> Result<(), StateError> {
        let Some((_, db)) = self.0.opened.get() else { return Ok(()) };
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(behind_prefix(prefix));
        let mut resident = resident.iter().peekable();
        for found in db.iterator_opt(IteratorMode::From(prefix, Direction::Forward), options) {
            let (key, stored) = found.map_err(|error| self.0.failed("read from", &error))?;
            let entry = &key[prefix.len()..];
            while resident.next_if(|resident| ***resident < *entry).is_some() {}
            if resident.peek().is_none_or(|resident| ***resident != *entry) {
                into.add(key_len, entry, &stored);
            }
        }
        Ok(())
    }

    /// Up to `max` entries under a prefix, from `start` on and before `end`, in order; without those that a read at `shown_at`
    /// does not show, where that is said.
    pub(super) fn page(
        &self,
        prefix: &[u8],
        start: Option<&[u8]>,
        end: Option<&[u8]>,
        max: usize,
        shown_at: Option<Timestamp>,
    ) -> Result<Page, StateError> {
        let mut page = Page { is_last: true, ..Page::default() };
        let Some((_, db)) = self.0.opened.get() else { return Ok(page) };
        let first = [prefix, start.unwrap_or_default()].concat();
        let behind = end.map_or_else(|| behind_prefix(prefix), |end| [prefix, end].concat());
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(behind);
        let life = state_of(prefix).and_then(|state| self.0.lives.get(usize::from(state)).copied().flatten());
        let is_hidden = |stored: &[u8]| life.zip(shown_at).is_some_and(|(life, now)| life.read(stored, now).is_none());
        for found in db.iterator_opt(IteratorMode::From(&first, Direction::Forward), options) {
            let (key, value) = found.map_err(|error| self.0.failed("read from", &error))?;
            if is_hidden(&value) {
                page.has_hidden = true;
                continue;
            }
            if page.values.len() == max {
                page.is_last = false;
                break;
            }
            page.entries.push(&key[prefix.len()..]);
            page.values.push(&value);
        }
        Ok(page)
    }

    /// Entries under a prefix from `start` on, in order, as long as what they come to by `bytes_of` is within `bytes`, and one
    /// at least; and the first one behind them.
    pub(super) fn entries_from(
        &self,
        prefix: &[u8],
        start: &[u8],
        bytes: u64,
        bytes_of: fn(&[u8]) -> u64,
    ) -> Result<(BytesColumn, Option<Box<[u8]>>), StateError> {
        let mut entries = BytesColumn::default();
        let Some((_, db)) = self.0.opened.get() else { return Ok((entries, None)) };
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(behind_prefix(prefix));
        let first = [prefix, start].concat();
        let mut filled = 0;
        for found in db.iterator_opt(IteratorMode::From(&first, Direction::Forward), options) {
            let (key, _) = found.map_err(|error| self.0.failed("read from", &error))?;
            let entry = &key[prefix.len()..];
            filled += bytes_of(entry);
            if filled > bytes && !entries.is_empty() {
                return Ok((entries, Some(entry.into())));
            }
            entries.push(entry);
        }
        Ok((entries, None))
    }
}

impl Inner {
    /// Opens it, the first time. Only one thread writes.
    fn db(&self) -> Result<&DB, StateError> {
        if let Some((_, db)) = self.opened.get() {
            return Ok(db);
        }
        let folder = self.disk.new_folder(self.named.as_deref(), &self.name);
        let folder = folder.map_err(|error| self.failed("make a folder for", &error))?;
        let options = self.options();
        let descriptor = rocksdb::ColumnFamilyDescriptor::new(DEFAULT_COLUMN_FAMILY_NAME, options.clone());
        let db = DB::open_cf_descriptors(&options, &folder, [descriptor]);
        let db = db.map_err(|error| self.failed("open", &error))?;
        Ok(&self.opened.get_or_init(|| (folder, db)).1)
    }

    fn options(&self) -> Options {
        let mut options = self.disk.options();
        if self.lives.iter().any(Option::is_some) {
            let (lives, expired_by) = (Arc::clone(&self.lives), Arc::clone(&self.expired_by));
            options.set_compaction_filter("expired", move |_level, key, stored| {
                let life = state_of(key).and_then(|state| lives.get(usize::from(state)).copied().flatten());
                let has_expired = life.is_some_and(|life| life.has_expired(stored, expired_by.load(Ordering::Relaxed)));
                if has_expired { CompactionDecision::Remove } else { CompactionDecision::Keep }
            });
        }
        options
    }

    fn write(db: &DB, outgoing: &Outgoing) -> Result<(), rocksdb::Error> {
        let mut unlogged = WriteOptions::default();
        unlogged.disable_wal(true);
        let mut batch = WriteBatch::default();
        for told in outgoing.iter() {
            match told {
                Told::Put(key, value) => batch.put(key, value),
                Told::Delete(key) => batch.delete(key),
                Told::Clear(prefix) => {
                    db.write_opt(std::mem::take(&mut batch), &unlogged)?;
                    clear(db, prefix, &unlogged)?;
                }
            }
        }
        db.write_opt(batch, &unlogged)
    }

    fn failed(&self, what: &str, error: &dyn std::fmt::Display) -> StateError {
        let place = match self.opened.get() {
            Some((folder, _)) => format!("in {}", folder.display()),
            None => format!("of {}", self.name),
        };
        let message = format!(
            "could not {what} the local RocksDB {place}: {error}; the job starts again from its last checkpoint. If this \
             goes on, look whether the disk is full or something else deletes the folder"
        );
        StateError { fault: Fault::Unavailable, message }
    }
}

/// Deletes one by one: marks for whole ranges would make every read behind them slower.
fn clear(db: &DB, prefix: &[u8], unlogged: &WriteOptions) -> Result<(), rocksdb::Error> {
    let mut options = ReadOptions::default();
    options.set_iterate_upper_bound(behind_prefix(prefix));
    let mut batch = WriteBatch::default();
    for found in db.iterator_opt(IteratorMode::From(prefix, Direction::Forward), options) {
        let (key, _) = found?;
        batch.delete(key);
        if batch.len() >= CLEARED_AT_ONCE {
            db.write_opt(std::mem::take(&mut batch), unlogged)?;
        }
    }
    db.write_opt(batch, unlogged)
}

/// The first key behind all that begin with `prefix`, which begins with a state's number and so never with 255 alone.
fn behind_prefix(prefix: &[u8]) -> Vec<u8> {
    let kept = prefix.iter().rposition(|&byte| byte != u8::MAX).expect("a state's number is at most STATES_MAX");
    let mut behind = prefix[..=kept].to_vec();
    behind[kept] += 1;
    behind
}

/// The files are deleted when the last that could read them is gone.
impl Drop for Inner {
    fn drop(&mut self) {
        let Some((folder, db)) = self.opened.take() else { return };
        db.cancel_all_background_work(true);
        drop(db);
        remove(&folder);
    }
}

fn remove(folder: &Path) {
    if let Err(error) = std::fs::remove_dir_all(folder) {
        tracing::warn!(folder = %folder.display(), %error, "a local RocksDB's folder is left behind until the next start");
    }
}
