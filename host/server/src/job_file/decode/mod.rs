//! From a tree to a draft.

mod elsewhere;
mod job;
mod operator;
mod sink;
mod source;
mod state;
mod timers;

use std::collections::BTreeMap;

use weir_protocol::id::{Name, Uid};
use weir_protocol::key_group::MaxParallelism;

use crate::job_file::fields::{Fields, Read, SMALL_AT_LEAST_1, TEXT};
use crate::job_file::tree::{Error, Place};

pub(super) use job::job;

/// A name: of the job, or a uid.
const NAME: Read<Name> = |node, what| {
    let text = TEXT(node, what)?;
    Name::try_from(text).map_err(|error| node.error(format!("{what}: {error}")))
};

/// What every vertex is checked against while the file is read.
struct Vertices {
    max_parallelism: MaxParallelism,
    /// Where each uid stands that was read so far.
    uids: BTreeMap<Uid, Place>,
}

impl Vertices {
    /// The mandatory uid; no two the same in a job.
    fn uid(&mut self, fields: &Fields<'_>, example: &str) -> Result<Uid, Error> {
        let uid = fields.required("uid", example, NAME)?;
        let node = fields.get("uid").expect("it was read just now");
        match self.uids.insert(uid.clone(), node.place.clone()) {
            None => Ok(uid),
            Some(first) => {
                Err(node.error(format!("the uid `{uid}` is taken already ({first}); give each its own, and keep it")))
            }
        }
    }

    fn parallelism(&self, fields: &Fields<'_>) -> Result<Option<u32>, Error> {
        parallelism(fields, self.max_parallelism)
    }
}

fn parallelism(fields: &Fields<'_>, max: MaxParallelism) -> Result<Option<u32>, Error> {
    let Some(parallelism) = fields.optional("parallelism", SMALL_AT_LEAST_1)? else { return Ok(None) };
    let node = fields.get("parallelism").expect("it was read just now");
    match max.check(parallelism) {
        Ok(()) => Ok(Some(parallelism)),
        Err(_) => {
            Err(node
                .error(format!("`parallelism` must be at most `max-parallelism`, {}, not {parallelism}", max.get())))
        }
    }
}
