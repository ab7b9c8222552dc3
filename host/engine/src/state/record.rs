//! One record of the log: a key, what stands under it, and what that means.
//!
//! Records are 8-byte aligned within their chunk, little-endian:
//!
//! ```text
//!   0  size in units of 8 bytes (28 bits) | flags (4 bits)
//!   4  length of the value
//!   8  length of the key
//!  12  length of the entry (22 bits) | state (10 bits; 0: timers, else 1 + the index of the declaration)
//!  16  key, entry, value, room to grow
//! ```
//!
//! The entry is empty for a value state, the position of an element for a list, the entry's key for a map, and what
//! tells a timer from others of its key. Nothing of this is durable: files have a layout of their own.

/// Bytes of a record before its key.
pub(super) const HEADER: usize = 16;
/// The longest record: what 28 bits can count in units of 8 bytes, and room to spare.
pub(super) const RECORD_BYTES_MAX: usize = 1 << 30;
/// The longest entry.
pub(super) const ENTRY_BYTES_MAX: usize = (1 << 22) - 1;
/// The most states, timers not counted.
pub(super) const STATES_MAX: usize = (1 << 10) - 1;

const SIZE_BITS: u32 = 28;
const SIZE_MASK: u32 = (1 << SIZE_BITS) - 1;
const ENTRY_BITS: u32 = 22;
const ENTRY_MASK: u32 = (1 << ENTRY_BITS) - 1;

/// What a record means, and what may be done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flags(u32);

impl Flags {
    /// A value that replaces what older files hold.
    pub(super) const PUT: Self = Self(0);
    /// A value under a key that no older file holds, so that removing it within its epoch leaves no tombstone.
    pub(super) const FRESH: Self = Self(0b0001);
    /// Superseded within its epoch: not part of the checkpoint file.
    const DEAD: Self = Self(0b0010);
    /// The key (or entry) is gone.
    pub(super) const TOMBSTONE: Self = Self(0b0100);
    /// All that older files hold of this list or map is gone.
    pub(super) const CLEAR: Self = Self(0b1000);
    /// In a clean chunk, where nothing is fresh: the base holds exactly this.
    pub(super) const IN_BASE: Self = Self::FRESH;

    /// Whether this has a flag of `other`.
    pub(super) const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// These and those of `other`.
    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the record holds a value.
    pub(super) const fn is_put(self) -> bool {
        self.0 & (Self::DEAD.0 | Self::TOMBSTONE.0 | Self::CLEAR.0) == 0
    }

    /// Whether the record was superseded within its epoch.
    pub(super) const fn is_dead(self) -> bool {
        self.has(Self::DEAD)
    }
}

/// What a record is made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts<'a> {
    pub(super) flags: Flags,
    /// 0: timers; else 1 + the index of the declaration.
    pub(super) state: u16,
    pub(super) key: &'a [u8],
    pub(super) entry: &'a [u8],
    pub(super) value: &'a [u8],
}

impl Parts<'_> {
    /// The bytes that the record takes in the log.
    pub(super) const fn size(&self) -> usize {
        record_size(self.key.len(), self.entry.len(), self.value.len())
    }

    /// Appends the record. Callers have checked the lengths against the bounds above.
    pub(super) fn write(&self, into: &mut Vec<u8>) {
        let size = self.size();
        let start = into.len();
        let size8 = u32::try_from(size / 8).expect("a record is at most RECORD_BYTES_MAX long");
        let entry = u32::try_from(self.entry.len()).expect("an entry is at most ENTRY_BYTES_MAX long");
        let mut header = [0; HEADER];
        header[0..4].copy_from_slice(&(size8 | self.flags.0 << SIZE_BITS).to_le_bytes());
        header[4..8].copy_from_slice(&length(self.value).to_le_bytes());
        header[8..12].copy_from_slice(&length(self.key).to_le_bytes());
        header[12..16].copy_from_slice(&(entry | u32::from(self.state) << ENTRY_BITS).to_le_bytes());
        into.extend_from_slice(&header);
        into.extend_from_slice(self.key);
        into.extend_from_slice(self.entry);
        into.extend_from_slice(self.value);
        into.resize(start + size, 0);
    }
}

