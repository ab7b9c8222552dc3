//! Where the bundles of one key's list are, oldest first.
//!
//! Receives positions of records in the order of their bundles; guarantees that those of a short list lie in the list's head
//! itself, so that to read one is to wait for memory once, and that the oldest of a long one goes as cheaply as the
//! newest comes. Does not own the records.

use std::collections::VecDeque;

use super::log::Position;

/// The most bundles of a short list: they and a [`VecDeque`] take the same room.
const FEW: usize = 6;

/// The bundles of one list.
#[derive(Debug)]
pub(super) enum Bundles {
    /// No record is at 0: behind the last bundle there are zeros.
    Few([u32; FEW]),
    Many(VecDeque<u32>),
}

impl Bundles {
    /// No bundle.
    pub(super) const fn new() -> Self {
        Self::Few([0; FEW])
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first().is_none()
    }

    /// The oldest bundle.
    #[inline]
    pub(super) fn first(&self) -> Option<Position> {
        self.get(0)
    }

    /// The bundle with this index, from 0 for the oldest.
    #[inline]
    pub(super) fn get(&self, index: usize) -> Option<Position> {
        let at = match self {
            Self::Few(few) => few.get(index).filter(|&&at| at != 0),
            Self::Many(many) => many.get(index),
        };
        at.copied().map(Position)
    }

    /// All of them, oldest first.
    #[inline]
    pub(super) fn iter(&self) -> impl Iterator<Item = Position> {
        let (few, many) = match self {
            Self::Few(few) => (Some(few), None),
            Self::Many(many) => (None, Some(many)),
        };
        let few = few.into_iter().flatten().take_while(|&&at| at != 0);
        few.chain(many.into_iter().flatten()).copied().map(Position)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Few(few) => few.iter().position(|&at| at == 0).unwrap_or(FEW),
            Self::Many(many) => many.len(),
        }
    }

    /// Adds the newest.
    pub(super) fn push(&mut self, at: Position) {
        let len = self.len();
        match self {
            Self::Few(few) if len < FEW => few[len] = at.0,
            Self::Few(few) => *self = Self::Many(few.iter().copied().chain([at.0]).collect()),
            Self::Many(many) => many.push_back(at.0),
        }
    }

    /// Puts another record in the place of a bundle's, which is there.
    pub(super) fn set(&mut self, index: usize, at: Position) {
        match self {
            Self::Few(few) => few[index] = at.0,
            Self::Many(many) => many[index] = at.0,
        }
    }

    /// Takes a bundle away that is there.
    pub(super) fn remove(&mut self, index: usize) {
        match self {
            Self::Few(few) => {
                few[index..].rotate_left(1);
                few[FEW - 1] = 0;
            }
            Self::Many(many) => {
                many.remove(index);
            }
        }
    }

    /// The index of the bundle with this key, by which they are in order.
    pub(super) fn search(&self, key: u64, key_of: impl Fn(Position) -> u64) -> Option<usize> {
        match self {
            Self::Few(_) => self.iter().position(|at| key_of(at) == key),
            Self::Many(many) => many.binary_search_by_key(&key, |&at| key_of(Position(at))).ok(),
        }
    }
}

impl Extend<Position> for Bundles {
    fn extend<I: IntoIterator<Item = Position>>(&mut self, bundles: I) {
        bundles.into_iter().for_each(|at| self.push(at));
    }
}

impl Default for Bundles {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::super::log::Position;
    use super::{Bundles, FEW};

    #[test]
    fn a_short_list_takes_no_more_room_than_a_long_one() {
        assert_eq!(size_of::<Bundles>(), size_of::<VecDeque<u32>>());
    }

    proptest! {
        #[test]
        fn bundles_of_any_number_are_what_a_queue_would_be(
            steps in prop::collection::vec((0..4_u8, any::<prop::sample::Index>()), 0..12 * FEW),
        ) {
            let (mut bundles, mut model) = (Bundles::new(), VecDeque::new());
            for (number, (step, index)) in (1..).zip(steps) {
                match step {
                    0 if !model.is_empty() => {
                        let index = index.index(model.len());
                        bundles.remove(index);
                        model.remove(index);
                    }
                    1 if !model.is_empty() => {
                        let last = model.len() - 1;
                        bundles.set(last, Position(number));
                        model[last] = number;
                    }
                    _ => {
                        bundles.push(Position(number));
                        model.push_back(number);
                    }
                }
                prop_assert_eq!(bundles.iter().map(|at| at.0).collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
                prop_assert_eq!((bundles.len(), bundles.is_empty()), (model.len(), model.is_empty()));
                prop_assert_eq!(bundles.get(model.len()), None);
                for (index, &at) in model.iter().enumerate() {
                    prop_assert_eq!(bundles.search(at.into(), |at| at.0.into()), Some(index));
                }
                prop_assert_eq!(bundles.search(0, |at| at.0.into()), None);
            }
        }
    }
}
