//! Bundles: elements of a list that were appended together, in one record.
//!
//! An element stands under its position in the list. Elements that one call appended to one list share a record, as
//! long as they are short: it stands under the position of the first and their number, and holds each with its length
//! before it. So a list that is written as a whole costs a record, not one an element. Whoever keeps records need not
//! know: a bundle comes, expires, is copied and leaves as one. Guarantees that a bundle is never split or joined once
//! it is written, since what it stands under is what later files name it by.

use weir_operator::batch::BytesColumn;
use weir_protocol::time::Timestamp;

use super::file::format::put_bytes;
use super::size::counted_size;

/// The most bytes of elements, with their lengths, that share a record.
const BUNDLE_BYTES: usize = 16 << 10;
/// The bytes of a position, big-endian: the whole entry of an element that is alone in its record.
pub(super) const POSITION_BYTES: usize = 8;
const ENTRY_BYTES: usize = POSITION_BYTES + 4;

/// Which elements a record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bundle {
    /// Of the first one, from 0.
    pub(super) position: u64,
    /// At least 1.
    pub(super) count: u32,
}

/// What a bundle's record stands under.
#[derive(Debug)]
pub(super) struct Entry {
    bytes: [u8; ENTRY_BYTES],
    len: usize,
}

/// The elements of a bundle, in order.
#[derive(Debug, Clone)]
pub(super) struct Elements<'a> {
    rest: &'a [u8],
    left: u32,
    is_alone: bool,
}

impl Bundle {
    /// The bundle that begins with element `first` of `elements` and is to stand at `position`.
    pub(super) fn cut(elements: &BytesColumn, first: usize, position: u64) -> Self {
        let mut bytes = 0;
        let fits = |index: &usize| {
            bytes += elements.get(*index).len() + size_of::<u32>();
            bytes <= BUNDLE_BYTES
        };
        let count = (first..elements.len()).take_while(fits).count().max(1);
        Self { position, count: u32::try_from(count).expect("few fit") }
    }

    /// The most bytes that the records of these elements take, under a key of this length and with `stamp` bytes more
    /// each.
    pub(super) fn room(elements: &BytesColumn, key: usize, stamp: usize) -> u64 {
        let (mut first, mut room) = (0, 0);
        while first < elements.len() {
            let count = Self::cut(elements, first, 0).count as usize;
            let bytes = (elements.offsets[first + count] - elements.offsets[first]) as usize;
            room += counted_size(key, ENTRY_BYTES, stamp + bytes + count * size_of::<u32>()) as u64;
            first += count;
        }
        room
    }

    /// The bundle that stands under an entry; `None`: none does.
    #[inline]
    pub(super) fn under(entry: &[u8]) -> Option<Self> {
        let (position, count) = entry.split_first_chunk()?;
        let position = u64::from_be_bytes(*position);
        let count = match count.is_empty() {
            true => 1,
            false => Some(u32::from_be_bytes(count.try_into().ok()?)).filter(|&count| count > 1)?,
        };
        position.checked_add(count.into()).map(|_| Self { position, count })
    }

    /// What it stands under.
    pub(super) fn entry(self) -> Entry {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..POSITION_BYTES].copy_from_slice(&self.position.to_be_bytes());
        bytes[POSITION_BYTES..].copy_from_slice(&self.count.to_be_bytes());
        Entry { bytes, len: if self.count == 1 { POSITION_BYTES } else { ENTRY_BYTES } }
    }

    /// The position behind its last element.
    pub(super) const fn end(self) -> u64 {
        self.position + self.count as u64
    }

    /// What its record holds, behind a stamp where there is one, of elements of which it is the first ones.
    pub(super) fn stored<'a, 's>(
        self,
        stamp: Option<Timestamp>,
        elements: impl Iterator<Item = &'a [u8]>,
        scratch: &'s mut Vec<u8>,
    ) -> &'s [u8] {
        scratch.clear();
        scratch.extend(stamp.map(Timestamp::to_le_bytes).into_iter().flatten());
        let elements = elements.take(self.count as usize);
        if self.count == 1 {
            elements.for_each(|element| scratch.extend_from_slice(element));
        } else {
            elements.for_each(|element| put_bytes(scratch, element));
        }
        scratch
    }

    /// Its elements in what its record holds, without a stamp, which was [checked](Self::is_sound) when it was read.
    #[inline]
    pub(super) const fn elements(self, value: &[u8]) -> Elements<'_> {
        Elements { rest: value, left: self.count, is_alone: self.count == 1 }
    }

    /// Whether this is what its record can hold, without a stamp.
    pub(super) fn is_sound(self, value: &[u8]) -> bool {
        let mut elements = self.elements(value);
        while elements.left > 0 {
            if elements.parse().is_none() {
                return false;
            }
        }
        elements.rest.is_empty()
    }
}

