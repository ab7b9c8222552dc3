//! Flink's keys for what somebody else sets here, or what Weir sees to by itself: which, and who.
//!
//! They are refused, so that nobody believes a setting to hold that does not.

use super::timers;
use crate::job_file::tree::{Node, Value};

const STORE: &str =
    "a job's checkpoints lie in the object store of its node, which is started with `weir serve --store URL`";
const SAVEPOINTS: &str = "savepoints go where each is asked for, `weir savepoint JOB URL`, or else to the place of the node, \
    which is started with `weir serve --savepoint-dir URL`";
const CACHE: &str = "all local RocksDBs of a node share one block cache, which is set with `weir serve --rocksdb-cache`; \
    what a job may keep in memory is `memory` in [state]";
const WRITE_BUFFER: &str = "all local RocksDBs of a node share one budget for what is not written yet, which is set with \
    `weir serve --rocksdb-write-buffer`";
const THREADS: &str =
    "the threads that write to local RocksDBs are the node's, and are set with `weir serve --rocksdb-threads`";
const TRANSFER: &str =
    "checkpoints are uploaded beside the processing, in parts of which four at once are on their way";
const FACTORY: &str = "no code but operators is loaded; what can be set of RocksDB are `memory` and `local-dir` in \
    [state] and the options `--rocksdb-…` of `weir serve`";
const TUNED: &str = "the local RocksDB is a cache, tuned for what leaves memory for it; what can be set are `memory` in \
    [state] and the options `--rocksdb-…` of `weir serve`";
const MANAGED: &str = "memory is always bounded: by `memory` in [state] for each subtask's state, and for the node's \
    local RocksDBs by `weir serve --rocksdb-cache`";
const TIMERS: &str = "timers are kept as all state of their job is: with `backend = \"rocksdb\"` they leave for the local disk \
    once they outgrow `memory`, but for those that fire next";
const METRICS: &str = "metrics of state are always there, as `weir_state_…` at /metrics";
const RECOVERY: &str = "after a failure state is always restored from the object store";
const ALIGNED: &str = "checkpoints are aligned and exactly-once, once there is a table [checkpoint]";
const TTL: &str = "a time to live belongs to each state, and its operator declares it: `#[describe(ttl = \"1h\")]` in the \
    Rust SDK";

