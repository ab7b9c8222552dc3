//! One record of the log: a key, what stands under it, and what that means.
//!
//! Records are 8-byte aligned within their chunk. Most are *short*; one whose parts are too long for that has a second
//! word. Words are little-endian, their fields begin with the lowest bits:
//!
//! ```text
//!  short   0  flags (4) | 0 (1) | state (10) | length of the entry (8) | of the key (8) | of the value (16)
//!             | size in units of 8 bytes (14) | 0 (2) | whether it is a packed map (1)
//!          8  key, entry, value, room to grow
//!
//!  long    0  flags (4) | 1 (1) | state (10) | length of the entry (22) | size in units of 8 bytes (27)
//!          8  length of the key (32) | of the value (32)
//!         16  key, entry, value, room to grow
//! ```
//!
//! The state is 0 for timers, else 1 + the index of the declaration.
//! The entry is empty for a value state, the position of an element for a list, the entry's key for a map, and what
//! tells a timer from others of its key. Nothing of this is durable: files have a layout of their own.

/// Bytes of a short record before its key.
const SHORT_HEADER: usize = 8;
/// The same of a long one.
const LONG_HEADER: usize = 16;
/// The longest record: what 27 bits can count in units of 8 bytes.
pub(super) const RECORD_BYTES_MAX: usize = (1 << 30) - 8;
/// The longest entry.
pub(super) const ENTRY_BYTES_MAX: usize = (1 << 22) - 1;
/// The most states, timers not counted.
pub(super) const STATES_MAX: usize = (1 << 10) - 1;

const FLAGS: Field = Field { at: 0, bits: 4 };
const IS_LONG: Field = Field { at: 4, bits: 1 };
const STATE: Field = Field { at: 5, bits: 10 };
const ENTRY: Field = Field { at: 15, bits: 8 };
const KEY: Field = Field { at: 23, bits: 8 };
const VALUE: Field = Field { at: 31, bits: 16 };
const SIZE: Field = Field { at: 47, bits: 14 };
const IS_PACKED: Field = Field { at: 63, bits: 1 };
const LONG_ENTRY: Field = Field { at: 15, bits: 22 };
const LONG_SIZE: Field = Field { at: 37, bits: 27 };
const LONG_KEY: Field = Field { at: 0, bits: 32 };
const LONG_VALUE: Field = Field { at: 32, bits: 32 };

/// The longest value of a short record, so that one that grows into what rounds a record up still fits its field.
const SHORT_VALUE_MAX: usize = (1 << 16) - 8;

/// Some bits of a word.
#[derive(Debug, Clone, Copy)]
struct Field {
    at: u32,
    bits: u32,
}

impl Field {
    const fn max(self) -> u64 {
        (1 << self.bits) - 1
    }

    #[inline]
    const fn of(self, word: u64) -> u64 {
        word >> self.at & self.max()
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "no field has more bits than a length")]
    const fn length_of(self, word: u64) -> usize {
        self.of(word) as usize
    }

    /// The bits that say `value`.
    #[inline]
    const fn bits(self, value: u64) -> u64 {
        debug_assert!(value <= self.max());
        value << self.at
    }

    /// The word with these bits saying `value`.
    #[inline]
    const fn set(self, word: u64, value: u64) -> u64 {
        word & !(self.max() << self.at) | self.bits(value)
    }
}

/// What a record means, and what may be done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flags(u64);

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
        let (key, entry, value) = (self.key.len() as u64, self.entry.len() as u64, self.value.len() as u64);
        let (flags, state, units) = (FLAGS.bits(self.flags.0), STATE.bits(self.state.into()), size as u64 / 8);
        if is_short(self.key.len(), self.entry.len(), self.value.len()) {
            let word = flags | state | ENTRY.bits(entry) | KEY.bits(key) | VALUE.bits(value) | SIZE.bits(units);
            into.extend_from_slice(&word.to_le_bytes());
        } else {
            let word = flags | IS_LONG.bits(1) | state | LONG_ENTRY.bits(entry) | LONG_SIZE.bits(units);
            into.extend_from_slice(&word.to_le_bytes());
            into.extend_from_slice(&(LONG_KEY.bits(key) | LONG_VALUE.bits(value)).to_le_bytes());
        }
        into.extend_from_slice(self.key);
        into.extend_from_slice(self.entry);
        into.extend_from_slice(self.value);
        into.resize(start + size, 0);
    }
}

/// The bytes that a record with parts of these lengths takes in the log.
const fn record_size(key: usize, entry: usize, value: usize) -> usize {
    let header = if is_short(key, entry, value) { SHORT_HEADER } else { LONG_HEADER };
    (header + key + entry + value).next_multiple_of(8)
}

