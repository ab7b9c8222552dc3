//! Who gets what of the state that belongs to no key, when an operator is restored.
//!
//! Receives how much each old subtask holds; says which of it one new subtask gets. Guarantees that where the
//! parallelism is what it was, each subtask gets back its own; and that at another one every element of a split list
//! goes to exactly one subtask, every element of a union list to each, and of a broadcast map every subtask gets one
//! copy. The answer follows from the arguments alone. Does not own the elements.

use std::ops::Range;

use crate::fault::Fault;
use crate::manifest::Checksum;

/// A subtask that is restored, among all of its operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its index.
    pub index: u32,
    /// How many there are now.
    pub parallelism: u32,
}

/// An element of a list of an old subtask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Element {
    /// The index of the old subtask.
    pub subtask: usize,
    /// The element's index in that one's list.
    pub at: usize,
}

/// Copies of a broadcast map that must be equal, and are not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the copies of old subtasks 0 and {other} differ ({first} and {found}), so there is no telling which of them the new \
     subtasks should get; restore with the old parallelism, {parallelism}, and have the operator write to this state only \
     what does not depend on the order of records"
)]
pub struct Diverged {
    /// The old subtask whose copy is another than that of subtask 0.
    pub other: usize,
    /// The checksum of the copy of subtask 0.
    pub first: Checksum,
    /// The checksum of the other copy.
    pub found: Checksum,
    /// How many old subtasks there are.
    pub parallelism: usize,
}

impl Diverged {
    /// Who must act: the operator of the node.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        Fault::Corrupt
    }
}

impl Place {
    /// The old subtasks, of so many, whose state has to be looked at.
    #[must_use]
    pub fn sources(self, old: usize) -> Range<usize> {
        match self.own(old) {
            Some(own) => own..own + 1,
            None => 0..old,
        }
    }

    /// The subtask's elements of a split list; `lengths` are those of the old subtasks' lists. At another parallelism,
    /// all elements, those of old subtask 0 first, are dealt round: the first goes to subtask 0, the next to subtask 1,
    /// and behind the last subtask comes the first again.
    #[must_use]
    pub fn split(self, lengths: &[usize]) -> Vec<Element> {
        let all = self.sources(lengths.len()).flat_map(|subtask| elements(subtask, lengths[subtask]));
        match self.own(lengths.len()) {
            Some(_) => all.collect(),
            None => all.skip(self.index as usize).step_by(self.parallelism as usize).collect(),
        }
    }

    /// The subtask's elements of a union list: at another parallelism all there are, those of old subtask 0 first.
    #[must_use]
    pub fn union(self, lengths: &[usize]) -> Vec<Element> {
        self.sources(lengths.len()).flat_map(|subtask| elements(subtask, lengths[subtask])).collect()
    }

    /// The old subtask whose copy of a broadcast map the subtask gets; `copies` are the checksums of them all. `None`:
    /// there is none. At the old parallelism each goes on with its own, whatever the others hold.
    ///
    /// # Errors
    /// [`Diverged`] where the parallelism is another one and the copies are not equal.
    pub fn broadcast(self, copies: &[Checksum]) -> Result<Option<usize>, Diverged> {
        if let Some(own) = self.own(copies.len()) {
            return Ok(Some(own));
        }
        let Some(&first) = copies.first() else { return Ok(None) };
        match copies.iter().position(|copy| *copy != first) {
            None => Ok(Some(self.index as usize % copies.len())),
            Some(other) => Err(Diverged { other, first, found: copies[other], parallelism: copies.len() }),
        }
    }

    /// Which old subtask this one is, where there were as many.
    fn own(self, old: usize) -> Option<usize> {
        (self.parallelism as usize == old).then_some(self.index as usize)
    }
}

fn elements(subtask: usize, length: usize) -> impl Iterator<Item = Element> {
    (0..length).map(move |at| Element { subtask, at })
}
