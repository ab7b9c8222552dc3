//! A chunk of the log, and where in which a record is.

use std::sync::Arc;

use weir_protocol::time::Timestamp;

/// The most that a chunk holds, but for one that holds a single larger record. With [`OFFSET_BITS`], 2^17 chunks give
/// a log of at most 32 GiB.
pub(in crate::state) const CHUNK_BYTES: usize = 1 << 18;
/// What the first chunk of a segment begins with, so that the state of an idle job is small.
pub(super) const CHUNK_BYTES_MIN: usize = 1 << 12;
const OFFSET_BITS: u32 = CHUNK_BYTES.trailing_zeros() - 3;
/// How many chunks there can be. The first and the last are never used, so that no position is 0 and some at the upper
/// end can mean something else.
pub(super) const CHUNKS_MAX: usize = (1 << (32 - OFFSET_BITS)) - 1;

/// Where a record is: chunk and offset in units of 8 bytes. Never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::state) struct Position(pub(in crate::state) u32);

impl Position {
    pub(super) fn new(chunk: u32, offset: usize) -> Self {
        Self(chunk << OFFSET_BITS | u32::try_from(offset / 8).expect("an offset is smaller than a chunk"))
    }

    #[inline]
    pub(super) const fn chunk(self) -> usize {
        (self.0 >> OFFSET_BITS) as usize
    }

    #[inline]
    pub(super) const fn offset(self) -> usize {
        (self.0 & ((1 << OFFSET_BITS) - 1)) as usize * 8
    }
}

/// What is in it.
#[derive(Debug)]
pub(super) enum Content {
    Free,
    Open(Vec<u8>),
    Closed(Arc<Vec<u8>>),
    Clean(Vec<u8>),
}

/// A chunk.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) content: Content,
    /// Bytes of live records.
    pub(super) live: usize,
    /// While it is open: records that are not dead.
    pub(super) records: usize,
    /// How many chunks were made before this one.
    pub(super) born: u64,
    /// As which it counts where the oldest is looked for: when it was made, or what it is the rest of.
    pub(super) age: u64,
    /// Nothing in it is worth sweeping before.
    pub(super) sweep_at: Timestamp,
}

impl Chunk {
    #[inline]
    pub(super) fn bytes(&self) -> &Vec<u8> {
        match &self.content {
            Content::Open(bytes) | Content::Clean(bytes) => bytes,
            Content::Closed(bytes) => bytes,
            Content::Free => unreachable!("no index points into a chunk that was given back"),
        }
    }

    /// Whether it holds something and is the so-manieth that was made.
    pub(super) const fn is(&self, born: u64) -> bool {
        self.born == born && !matches!(self.content, Content::Free)
    }
}
