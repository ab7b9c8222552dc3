//! The most that the host may charge for what is asked for.

use weir_operator::batch::{BytesColumn, OptionalColumn};
use weir_operator::turn::{Origin, Work};

use super::super::Command;

/// More than the host charges beside bytes, for a command and for each thing in it.
const OVERHEAD_MAX: usize = 64;

/// The most that a command may be charged with.
pub(super) fn most(command: &Command, work: &Work) -> u64 {
    let (things, bytes) = match command {
        Command::SetValue(_, value) => (1, value.as_ref().map_or(0, Vec::len)),
        Command::Store(values) | Command::StoreSome(_, values) => optional(values),
        Command::Append(_, value) => (1, value.len()),
        Command::SetList(_, values) | Command::AppendMany(_, values) => plain(values),
        Command::PutEntry(_, entry, value) => (1, entry.len() + value.as_ref().map_or(0, Vec::len)),
        Command::PutEntries(_, entries, values) => both(plain(entries), optional(values)),
        Command::Timers { keys, .. } => (keys.len(), 0),
        Command::Emit(_, records) => {
            let headers =
                records.headers.iter().flatten().map(|header| both((1, header.name.len()), optional(&header.values)));
            let own = match &records.origin {
                Origin::OwnKeys(keys) => both(plain(&keys.distinct), (keys.key_of.len(), 0)),
                Origin::EachRow | Origin::Rows(_) | Origin::Keys(_) | Origin::Unkeyed => (0, 0),
            };
            headers.fold(both(optional(&records.values), own), both)
        }
        Command::Forward(_, rows) => (rows.len(), rows.len() * work_bytes(work)),
        Command::Reject(rows, reason) => (rows.len(), reason.len()),
        _ => (0, 0),
    };
    (bytes + (things + 1) * OVERHEAD_MAX) as u64
}

fn both(a: (usize, usize), b: (usize, usize)) -> (usize, usize) {
    (a.0 + b.0, a.1 + b.1)
}

fn plain(column: &BytesColumn) -> (usize, usize) {
    (column.offsets.len(), column.data.len())
}

fn optional(column: &OptionalColumn) -> (usize, usize) {
    both(plain(&column.values), (column.validity.len(), 0))
}

/// A row that is forwarded has no more bytes than all rows.
fn work_bytes(work: &Work) -> usize {
    match work {
        Work::Batch { batch, .. } => batch.bytes(),
        Work::Timers(_) | Work::Finish => 0,
    }
}
