//! What a node's operator sets for its local RocksDBs, all together.

use weir_engine::state::LocalDiskOptions;

use crate::cli::exit::Failure;
use crate::job_file::{bytes, size};

/// What they share; each beside its default.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct RocksDb {
    /// Memory for what was read from state on disk, shared by all jobs: 1MiB or more.
    #[arg(long, env = "WEIR_ROCKSDB_CACHE", default_value = "64MiB", value_name = "SIZE", value_parser = cache)]
    pub(super) rocksdb_cache: usize,
    /// The part of that cache for what is not written to disk yet: 64KiB or more, at most half of it.
    #[arg(long, env = "WEIR_ROCKSDB_WRITE_BUFFER", default_value = "32MiB", value_name = "SIZE", value_parser = buffer)]
    pub(super) rocksdb_write_buffer: usize,
    /// Bytes per second that state may write to disk: 1MiB or more; default: as many as the disk takes.
    #[arg(long, env = "WEIR_ROCKSDB_WRITE_RATE", value_name = "SIZE", value_parser = rate)]
    pub(super) rocksdb_write_rate: Option<u64>,
    /// Threads that write state to disk and merge it there: 1 to 64.
    #[arg(
        long,
        env = "WEIR_ROCKSDB_THREADS",
        default_value_t = 2,
        value_name = "COUNT",
        value_parser = clap::value_parser!(i32).range(1..=64)
    )]
    pub(super) rocksdb_threads: i32,
}

impl RocksDb {
    /// What the engine is told, if it fits together.
    pub(super) fn options(&self) -> Result<LocalDiskOptions, Failure> {
        let (cache, buffer) = (self.rocksdb_cache, self.rocksdb_write_buffer);
        if buffer > cache / 2 {
            let (cache, buffer) = (size(cache as u64), size(buffer as u64));
            let message =
                format!("--rocksdb-write-buffer is {buffer}, more than half of --rocksdb-cache, which is {cache}");
            return Err(Failure::wrong_use(
                message,
                "the cache holds both what is read and what is not written yet: raise it, or lower the write buffer",
            ));
        }
        Ok(LocalDiskOptions {
            block_cache_bytes: cache,
            write_buffer_bytes: buffer,
            write_rate: self.rocksdb_write_rate,
            background_jobs: self.rocksdb_threads,
        })
    }
}

fn cache(text: &str) -> Result<usize, String> {
    let bytes = at_least(1 << 20, text)?;
    usize::try_from(bytes).map_err(|_| "this machine cannot address that much".to_owned())
}

/// RocksDB itself takes no less, and no more.
fn buffer(text: &str) -> Result<usize, String> {
    let bytes = at_least(64 << 10, text)?;
    usize::try_from(bytes).ok().filter(|bytes| *bytes <= 64 << 30).ok_or_else(|| "write 64GiB or less".to_owned())
}

fn rate(text: &str) -> Result<u64, String> {
    at_least(1 << 20, text)
}

fn at_least(least: u64, text: &str) -> Result<u64, String> {
    let least_shown = size(least);
    match bytes(text) {
        Ok(bytes) if bytes >= least => Ok(bytes),
        Ok(_) => Err(format!("write {least_shown} or more")),
        Err(why) => Err(format!("{why}; it takes {least_shown} or more")),
    }
}
