//! Reads a checkpoint file, and believes nothing that does not verify.

mod seek;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use weir_operator::keyed_state::StateError;
use weir_protocol::key_group::{KeyGroup, KeyGroupRange, MaxParallelism};
use xxhash_rust::xxh3::xxh3_64;

use super::super::stamp::STAMP_BYTES;
use super::contents::{Contents, Remote};
use super::format::{
    END_MAGIC, HEAD_BYTES, LIST_OF_BUNDLES, MAGIC, Parser, STAMPED, TAIL_BYTES, VERSION, VERSION_BUNDLED, version_of,
};
use super::{FileRecord, Header, RecordKind, RowKind, StateRow, corrupt};

pub use seek::Place;

/// A checkpoint file whose head, footer and tail were verified; blocks are when they are read.
#[derive(Debug, Clone)]
pub struct Reader {
    file: Contents,
    header: Arc<Header>,
    blocks: Arc<[Block]>,
    records: u64,
}

/// Where a block is, and what it must be.
#[derive(Debug, Clone)]
struct Block {
    place: Range<usize>,
    run_bytes: usize,
    first_group: u16,
    last_group: u16,
    records: u32,
    checksum: u64,
}

impl Block {
    /// Whether it may hold records of some key groups.
    const fn is_wanted(&self, range: KeyGroupRange) -> bool {
        self.first_group < range.end && range.start <= self.last_group
    }
}

impl Reader {
    /// Opens a file.
    ///
    /// # Errors
    /// [`weir_protocol::Fault::Corrupt`], naming the part that does not verify.
    pub fn open(file: Bytes) -> Result<Self, StateError> {
        Self::open_contents(Contents::Memory(file, None))
    }

    /// The same for a file that errors call by its name, those of later reads too.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_named(file: Bytes, name: &str) -> Result<Self, StateError> {
        let contents = Contents::Memory(file, Some(name.into()));
        Self::open_contents(contents.clone()).map_err(|error| contents.named(error))
    }

    /// Opens a file that is read where it lies: its footer now, each block when it is needed.
    ///
    /// # Errors
    /// The same, naming the file; and what reading it says.
    pub fn open_remote(file: Arc<dyn Remote>) -> Result<Self, StateError> {
        let contents = Contents::Remote(file);
        let opened = Self::open_contents(contents.clone()).map_err(|error| contents.named(error));
        contents.release();
        opened
    }

    fn open_contents(file: Contents) -> Result<Self, StateError> {
        let bytes = file.len()?;
        if bytes < HEAD_BYTES + TAIL_BYTES {
            return Err(corrupt(format_args!("{bytes} bytes are too few for one")));
        }
        let version = head_version(&file.part(0..HEAD_BYTES)?)?;
        let (footer, text) = read_footer(&file, bytes - TAIL_BYTES)?;
        let mut parser = Parser::new(&text, "footer");
        let (header, records, least) = parse_header(&mut parser)?;
        let blocks = parse_blocks(&mut parser)?;
        parser.end()?;
        if version != least {
            return Err(corrupt(format_args!("a format of version {version} is not what its states need")));
        }
        check_blocks(&blocks, footer.start, records)?;
        Ok(Self { header: Arc::new(header), blocks: blocks.into(), records, file })
    }

    /// What the file is, and whose state it holds.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// How many records it holds.
    #[must_use]
    pub const fn records(&self) -> u64 {
        self.records
    }

    /// Visits the records of some key groups, in order.
    ///
    /// # Errors
    /// [`weir_protocol::Fault::Corrupt`] at the first block that does not verify, and what `visit` returns.
    pub fn read(
        &self,
        key_groups: KeyGroupRange,
        mut visit: impl FnMut(FileRecord<'_>) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        let mut cursor = Cursor::new(self.clone(), key_groups);
        while cursor.advance()? {
            visit(cursor.record())?;
        }
        Ok(())
    }

    /// The runs of a block, decompressed into `runs`.
    fn decode(&self, number: usize, runs: &mut Vec<u8>) -> Result<(), StateError> {
        let block = &self.blocks[number];
        let bytes = &self.file.part(block.place.clone())?[..];
        if xxh3_64(bytes) != block.checksum {
            return Err(corrupt(format_args!(
                "the checksum of block {number} (at byte {}) does not match",
                block.place.start
            )));
        }
        runs.resize(block.run_bytes, 0);
        match lz4_flex::block::decompress_into(bytes, runs) {
            Ok(length) if length == block.run_bytes => Ok(()),
            Ok(length) => Err(corrupt(format_args!("block {number} holds {length} bytes, not {}", block.run_bytes))),
            Err(error) => Err(corrupt(format_args!("block {number} cannot be decompressed: {error}"))),
        }
    }
}

fn head_version(file: &[u8]) -> Result<u16, StateError> {
    let mut parser = Parser::new(file, "head");
    if parser.fixed()? != MAGIC {
        return Err(corrupt("it does not begin as one does"));
    }
    let version = parser.u16()?;
    if !(VERSION..=VERSION_BUNDLED).contains(&version) {
        return Err(corrupt(format_args!(
            "its format is version {version}, this build reads {VERSION} to {VERSION_BUNDLED}"
        )));
    }
    if parser.fixed()? != [0; 6] {
        return Err(corrupt("the unused bytes of its head are not zero"));
    }
    Ok(version)
}

