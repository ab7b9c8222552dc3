//! Which chunk is the oldest.
//!
//! Guarantees that a chunk into which another was [compacted](super::compacting) has that one's place.

use std::ops::RangeInclusive;

use super::Log;
use super::chunk::Content;

/// A chunk, as it is found by its age.
#[derive(Debug, Clone, Copy)]
pub(in crate::state) struct Aged {
    pub(in crate::state) age: u64,
    pub(in crate::state) number: usize,
    /// What tells it from others of that number.
    pub(in crate::state) born: u64,
}

impl Log {
    /// The age of the newest chunk; that of the first is 1.
    pub(in crate::state) const fn newest_age(&self) -> u64 {
        self.born
    }

    /// The oldest chunk that no segment is being written to, of those of these ages.
    pub(in crate::state) fn oldest_of(&mut self, ages: RangeInclusive<u64>) -> Option<Aged> {
        let chunks = &self.chunks;
        while self.ages.front().is_some_and(|aged| !chunks[aged.number].is(aged.born)) {
            self.ages.pop_front();
        }
        let is_closed = |aged: &&Aged| {
            let chunk = &chunks[aged.number];
            ages.contains(&aged.age) && chunk.is(aged.born) && !matches!(chunk.content, Content::Open(_))
        };
        let &oldest = self.ages.iter().find(is_closed)?;
        if oldest.number == self.clean as usize {
            self.clean = 0;
        }
        Some(oldest)
    }
}
