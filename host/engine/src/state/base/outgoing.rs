//! What is handed to the base in one go: puts, deletes and marks, in the order in which they were said.
//!
//! Keys of the base are state and key group (2 bytes each, big-endian), key, two zero bytes, entry; in the key, each
//! zero byte is followed by 255. So no key of one list or map begins as one of another does, entries lie in their order,
//! and all of one state lies in the order of checkpoint files. Timers lie in the order in which they fire: their keys are
//! state, entry, key.

use weir_protocol::key_group::KeyGroup;

use super::super::packed;
use super::super::record::Record;
use super::super::timers;

/// Where the key begins: the bytes before it.
const KEY_AT: usize = 4;

/// What is about to be written to the base.
#[derive(Debug, Default)]
pub(in crate::state) struct Outgoing {
    bytes: Vec<u8>,
    /// Lengths of each one's key and value in `bytes`.
    said: Vec<(Saying, u32, u32)>,
}

/// What the base is told of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Saying {
    Put,
    Delete,
    /// All that begins so is gone.
    Clear,
}

/// One thing that the base is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told<'a> {
    Put(&'a [u8], &'a [u8]),
    Delete(&'a [u8]),
    Clear(&'a [u8]),
}

impl Outgoing {
    /// Adds what a record says; of a packed map, of each entry for itself.
    pub(in crate::state) fn push(&mut self, group: KeyGroup, record: Record<'_>) {
        let (state, key) = (record.state(), record.key());
        if record.is_packed() {
            for found in packed::entries(record.value()) {
                self.say(Some(found.value), |into| write_key(state, group, key, found.entry, into));
            }
            return;
        }
        let value = record.flags().is_put().then(|| record.value());
        self.say(value, |into| write_key(state, group, key, record.entry(), into));
    }

    /// Adds what the record of a timer says.
    pub(in crate::state) fn push_timer(&mut self, record: Record<'_>) {
        let value = record.flags().is_put().then(|| record.value());
        self.say(value, |into| write_timer_key(record.entry(), record.key(), into));
    }

    fn say(&mut self, value: Option<&[u8]>, write_key: impl FnOnce(&mut Vec<u8>)) {
        let before = self.bytes.len();
        write_key(&mut self.bytes);
        let key = length(self.bytes.len() - before);
        let saying = if value.is_some() { Saying::Put } else { Saying::Delete };
        let value = value.unwrap_or_default();
        self.bytes.extend_from_slice(value);
        self.said.push((saying, key, length(value.len())));
    }

    /// Adds that all that the base holds of a record's list or map is gone.
    pub(in crate::state) fn push_clear(&mut self, group: KeyGroup, record: Record<'_>) {
        let before = self.bytes.len();
        write_key(record.state(), group, record.key(), &[], &mut self.bytes);
        self.said.push((Saying::Clear, length(self.bytes.len() - before), 0));
    }

    /// Bytes of keys and values.
    pub(in crate::state) const fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Each of them, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = Told<'_>> {
        let mut rest = self.bytes.as_slice();
        self.said.iter().map(move |&(saying, key, value)| {
            let (key, behind) = rest.split_at(key as usize);
            let (value, behind) = behind.split_at(value as usize);
            rest = behind;
            match saying {
                Saying::Put => Told::Put(key, value),
                Saying::Delete => Told::Delete(key),
                Saying::Clear => Told::Clear(key),
            }
        })
    }
}

/// Appends the key of the base under which an entry stands.
pub(in crate::state) fn write_key(state: u16, group: KeyGroup, key: &[u8], entry: &[u8], into: &mut Vec<u8>) {
    into.extend_from_slice(&state.to_be_bytes());
    into.extend_from_slice(&group.0.to_be_bytes());
    let mut rest = key;
    while let Some(zero) = memchr::memchr(0, rest) {
        let (part, behind) = rest.split_at(zero + 1);
        into.extend_from_slice(part);
        into.push(u8::MAX);
        rest = behind;
    }
    into.extend_from_slice(rest);
    into.extend_from_slice(&[0, 0]);
    into.extend_from_slice(entry);
}

/// Appends the key of the base under which a timer stands.
pub(in crate::state) fn write_timer_key(entry: &[u8], key: &[u8], into: &mut Vec<u8>) {
    into.extend_from_slice(&timers::STATE.to_be_bytes());
    into.extend_from_slice(entry);
    into.extend_from_slice(key);
}

/// The state of a key of the base.
pub(super) fn state_of(key: &[u8]) -> Option<u16> {
    key.first_chunk::<KEY_AT>().map(|head| u16::from_be_bytes([head[0], head[1]]))
}

fn length(length: usize) -> u32 {
    u32::try_from(length).expect("parts of a record have at most RECORD_BYTES_MAX bytes")
}