/// Where the footer is, and its bytes, whose checksum was verified.
fn read_footer(file: &Contents, tail_start: usize) -> Result<(Range<usize>, Bytes), StateError> {
    let tail = file.part(tail_start..tail_start + TAIL_BYTES)?;
    let mut tail = Parser::new(&tail, "tail");
    let (bytes, checksum, magic) = (tail.u32()?, tail.u64()?, tail.fixed()?);
    if magic != END_MAGIC {
        return Err(corrupt("it does not end as one does: it may have been cut"));
    }
    let start = tail_start.checked_sub(bytes as usize).filter(|&start| start >= HEAD_BYTES);
    let Some(start) = start else {
        return Err(corrupt(format_args!("its footer of {bytes} bytes is longer than the file allows")));
    };
    let footer = file.part(start..tail_start)?;
    if xxh3_64(&footer) != checksum {
        return Err(corrupt("the checksum of its footer does not match"));
    }
    Ok((start..tail_start, footer))
}

/// The header, the number of records, and the version that a file with such rows has.
fn parse_header(parser: &mut Parser<'_>) -> Result<(Header, u64, u16), StateError> {
    let max = MaxParallelism::new(parser.u16()?.into()).map_err(corrupt)?;
    let key_groups = KeyGroupRange { start: parser.u16()?, end: parser.u16()? };
    let complete = match parser.fixed()? {
        [0, 0] => false,
        [1, 0] => true,
        other => return Err(corrupt(format_args!("its footer's flags are {other:?}"))),
    };
    let records = parser.u64()?;
    let count = parser.u16()?;
    let mut version = VERSION;
    let rows = (0..count).map(|_| parse_row(parser, &mut version)).collect::<Result<Vec<_>, _>>()?;
    if !rows.is_sorted() {
        return Err(corrupt("its states are not sorted by name"));
    }
    Ok((Header { max, key_groups, complete, rows }, records, version))
}

fn parse_row(parser: &mut Parser<'_>, file_version: &mut u16) -> Result<StateRow, StateError> {
    let byte = parser.u8()?;
    let kind = match byte & !STAMPED {
        0 if byte == 0 => RowKind::Timers,
        1 => RowKind::Value,
        2 | LIST_OF_BUNDLES => RowKind::List,
        3 => RowKind::Map,
        _ => return Err(corrupt(format_args!("its footer names a state of the unknown kind {byte}"))),
    };
    *file_version = (*file_version).max(version_of(byte));
    let version = parser.u32()?;
    let (name, codec, stamped) = (parser.text()?, parser.text()?, byte & STAMPED != 0);
    Ok(StateRow { kind, version, name, codec, stamped })
}

fn parse_blocks(parser: &mut Parser<'_>) -> Result<Vec<Block>, StateError> {
    let count = parser.u32()?;
    let mut blocks = Vec::new();
    for _ in 0..count {
        let offset = usize::try_from(parser.u64()?).map_err(corrupt)?;
        let end = offset.checked_add(parser.u32()? as usize).ok_or_else(|| corrupt("a block ends beyond any file"))?;
        blocks.push(Block {
            place: offset..end,
            run_bytes: parser.u32()? as usize,
            first_group: parser.u16()?,
            last_group: parser.u16()?,
            records: parser.u32()?,
            checksum: parser.u64()?,
        });
    }
    Ok(blocks)
}

/// What a byte of a compressed block can stand for at most. A block that claims more lies, and is not made room for.
const EXPANSION_MAX: usize = 255;

/// Blocks must fill the file from its head to its footer, in the order of their key groups.
fn check_blocks(blocks: &[Block], footer_start: usize, records: u64) -> Result<(), StateError> {
    let mut end = HEAD_BYTES;
    let mut group = 0;
    for (number, block) in blocks.iter().enumerate() {
        if block.place.start != end || block.first_group < group || block.last_group < block.first_group {
            return Err(corrupt(format_args!("block {number} is not where it must be")));
        }
        if block.run_bytes > block.place.len().saturating_mul(EXPANSION_MAX) {
            return Err(corrupt(format_args!(
                "block {number} claims {} bytes, more than it can hold",
                block.run_bytes
            )));
        }
        end = block.place.end;
        group = block.last_group;
    }
    let counted: u64 = blocks.iter().map(|block| u64::from(block.records)).sum();
    if end != footer_start || counted != records {
        return Err(corrupt("its blocks are not what its footer counts"));
    }
    Ok(())
}

fn check_stamp(length: usize) -> Result<(), StateError> {
    if length < STAMP_BYTES {
        return Err(corrupt(format_args!("a stamped value has {length} bytes")));
    }
    Ok(())
}

/// Walks over the records of some key groups, in order.
#[derive(Debug)]
pub(super) struct Cursor {
    reader: Reader,
    key_groups: KeyGroupRange,
    next_block: usize,
    /// The block's runs.
    runs: Vec<u8>,
    /// Where the next record, or run, begins.
    at: usize,
    records_left_in_run: u32,
    records_left_in_block: u32,
    record: Found,
}

