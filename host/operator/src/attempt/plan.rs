//! Decides what is tried next, and who is the culprit. Pure: calls nothing.
//!
//! Receives the outcome of each attempt; guarantees that parts are tried in row order, that every row leaves the plan
//! exactly once (in a part that passed, or given up on), and that a row is given up on only if the operator named it
//! or if it failed alone on a fresh instance.

use std::fmt;

/// Which rows of the whole work a part holds.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Rows {
    /// All: this many.
    All(u32),
    /// These, in rising order.
    Listed(Vec<u32>),
}

impl Rows {
    fn len(&self) -> usize {
        match self {
            Self::All(rows) => *rows as usize,
            Self::Listed(rows) => rows.len(),
        }
    }

    /// The first row, 0 where there is none.
    pub(super) fn first(&self) -> u32 {
        match self {
            Self::All(_) => 0,
            Self::Listed(rows) => rows.first().copied().unwrap_or(0),
        }
    }

    fn listed(self) -> Vec<u32> {
        match self {
            Self::All(rows) => (0..rows).collect(),
            Self::Listed(rows) => rows,
        }
    }
}

/// What may be done to find a culprit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Probing {
    /// Everything: records and timers.
    Split,
    /// The whole work once more on a fresh instance: a broadcast input, whose subtasks must not diverge.
    OnceMore,
    /// Nothing: `finish`.
    Never,
}

/// What follows from a failed attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Go on with the plan.
    Again,
    /// These rows of the whole work are given up on; then go on with the plan.
    GiveUp(Vec<u32>),
    /// The job fails.
    Fails,
}

/// What is left to try.
pub(super) struct Plan {
    /// The next part is the last.
    parts: Vec<Part>,
    probing: Probing,
}

struct Part {
    rows: Rows,
    /// Whether it gets one more try, as a whole, on a fresh instance.
    once_more: bool,
}

impl Plan {
    /// Nothing to try.
    pub(super) const fn done() -> Self {
        Self { parts: Vec::new(), probing: Probing::Never }
    }

    /// The whole work of `rows` rows.
    pub(super) fn new(rows: u32, probing: Probing) -> Self {
        Self { parts: vec![Part { rows: Rows::All(rows), once_more: probing != Probing::Never }], probing }
    }

    /// The part to try next; `None`: every row has left the plan.
    pub(super) fn next(&self) -> Option<&Rows> {
        self.parts.last().map(|part| &part.rows)
    }

    /// The part passed.
    pub(super) fn passed(&mut self) {
        self.parts.pop().expect("only a part of the plan is tried");
    }

    /// The part failed. `named` are row numbers within the part that the operator blamed; `fresh` says whether the
    /// instance had been made for this attempt.
    pub(super) fn failed(&mut self, named: &[u32], fresh: bool) -> Verdict {
        let mut part = self.parts.pop().expect("only a part of the plan is tried");
        if self.probing == Probing::Split && !named.is_empty() {
            return self.remove(part.rows, named);
        }
        let alone = part.rows.len() == 1;
        if part.once_more || (alone && !fresh && self.probing == Probing::Split) {
            part.once_more = false;
            self.parts.push(part);
            return Verdict::Again;
        }
        if self.probing != Probing::Split || part.rows.len() == 0 {
            return Verdict::Fails;
        }
        let mut left = part.rows.listed();
        if alone {
            return Verdict::GiveUp(left);
        }
        let right = left.split_off(left.len() / 2);
        self.push(right, false);
        self.push(left, false);
        Verdict::Again
    }

    /// Takes the rows that the operator named out of a part; the others are tried again, as a batch of their own.
    fn remove(&mut self, rows: Rows, named: &[u32]) -> Verdict {
        let mut given_up = Vec::new();
        let mut rest = Vec::new();
        let mut is_named = vec![false; rows.len()];
        named.iter().for_each(|row| is_named[*row as usize] = true);
        for (row, named) in rows.listed().into_iter().zip(is_named) {
            if named { given_up.push(row) } else { rest.push(row) }
        }
        if !rest.is_empty() {
            self.push(rest, true);
        }
        Verdict::GiveUp(given_up)
    }

    fn push(&mut self, rows: Vec<u32>, once_more: bool) {
        self.parts.push(Part { rows: Rows::Listed(rows), once_more });
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan").field("parts", &self.parts.len()).field("probing", &self.probing).finish()
    }
}
