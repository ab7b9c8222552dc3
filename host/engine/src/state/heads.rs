//! What is resident for each key of a list or map state: where its elements are.
//!
//! Receives keys with their hashes; guarantees that a number stays valid until its head is taken away, and that growth
//! moves no head (they lie in rows of fixed size). Does not own the elements: those are records of the log.

use weir_operator::keyed_state::Inline;

use super::index::{Index, STAGED_FROM};

const ROW: usize = 256;
/// So many keys of a batch that are read one by one say that the others will be.
const SINGLES: u32 = 8;

/// The heads of one state, by number (from 1) and by key.
#[derive(Debug)]
pub(super) struct Heads<C> {
    index: Index,
    rows: Vec<Vec<Option<Head<C>>>>,
    free: Vec<u32>,
    /// Of the keys that are too long to lie in their heads, all together.
    key_bytes: u64,
    /// The batch of which keys were read one by one, and how many.
    singles: (u64, u32),
}

#[derive(Debug)]
struct Head<C> {
    /// A short one lies here, so that to compare it is not to wait for memory once more.
    key: Inline,
    content: C,
}

impl<C> Default for Heads<C> {
    fn default() -> Self {
        Self { index: Index::default(), rows: Vec::new(), free: Vec::new(), key_bytes: 0, singles: (0, 0) }
    }
}

impl<C> Heads<C> {
    /// The number of a key's head.
    pub(super) fn find(&self, hash: u64, key: &[u8]) -> Option<u32> {
        self.index.find(hash, |number| self.head(number).key.as_slice() == key)
    }

    /// What a key has.
    pub(super) fn get(&self, hash: u64, key: &[u8]) -> Option<&C> {
        self.find(hash, key).map(|number| &self.head(number).content)
    }

    /// What a key has.
    pub(super) fn get_mut(&mut self, hash: u64, key: &[u8]) -> Option<&mut C> {
        self.find(hash, key).map(|number| self.content_mut(number))
    }

    /// The number of a key's head, which is made if there is none.
    pub(super) fn find_or_insert(&mut self, hash: u64, key: &[u8], content: impl FnOnce() -> C) -> u32 {
        if let Some(number) = self.find(hash, key) {
            return number;
        }
        let head = Head { key: key.into(), content: content() };
        self.key_bytes += bytes_outside(&head.key);
        let number = self.free.pop().unwrap_or_else(|| self.next_number());
        let (row, place) = place(number);
        if place == self.rows[row].len() {
            self.rows[row].push(Some(head));
        } else {
            self.rows[row][place] = Some(head);
        }
        self.index.insert(hash, number);
        number
    }

    fn next_number(&mut self) -> u32 {
        if self.rows.last().is_none_or(|row| row.len() == ROW) {
            self.rows.push(Vec::new());
        }
        let place = self.rows.last().expect("a row was just made").len();
        u32::try_from((self.rows.len() - 1) * ROW + place + 1).expect("fewer heads than records, which 32 bits count")
    }

    /// Has the heads of these keys fetched, for all of them at once rather than one after the other: slots, then heads.
    /// Leaves what is probably the number of each in `numbers` (0: it has none), or nothing where that would not pay.
    pub(super) fn warm(&self, hashes: impl Iterator<Item = u64> + Clone, numbers: &mut Vec<u32>) {
        numbers.clear();
        if self.index.len() < STAGED_FROM {
            return;
        }
        std::hint::black_box(hashes.clone().map(|hash| self.index.first_slot(hash)).fold(0, u64::wrapping_add));
        numbers.extend(hashes.map(|hash| self.index.find(hash, |_| true).unwrap_or_default()));
        let heads = numbers.iter().filter(|&&number| number != 0);
        std::hint::black_box(heads.map(|&number| self.head(number).key.len()).sum::<usize>());
    }

    /// A key of this batch is read alone. Whether it is time to [warm](Self::warm) them all: where a few are read so, most
    /// will be.
    pub(super) const fn is_read_one_by_one(&mut self, batch: u64) -> bool {
        if self.singles.0 != batch {
            self.singles = (batch, 0);
        }
        self.singles.1 += 1;
        self.singles.1 == SINGLES
    }

    /// What the head with this number holds.
    pub(super) fn content(&self, number: u32) -> &C {
        &self.head(number).content
    }

    /// What the head with this number holds.
    pub(super) fn content_mut(&mut self, number: u32) -> &mut C {
        let (row, place) = place(number);
        &mut self.rows[row][place].as_mut().expect("numbers come from `find`").content
    }

    /// Takes a head away.
    pub(super) fn remove(&mut self, hash: u64, number: u32) {
        let (row, place) = place(number);
        let head = self.rows[row][place].take().expect("numbers come from `find`");
        self.key_bytes -= bytes_outside(&head.key);
        self.index.remove(hash, number);
        self.free.push(number);
    }

    /// Roughly the bytes held, what the contents themselves point to not counted.
    pub(super) fn bytes(&self) -> u64 {
        self.index.bytes() + self.key_bytes + (self.rows.len() * ROW * size_of::<Head<C>>()) as u64
    }

    fn head(&self, number: u32) -> &Head<C> {
        let (row, place) = place(number);
        self.rows[row][place].as_ref().expect("the index holds numbers of heads only")
    }
}

/// Of a key that is too long to lie in its head.
fn bytes_outside(key: &Inline) -> u64 {
    if key.spilled() { key.len() as u64 } else { 0 }
}

const fn place(number: u32) -> (usize, usize) {
    let number = number as usize - 1;
    (number / ROW, number % ROW)
}
