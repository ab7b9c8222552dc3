//! What one call wrote to the entries of one map.
//!
//! Guarantees that each entry's last write is the one that stays, and that they come in the order of the entries' keys. Few
//! writes, as most are, lie in a row; one alone takes no memory of its own. Does not own whose map it is.

use std::collections::BTreeMap;

use smallvec::SmallVec;

use super::Inline;
use super::short::compare;

/// The most writes that lie in a row: to put one in its place moves those behind it.
const FEW: usize = 32;

/// A value, or that an entry is gone, by the entry's key. Short keys and values lie in place.
#[derive(Debug)]
pub struct EntryWrites(Content);

#[derive(Debug)]
enum Content {
    /// In order.
    Few(SmallVec<[(Inline, Option<Inline>); 1]>),
    Many(BTreeMap<Inline, Option<Inline>>),
}

impl Default for EntryWrites {
    fn default() -> Self {
        Self(Content::Few(SmallVec::new()))
    }
}

impl EntryWrites {
    /// Makes room for so many more writes.
    pub fn reserve(&mut self, writes: usize) {
        if let Content::Few(few) = &mut self.0 {
            few.reserve(writes.min(FEW - few.len()));
        }
    }

    /// Writes an entry; `None` removes it.
    pub fn write(&mut self, entry: &[u8], value: Option<&[u8]>) {
        let value = value.map(Inline::from_slice);
        let few = match &mut self.0 {
            Content::Few(few) => few,
            Content::Many(many) => {
                many.insert(Inline::from_slice(entry), value);
                return;
            }
        };
        // Most come in their order.
        let place = match few.last() {
            Some((last, _)) if compare(last, entry).is_ge() => few.binary_search_by(|(other, _)| compare(other, entry)),
            Some(_) | None => Err(few.len()),
        };
        match place {
            Ok(place) => few[place].1 = value,
            Err(place) if few.len() < FEW => few.insert(place, (Inline::from_slice(entry), value)),
            Err(_) => {
                let mut many: BTreeMap<_, _> = few.drain(..).collect();
                many.insert(Inline::from_slice(entry), value);
                self.0 = Content::Many(many);
            }
        }
    }

    /// Forgets all writes.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// What was written to an entry: `None`: nothing; `Some(None)`: it is gone.
    #[must_use]
    pub fn get(&self, entry: &[u8]) -> Option<Option<&[u8]>> {
        let value = match &self.0 {
            Content::Few(few) => {
                let place = few.binary_search_by(|(other, _)| compare(other, entry)).ok()?;
                &few[place].1
            }
            Content::Many(many) => many.get(entry)?,
        };
        Some(value.as_deref())
    }

    /// All writes, in the order of the entries' keys.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> + Clone {
        let (few, many) = match &self.0 {
            Content::Few(few) => (few.as_slice(), None),
            Content::Many(many) => (Default::default(), Some(many)),
        };
        let few = few.iter().map(|(entry, value)| (entry.as_slice(), value.as_deref()));
        few.chain(many.into_iter().flatten().map(|(entry, value)| (entry.as_slice(), value.as_deref())))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::{EntryWrites, FEW};

    proptest! {
        #[test]
        fn the_last_write_of_each_entry_stays_in_order_however_many_there_are(
            writes in prop::collection::vec(((0..2 * FEW).prop_map(|entry| vec![7; entry]), any::<Option<Vec<u8>>>()), 0..4 * FEW),
        ) {
            let (mut written, mut model) = (EntryWrites::default(), BTreeMap::new());
            for (entry, value) in writes {
                prop_assert_eq!(written.get(&entry), model.get(&entry).map(|value: &Option<Vec<u8>>| value.as_deref()));
                written.write(&entry, value.as_deref());
                model.insert(entry, value);
                prop_assert!(!written.is_empty());
            }
            let expected = model.iter().map(|(entry, value)| (entry.as_slice(), value.as_deref()));
            prop_assert!(written.iter().eq(expected));
            written.clear();
            prop_assert!(written.is_empty());
        }
    }
}
