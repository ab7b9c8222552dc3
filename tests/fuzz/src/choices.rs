//! Decisions drawn from bytes: what makes a structured input out of any input.
//!
//! Guarantees that every sequence of bytes gives a whole sequence of decisions: when the bytes end, the first choice
//! is taken from then on. A small change of the bytes is a small change of the decisions, which is what a fuzzer that
//! is guided by coverage lives on.

use std::fmt;

/// Bytes that decisions are drawn from, front to back.
#[derive(Clone)]
pub struct Choices<'a> {
    rest: &'a [u8],
}

impl<'a> Choices<'a> {
    /// Decisions of these bytes.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// One byte; 0 behind the end.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        *first
    }

    /// Whether all bytes were used.
    #[must_use]
    pub const fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// All bytes that are left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// A number below `bound`.
    ///
    /// # Panics
    /// When `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let drawn = if bound <= 256 { usize::from(self.byte()) } else { usize::from(self.u16()) };
        drawn % bound
    }

    /// Yes in one of `n` cases; no behind the end.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) + 1 == n
    }

    /// One of these.
    ///
    /// # Panics
    /// When there are none.
    pub fn pick<'b, T>(&mut self, of: &'b [T]) -> &'b T {
        &of[self.below(of.len())]
    }

    /// Two bytes.
    pub fn u16(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// Four bytes.
    pub fn u32(&mut self) -> u32 {
        u32::from(self.u16()) | u32::from(self.u16()) << 16
    }

    /// Eight bytes.
    pub fn u64(&mut self) -> u64 {
        u64::from(self.u32()) | u64::from(self.u32()) << 32
    }

    /// A number that is mostly small, sometimes at an edge, sometimes anything.
    pub fn number(&mut self) -> u64 {
        match self.byte() {
            small @ 0..200 => u64::from(small),
            200..220 => u64::from(self.u16()),
            220..230 => 1 << self.below(64),
            230..240 => (1_u64 << self.below(64)).wrapping_sub(1),
            240..250 => u64::MAX - u64::from(self.byte()),
            250.. => self.u64(),
        }
    }

    /// The same with a sign.
    pub fn signed(&mut self) -> i64 {
        self.number().cast_signed()
    }

    /// Up to `most` bytes, usually few.
    pub fn bytes(&mut self, most: usize) -> Vec<u8> {
        let count = if self.one_in(16) { self.below(most + 1) } else { self.below(most.min(7) + 1) };
        (0..count).map(|_| self.byte()).collect()
    }

    /// A short text: mostly plain, sometimes with what needs care in JSON, TOML and terminals.
    pub fn text(&mut self, most: usize) -> String {
        const ODD: [char; 12] = ['"', '\\', '\n', '\0', '\u{7f}', 'é', '😀', '\u{202e}', '.', ' ', '=', '\u{feff}'];
        let count = self.below(most + 1);
        (0..count)
            .map(|_| match self.byte() {
                odd @ 240.. => ODD[usize::from(odd) % ODD.len()],
                plain => char::from(b'a' + plain % 26),
            })
            .collect()
    }
}

impl fmt::Debug for Choices<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Choices({} bytes left)", self.rest.len())
    }
}

#[cfg(test)]
mod tests {
    use super::Choices;

    #[test]
    fn behind_the_end_the_first_choice_is_taken() {
        let mut choices = Choices::new(&[3]);
        assert_eq!(choices.pick(&['a', 'b', 'c', 'd']), &'d');
        assert_eq!((choices.pick(&['a', 'b']), choices.one_in(2), choices.number()), (&'a', false, 0));
        assert!(choices.bytes(9).is_empty() && choices.text(9).is_empty() && choices.is_at_end());
    }
}