/// Whether a record with parts of these lengths is short.
const fn is_short(key: usize, entry: usize, value: usize) -> bool {
    key < 1 << KEY.bits && entry < 1 << ENTRY.bits && value <= SHORT_VALUE_MAX
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
    fn word(self) -> u64 {
        word(self.bytes, 0)
    }

    #[inline]
    fn second_word(self) -> u64 {
        word(self.bytes, 8)
    }

    #[inline]
    fn is_long(self) -> bool {
        IS_LONG.of(self.word()) != 0
    }

    /// The bytes that it takes in the log.
    #[inline]
    pub(super) fn size(self) -> usize {
        (if self.is_long() { LONG_SIZE } else { SIZE }).length_of(self.word()) * 8
    }

    #[inline]
    pub(super) fn flags(self) -> Flags {
        Flags(FLAGS.of(self.word()))
    }

    /// Whether it holds all entries of a small map.
    #[inline]
    pub(super) fn is_packed(self) -> bool {
        !self.is_long() && IS_PACKED.of(self.word()) != 0
    }

    #[inline]
    fn header(self) -> usize {
        if self.is_long() { LONG_HEADER } else { SHORT_HEADER }
    }

    #[inline]
    fn value_len(self) -> usize {
        if self.is_long() { LONG_VALUE.length_of(self.second_word()) } else { VALUE.length_of(self.word()) }
    }

    /// The length of its key.
    #[inline]
    pub(super) fn key_len(self) -> usize {
        if self.is_long() { LONG_KEY.length_of(self.second_word()) } else { KEY.length_of(self.word()) }
    }

    #[inline]
    fn entry_len(self) -> usize {
        (if self.is_long() { LONG_ENTRY } else { ENTRY }).length_of(self.word())
    }

    /// 0: timers; else 1 + the index of the declaration.
    #[inline]
    pub(super) fn state(self) -> u16 {
        u16::try_from(STATE.of(self.word())).expect("10 bits")
    }

    /// Where the value begins.
    #[inline]
    fn value_at(self) -> usize {
        self.header() + self.key_len() + self.entry_len()
    }

    #[inline]
    pub(super) fn key(self) -> &'a [u8] {
        let start = self.header();
        &self.bytes[start..start + self.key_len()]
    }

    #[inline]
    pub(super) fn entry(self) -> &'a [u8] {
        let start = self.header() + self.key_len();
        &self.bytes[start..start + self.entry_len()]
    }

    #[inline]
    pub(super) fn value(self) -> &'a [u8] {
        let start = self.value_at();
        &self.bytes[start..start + self.value_len()]
    }

    /// Whether it holds a value, and one of so many bytes fits in its place.
    #[inline]
    pub(super) fn has_room(self, value: usize) -> bool {
        self.value_at() + value <= self.size() && self.flags().is_put()
    }

    /// Appends a copy of the record, with those of its flags that are among `flags`.
    pub(super) fn copy(self, flags: Flags, into: &mut Vec<u8>) {
        let start = into.len();
        into.extend_from_slice(&self.bytes[..self.size()]);
        let word = FLAGS.set(self.word(), self.flags().0 & flags.0);
        into[start..start + 8].copy_from_slice(&word.to_le_bytes());
    }
}

/// Marks the record at the beginning of `bytes` as superseded.
pub(super) fn mark_dead(bytes: &mut [u8]) {
    let word = word(bytes, 0) | FLAGS.bits(Flags::DEAD.0);
    bytes[..8].copy_from_slice(&word.to_le_bytes());
}

/// Marks the short record at the beginning of `bytes` as a packed map.
pub(super) fn mark_packed(bytes: &mut [u8]) {
    debug_assert!(!Record::at(bytes).is_long(), "packed maps are small");
    let word = word(bytes, 0) | IS_PACKED.bits(1);
    bytes[..8].copy_from_slice(&word.to_le_bytes());
}

/// The value of the record at the beginning of `bytes`.
#[inline]
pub(super) fn value_mut(bytes: &mut [u8]) -> &mut [u8] {
    let record = Record::at(bytes);
    let (start, len) = (record.value_at(), record.value_len());
    &mut bytes[start..start + len]
}

/// Replaces the value of the record at the beginning of `bytes`, which [has room](Record::has_room).
#[inline]
pub(super) fn overwrite(bytes: &mut [u8], value: &[u8]) {
    let record = Record::at(bytes);
    let start = record.value_at();
    if value.len() != record.value_len() {
        let (at, field) = if record.is_long() { (8, LONG_VALUE) } else { (0, VALUE) };
        let word = field.set(word(bytes, at), value.len() as u64);
        bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
    }
    bytes[start..start + value.len()].copy_from_slice(value);
}

#[inline]
fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*bytes[at..].first_chunk().expect("a record begins with its whole header"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Lengths around every bound of a short record's parts.
    fn length(short_max: usize) -> impl Strategy<Value = usize> {
        prop_oneof![0..20_usize, short_max - 9..short_max + 10]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn a_record_says_what_was_written_whatever_its_lengths(
            (key, entry, value, other) in (length(255), length(255), length(SHORT_VALUE_MAX), length(SHORT_VALUE_MAX)),
            state in 0..=1023_u16,
            fresh: bool,
        ) {
            let (key, entry, value, other) = (vec![1; key], vec![2; entry], vec![3; value], vec![4; other]);
            let flags = if fresh { Flags::FRESH } else { Flags::PUT };
            let parts = Parts { flags, state, key: &key, entry: &entry, value: &value };
            let mut bytes = Vec::new();
            parts.write(&mut bytes);
            prop_assert_eq!(bytes.len(), parts.size());
            // As in a chunk, where other records follow.
            bytes.extend_from_slice(&[0xff; 16]);
            let is_it = |record: Record<'_>, value: &[u8]| {
                record.size() == parts.size()
                    && (record.flags(), record.state(), record.key_len()) == (flags, state, key.len())
                    && (record.key(), record.entry(), record.value()) == (&key[..], &entry[..], value)
            };
            prop_assert!(is_it(Record::at(&bytes), &value));
            let mut copy = Vec::new();
            Record::at(&bytes).copy(Flags::FRESH, &mut copy);
            prop_assert!(is_it(Record::at(&copy), &value));
            if Record::at(&bytes).has_room(other.len()) {
                overwrite(&mut bytes, &other);
                prop_assert!(is_it(Record::at(&bytes), &other));
            } else {
                prop_assert!(other.len() > value.len());
            }
            mark_dead(&mut bytes);
            prop_assert!(Record::at(&bytes).flags().is_dead() && Record::at(&bytes).state() == state);
            prop_assert_eq!(&bytes[parts.size()..], &[0xff; 16]);
        }
    }
}
