//! The pending timers of one domain: those in memory, and what is known of those that are in the base only.
//!
//! Each is named by its place in the order in which they fire. What must be true at any time of what the base holds or is
//! about to be written: it is in memory, too; or its tombstone is; or it lies at `first` or behind, and it is pending.
//! So before `first` memory alone has the answer, and a page that begins there finds the next ones.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use weir_operator::turn::TimeDomain;
use weir_protocol::time::Timestamp;

use super::super::entries::TREE_ENTRY_BYTES;
use super::super::size::counted_size;
use super::timer::Timer;

/// Bytes of timers that are handed to one call, at most, unless one alone has more.
const CALL_BYTES_MAX: usize = 1 << 20;

/// A place in the order in which the timers of a domain fire.
pub(super) type Place = Box<[u8]>;

/// The timers of one domain.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Where the record of each is that is in memory.
    pub(super) here: Places,
    /// Where the tombstone of each is that was cancelled, but that the base may hold still.
    pub(super) gone: Places,
    /// No timer that is in the base only comes before this; `None`: there is none.
    first: Option<Place>,
    /// What was ever handed to the base lies between these.
    handed: Option<(Place, Place)>,
    /// Up to here they stay in memory, because they fire next. Empty: none.
    near: Place,
    /// And up to here, because they were handed to a call last.
    given: Place,
    /// For these the base was asked in vain.
    absent: BTreeSet<Place>,
}

impl Pending {
    /// Whether none is in the base only.
    pub(super) const fn is_here(&self) -> bool {
        self.first.is_none()
    }

    /// Those that fire before any that is in the base only, in order.
    pub(super) fn nearest(&self) -> impl Iterator<Item = &Place> {
        let end = self.first.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        self.here.0.range::<[u8], _>((Bound::Unbounded, end)).map(|(place, _)| place)
    }

    /// The next that one call is handed, in order: at most `max`, and no more than its bytes hold, but for the first.
    pub(super) fn next_call(&self, max: usize) -> impl Iterator<Item = &Place> {
        let mut room = Some(CALL_BYTES_MAX);
        self.nearest().take(max).enumerate().map_while(move |(index, place)| {
            room = room.and_then(|room| room.checked_sub(place.len()));
            (index == 0 || room.is_some()).then_some(place)
        })
    }

    /// When the first fires; never said too late. It is said too early where the first of the base was cancelled.
    pub(super) fn first_at(&self, domain: TimeDomain) -> Option<Timestamp> {
        let first = self.here.0.first_key_value().map(|(place, _)| place).into_iter().chain(&self.first).min()?;
        Some(Timer::from_due_order(domain, first).at)
    }

    /// From where on the base must be read before those of the next call are known; `None`: they are, as far as they are due.
    pub(super) fn page_from(&self, domain: TimeDomain, up_to: Timestamp, max: usize) -> Option<&Place> {
        let first = self.first.as_ref()?;
        if Timer::from_due_order(domain, first).at > up_to {
            return None;
        }
        let (handed, near) = (self.next_call(max).count(), self.nearest().take(max).count());
        let is_full = near == max || handed < near;
        (!is_full).then_some(first)
    }

    /// All of the base that comes before `next` was taken in; `None`: all.
    pub(super) fn read_up_to(&mut self, next: Option<Place>) {
        self.first = next;
    }

    /// Whether only the base could say whether a timer is pending.
    pub(super) fn is_unknown(&self, place: &[u8]) -> bool {
        self.first.as_deref().is_some_and(|first| first <= place)
            && self.may_be_in_base(place)
            && self.here.get(place).is_none()
            && self.gone.get(place).is_none()
            && !self.absent.contains(place)
    }

    /// Whether the base may hold a timer, whatever memory says.
    pub(super) fn may_be_in_base(&self, place: &[u8]) -> bool {
        self.handed.as_ref().is_some_and(|(first, last)| **first <= *place && *place <= **last)
    }

    /// The base was asked for a timer in vain.
    pub(super) fn is_absent(&mut self, place: &[u8]) {
        self.absent.insert(place.into());
    }

    /// What was known of the call at hand is known no longer.
    pub(super) fn forget_absent(&mut self) {
        self.absent.clear();
    }

    /// Those up to here were handed to a call: it finds them in memory when it is committed.
    pub(super) fn give(&mut self, last: Option<Place>) {
        self.given = last.unwrap_or_default();
    }

    /// So many bytes of those that fire next stay in memory from now on.
    pub(super) fn keep_near(&mut self, bytes: u64) {
        let mut room = Some(bytes);
        let has_room = |place: &&Place| {
            room = room.and_then(|room| room.checked_sub(bytes_of(place)));
            room.is_some()
        };
        let near = self.nearest().take_while(has_room).last().cloned();
        self.near = near.unwrap_or_default();
    }

    /// Whether a timer stays in memory.
    pub(super) fn is_near(&self, place: &[u8]) -> bool {
        place <= &*self.near || place <= &*self.given
    }

    /// A timer is handed to the base.
    pub(super) fn hand(&mut self, place: &[u8]) {
        match &mut self.handed {
            None => self.handed = Some((place.into(), place.into())),
            Some((first, _)) if place < &**first => *first = place.into(),
            Some((_, last)) if place > &**last => *last = place.into(),
            Some(_) => {}
        }
    }

    /// From now on a timer is in the base only.
    pub(super) fn leave(&mut self, place: &[u8]) {
        self.here.remove(place);
        if self.first.as_deref().is_none_or(|first| place < first) {
            self.first = Some(place.into());
        }
    }
}

/// Roughly what a timer takes in memory.
pub(super) fn bytes_of(place: &[u8]) -> u64 {
    // The place is as long as key and entry, but for the domain.
    counted_size(place.len(), 1, 0) as u64 + TREE_ENTRY_BYTES + place.len() as u64
}

/// Where records are, by the places of their timers.
#[derive(Debug, Default)]
pub(super) struct Places(pub(super) BTreeMap<Place, u32>, u64);

impl Places {
    /// Whether a timer is there, and where its record is.
    pub(super) fn get(&self, place: &[u8]) -> Option<u32> {
        self.0.get(place).copied()
    }

    /// Adds a timer that is not there.
    pub(super) fn insert(&mut self, place: &[u8], at: u32) {
        self.1 += place.len() as u64;
        self.0.insert(place.into(), at);
    }

    pub(super) fn repoint(&mut self, place: &[u8], at: u32) {
        if let Some(old) = self.0.get_mut(place) {
            *old = at;
        }
    }

    /// Takes a timer out. Where its record is.
    pub(super) fn remove(&mut self, place: &[u8]) -> Option<u32> {
        let at = self.0.remove(place)?;
        self.1 -= place.len() as u64;
        Some(at)
    }

    /// Roughly the bytes that they take.
    pub(super) fn bytes(&self) -> u64 {
        self.0.len() as u64 * TREE_ENTRY_BYTES + self.1
    }
}
