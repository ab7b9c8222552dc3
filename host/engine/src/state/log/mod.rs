//! The log: records in chunks, chunks in segments.
//!
//! Receives records; guarantees that a record of a closed segment never changes, so that the background can read it
//! while the task goes on, and that a chunk is given back as soon as its last live record is superseded. Does not
//! know which record is live: the indexes do, and tell it with [`Log::supersede`].
//!
//! A chunk is *open* (it belongs to the segment of the epoch that runs; its records may be overwritten in place),
//! *closed* (immutable, shared with a frozen segment) or *clean* (filled by the cleaner or a restore with records that
//! a checkpoint file holds already: never part of a segment, never overwritten).

mod ages;
mod chunk;
mod compacting;
mod sweeping;

use std::collections::VecDeque;
use std::sync::Arc;

use weir_protocol::time::{END_OF_TIME, Timestamp};

use super::record::{self, Flags, Parts, Record};
use super::size::{Counted, Sizes};

pub(super) use ages::Aged;
pub(super) use chunk::{CHUNK_BYTES, Position};

use chunk::{CHUNK_BYTES_MIN, CHUNKS_MAX, Chunk, Content};

/// What a processor fetches in one go.
const LINE_BYTES: usize = 64;

/// What a look at a chunk found, for the cleaner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usage {
    /// Bytes of live records.
    pub(super) live: usize,
    /// Bytes of all records.
    pub(super) used: usize,
    /// And of the room behind them.
    pub(super) held: usize,
    /// Another one for each chunk, though numbers are used again.
    pub(super) born: u64,
    /// As [`Aged`] has it.
    pub(super) age: u64,
}

/// Which part of the log a record is appended to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The segment of the epoch that runs.
    Open,
    /// Beside all segments: a checkpoint file holds the record already.
    Clean,
}

/// The log of one subtask.
#[derive(Debug)]
pub(super) struct Log {
    /// By number; chunk 0 is never used.
    chunks: Vec<Chunk>,
    free: Vec<u32>,
    /// The chunks of the open segment, oldest first.
    open: Vec<u32>,
    /// The chunk that clean records are appended to; 0: none.
    clean: u32,
    /// The chunk that takes the place of one that is being compacted, after that one; 0: none.
    compacted: (u32, u32),
    /// Records of the open segment that are not dead.
    open_records: u64,
    live: u64,
    /// What is held, also in the base.
    sizes: Sizes,
    held: u64,
    appended: u64,
    born: u64,
    /// Chunks by age, oldest first; some were given back since.
    ages: VecDeque<Aged>,
    /// Whether there is, or will soon be, a base that may hold what no index does.
    has_base: bool,
    /// No chunk is worth sweeping before, but for those that the pass under way has not come to.
    sweep_at: Timestamp,
}

impl Log {
    /// An empty one; `states` says of each record's state how it is counted.
    pub(super) fn new(states: impl IntoIterator<Item = Counted>) -> Self {
        let never_used = Chunk { content: Content::Free, live: 0, records: 0, born: 0, age: 0, sweep_at: END_OF_TIME };
        Self {
            chunks: vec![never_used],
            free: Vec::new(),
            open: Vec::new(),
            clean: 0,
            compacted: (0, 0),
            open_records: 0,
            live: 0,
            sizes: Sizes::new(states),
            held: 0,
            appended: 0,
            born: 0,
            ages: VecDeque::new(),
            has_base: false,
            sweep_at: END_OF_TIME,
        }
    }

