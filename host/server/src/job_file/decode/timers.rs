//! Where Flink's files say that timers are kept.
//!
//! Here they are kept as all state of their job is. Guarantees that who asks for that is heard, and that nobody believes
//! them to be anywhere else.

use weir_protocol::job_graph::StateBackend;

use super::state::named;
use crate::job_file::tree::{Error, Node};

/// Flink's key for it.
pub(super) const PLACE: &str = "state.backend.rocksdb.timer-service.factory";

/// What Flink calls the places, and the backend that keeps timers there.
const PLACES: [(&str, StateBackend); 2] = [("HEAP", StateBackend::HashMap), ("ROCKSDB", StateBackend::RocksDb)];

/// Refuses another place than that of the job's state.
pub(super) fn check(node: &Node, backend: StateBackend) -> Result<(), Error> {
    let (place, wanted) = named(node, &format!("`{PLACE}`"), &PLACES, |(name, _)| name)?;
    if *wanted == backend {
        return Ok(());
    }
    let (backend, does) = match backend {
        StateBackend::HashMap => ("hashmap", "keeps all state in memory"),
        StateBackend::RocksDb => ("rocksdb", "writes to the local disk what outgrows the memory"),
    };
    let other = match wanted {
        StateBackend::HashMap => "hashmap",
        StateBackend::RocksDb => "rocksdb",
    };
    Err(node.error(format!(
        "`{PLACE}` is \"{place}\", but timers are kept as all state of their job is, and the backend `{backend}` {does}: \
         leave the key out, or say backend = \"{other}\" in [state]"
    )))
}