/// The bytes that a record with parts of these lengths takes in the log.
pub(super) const fn record_size(key: usize, entry: usize, value: usize) -> usize {
    (HEADER + key + entry + value).next_multiple_of(8)
}

fn length(part: &[u8]) -> u32 {
    u32::try_from(part.len()).expect("a record is at most RECORD_BYTES_MAX long")
}

/// A record in the log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a> {
    /// From the record's first byte on, to the end of its chunk.
    bytes: &'a [u8],
}

impl<'a> Record<'a> {
    /// The record that begins with `bytes`.
    #[inline]
    pub(super) const fn at(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    #[inline]
    fn word(self, at: usize) -> u32 {
        u32::from_le_bytes(*self.bytes[at..].first_chunk().expect("a record begins with its whole header"))
    }

    /// The bytes that it takes in the log.
    #[inline]
    pub(super) fn size(self) -> usize {
        (self.word(0) & SIZE_MASK) as usize * 8
    }

    #[inline]
    pub(super) fn flags(self) -> Flags {
        Flags(self.word(0) >> SIZE_BITS)
    }

    #[inline]
    fn value_len(self) -> usize {
        self.word(4) as usize
    }

    /// The length of its key.
    #[inline]
    pub(super) fn key_len(self) -> usize {
        self.word(8) as usize
    }

    #[inline]
    fn entry_len(self) -> usize {
        (self.word(12) & ENTRY_MASK) as usize
    }

    /// 0: timers; else 1 + the index of the declaration.
    #[inline]
    pub(super) fn state(self) -> u16 {
        u16::try_from(self.word(12) >> ENTRY_BITS).expect("10 bits")
    }

    #[inline]
    pub(super) fn key(self) -> &'a [u8] {
        &self.bytes[HEADER..HEADER + self.key_len()]
    }

    #[inline]
    pub(super) fn entry(self) -> &'a [u8] {
        let start = HEADER + self.key_len();
        &self.bytes[start..start + self.entry_len()]
    }

    #[inline]
    pub(super) fn value(self) -> &'a [u8] {
        let start = HEADER + self.key_len() + self.entry_len();
        &self.bytes[start..start + self.value_len()]
    }

    /// Whether it holds a value, and one of so many bytes fits in its place.
    #[inline]
    pub(super) fn has_room(self, value: usize) -> bool {
        HEADER + self.key_len() + self.entry_len() + value <= self.size() && self.flags().is_put()
    }

    /// Appends a copy of the record, with those of its flags that are among `flags`.
    pub(super) fn copy(self, flags: Flags, into: &mut Vec<u8>) {
        let start = into.len();
        into.extend_from_slice(&self.bytes[..self.size()]);
        let word = self.word(0) & (SIZE_MASK | flags.0 << SIZE_BITS);
        into[start..start + 4].copy_from_slice(&word.to_le_bytes());
    }
}

/// Marks the record at the beginning of `bytes` as superseded.
pub(super) fn mark_dead(bytes: &mut [u8]) {
    let word = bytes.first_chunk_mut::<4>().expect("a record begins with its whole header");
    *word = (u32::from_le_bytes(*word) | Flags::DEAD.0 << SIZE_BITS).to_le_bytes();
}

/// Replaces the value of the record at the beginning of `bytes`, which [has room](Record::has_room).
#[inline]
pub(super) fn overwrite(bytes: &mut [u8], value: &[u8]) {
    let record = Record::at(bytes);
    let start = HEADER + record.key_len() + record.entry_len();
    if value.len() != record.value_len() {
        bytes[4..8].copy_from_slice(&length(value).to_le_bytes());
    }
    bytes[start..start + value.len()].copy_from_slice(value);
}