    /// The record at a position that an index holds.
    #[inline]
    pub(super) fn record(&self, at: Position) -> Record<'_> {
        Record::at(&self.chunks[at.chunk()].bytes()[at.offset()..])
    }

    /// Has these records fetched into the processor's caches, all at once; 0 stands for none.
    pub(super) fn warm(&self, records: impl Iterator<Item = u32>) {
        let records = records.filter(|&at| at != 0);
        std::hint::black_box(records.map(|at| self.record(Position(at)).key_len()).sum::<usize>());
    }

    /// Has the whole of these short records fetched into the processor's caches, all at once.
    pub(super) fn warm_whole(&self, records: impl Iterator<Item = Position>) {
        let lines = |at: Position| {
            let bytes = self.record(at).value();
            bytes.iter().step_by(LINE_BYTES).fold(0, |sum: u8, byte| sum.wrapping_add(*byte))
        };
        std::hint::black_box(records.map(lines).fold(0, u8::wrapping_add));
    }

    /// Appends a record. One that holds a value is live, and counts as held.
    pub(super) fn append(&mut self, part: Part, record: &Parts<'_>) -> Position {
        if record.flags.is_put() {
            self.sizes.add(record.state, record.key.len(), record.entry, record.value);
        }
        self.append_again(part, record)
    }

    /// Appends a record of the base, which counts as held already.
    pub(super) fn append_from_base(&mut self, state: u16, key: &[u8], entry: &[u8], value: &[u8]) -> Position {
        self.append_again(Part::Clean, &Parts { flags: Flags::IN_BASE, state, key, entry, value })
    }

    /// Appends the record of a packed map, whose entries whoever packed it counts.
    pub(super) fn append_packed(&mut self, part: Part, state: u16, key: &[u8], packed: &[u8]) -> Position {
        let at = self.append_again(part, &Parts { flags: Flags::PUT, state, key, entry: &[], value: packed });
        let (Content::Open(bytes) | Content::Clean(bytes)) = &mut self.chunks[at.chunk()].content else {
            unreachable!("a chunk that is appended to is open or clean")
        };
        record::mark_packed(&mut bytes[at.offset()..]);
        at
    }

    /// What a record holds, to be changed in place; `None`: it is not of the open segment.
    #[inline]
    pub(super) fn packed_mut(&mut self, at: Position) -> Option<&mut [u8]> {
        match &mut self.chunks[at.chunk()].content {
            Content::Open(bytes) => Some(record::value_mut(&mut bytes[at.offset()..])),
            Content::Free | Content::Closed(_) | Content::Clean(_) => None,
        }
    }

    /// Replaces what the record of a packed map holds, if it is in the open segment and has room.
    pub(super) fn overwrite_packed(&mut self, at: Position, packed: &[u8]) -> bool {
        let place = self.packed_mut(at).and_then(|place| place.get_mut(..packed.len()));
        place.map(|place| place.copy_from_slice(packed)).is_some()
    }

    /// Appends a record of what counts as held already, if it holds a value.
    pub(super) fn append_again(&mut self, part: Part, record: &Parts<'_>) -> Position {
        let size = record.size();
        let chunk = self.chunk_with_room(part, size);
        let Chunk { content: Content::Open(bytes) | Content::Clean(bytes), live, records, .. } =
            &mut self.chunks[chunk as usize]
        else {
            unreachable!("a chunk that is appended to is open or clean")
        };
        let at = Position::new(chunk, bytes.len());
        record.write(bytes);
        if record.flags.is_put() {
            *live += size;
            self.live += size as u64;
        }
        *records += 1;
        if part == Part::Open {
            self.open_records += 1;
        }
        self.appended += size as u64;
        at
    }

    fn chunk_with_room(&mut self, part: Part, size: usize) -> u32 {
        let current = match part {
            Part::Open => self.open.last().copied().unwrap_or(0),
            Part::Clean => self.clean,
        };
        if current != 0 {
            let (Content::Open(bytes) | Content::Clean(bytes)) = &mut self.chunks[current as usize].content else {
                unreachable!("a chunk that is appended to is open or clean")
            };
            if bytes.len() + size <= bytes.capacity() && bytes.len() + size <= CHUNK_BYTES {
                return current;
            }
            if bytes.len() + size <= CHUNK_BYTES {
                let before = bytes.capacity();
                let room = (before * 2).clamp(bytes.len() + size, CHUNK_BYTES);
                bytes.reserve_exact(room - bytes.len());
                self.held += (bytes.capacity() - before) as u64;
                return current;
            }
        }
        self.begin_chunk(part, size, current)
    }

    fn begin_chunk(&mut self, part: Part, size: usize, full: u32) -> u32 {
        let room = if full == 0 { CHUNK_BYTES_MIN } else { CHUNK_BYTES };
        let number = self.add_chunk(part, room.max(size), self.born + 1);
        match part {
            Part::Open => self.open.push(number),
            Part::Clean => self.clean = number,
        }
        if self.ages.len() > 2 * self.chunks.len() {
            let chunks = &self.chunks;
            self.ages.retain(|aged| chunks[aged.number].is(aged.born));
        }
        self.ages.push_back(Aged { age: self.born, number: number as usize, born: self.born });
        if part == Part::Clean && full != 0 {
            self.give_back_if_dead(full as usize);
        }
        number
    }

    fn add_chunk(&mut self, part: Part, room: usize, age: u64) -> u32 {
        let bytes = Vec::with_capacity(room);
        self.held += bytes.capacity() as u64;
        let content = match part {
            Part::Open => Content::Open(bytes),
            Part::Clean => Content::Clean(bytes),
        };
        self.born += 1;
        let chunk = Chunk { content, live: 0, records: 0, born: self.born, age, sweep_at: END_OF_TIME };
        if let Some(number) = self.free.pop() {
            self.chunks[number as usize] = chunk;
            return number;
        }
        self.chunks.push(chunk);
        u32::try_from(self.chunks.len() - 1).expect("room was checked before the write")
    }

    /// Replaces the value of a record if it is in the open segment and has room.
    #[inline]
    pub(super) fn overwrite(&mut self, at: Position, value: &[u8]) -> bool {
        match &mut self.chunks[at.chunk()].content {
            Content::Open(bytes) => {
                let bytes = &mut bytes[at.offset()..];
                let has_room = Record::at(bytes).has_room(value.len());
                if has_room {
                    self.sizes.replace(Record::at(bytes), value);
                    record::overwrite(bytes, value);
                }
                has_room
            }
            Content::Free | Content::Closed(_) | Content::Clean(_) => false,
        }
    }

    /// Whether a record is of the open segment.
    #[inline]
    pub(super) fn is_open(&self, at: Position) -> bool {
        matches!(self.chunks[at.chunk()].content, Content::Open(_))
    }

    /// Whether a record was born in the epoch that runs, so that no file holds its key.
    pub(super) fn is_fresh(&self, at: Position) -> bool {
        self.is_open(at) && self.record(at).flags().has(Flags::FRESH)
    }

    /// Notes that no index points to a record any more: what it holds is gone.
    pub(super) fn supersede(&mut self, at: Position) {
        let record = Record::at(&self.chunks[at.chunk()].bytes()[at.offset()..]);
        if record.flags().is_put() {
            self.sizes.take(record);
        }
        self.leave(at);
    }

    /// Notes that no index points to a record any more, though what it holds is held still: in the base, or in a copy.
    pub(super) fn leave(&mut self, at: Position) {
        let number = at.chunk();
        let size = self.record(at).size();
        let chunk = &mut self.chunks[number];
        chunk.live -= size;
        self.live -= size as u64;
        if let Content::Open(bytes) = &mut chunk.content {
            record::mark_dead(&mut bytes[at.offset()..]);
            self.open_records -= 1;
            chunk.records -= 1;
            if chunk.records == 0 && self.open.last().is_some_and(|&last| last as usize != number) {
                self.drop_open(number);
            }
        } else if chunk.live == 0 {
            self.give_back_if_dead(number);
        }
    }

    /// Gives back a chunk of the open segment all of whose records are dead.
    fn drop_open(&mut self, number: usize) {
        self.open.retain(|&open| open as usize != number);
        self.give_back(number);
    }

    fn give_back_if_dead(&mut self, number: usize) {
        let chunk = &self.chunks[number];
        let is_filled_now = number == self.clean as usize || number == self.compacted.1 as usize;
        if chunk.live > 0 || is_filled_now || matches!(chunk.content, Content::Open(_) | Content::Free) {
            return;
        }
        self.give_back(number);
    }

    fn give_back(&mut self, number: usize) {
        let chunk = &mut self.chunks[number];
        self.held -= chunk.bytes().capacity() as u64;
        chunk.content = Content::Free;
        self.free.push(u32::try_from(number).expect("chunk numbers fit"));
    }

    /// Closes the open segment and opens the next; `None` when it holds nothing. Moves the chunks, copies nothing.
    pub(super) fn freeze(&mut self) -> Option<Vec<Arc<Vec<u8>>>> {
        let is_empty = std::mem::take(&mut self.open_records) == 0;
        let mut segment = Vec::with_capacity(self.open.len());
        for number in std::mem::take(&mut self.open) {
            let content = &mut self.chunks[number as usize].content;
            let Content::Open(bytes) = std::mem::replace(content, Content::Free) else {
                unreachable!("the open segment holds open chunks")
            };
            let bytes = Arc::new(bytes);
            *content = Content::Closed(Arc::clone(&bytes));
            segment.push(bytes);
            self.give_back_if_dead(number as usize);
        }
        (!is_empty).then_some(segment)
    }

    /// Whether there is room for `bytes` more, in `records` records, without running out of chunk numbers.
    pub(super) fn has_room(&self, bytes: u64, large: u64) -> bool {
        let chunks = bytes / (CHUNK_BYTES as u64 / 2) + large + 4;
        chunks <= (CHUNKS_MAX - self.chunks.len() + self.free.len()) as u64
    }

    /// Bytes of live records.
    pub(super) const fn live(&self) -> u64 {
        self.live
    }

    /// What is held, also in the base.
    pub(super) const fn sizes(&self) -> &Sizes {
        &self.sizes
    }

    /// For what the log does not see go.
    pub(super) const fn sizes_mut(&mut self) -> &mut Sizes {
        &mut self.sizes
    }

    /// Bytes of all chunks that were not given back.
    pub(super) const fn held(&self) -> u64 {
        self.held
    }

    /// Bytes of the open segment's records.
    pub(super) fn open_bytes(&self) -> u64 {
        self.open.iter().map(|&number| self.chunks[number as usize].bytes().len() as u64).sum()
    }

    /// Bytes appended since the beginning, clean ones included.
    pub(super) const fn appended(&self) -> u64 {
        self.appended
    }

    /// Chunk numbers in use lie below this.
    pub(super) const fn chunk_bound(&self) -> usize {
        self.chunks.len()
    }

    /// How many chunks hold something.
    pub(super) const fn chunk_count(&self) -> usize {
        self.chunks.len() - self.free.len() - 1
    }

    /// How full a chunk is; `None` where there is nothing to clean: it is free, open or being filled by the cleaner.
    pub(super) fn usage(&self, number: usize) -> Option<Usage> {
        let chunk = &self.chunks[number];
        let bytes: &Vec<u8> = match &chunk.content {
            Content::Closed(bytes) => bytes,
            Content::Clean(bytes) if number != self.clean as usize && number != self.compacted.1 as usize => bytes,
            Content::Clean(_) | Content::Open(_) | Content::Free => return None,
        };
        let (live, used, held) = (chunk.live, bytes.len(), bytes.capacity());
        Some(Usage { live, used, held, born: chunk.born, age: chunk.age })
    }

    /// The position of the record at `offset` of a chunk; `None` behind its last, and where the chunk is another one.
    pub(super) fn position_in(&self, number: usize, born: u64, offset: usize) -> Option<Position> {
        let chunk = self.chunks.get(number).filter(|chunk| chunk.born == born)?;
        let used = match &chunk.content {
            Content::Closed(bytes) => bytes.len(),
            Content::Clean(bytes) => bytes.len(),
            Content::Open(_) | Content::Free => return None,
        };
        let number = u32::try_from(number).expect("chunk numbers fit");
        (offset < used).then(|| Position::new(number, offset))
    }

    /// Counts a record that holds no value as live: an index points to it, so that what the base holds stays hidden.
    pub(super) fn hold(&mut self, at: Position) {
        let size = self.record(at).size();
        self.chunks[at.chunk()].live += size;
        self.live += size as u64;
    }

    /// From now on, what is not in the indexes may be in a base.
    pub(super) const fn begin_base(&mut self) {
        self.has_base = true;
    }

    /// Whether what is not in the indexes may be in a base.
    #[inline]
    pub(super) const fn has_base(&self) -> bool {
        self.has_base
    }

    /// Whether the base holds exactly this record.
    pub(super) fn is_in_base(&self, at: Position) -> bool {
        matches!(self.chunks[at.chunk()].content, Content::Clean(_)) && self.record(at).flags().has(Flags::IN_BASE)
    }

    /// Gives a chunk back if nothing in it is live.
    pub(super) fn release(&mut self, number: usize, born: u64) {
        if self.chunks[number].is(born) {
            self.give_back_if_dead(number);
        }
    }

    /// Whether the record that was at this position is there still.
    pub(super) fn is_same(&self, at: Position, born: u64) -> bool {
        self.chunks[at.chunk()].is(born)
    }
}

