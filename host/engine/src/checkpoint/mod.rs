//! State becomes durable, results become public, and what is no longer needed goes.
//!
//! A closed segment becomes a checkpoint file ([`upload`]); when every subtask's part is in the store, the job's owner
//! appends an entry that names them all ([`chain`]): from then on the checkpoint exists. Then its results are published
//! ([`publish`]), and objects that no entry names any more are deleted ([`collect`]). After a failure the newest entry
//! is read back ([`restore`]). People and tools may look at what it holds meanwhile ([`inspect`]),
//! or copy it away, for other jobs to begin from ([`savepoint`]). What must be true of all this is decided in `weir-protocol`; here it is performed.

mod blob;
pub mod chain;
pub mod collect;
pub mod dead_letters;
pub mod inspect;
pub mod publish;
pub mod restore;
pub mod savepoint;
mod stored;
pub mod upload;

pub use blob::{BlobError, read_blob};
pub use stored::StoredFiles;
