//! Several files as one: the newest record of each key, in order.
//!
//! The one place that decides which record counts: a restore reads through it, a rebase writes through it.

use std::cmp::Ordering;
use std::ops::ControlFlow;

use bytes::Bytes;
use weir_operator::keyed_state::StateError;
use weir_protocol::Fault;
use weir_protocol::key_group::{KeyGroup, KeyGroupRange, MaxParallelism};

use super::super::frozen::Expiry;
use super::reader::{Cursor, Reader};
use super::{FileRecord, FileSlice, Header, Place, RecordKind, StateRow, Writer};

/// Merges files, oldest first, into one. A `complete` one is a base: `files` begin with the base before it or with the
/// first file ever written, and what is gone leaves nothing; else what is gone stays a tombstone, since older files
/// may hold it.
///
/// # Errors
/// [`Fault::Corrupt`] where a file does not verify; [`Fault::Request`] where files are of different jobs or a state has
/// two kinds.
pub fn merge(files: &[FileSlice], complete: bool) -> Result<Bytes, StateError> {
    merge_unexpired(files, complete, None)
}

/// The same; what has expired is gone too.
///
/// # Errors
/// As [`merge`].
pub fn merge_unexpired(files: &[FileSlice], complete: bool, expiry: Option<&Expiry>) -> Result<Bytes, StateError> {
    merge_in_parts(open(files)?, complete, expiry, usize::MAX, |_| Ok(()))
}

/// The same for files that are open; whenever so many bytes are written, `take` is given them. The rest of the file.
///
/// # Errors
/// As [`merge`], and what `take` returns.
pub fn merge_in_parts<E: From<StateError>>(
    files: Vec<(Reader, KeyGroupRange)>,
    complete: bool,
    expiry: Option<&Expiry>,
    part_bytes: usize,
    mut take: impl FnMut(Bytes) -> Result<(), E>,
) -> Result<Bytes, E> {
    let mut merge = Merge::of(files, KeyGroupRange { start: 0, end: u16::MAX })?;
    let mut writer = Writer::new(Header { complete, ..merge.header.clone() });
    let has_expired = expiry.map(|expiry| expiry.of(&merge.header.rows));
    merge.begin(None)?;
    merge
        .go_on(complete, |record| {
            if !has_expired.as_ref().is_some_and(|has_expired| has_expired(&record)) {
                writer.push(&record);
            } else if !complete {
                writer.push(&record.tombstone());
            }
            while let Some(part) = writer.take_part(part_bytes) {
                take(part)?;
            }
            Ok::<_, E>(ControlFlow::Continue(()))
        })
        .map(drop)?;
    Ok(writer.finish())
}

/// Opens files that are in memory.
///
/// # Errors
/// [`Fault::Corrupt`] where one does not verify.
pub fn open(files: &[FileSlice]) -> Result<Vec<(Reader, KeyGroupRange)>, StateError> {
    files.iter().map(|file| Ok((Reader::open(file.bytes.clone())?, file.key_groups))).collect()
}

/// Files that are read as one.
#[derive(Debug)]
pub(in crate::state) struct Merge {
    /// Of the merged file.
    header: Header,
    /// Newest first.
    sources: Vec<Source>,
    /// Indices of sources that are not at their end; a heap whose first has the least record, or may have.
    heap: Vec<usize>,
    passed: Passed,
    /// Whether the least record was visited already.
    is_visited: bool,
}

#[derive(Debug)]
struct Source {
    cursor: Cursor,
    /// The key group before which it has no record, as long as nothing of it was read: files whose key groups come later
    /// are not in memory meanwhile.
    unread: Option<KeyGroup>,
    /// For each row of the file, what it is in the merged one.
    rows: Vec<MergedRow>,
}

#[derive(Debug, Clone, Copy)]
struct MergedRow {
    row: u16,
    /// The same for all rows of one name.
    rank: u16,
}

/// What the keys that were passed say of those that come.
#[derive(Debug, Default)]
struct Passed {
    key: Option<(KeyGroup, u16)>,
    key_bytes: Vec<u8>,
    /// Whether a record of the key was passed already, and its entry.
    entry: Option<Vec<u8>>,
    /// The newest source with a clear for the key: what is older is hidden.
    cleared_by: Option<usize>,
}

