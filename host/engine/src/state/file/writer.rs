//! Writes a checkpoint file.

use bytes::Bytes;
use weir_protocol::key_group::KeyGroup;
use xxhash_rust::xxh3::xxh3_64;

use super::format::{
    END_MAGIC, HEAD_BYTES, LIST_OF_BUNDLES, MAGIC, RUN_HEADER_BYTES, STAMPED, VERSION, put_bytes, put_text, version_of,
};
use super::{FileRecord, Header, RecordKind, RowKind, StateRow};

/// A block is closed once its runs have this many bytes.
const BLOCK_BYTES: usize = 64 << 10;

/// Writes one file from records in order: by key group, rank of the row, key, clears first, entry; each once.
#[derive(Debug)]
pub struct Writer {
    header: Header,
    /// What was not taken away yet.
    file: Vec<u8>,
    taken: u64,
    /// The block's runs so far.
    runs: Vec<u8>,
    run: Option<Run>,
    block_records: u32,
    block_first_group: u16,
    /// The footer's entries for the blocks.
    blocks: Vec<u8>,
    block_count: u32,
    records: u64,
}

/// The run that records are added to.
#[derive(Debug)]
struct Run {
    group: KeyGroup,
    row: u16,
    records: u32,
    /// Where it begins in the block.
    start: usize,
}

/// The kind of a row as the footer has it.
fn kind_of(row: &StateRow) -> u8 {
    let kind = if row.kind == RowKind::List { LIST_OF_BUNDLES } else { row.kind as u8 };
    kind | if row.stamped { STAMPED } else { 0 }
}

impl Writer {
    /// An empty file.
    #[must_use]
    pub fn new(header: Header) -> Self {
        debug_assert!(header.rows.is_sorted(), "rows are sorted by the caller");
        let mut file = Vec::with_capacity(1024);
        file.extend_from_slice(&MAGIC);
        let version = header.rows.iter().map(|row| version_of(kind_of(row))).max().unwrap_or(VERSION);
        file.extend_from_slice(&version.to_le_bytes());
        file.resize(HEAD_BYTES, 0);
        Self {
            header,
            file,
            taken: 0,
            runs: Vec::new(),
            run: None,
            block_records: 0,
            block_first_group: 0,
            blocks: Vec::new(),
            block_count: 0,
            records: 0,
        }
    }

    /// Adds a record.
    pub fn push(&mut self, record: &FileRecord<'_>) {
        if self.run.as_ref().is_none_or(|run| run.group != record.group || run.row != record.row) {
            self.begin_run(record.group, record.row);
        }
        let run = self.run.as_mut().expect("a run was begun");
        run.records += 1;
        self.block_records += 1;
        self.runs.push(record.kind as u8);
        put_bytes(&mut self.runs, record.key);
        put_bytes(&mut self.runs, record.entry);
        if record.kind == RecordKind::Put {
            put_bytes(&mut self.runs, record.value);
        }
        if self.runs.len() >= BLOCK_BYTES {
            self.end_block();
        }
    }

    fn begin_run(&mut self, group: KeyGroup, row: u16) {
        self.end_run();
        if self.runs.is_empty() {
            self.block_first_group = group.0;
        }
        self.run = Some(Run { group, row, records: 0, start: self.runs.len() });
        self.runs.extend_from_slice(&group.0.to_le_bytes());
        self.runs.extend_from_slice(&row.to_le_bytes());
        self.runs.extend_from_slice(&[0; 4]);
    }

    /// Fills in what the header of the last run could not know. Its group.
    fn end_run(&mut self) -> Option<KeyGroup> {
        let run = self.run.take()?;
        let count = run.start + RUN_HEADER_BYTES - 4;
        self.runs[count..count + 4].copy_from_slice(&run.records.to_le_bytes());
        Some(run.group)
    }

    fn end_block(&mut self) {
        let Some(last_group) = self.end_run() else { return };
        let offset = self.file.len();
        let room = lz4_flex::block::get_maximum_output_size(self.runs.len());
        self.file.resize(offset + room, 0);
        let written = lz4_flex::block::compress_into(&self.runs, &mut self.file[offset..])
            .expect("there is as much room as the worst case needs");
        self.file.truncate(offset + written);
        let block = &self.file[offset..];
        self.blocks.extend_from_slice(&(self.taken + offset as u64).to_le_bytes());
        self.blocks.extend_from_slice(&length(block.len()).to_le_bytes());
        self.blocks.extend_from_slice(&length(self.runs.len()).to_le_bytes());
        self.blocks.extend_from_slice(&self.block_first_group.to_le_bytes());
        self.blocks.extend_from_slice(&last_group.0.to_le_bytes());
        self.blocks.extend_from_slice(&self.block_records.to_le_bytes());
        self.blocks.extend_from_slice(&xxh3_64(block).to_le_bytes());
        self.block_count += 1;
        self.records += u64::from(std::mem::take(&mut self.block_records));
        self.runs.clear();
    }

    /// Takes away the next so many bytes of the file, if they are written.
    pub(super) fn take_part(&mut self, bytes: usize) -> Option<Bytes> {
        if self.file.len() < bytes {
            return None;
        }
        let rest = self.file.split_off(bytes);
        self.taken += bytes as u64;
        Some(std::mem::replace(&mut self.file, rest).into())
    }

    /// The whole file, or what of it was not taken away.
    #[must_use]
    pub fn finish(mut self) -> Bytes {
        self.end_block();
        let footer = self.footer();
        self.file.extend_from_slice(&footer);
        self.file.extend_from_slice(&length(footer.len()).to_le_bytes());
        self.file.extend_from_slice(&xxh3_64(&footer).to_le_bytes());
        self.file.extend_from_slice(&END_MAGIC);
        self.file.into()
    }

    fn footer(&self) -> Vec<u8> {
        let Header { max, key_groups, complete, rows } = &self.header;
        let mut footer = Vec::with_capacity(64 + self.blocks.len());
        for number in [max.get(), key_groups.start, key_groups.end] {
            footer.extend_from_slice(&number.to_le_bytes());
        }
        footer.extend_from_slice(&[u8::from(*complete), 0]);
        footer.extend_from_slice(&self.records.to_le_bytes());
        let count = u16::try_from(rows.len()).expect("there are at most 1,024 states of few versions");
        footer.extend_from_slice(&count.to_le_bytes());
        for row in rows {
            footer.push(kind_of(row));
            footer.extend_from_slice(&row.version.to_le_bytes());
            put_text(&mut footer, &row.name);
            put_text(&mut footer, &row.codec);
        }
        footer.extend_from_slice(&self.block_count.to_le_bytes());
        footer.extend_from_slice(&self.blocks);
        footer
    }
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a block ends after the record that fills it, and records are below 1 GiB")
}
