//! What the base may hold of one list or map, beneath what is resident of it.
//!
//! Records of elements and entries leave for the base one by one, and come back one by one; so what is resident of a key is a part
//! of it, and this says which questions the base must be asked, and what it must be told, for the whole to be right.

use super::log::Log;

/// What the base may hold of one list or map. The default: nothing, and nothing is on its way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Below {
    /// What is not resident may be in the base, so a read asks it.
    pub(super) asks: bool,
    /// The base holds something of it, or will: what is removed leaves a tombstone that is resident until the base has it.
    pub(super) holds: bool,
    /// Where the mark is that hides all that the base holds of it; 0: there is none.
    pub(super) cleared_at: u32,
    /// Whether the base has been told of the mark, or will be before anything that was written behind it.
    pub(super) is_told: bool,
}

/// What happens when a record is handed to the base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaving {
    /// Nothing: it is not what its key holds any more.
    Stays,
    /// The base is told what it says.
    Goes,
    /// The same, after all that the base holds of its key is gone.
    GoesOverNothing,
}

impl Below {
    /// For a key of which nothing is resident.
    pub(super) const fn unknown(log: &Log) -> Self {
        let has_base = log.has_base();
        Self { asks: has_base, holds: has_base, cleared_at: 0, is_told: false }
    }

    /// Beneath a mark that hides all.
    pub(super) const fn cleared(at: u32) -> Self {
        Self { asks: false, holds: false, cleared_at: at, is_told: false }
    }

    /// Whether a removal must leave a tombstone for the base.
    pub(super) const fn is_hidden_by_none(self) -> bool {
        self.asks || self.holds
    }

    /// Something of the key is handed to the base; the mark goes first.
    pub(super) const fn leave(&mut self, is_mark: bool) -> Leaving {
        if !is_mark {
            self.holds = true;
        }
        if self.cleared_at != 0 && !self.is_told {
            self.is_told = true;
            return Leaving::GoesOverNothing;
        }
        Leaving::Goes
    }

    /// The base has the mark.
    pub(super) const fn mark_left(&mut self) {
        self.cleared_at = 0;
        self.is_told = false;
    }
}