impl Merge {
    /// Files, oldest first, of which the key groups count that lie both in `key_groups` and in their own slice.
    pub(in crate::state) fn of(
        files: Vec<(Reader, KeyGroupRange)>,
        key_groups: KeyGroupRange,
    ) -> Result<Self, StateError> {
        let (readers, slices): (Vec<_>, Vec<_>) = files.into_iter().rev().unzip();
        let max = common_max(&readers)?;
        let rows = common_rows(&readers)?;
        let slices = slices.into_iter().map(|slice| slice.clip(key_groups));
        let hull = slices.clone().filter(|slice| !slice.is_empty()).reduce(hull);
        let sources = readers.into_iter().zip(slices).map(|(reader, slice)| Source {
            rows: reader.header().rows.iter().map(|row| merged_row(&rows, row)).collect(),
            cursor: Cursor::new(reader, slice),
            unread: None,
        });
        let sources = sources.collect();
        let key_groups = hull.unwrap_or(KeyGroupRange { start: 0, end: 0 });
        let header = Header { max, key_groups, complete: false, rows };
        Ok(Self { header, sources, heap: Vec::new(), passed: Passed::default(), is_visited: false })
    }

    /// What a file with all this would say of itself.
    pub(in crate::state) const fn header(&self) -> &Header {
        &self.header
    }