/// A key, or with a dot at its end the begin of several, and what to know of it.
const POINTERS: &[(&str, &str)] = &[
    ("state.checkpoints.dir", STORE),
    ("state.savepoints.dir", SAVEPOINTS),
    ("state.backend.fs.checkpointdir", STORE),
    ("state.backend.rocksdb.checkpointdir", STORE),
    ("execution.checkpointing.dir", STORE),
    ("execution.checkpointing.savepoint-dir", SAVEPOINTS),
    ("state.backend.rocksdb.block.cache-size", CACHE),
    ("state.backend.rocksdb.memory.fixed-per-tm", CACHE),
    ("state.backend.rocksdb.memory.write-buffer-ratio", WRITE_BUFFER),
    ("state.backend.rocksdb.writebuffer.size", WRITE_BUFFER),
    ("state.backend.rocksdb.writebuffer.count", WRITE_BUFFER),
    ("state.backend.rocksdb.writebuffer.number-to-merge", WRITE_BUFFER),
    ("state.backend.rocksdb.write-batch-size", WRITE_BUFFER),
    ("state.backend.rocksdb.thread.num", THREADS),
    ("state.backend.rocksdb.checkpoint.transfer.thread.num", TRANSFER),
    ("state.backend.rocksdb.options-factory", FACTORY),
    ("state.backend.rocksdb.memory.managed", MANAGED),
    ("state.backend.rocksdb.memory.high-prio-pool-ratio", TUNED),
    ("state.backend.rocksdb.memory.partitioned-index-filters", TUNED),
    ("state.backend.rocksdb.predefined-options", TUNED),
    (timers::PLACE, TIMERS),
    ("state.backend.rocksdb.timer-service.cache-size", TIMERS),
    ("state.backend.rocksdb.metrics.", METRICS),
    ("state.backend.rocksdb.block.blocksize", TUNED),
    ("state.backend.rocksdb.block.metadata-blocksize", TUNED),
    ("state.backend.rocksdb.bloom-filter.", TUNED),
    ("state.backend.rocksdb.use-bloom-filter", TUNED),
    ("state.backend.rocksdb.compaction.", TUNED),
    ("state.backend.rocksdb.compression.", TUNED),
    ("state.backend.rocksdb.files.open", TUNED),
    ("state.backend.rocksdb.log.", TUNED),
    ("state.backend.rocksdb.manual-compaction.", TUNED),
    ("state.backend.rocksdb.restore-overlap-fraction-threshold", TUNED),
    ("state.backend.rocksdb.incremental-restore-async-compact-after-rescale", TUNED),
    ("state.backend.rocksdb.rescaling.", TUNED),
    ("state.backend.rocksdb.use-ingest-db-restore-mode", TUNED),
    ("state.backend.latency-track.", METRICS),
    ("state.latency-track.", METRICS),
    ("state.size-track.", METRICS),
    ("state.backend.local-recovery", RECOVERY),
    ("execution.state-recovery.from-local", RECOVERY),
    ("execution.checkpointing.local-backup.", RECOVERY),
    ("state.ttl", TTL),
    ("table.exec.state.ttl", TTL),
    ("state.checkpoints.num-retained", "it is `retained` in [checkpoint]"),
    ("execution.checkpointing.num-retained", "it is `retained` in [checkpoint]"),
    ("execution.checkpointing.interval", "it is `interval` in [checkpoint]"),
    ("execution.checkpointing.timeout", "it is `timeout` in [checkpoint]"),
    ("execution.checkpointing.min-pause", "it is `min-pause` in [checkpoint]"),
    ("execution.checkpointing.max-concurrent-checkpoints", "it is `max-concurrent` in [checkpoint]"),
    ("execution.checkpointing.tolerable-failed-checkpoints", "it is `tolerable-failures` in [checkpoint]"),
    ("execution.checkpointing.mode", ALIGNED),
    ("execution.checkpointing.unaligned", ALIGNED),
    ("execution.checkpointing.unaligned.", ALIGNED),
    ("execution.checkpointing.aligned-checkpoint-timeout", ALIGNED),
];

/// Values that say what is so anyway, in any case.
const IS_SO: [(&str, &str); 6] = [
    ("state.backend.rocksdb.memory.managed", "true"),
    ("state.backend.rocksdb.predefined-options", "DEFAULT"),
    ("state.backend.local-recovery", "false"),
    ("execution.state-recovery.from-local", "false"),
    ("execution.checkpointing.mode", "EXACTLY_ONCE"),
    ("execution.checkpointing.unaligned.enabled", "false"),
];

/// Who sets what Flink calls so, or why nobody does; `None`: it is no such key.
pub(super) fn pointer(path: &str) -> Option<&'static str> {
    let fits = |key: &str| if key.ends_with('.') { path.starts_with(key) } else { path == key };
    POINTERS.iter().find(|(key, _)| fits(key)).map(|(_, pointer)| *pointer)
}

/// The whole key of which only the end was given, if there is one, and what is known of it.
pub(super) fn ending_in(end: &str) -> Option<(&'static str, &'static str)> {
    POINTERS.iter().find(|(key, _)| is_end_of(end, key)).copied()
}

/// Whether a key is this one, or ends in it.
pub(super) fn is_end_of(end: &str, key: &str) -> bool {
    key.strip_suffix(end).is_some_and(|begin| begin.is_empty() || begin.ends_with('.'))
}

/// Whether a key asks for nothing but what is so anyway.
pub(super) fn asks_for_what_is(path: &str, node: &Node) -> bool {
    let given = match &node.value {
        Value::Text(text) => text.clone(),
        Value::Boolean(flag) => flag.to_string(),
        Value::Null | Value::Integer(_) | Value::Float(_) | Value::List(_) | Value::Table(_) => return false,
    };
    IS_SO.iter().any(|(key, value)| *key == path && value.eq_ignore_ascii_case(&given))
}
