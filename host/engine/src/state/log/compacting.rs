//! Live records are copied, so that what is dead around them can be given back.
//!
//! Receives which chunk, and record by record what of it is live; guarantees that a copy is as durable as what it was
//! copied from, and belongs to no segment. Does not know when that pays ([`cleaner`](super::super::cleaner)).

use super::super::record::Flags;
use super::chunk::{Chunk, Content, Position};
use super::{Aged, Log, Part};

impl Log {
    /// Copies a live record among the clean ones; the caller points its index there, and the old one [leaves](Self::leave).
    pub(in crate::state) fn copy_clean(&mut self, at: Position, scratch: &mut Vec<u8>) -> Position {
        let chunk = self.chunk_with_room(Part::Clean, self.record(at).size());
        self.copy_to(chunk, at, scratch)
    }

    /// The same, to where the chunk that is [being compacted](Self::begin_compacting) is copied; the record is of it.
    pub(in crate::state) fn copy_compact(&mut self, at: Position, scratch: &mut Vec<u8>) -> Position {
        debug_assert_eq!(at.chunk(), self.compacted.0 as usize);
        self.copy_to(self.compacted.1, at, scratch)
    }

    fn copy_to(&mut self, chunk: u32, at: Position, scratch: &mut Vec<u8>) -> Position {
        let hides = Flags::TOMBSTONE.and(Flags::CLEAR);
        let kept = if self.is_in_base(at) { hides.and(Flags::IN_BASE) } else { hides };
        scratch.clear();
        self.record(at).copy(kept, scratch);
        let Chunk { content: Content::Clean(bytes), live, .. } = &mut self.chunks[chunk as usize] else {
            unreachable!("clean records go to a clean chunk")
        };
        let copy = Position::new(chunk, bytes.len());
        bytes.extend_from_slice(scratch);
        *live += scratch.len();
        self.live += scratch.len() as u64;
        self.appended += scratch.len() as u64;
        copy
    }

    /// Begins to compact a chunk: what is [copied](Self::copy_compact) out of it takes just the room that it needs, and
    /// counts as old as it was.
    pub(in crate::state) fn begin_compacting(&mut self, number: usize) {
        let (live, age) = (self.chunks[number].live, self.chunks[number].age);
        let new = self.add_chunk(Part::Clean, live, age);
        self.compacted = (u32::try_from(number).expect("chunk numbers fit"), new);
    }

    /// Whether a chunk is being compacted.
    pub(in crate::state) const fn is_compacting(&self) -> bool {
        self.compacted.1 != 0
    }

    /// What is live of the chunk that was compacted lies in another that takes its place from now on.
    pub(in crate::state) fn end_compacting(&mut self) {
        let (_, new) = std::mem::take(&mut self.compacted);
        if new == 0 {
            return;
        }
        let &Chunk { age, born, .. } = &self.chunks[new as usize];
        let place = self.ages.partition_point(|aged| aged.age < age);
        let aged = Aged { age, number: new as usize, born };
        match self.ages.get_mut(place).filter(|aged| aged.age == age) {
            Some(old) if !self.chunks[old.number].is(old.born) => *old = aged,
            Some(_) | None => self.ages.insert(place, aged),
        }
        self.give_back_if_dead(new as usize);
    }
}
