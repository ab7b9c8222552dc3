//! Lines into records.

use serde::de::IgnoredAny;
use weir_operator::batch::Batch;
use weir_protocol::job_spec::FileFormat;
use weir_protocol::time::NO_TIME;

use super::chunk::{Chunk, LINE_BYTES_MAX};
use super::position::Position;
use crate::rejected::RejectedRecord;
use crate::source::{BATCH_BYTES_MAX, BATCH_ROWS_MAX};

/// The most that is kept of a line that is given up on.
const KEPT_BYTES_MAX: usize = 4 << 10;

/// What a batch's worth of lines became.
#[derive(Debug)]
pub(super) struct Cut {
    pub(super) batch: Batch,
    pub(super) rejects: Vec<RejectedRecord>,
    /// Behind the last of them.
    pub(super) position: Position,
}

/// Takes lines off a chunk, a batch at most; `None` where it holds no whole line. A line ends with a line feed, or one
/// that a carriage return precedes; where `ends_with_file`, the end of the last chunk ends a line too.
pub(super) fn cut(chunk: &mut Chunk, name: &str, format: FileFormat, ends_with_file: bool) -> Option<Cut> {
    let mut batch = Batch::default();
    let mut rejects = Vec::new();
    let rest = chunk.rest();
    let mut taken = 0;
    let mut lines: u32 = 0;
    while lines < BATCH_ROWS_MAX && batch.values.bytes() < BATCH_BYTES_MAX as usize && taken < rest.len() {
        let line = match memchr::memchr(b'\n', &rest[taken..]) {
            Some(length) => &rest[taken..=taken + length],
            None if ends_with_file && chunk.is_last => &rest[taken..],
            None => break,
        };
        let offset = chunk.offset() + u64::try_from(taken).expect("a length in memory fits in 64 bits");
        taken += line.len();
        lines += 1;
        match record(without_end(line), format) {
            Ok(None) => {}
            Ok(Some(value)) => {
                batch.values.push(Some(value));
                batch.rows += 1;
            }
            Err(reason) => rejects.push(reject(name, offset, line, reason)),
        }
    }
    (taken > 0).then(|| Cut { batch, rejects, position: chunk.take(taken) })
}

/// A line, or as much as is kept of it, for the dead letters.
pub(super) fn reject(name: &str, offset: u64, line: &[u8], reason: String) -> RejectedRecord {
    let line = without_end(line);
    RejectedRecord {
        reason,
        origin: format!("{name}:{offset}"),
        key: None,
        value: Some(line[..line.len().min(KEPT_BYTES_MAX)].to_vec()),
        timestamp: NO_TIME,
    }
}

/// Why a line that is too long is given up on.
pub(super) fn too_long() -> String {
    format!("the line is longer than {LINE_BYTES_MAX} bytes")
}

/// The record that a line is; `None` where it is passed over.
fn record(line: &[u8], format: FileFormat) -> Result<Option<&[u8]>, String> {
    if line.len() > LINE_BYTES_MAX {
        return Err(too_long());
    }
    match format {
        FileFormat::Lines => Ok(Some(line)),
        FileFormat::Ndjson if line.iter().all(u8::is_ascii_whitespace) => Ok(None),
        FileFormat::Ndjson => {
            let text = std::str::from_utf8(line).map_err(|error| format!("the line is not UTF-8: {error}"))?;
            let json =
                serde_json::from_str::<IgnoredAny>(text).map_err(|error| format!("the line is no JSON: {error}"));
            json.map(|_| Some(line))
        }
    }
}

fn without_end(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\n").map_or(line, |line| line.strip_suffix(b"\r").unwrap_or(line))
}
