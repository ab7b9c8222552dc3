//! Comparisons of byte strings most of which are short: keys, and keys of entries.
//!
//! The C library compares with masked loads of 32 bytes. For eight bytes at the end of a cache line those wait for the
//! line behind it, and for none at all, at an address where nothing is, they take a fault: half of what a scan of a small
//! map cost. These look at no byte but their own.

use std::cmp::Ordering;

/// Whether two strings are the same.
#[inline]
#[must_use]
pub fn is_same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    match (a.first_chunk::<8>(), b.first_chunk::<8>()) {
        (Some(first), Some(other)) if a.len() <= 16 => first == other && a.last_chunk::<8>() == b.last_chunk::<8>(),
        (Some(_), Some(_)) => a == b,
        _ => a.iter().eq(b),
    }
}

/// The order of two strings' bytes.
#[inline]
#[must_use]
pub fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let (Some((first, rest)), Some((other, behind))) = (a.split_first_chunk::<8>(), b.split_first_chunk::<8>()) else {
        return a.iter().cmp(b);
    };
    let order = u64::from_be_bytes(*first).cmp(&u64::from_be_bytes(*other));
    if order.is_ne() || rest.is_empty() || behind.is_empty() {
        return order.then(rest.len().cmp(&behind.len()));
    }
    rest.cmp(behind)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{compare, is_same};

    /// Of few different bytes, so that many begin alike.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop::sample::select(vec![0, 1, 255]), 0..4)
            .prop_flat_map(|few| (Just(few), 0..6_usize).prop_map(|(few, times)| few.repeat(times)))
    }

    proptest! {
        #[test]
        fn short_strings_compare_as_all_do(a in bytes(), b in bytes(), common in bytes()) {
            for common in [&[][..], &common] {
                let (a, b) = ([common, &a].concat(), [common, &b].concat());
                prop_assert_eq!(is_same(&a, &b), a == b);
                prop_assert_eq!(compare(&a, &b), a.cmp(&b));
                prop_assert!(is_same(&a, &a.clone()));
            }
        }
    }
}
