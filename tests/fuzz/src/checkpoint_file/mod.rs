//! Checkpoint files: reading what may be damaged or lie, and merging what is whole.
//!
//! Claims: reading never panics and never takes more memory than a file's bytes can stand for, whatever lengths it
//! claims; what was written is read; what was damaged is refused; files merge to what plain maps would hold.

mod forged;
mod made;
mod model;

use bytes::Bytes;
use weir_engine::state::file::{FileSlice, Reader, merge};
use weir_operator::keyed_state::StateError;
use weir_protocol::Fault;
use weir_protocol::key_group::KeyGroupRange;

use crate::allocation::largest_of;
use crate::choices::Choices;
use crate::damage::damage;

use made::Made;
use model::{Model, Row};

const ALL: KeyGroupRange = KeyGroupRange { start: 0, end: u16::MAX };

/// What reading a file may take at once, beside a multiple of its bytes: buffers that grow by doubling.
const ROOM: usize = 1 << 20;
/// A byte of an lz4 block stands for at most 255; what grows by doubling may be twice that.
const EXPANSION_MAX: usize = 512;

/// Checks the claims for one input.
pub fn check(data: &[u8]) {
    let mut choices = Choices::new(data);
    match choices.below(5) {
        0 => any_bytes(choices.rest()),
        1 => any_bytes(&forged::file(&mut choices)),
        2 => written(&mut choices),
        3 => damaged(&mut choices),
        _ => merged(&mut choices, merge),
    }
}

/// Every record of a file, as read.
fn read(file: &Bytes, range: KeyGroupRange) -> Result<Vec<Row>, StateError> {
    let reader = Reader::open(file.clone())?;
    let mut rows = Vec::new();
    reader.read(range, |record| {
        rows.push(Row::of(&record, &reader.header().rows));
        Ok(())
    })?;
    if range == ALL {
        assert_eq!(rows.len() as u64, reader.records(), "as many as it says");
    }
    Ok(rows)
}

/// Whatever the bytes claim, reading ends, with an error or records, and takes no more memory than they can stand for.
fn any_bytes(bytes: &[u8]) {
    let file = Bytes::copy_from_slice(bytes);
    let (_, largest) = largest_of(|| {
        Reader::open(file.clone()).and_then(|reader| {
            assert!(reader.header().rows.is_sorted(), "states stand in order");
            reader.read(ALL, |_| Ok(()))
        })
    });
    let most = file.len() * EXPANSION_MAX + ROOM;
    assert!(largest <= most, "{largest} bytes were taken at once for a file of {}", file.len());
    if read(&file, ALL).is_ok() {
        let slice = FileSlice { bytes: file, key_groups: ALL };
        if let Err(error) = merge(&[slice.clone(), slice], false) {
            assert!(matches!(error.fault, Fault::Corrupt | Fault::Request), "{error}");
        }
    }
}

/// What was written is read, for any key groups.
fn written(choices: &mut Choices<'_>) {
    let made = Made::new(choices, 0);
    let file = made.write();
    let reader = Reader::open(file.clone()).expect("it was just written");
    assert_eq!(*reader.header(), made.header, "the header is the one that was written");
    for range in [ALL, made::range(choices)] {
        let wanted: Vec<_> = made.rows().filter(|row| range.contains(row.group)).collect();
        assert_eq!(read(&file, range).expect("it was just written"), wanted);
    }
}

/// What was damaged is refused, as damaged.
fn damaged(choices: &mut Choices<'_>) {
    let whole = Made::new(choices, 0).write();
    let Some(damaged) = damage(&whole, choices) else { return };
    let error = read(&damaged.into(), ALL).expect_err("damage is noticed");
    assert_eq!(error.fault, Fault::Corrupt, "{error}");
}

/// Files merge to what plain maps would hold; parts of them too, and in two steps as in one.
fn merged(choices: &mut Choices<'_>, merge: impl Fn(&[FileSlice], bool) -> Result<Bytes, StateError>) {
    let count = choices.below(4) + 1;
    let made: Vec<Made> = (0..count).map(|number| Made::new(choices, number)).collect();
    let complete = choices.one_in(2);
    let slices: Vec<FileSlice> = made
        .iter()
        .map(|made| FileSlice {
            bytes: made.write(),
            key_groups: if choices.one_in(3) { made::range(choices) } else { made.header.key_groups },
        })
        .collect();
    let outcome = merge(&slices, complete);
    if made::disagree(&made) {
        let error = outcome.expect_err("files that disagree are not merged");
        assert_eq!(error.fault, Fault::Request, "{error}");
        return;
    }
    let file = outcome.expect("whole files merge");
    let mut model = Model::default();
    for (made, slice) in made.iter().zip(&slices) {
        made.rows().filter(|row| slice.key_groups.contains(row.group)).for_each(|row| model.apply(row));
    }
    assert_eq!(read(&file, ALL).expect("a merged file is one"), model.rows(complete));
    assert_eq!(Reader::open(file).expect("a merged file is one").header().complete, complete);
    two_steps(&slices, complete, &model);
}

/// The newer ones first, or the older ones first: it is the same.
fn two_steps(slices: &[FileSlice], complete: bool, model: &Model) {
    let (older, newer) = slices.split_at(slices.len() / 2);
    if older.is_empty() {
        return;
    }
    let one = |files: &[FileSlice], complete| {
        let bytes = merge(files, complete).expect("a part of what merges does");
        FileSlice { bytes, key_groups: ALL }
    };
    let steps = [one(older, complete), one(newer, false)];
    let file = merge(&steps, complete).expect("merged files merge");
    assert_eq!(read(&file, ALL).expect("a merged file is one"), model.rows(complete), "in two steps");
}

#[cfg(test)]
mod tests {
    use super::{merge, merged};
    use crate::noticed::is_noticed;

    #[test]
    fn merge_that_takes_the_oldest_would_be_noticed() {
        let reversed = |files: &[super::FileSlice], complete| {
            let files: Vec<_> = files.iter().rev().cloned().collect();
            merge(&files, complete)
        };
        assert!(is_noticed(|choices| merged(choices, reversed)));
    }

    #[test]
    fn base_that_keeps_what_is_gone_would_be_noticed() {
        assert!(is_noticed(|choices| merged(choices, |files, _| merge(files, false))));
    }
}