/// A record of the block, as places.
#[derive(Debug, Clone)]
struct Found {
    group: KeyGroup,
    row: u16,
    kind: RecordKind,
    key: Range<usize>,
    entry: Range<usize>,
    value: Range<usize>,
}

impl Cursor {
    /// Before the first record.
    pub(super) fn new(reader: Reader, key_groups: KeyGroupRange) -> Self {
        let record = Found { group: KeyGroup(0), row: 0, kind: RecordKind::Put, key: 0..0, entry: 0..0, value: 0..0 };
        Self {
            reader,
            key_groups,
            next_block: 0,
            runs: Vec::new(),
            at: 0,
            records_left_in_run: 0,
            records_left_in_block: 0,
            record,
        }
    }

    /// The record that the last [`advance`](Self::advance) reached.
    #[inline]
    pub(super) fn record(&self) -> FileRecord<'_> {
        let Found { group, row, kind, ref key, ref entry, ref value } = self.record;
        FileRecord {
            group,
            row,
            kind,
            key: &self.runs[key.clone()],
            entry: &self.runs[entry.clone()],
            value: &self.runs[value.clone()],
        }
    }

    /// Goes to the next record. Whether there is one; at the end, nothing of the file is kept in memory.
    pub(super) fn advance(&mut self) -> Result<bool, StateError> {
        let has_record = self.step().map_err(|error| self.named(error))?;
        if !has_record {
            self.runs = Vec::new();
            self.reader.file.release();
        }
        Ok(has_record)
    }

    /// The same error, with the file's name where it has one.
    pub(super) fn named(&self, error: StateError) -> StateError {
        self.reader.file.named(error)
    }

    /// A key group before which no record comes, as long as none was reached; `None`: there are none at all.
    pub(super) fn first_group(&self) -> Option<KeyGroup> {
        let range = self.key_groups;
        let first = self.reader.blocks.iter().find(|block| block.is_wanted(range))?;
        Some(KeyGroup(first.first_group.max(range.start)))
    }

    fn step(&mut self) -> Result<bool, StateError> {
        loop {
            if self.records_left_in_run > 0 {
                self.parse_record()?;
                if self.key_groups.contains(self.record.group) {
                    return Ok(true);
                }
            } else if self.at < self.runs.len() {
                self.parse_run()?;
            } else if !self.next_block()? {
                return Ok(false);
            }
        }
    }

    fn next_block(&mut self) -> Result<bool, StateError> {
        if self.records_left_in_block > 0 {
            return Err(corrupt(format_args!("block {} lacks records", self.next_block - 1)));
        }
        let range = self.key_groups;
        let Some(skipped) = self.reader.blocks[self.next_block..].iter().position(|block| block.is_wanted(range))
        else {
            self.runs.clear();
            self.at = 0;
            return Ok(false);
        };
        let number = self.next_block + skipped;
        self.reader.decode(number, &mut self.runs)?;
        self.at = 0;
        self.records_left_in_block = self.reader.blocks[number].records;
        self.next_block = number + 1;
        Ok(true)
    }

    fn parse_run(&mut self) -> Result<(), StateError> {
        let mut parser = Parser::new(&self.runs[self.at..], "block");
        let (group, row, records) = (KeyGroup(parser.u16()?), parser.u16()?, parser.u32()?);
        let block = &self.reader.blocks[self.next_block - 1];
        let is_inside = (block.first_group..=block.last_group).contains(&group.0)
            && usize::from(row) < self.reader.header.rows.len()
            && records <= self.records_left_in_block;
        if !is_inside {
            return Err(corrupt(format_args!("block {} holds a run that it cannot hold", self.next_block - 1)));
        }
        self.at = self.runs.len() - parser.remaining();
        self.record.group = group;
        self.record.row = row;
        self.records_left_in_run = records;
        self.records_left_in_block -= records;
        Ok(())
    }

    fn parse_record(&mut self) -> Result<(), StateError> {
        let mut parser = Parser::new(&self.runs[self.at..], "block");
        let kind = match parser.u8()? {
            0 => RecordKind::Put,
            1 => RecordKind::Tombstone,
            2 => RecordKind::Clear,
            other => return Err(corrupt(format_args!("it holds a record of the unknown kind {other}"))),
        };
        let bytes = self.runs.len();
        let mut part = |is_there: bool| -> Result<Range<usize>, StateError> {
            if !is_there {
                return Ok(0..0);
            }
            let length = parser.bytes()?.len();
            let end = bytes - parser.remaining();
            Ok(end - length..end)
        };
        let (key, entry, value) = (part(true)?, part(true)?, part(kind == RecordKind::Put)?);
        if kind == RecordKind::Put && self.reader.header.rows[usize::from(self.record.row)].stamped {
            check_stamp(value.len())?;
        }
        self.at = bytes - parser.remaining();
        self.records_left_in_run -= 1;
        self.record = Found { kind, key, entry, value, ..self.record };
        Ok(())
    }
}