impl<'a> Elements<'a> {
    #[inline]
    fn parse(&mut self) -> Option<&'a [u8]> {
        self.left -= 1;
        if self.is_alone {
            return Some(std::mem::take(&mut self.rest));
        }
        let mut length = 0;
        for shift in (0..35).step_by(7) {
            let (&byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            length |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                let (element, rest) = self.rest.split_at_checked(length)?;
                self.rest = rest;
                return Some(element);
            }
        }
        None
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        (self.left > 0).then(|| self.parse().expect("bundles are checked when they are read"))
    }
}

impl std::ops::Deref for Entry {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use weir_operator::batch::BytesColumn;

    use super::{BUNDLE_BYTES, Bundle};

    fn column(elements: &[Vec<u8>]) -> BytesColumn {
        elements.iter().map(Vec::as_slice).collect()
    }

    /// The bundles of these elements: what each stands under, and what it holds.
    fn bundles(elements: &BytesColumn) -> Vec<(Vec<u8>, Vec<u8>)> {
        let (mut bundles, mut first) = (Vec::new(), 0);
        while first < elements.len() {
            let bundle = Bundle::cut(elements, first, first as u64);
            let value = bundle.stored(None, elements.iter().skip(first), &mut Vec::new()).to_vec();
            bundles.push((bundle.entry().to_vec(), value));
            first += bundle.count as usize;
        }
        bundles
    }

    proptest! {
        #[test]
        fn elements_come_out_of_their_bundles_as_they_went_in(
            elements in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9000), 0..8),
        ) {
            let bundles = bundles(&column(&elements));
            let mut found = Vec::new();
            for (entry, value) in &bundles {
                let bundle = Bundle::under(entry).expect("it was written");
                prop_assert_eq!(bundle.position, found.len() as u64);
                prop_assert!(bundle.is_sound(value));
                prop_assert!(bundle.count == 1 || value.len() <= BUNDLE_BYTES);
                found.extend(bundle.elements(value).map(<[u8]>::to_vec));
                prop_assert_eq!(bundle.end(), found.len() as u64);
            }
            prop_assert!(bundles.is_sorted(), "what stands behind is behind in files, too");
            prop_assert_eq!(found, elements);
        }

        #[test]
        fn what_is_no_bundle_is_told_from_one(
            count in 2_u32..5,
            elements in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 2..5),
            cut in any::<prop::sample::Index>(),
        ) {
            let bundle = Bundle { position: 7, count: u32::try_from(elements.len()).expect("few") };
            let mut value = Vec::new();
            bundle.stored(None, elements.iter().map(Vec::as_slice), &mut value);
            prop_assert_eq!(Bundle { count, ..bundle }.is_sound(&value), count == bundle.count);
            prop_assert!(!bundle.is_sound(&value[..cut.index(value.len())]));
            value.push(0);
            prop_assert!(!bundle.is_sound(&value));
        }
    }

    #[test]
    fn an_entry_that_is_no_bundle_s_is_none() {
        assert_eq!(Bundle::under(&[0; 7]), None);
        assert_eq!(Bundle::under(&[0; 9]), None);
        assert_eq!(Bundle::under(&[0; 13]), None);
        assert_eq!(Bundle::under(&[0; 12]), None, "a bundle of none");
        let alone = [0_u64.to_be_bytes().as_slice(), &1_u32.to_be_bytes()].concat();
        assert_eq!(Bundle::under(&alone), None, "a bundle of one stands under its position alone");
        assert_eq!(Bundle::under(&u64::MAX.to_be_bytes()), None, "nothing could stand behind it");
    }

    #[test]
    fn long_elements_are_alone_in_their_records() {
        let elements = column(&[vec![1; 2 * BUNDLE_BYTES], vec![2; 10], vec![3; 10], vec![4; 2 * BUNDLE_BYTES]]);
        let counts: Vec<_> =
            bundles(&elements).iter().filter_map(|(entry, _)| Some(Bundle::under(entry)?.count)).collect();
        assert_eq!(counts, [1, 2, 1]);
    }
}
