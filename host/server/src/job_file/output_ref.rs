//! `from = "uid"`, `from = "uid.port"`, `from = { uid = "uid", port = "port" }`.

use weir_protocol::id::Uid;
use weir_protocol::job_spec::OutputRef;

use crate::job_file::fields::{Fields, TEXT};
use crate::job_file::nearest;
use crate::job_file::tree::{Error, Node, Value};

/// Reads a reference to an output of one of `uids`, those of the job's sources and operators.
pub(super) fn read(node: &Node, uids: &[Uid]) -> Result<OutputRef, Error> {
    if let Value::Table(_) = node.value {
        let fields = Fields::open(node, "`from`", &["uid", "port"])?;
        let given = fields.required("uid", "\"…\"", TEXT)?;
        let uid = uids.iter().find(|uid| uid.as_str() == given).ok_or_else(|| unknown(node, &given, uids))?;
        return Ok(OutputRef { uid: uid.clone(), port: fields.optional("port", TEXT)? });
    }
    let given = TEXT(node, "`from`")?;
    split(&given, uids).ok_or_else(|| unknown(node, &given, uids))
}

/// Uids may hold dots themselves, so the longest uid that fits counts.
pub(super) fn split(text: &str, uids: &[Uid]) -> Option<OutputRef> {
    let fitting = uids.iter().filter_map(|uid| match text.strip_prefix(uid.as_str())? {
        "" => Some(OutputRef { uid: uid.clone(), port: None }),
        rest => Some(OutputRef { uid: uid.clone(), port: Some(rest.strip_prefix('.')?.to_owned()) }),
    });
    fitting.max_by_key(|output| output.uid.as_str().len())
}

fn unknown(node: &Node, given: &str, uids: &[Uid]) -> Error {
    let mend = nearest::mend(given, uids.iter().map(Uid::as_str));
    node.error(format!("`from` names `{given}`, but no source and no operator has that uid; {mend}"))
}
