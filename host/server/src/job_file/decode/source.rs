//! `[[source]]`.

use weir_protocol::job_spec::{
    FileFormat, FileSourceSpec, GeneratorSpec, KeyDistribution, SourceConnector, SourceSpec, StartPosition,
};

use crate::job_file::decode::Vertices;
use crate::job_file::fields::{AT_LEAST_1, COUNT, FLAG, Fields, Kind, Read, SMALL_COUNT, TEXTS};
use crate::job_file::tree::{Error, Node};

#[derive(Clone, Copy)]
enum Type {
    Files,
    Generator,
}

const KINDS: [Kind<Type>; 2] = [
    ("files", Type::Files, &["paths", "format", "follow", "start"]),
    ("generator", Type::Generator, &["rate", "count", "keys", "distribution", "value-bytes"]),
];

pub(super) fn source(node: &Node, vertices: &mut Vertices) -> Result<SourceSpec, Error> {
    let (fields, kind) = Fields::of_kind(node, "a source", &["uid", "type", "parallelism"], &KINDS)?;
    Ok(SourceSpec {
        uid: vertices.uid(&fields, "\"text\"")?,
        parallelism: vertices.parallelism(&fields)?,
        connector: match kind {
            Type::Files => SourceConnector::Files(files(&fields)?),
            Type::Generator => SourceConnector::Generator(generator(&fields)?),
        },
    })
}

fn files(fields: &Fields<'_>) -> Result<FileSourceSpec, Error> {
    let formats = [("lines", FileFormat::Lines), ("ndjson", FileFormat::Ndjson)];
    let starts = [("beginning", StartPosition::Beginning), ("end", StartPosition::End)];
    Ok(FileSourceSpec {
        paths: fields.required("paths", "[\"docs/**/*.md\"]", SOME_TEXTS)?,
        format: fields.optional_word("format", &formats)?.unwrap_or(FileFormat::Lines),
        follow: fields.optional("follow", FLAG)?.unwrap_or(false),
        start: fields.optional_word("start", &starts)?.unwrap_or(StartPosition::Beginning),
    })
}

const SOME_TEXTS: Read<Vec<String>> = |node, what| {
    let texts = TEXTS(node, what)?;
    if texts.is_empty() || texts.iter().any(String::is_empty) {
        return Err(node.error(format!("{what} must name at least one file or folder, and none with an empty text")));
    }
    Ok(texts)
};

fn generator(fields: &Fields<'_>) -> Result<GeneratorSpec, Error> {
    let distributions = [("round-robin", KeyDistribution::RoundRobin), ("uniform", KeyDistribution::Uniform)];
    Ok(GeneratorSpec {
        rate: fields.optional("rate", AT_LEAST_1)?,
        count: fields.optional("count", COUNT)?,
        keys: fields.optional("keys", AT_LEAST_1)?.unwrap_or(1_000),
        distribution: fields.optional_word("distribution", &distributions)?.unwrap_or(KeyDistribution::RoundRobin),
        value_bytes: fields.optional("value-bytes", VALUE_BYTES)?.unwrap_or(100),
    })
}

const VALUE_BYTES: Read<u32> = |node, what| match SMALL_COUNT(node, what)? {
    bytes if (64..=1 << 20).contains(&bytes) => Ok(bytes),
    bytes => Err(node.error(format!("{what} must be between 64 and {}, not {bytes}", 1 << 20))),
};
