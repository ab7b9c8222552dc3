//! What all local RocksDBs of a node share: where they lie, and how much memory and disk traffic they may cause.
//!
//! Guarantees that what an earlier process left there is gone: a base is a cache of one attempt, never read again.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use xxhash_rust::xxh3::xxh3_64;

use rocksdb::{BlockBasedOptions, Cache, DBCompressionType, Options, WriteBufferManager};

/// Of a block: what is read for one record.
const BLOCK_BYTES: usize = 2 << 10;
/// Of the keys of blocks, every so-manieth is stored whole and the others as what differs.
const INDEX_RESTARTS: i32 = 16;
/// The part of a write buffer that its filter takes.
const MEMTABLE_FILTER: f64 = 0.1;

/// What the local RocksDBs of a node may use, all together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalDiskOptions {
    /// Decompressed blocks, their indexes and filters. Default: 64 MiB.
    pub block_cache_bytes: usize,
    /// Writes that were not flushed to a file yet; counted in the block cache. Default: 32 MiB.
    pub write_buffer_bytes: usize,
    /// Bytes per second that flushes and compactions write; `None`: as many as the disk takes.
    pub write_rate: Option<u64>,
    /// Threads of flushes and compactions of each. Default: 2.
    pub background_jobs: i32,
}

impl Default for LocalDiskOptions {
    fn default() -> Self {
        Self { block_cache_bytes: 64 << 20, write_buffer_bytes: 32 << 20, write_rate: None, background_jobs: 2 }
    }
}

/// A folder for the local RocksDBs of one node, and what they share.
#[derive(Clone)]
pub struct LocalDisk {
    folder: Arc<Path>,
    options: LocalDiskOptions,
    cache: Cache,
    /// Copies share the cache, the budget of write buffers and the limit of what is written.
    shared: Options,
    /// How many were made; each has a folder of its own.
    made: Arc<AtomicU64>,
    /// Folders that jobs named, which were emptied of what an earlier process left.
    emptied: Arc<Mutex<BTreeSet<PathBuf>>>,
}

impl LocalDisk {
    /// Uses a folder that no other process uses: what is in it is deleted.
    ///
    /// # Errors
    /// When the folder cannot be emptied or made.
    pub fn open(folder: &Path, options: LocalDiskOptions) -> std::io::Result<Self> {
        empty(folder)?;
        let cache = Cache::new_lru_cache(options.block_cache_bytes);
        let shared = shared_options(&options, &cache);
        Ok(Self { folder: folder.into(), options, cache, shared, made: Arc::default(), emptied: Arc::default() })
    }

    /// Bytes of memory that all of them hold together, roughly.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.cache.get_usage() as u64
    }

    /// What each is opened with.
    pub(super) fn options(&self) -> Options {
        self.shared.clone()
    }

    /// A folder that was never handed out before; `name` is for people who look. Where a job named a folder, one in it
    /// that is this node's alone.
    pub(super) fn new_folder(&self, named: Option<&Path>, name: &str) -> std::io::Result<PathBuf> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let own = format!("{number}-{name}");
        let Some(named) = named else { return Ok(self.folder.join(own)) };
        let node = named.join(format!("weir-{:016x}", xxh3_64(self.folder.as_os_str().as_encoded_bytes())));
        let mut emptied = self.emptied.lock().expect("nobody panics while holding it");
        if emptied.insert(node.clone()) {
            empty(&node)?;
        }
        Ok(node.join(own))
    }
}

/// Makes a folder, or empties it.
fn empty(folder: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    std::fs::create_dir_all(folder)
}

fn shared_options(wanted: &LocalDiskOptions, cache: &Cache) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    // Blocks that are half as long as usual are half as much to read, and to check, for one record. Twice as many have
    // keys, which mostly begin alike.
    table.set_block_size(BLOCK_BYTES);
    table.set_index_block_restart_interval(INDEX_RESTARTS);
    table.set_bloom_filter(10.0, false);
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    let bytes = wanted.write_buffer_bytes;
    let write_buffers = WriteBufferManager::new_write_buffer_manager_with_cache(bytes, false, cache.clone());
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&table);
    options.set_write_buffer_manager(&write_buffers);
    options.set_write_buffer_size(bytes);
    // What is asked for is nearly always there, and lies in the last level: its filter, most of all filters, would only
    // drive what is read out of the cache.
    options.set_optimize_filters_for_hits(true);
    // And it is nearly never among what was written last: a filter tells, where a search would wait for memory.
    options.set_memtable_prefix_bloom_ratio(MEMTABLE_FILTER);
    options.set_memtable_whole_key_filtering(true);
    // Each read would unpack a block for one record of it.
    options.set_compression_type(DBCompressionType::None);
    options.set_max_background_jobs(wanted.background_jobs);
    options.set_level_compaction_dynamic_level_bytes(true);
    options.set_keep_log_file_num(1);
    options.set_max_open_files(256);
    options.set_avoid_unnecessary_blocking_io(true);
    if let Some(rate) = wanted.write_rate {
        options.set_ratelimiter(rate.cast_signed(), 100_000, 10);
    }
    options
}

impl std::fmt::Debug for LocalDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalDisk")
            .field("folder", &self.folder)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