    /// Visits the newest record of each key (and entry), in order, from a place on, until `visit` breaks it off; removals
    /// only if not `complete`.
    pub(in crate::state) fn run_from(
        mut self,
        from: Option<&Place>,
        complete: bool,
        visit: impl FnMut(FileRecord<'_>) -> Result<ControlFlow<()>, StateError>,
    ) -> Result<(), StateError> {
        self.begin(from)?;
        self.go_on(complete, visit).map(drop)
    }

    /// Goes to the first record, or to a place.
    pub(in crate::state) fn begin(&mut self, from: Option<&Place>) -> Result<(), StateError> {
        for (number, source) in self.sources.iter_mut().enumerate() {
            let may_have_records = match from {
                Some(place) => source.cursor.advance_to(place)?,
                None => {
                    source.unread = source.cursor.first_group();
                    source.unread.is_some()
                }
            };
            if may_have_records {
                self.heap.push(number);
            }
        }
        for place in (0..self.heap.len() / 2).rev() {
            self.sift_down(place);
        }
        Ok(())
    }

    /// Visits the records that come, until `visit` breaks it off: it can go on behind that record later.
    pub(in crate::state) fn go_on<E: From<StateError>>(
        &mut self,
        complete: bool,
        mut visit: impl FnMut(FileRecord<'_>) -> Result<ControlFlow<()>, E>,
    ) -> Result<ControlFlow<()>, E> {
        loop {
            if std::mem::take(&mut self.is_visited) {
                self.advance()?;
            }
            let Some(&first) = self.heap.first() else { return Ok(ControlFlow::Continue(())) };
            if self.sources[first].unread.take().is_some() {
                self.advance()?;
                continue;
            }
            self.is_visited = true;
            let source = &self.sources[first];
            let record = source.cursor.record();
            let merged = source.rows[usize::from(record.row)];
            let is_removal = record.kind != RecordKind::Put;
            if self.passed.admits(first, merged.rank, &record) && !(complete && is_removal) {
                let went = visit(FileRecord { row: merged.row, ..record })?;
                if went.is_break() {
                    return Ok(went);
                }
            }
        }
    }

    /// The same error, with the name of the file that the record visited last is from.
    pub(in crate::state) fn named(&self, error: StateError) -> StateError {
        match self.heap.first() {
            Some(&first) => self.sources[first].cursor.named(error),
            None => error,
        }
    }

    /// Goes behind the least record, or to the first of a source that may have the least.
    fn advance(&mut self) -> Result<(), StateError> {
        let first = *self.heap.first().expect("there is a record, or may be");
        if !self.sources[first].cursor.advance()? {
            self.heap.swap_remove(0);
        }
        self.sift_down(0);
        Ok(())
    }

    fn sift_down(&mut self, mut place: usize) {
        loop {
            let children = 2 * place + 1..(2 * place + 3).min(self.heap.len());
            let least = children.min_by(|&a, &b| self.order(self.heap[a], self.heap[b]));
            match least {
                Some(child) if self.order(self.heap[child], self.heap[place]).is_lt() => {
                    self.heap.swap(child, place);
                    place = child;
                }
                Some(_) | None => return,
            }
        }
    }

    /// By key and entry, clears first; of the same, the newest source first.
    fn order(&self, a: usize, b: usize) -> Ordering {
        let (source_a, source_b) = (&self.sources[a], &self.sources[b]);
        if source_a.unread.is_some() || source_b.unread.is_some() {
            let group = |source: &Source| source.unread.unwrap_or_else(|| source.cursor.record().group);
            let is_read = |source: &Source| source.unread.is_none();
            // One that was not read may have the first record of its key group.
            return (group(source_a), is_read(source_a), a).cmp(&(group(source_b), is_read(source_b), b));
        }
        let (record_a, record_b) = (source_a.cursor.record(), source_b.cursor.record());
        let rank = |source: &Source, record: &FileRecord<'_>| source.rows[usize::from(record.row)].rank;
        let is_entry = |record: &FileRecord<'_>| record.kind != RecordKind::Clear;
        record_a
            .group
            .cmp(&record_b.group)
            .then_with(|| rank(source_a, &record_a).cmp(&rank(source_b, &record_b)))
            .then_with(|| record_a.key.cmp(record_b.key))
            .then_with(|| is_entry(&record_a).cmp(&is_entry(&record_b)))
            .then_with(|| record_a.entry.cmp(record_b.entry))
            .then(a.cmp(&b))
    }
}

impl Passed {
    /// Whether a record, which comes in order, is the one that counts.
    fn admits(&mut self, source: usize, rank: u16, record: &FileRecord<'_>) -> bool {
        if self.key != Some((record.group, rank)) || self.key_bytes != record.key {
            self.key = Some((record.group, rank));
            self.key_bytes.clear();
            self.key_bytes.extend_from_slice(record.key);
            self.entry = None;
            self.cleared_by = None;
        }
        if record.kind == RecordKind::Clear {
            return self.cleared_by.replace(self.cleared_by.unwrap_or(source)).is_none();
        }
        let is_hidden = self.cleared_by.is_some_and(|clear| source > clear);
        if is_hidden || self.entry.as_deref() == Some(record.entry) {
            return false;
        }
        let entry = self.entry.get_or_insert_default();
        entry.clear();
        entry.extend_from_slice(record.entry);
        true
    }
}

fn hull(a: KeyGroupRange, b: KeyGroupRange) -> KeyGroupRange {
    KeyGroupRange { start: a.start.min(b.start), end: a.end.max(b.end) }
}

fn common_max(readers: &[Reader]) -> Result<MaxParallelism, StateError> {
    let mut maxima = readers.iter().map(|reader| reader.header().max);
    let first = maxima.next().unwrap_or_default();
    match maxima.find(|&max| max != first) {
        None => Ok(first),
        Some(other) => Err(request(format!(
            "checkpoint files of one operator were written with maximum parallelism {} and {}; it never changes for a \
             job, so these are not of one job",
            first.get(),
            other.get()
        ))),
    }
}

/// All rows that occur, sorted; no name with two kinds.
fn common_rows(readers: &[Reader]) -> Result<Vec<StateRow>, StateError> {
    let mut rows: Vec<_> = readers.iter().flat_map(|reader| &reader.header().rows).cloned().collect();
    rows.sort();
    rows.dedup();
    for pair in rows.windows(2) {
        if pair[0].rank() == pair[1].rank() && pair[0].kind != pair[1].kind {
            let (name, one, other) = (&pair[0].name, pair[0].kind.name(), pair[1].kind.name());
            return Err(request(format!(
                "state `{name}` is {one} in one checkpoint file and {other} in another; a state keeps its kind"
            )));
        }
    }
    Ok(rows)
}

fn merged_row(rows: &[StateRow], row: &StateRow) -> MergedRow {
    let number = |at: usize| u16::try_from(at).expect("there are at most 1,024 states of few versions");
    let place = rows.binary_search(row).expect("the merged rows hold every file's");
    let rank = rows.iter().position(|other| other.rank() == row.rank()).expect("its own row has its rank");
    MergedRow { row: number(place), rank: number(rank) }
}

const fn request(message: String) -> StateError {
    StateError { fault: Fault::Request, message }
}
