//! What is resident for each key of a list or map state: where its elements are.
//!
//! Receives keys with their hashes; guarantees that a number stays valid until its head is taken away, and that growth
//! moves no head (they lie in rows of fixed size). Does not own the elements: those are records of the log.

use weir_operator::keyed_state::Inline;
use weir_operator::keyed_state::short::is_same;

use super::index::{Index, STAGED_FROM};
use super::selection::Selection;

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
    /// What are probably the numbers of heads that were [warmed](Self::warm) last; 0: none.
    warmed: Vec<u32>,
    /// The same by the index of the selected key, of all that were warmed of a batch.
    hints: Vec<u32>,
    hints_of: u64,
}

#[derive(Debug)]
struct Head<C> {
    /// A short one lies here, so that to compare it is not to wait for memory once more.
    key: Inline,
    content: C,
}

impl<C> Default for Heads<C> {
    fn default() -> Self {
        let (rows, free, warmed, hints) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { index: Index::default(), rows, free, key_bytes: 0, singles: (0, 0), warmed, hints, hints_of: 0 }
    }
}

impl<C> Heads<C> {
    /// The number of a key's head.
    pub(super) fn find(&self, hash: u64, key: &[u8]) -> Option<u32> {
        self.index.find(hash, |number| is_same(&self.head(number).key, key))
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
    /// Does nothing where that would not pay.
    pub(super) fn warm(&mut self, selection: &Selection, keys: impl Iterator<Item = u32> + Clone) {
        self.warmed.clear();
        if self.index.len() < STAGED_FROM {
            return;
        }
        let hashes = keys.clone().map(|key| selection.hash(key));
        std::hint::black_box(hashes.clone().map(|hash| self.index.first_slot(hash)).fold(0, u64::wrapping_add));
        self.warmed.extend(hashes.map(|hash| self.index.find(hash, |_| true).unwrap_or_default()));
        let heads = self.warmed.iter().filter(|&&number| number != 0);
        std::hint::black_box(heads.map(|&number| self.head(number).key.len()).sum::<usize>());
        if self.hints_of != selection.batch() {
            self.hints_of = selection.batch();
            self.hints.clear();
            self.hints.resize(selection.count(), 0);
        }
        keys.zip(&self.warmed).for_each(|(key, &number)| self.hints[key as usize] = number);
    }

    /// What the keys that were warmed last probably have; nothing where it did not pay.
    pub(super) fn warmed(&self) -> impl Iterator<Item = Option<&C>> {
        self.warmed.iter().map(|&number| (number != 0).then(|| self.content(number)))
    }

    /// The number of the head of a selected key; found at once where it was [warmed](Self::warm).
    #[inline]
    pub(super) fn find_selected(&self, selection: &Selection, key: u32) -> Option<u32> {
        let (hash, bytes) = (selection.hash(key), selection.key(key));
        let hint = self.hints.get(key as usize).copied().filter(|_| self.hints_of == selection.batch());
        match hint {
            Some(number) if number != 0 && self.is_of(number, bytes) => Some(number),
            Some(_) | None => self.find(hash, bytes),
        }
    }

    /// What a selected key has.
    #[inline]
    pub(super) fn get_selected(&self, selection: &Selection, key: u32) -> Option<&C> {
        self.find_selected(selection, key).map(|number| self.content(number))
    }

    /// The number of the head of a selected key, which is made if there is none.
    pub(super) fn find_selected_or_insert(
        &mut self,
        selection: &Selection,
        key: u32,
        content: impl FnOnce() -> C,
    ) -> u32 {
        let found = self.find_selected(selection, key);
        found.unwrap_or_else(|| self.find_or_insert(selection.hash(key), selection.key(key), content))
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

    /// Whether a key's head has this number; it may be that of another by now, or of none.
    #[inline]
    fn is_of(&self, number: u32, key: &[u8]) -> bool {
        let (row, place) = place(number);
        self.rows[row][place].as_ref().is_some_and(|head| is_same(&head.key, key))
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

#[cfg(test)]
impl<C> Heads<C> {
    /// What all keys have.
    pub(super) fn contents(&self) -> impl Iterator<Item = &C> {
        self.rows.iter().flatten().flatten().map(|head| &head.content)
    }
}

#[cfg(test)]
mod tests {
    use weir_operator::batch::Keys;
    use weir_protocol::key_group::key_hash;

    use super::{Heads, STAGED_FROM, Selection};

    #[test]
    fn what_was_found_ahead_counts_only_while_it_is_still_the_key_s() {
        let mut heads = Heads::default();
        let key = |number: u64| number.to_le_bytes();
        let many = STAGED_FROM as u64;
        let insert =
            |heads: &mut Heads<u64>, number| heads.find_or_insert(key_hash(&key(number)), &key(number), || number);
        (0..many).for_each(|number| assert_ne!(insert(&mut heads, number), 0));
        let selected = [1, 2, 3, many + 7];
        let mut selection = Selection::default();
        selection.select(&Keys::encode(selected.map(key).iter().map(<[u8; 8]>::as_slice)), 0);
        heads.warm(&selection, selection.indices());
        assert!(heads.warmed().take(3).eq([Some(&1), Some(&2), Some(&3)]), "they are found ahead");
        for number in [1, 2] {
            let found = heads.find(key_hash(&key(number)), &key(number)).expect("it is there");
            heads.remove(key_hash(&key(number)), found);
        }
        // The head that was given back last is another key's now, the one before it nobody's.
        insert(&mut heads, many + 8);
        let found = |heads: &Heads<u64>| [0, 1, 2, 3].map(|index| heads.get_selected(&selection, index).copied());
        assert_eq!(found(&heads), [None, None, Some(3), None]);
        insert(&mut heads, 2);
        insert(&mut heads, many + 7);
        assert_eq!(found(&heads), [None, Some(2), Some(3), Some(many + 7)]);
        selection.select(&Keys::encode([key(3).as_slice(), &key(2)]), 0);
        let found = [0, 1].map(|index| heads.get_selected(&selection, index).copied());
        assert_eq!(found, [Some(3), Some(2)], "in another batch they mean other keys");
    }
}
