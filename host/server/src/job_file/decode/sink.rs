//! `[[sink]]`.

use weir_protocol::id::Uid;
use weir_protocol::job_spec::{FileSinkSpec, OutputRef, SinkConnector, SinkSpec, StdoutSpec};

use crate::job_file::decode::Vertices;
use crate::job_file::fields::{Fields, Kind, Read, TEXT, items};
use crate::job_file::output_ref;
use crate::job_file::tree::{Error, Node, Value};

#[derive(Clone, Copy)]
enum Type {
    Stdout,
    Files,
    Blackhole,
}

const KINDS: [Kind<Type>; 3] =
    [("stdout", Type::Stdout, &["prefix"]), ("files", Type::Files, &["path"]), ("blackhole", Type::Blackhole, &[])];

pub(super) fn sink(node: &Node, vertices: &mut Vertices, uids: &[Uid]) -> Result<SinkSpec, Error> {
    let (fields, kind) = Fields::of_kind(node, "a sink", &["uid", "type", "parallelism", "from"], &KINDS)?;
    Ok(SinkSpec {
        uid: vertices.uid(&fields, "\"counts\"")?,
        parallelism: vertices.parallelism(&fields)?,
        from: from(&fields, uids)?,
        connector: match kind {
            Type::Stdout => {
                SinkConnector::Stdout(StdoutSpec { prefix: fields.optional("prefix", TEXT)?.unwrap_or_default() })
            }
            Type::Files => SinkConnector::Files(FileSinkSpec { path: fields.required("path", "\"output\"", PATH)? }),
            Type::Blackhole => SinkConnector::Blackhole,
        },
    })
}

fn from(fields: &Fields<'_>, uids: &[Uid]) -> Result<Vec<OutputRef>, Error> {
    fields.required("from", "\"count\"", |_, _| Ok(()))?;
    let node = fields.get("from").expect("it is there, as was checked");
    if !matches!(node.value, Value::List(_)) {
        return Ok(vec![output_ref::read(node, uids)?]);
    }
    let from = items(node, "`from`")?.iter().map(|item| output_ref::read(item, uids)).collect::<Result<Vec<_>, _>>()?;
    if from.is_empty() {
        return Err(node.error("`from` must name at least one source or operator"));
    }
    Ok(from)
}

const PATH: Read<String> = |node, what| match TEXT(node, what)? {
    path if path.is_empty() => Err(node.error(format!("{what} must name a folder"))),
    path => Ok(path),
};