#[cfg(test)]
impl Log {
    /// Whether what is counted of chunks is what there is.
    pub(super) fn is_counted_right(&self) -> bool {
        let filled = || self.chunks.iter().filter(|chunk| !matches!(chunk.content, Content::Free));
        let live: usize = filled().map(|chunk| chunk.live).sum();
        let held: usize = filled().map(|chunk| chunk.bytes().capacity()).sum();
        (self.live, self.held) == (live as u64, held as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(log: &mut Log, value: &[u8]) -> Position {
        log.append(Part::Open, &Parts { flags: Flags::PUT, state: 1, key: b"key", entry: &[], value })
    }

    #[test]
    fn a_chunk_whose_number_is_used_again_is_another_one() {
        let mut log = Log::new([Counted::default(); 2]);
        let first = append(&mut log, b"1");
        log.freeze();
        let born = log.usage(first.chunk()).expect("it is closed").born;
        assert_eq!(log.position_in(first.chunk(), born, 0), Some(first));
        log.supersede(first);
        assert_eq!((log.held(), log.usage(first.chunk())), (0, None));
        let second = append(&mut log, b"2");
        log.freeze();
        assert_eq!(second.chunk(), first.chunk());
        assert_eq!(log.position_in(first.chunk(), born, 0), None);
    }

    #[test]
    fn only_the_open_segment_is_overwritten() {
        let mut log = Log::new([Counted::default(); 2]);
        let at = append(&mut log, b"12345");
        assert!(log.overwrite(at, b"4321"));
        assert!(!log.overwrite(at, &[0; 100]), "there is no room");
        assert_eq!(log.record(at).value(), b"4321");
        let segment = log.freeze().expect("something was written");
        assert!(!log.overwrite(at, b"0"));
        assert_eq!(Record::at(&segment[0]).value(), b"4321");
        let copy = log.copy_clean(at, &mut Vec::new());
        assert!(!log.overwrite(copy, b"0"));
        assert_eq!(log.record(copy).value(), b"4321");
    }

    #[test]
    fn what_is_compacted_is_as_old_as_it_was_and_takes_the_room_that_it_needs() {
        let mut log = Log::new([Counted::default(); 2]);
        let (first, second) = (append(&mut log, b"1"), append(&mut log, b"2"));
        log.freeze();
        let held = log.held();
        let other = append(&mut log, b"3");
        log.freeze();
        log.supersede(first);
        log.begin_compacting(second.chunk());
        let copy = log.copy_compact(second, &mut Vec::new());
        log.leave(second);
        assert_eq!(log.oldest_of(1..=9).map(|aged| aged.number), Some(other.chunk()), "it has no place yet");
        log.end_compacting();
        let oldest = log.oldest_of(1..=9).expect("there are two");
        assert_eq!((oldest.number, oldest.age), (copy.chunk(), 1));
        assert_eq!(log.oldest_of(2..=9).map(|aged| aged.number), Some(other.chunk()));
        assert_eq!(log.held() - held, log.record(copy).size() as u64);
        assert_eq!(log.record(copy).value(), b"2");
    }

    #[test]
    fn a_chunk_that_is_compacted_while_the_last_of_it_goes_leaves_nothing_behind() {
        let mut log = Log::new([Counted::default(); 2]);
        let only = append(&mut log, b"1");
        log.freeze();
        log.begin_compacting(only.chunk());
        log.supersede(only);
        log.end_compacting();
        assert_eq!((log.held(), log.chunk_count()), (0, 0));
        assert!(log.oldest_of(1..=9).is_none());
    }

    #[test]
    fn a_record_larger_than_a_chunk_has_one_of_its_own() {
        let mut log = Log::new([Counted::default(); 2]);
        let small = append(&mut log, b"small");
        let large = append(&mut log, &vec![7; 3 * CHUNK_BYTES]);
        let after = append(&mut log, b"after");
        assert_eq!(log.record(large).value().len(), 3 * CHUNK_BYTES);
        assert_eq!((log.record(small).value(), log.record(after).value()), (&b"small"[..], &b"after"[..]));
        assert_eq!(log.chunk_count(), 3);
    }
}
