//! How much each state holds, wherever it lies: in the log, in the base, or on its way between them.
//!
//! Receives each entry that comes and each that goes; guarantees that the sum is what a fresh copy of the state would
//! have, whatever happened before. An entry counts with key, entry and value, 16 bytes, and what rounds that up to 8:
//! never less than its record takes. Where entries expire they are counted by age, so that those that nobody touches any more
//! leave the count with the barrier at which they had expired, as they leave the files (PROTOCOL 2.4); ages are as exact
//! as a 64th of the life. Elements of a list count one by one, also where they share a record. Does not own where anything
//! lies.

use std::collections::BTreeMap;

use weir_protocol::time::{NO_TIME, Timestamp};

use super::bundle::{Bundle, POSITION_BYTES};
use super::record::Record;
use super::stamp::{Life, STAMP_BYTES, split};

/// Entries, and the bytes of their records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) bytes: u64,
    pub(super) entries: u64,
}

/// What all states of a subtask hold, timers too.
#[derive(Debug)]
pub(super) struct Sizes {
    /// By the record's state.
    states: Vec<Size>,
    /// Bytes of all of them.
    total: u64,
}

/// How what one state holds is counted.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counted {
    /// How long it lives.
    pub(super) life: Option<Life>,
    /// Whether its records are bundles of elements.
    pub(super) in_bundles: bool,
}

/// What one state holds.
#[derive(Debug, Clone)]
pub(super) struct Size {
    amount: Amount,
    in_bundles: bool,
    /// `None`: entries live for ever.
    ages: Option<Ages>,
}

/// Entries by age.
#[derive(Debug, Clone)]
struct Ages {
    life: Life,
    /// How many milliseconds of stamps are counted as one.
    width: i64,
    /// By stamp, in units of `width`.
    by_stamp: BTreeMap<i64, Age>,
    /// What had expired by then does not count.
    until: Timestamp,
}

#[derive(Debug, Clone, Copy)]
struct Age {
    amount: Amount,
    /// The oldest stamp that was ever counted here.
    first: Timestamp,
}

impl Sizes {
    /// Nothing is held; `states` is by the record's state.
    pub(super) fn new(states: impl IntoIterator<Item = Counted>) -> Self {
        Self { states: states.into_iter().map(Size::new).collect(), total: 0 }
    }

    /// Bytes of all states together.
    #[inline]
    pub(super) const fn total(&self) -> u64 {
        self.total
    }

    /// What one state holds.
    pub(super) fn of(&self, state: usize) -> &Size {
        &self.states[state]
    }

    /// A record comes.
    #[inline]
    pub(super) fn add(&mut self, state: u16, key: usize, entry: &[u8], stored: &[u8]) {
        self.total += self.states[usize::from(state)].add(key, entry, stored);
    }

    /// A record goes.
    #[inline]
    pub(super) fn take(&mut self, record: Record<'_>) {
        let size = &mut self.states[usize::from(record.state())];
        let amount = size.amount_of(record.key_len(), record.entry(), record.value());
        self.total -= size.take(amount, record.value());
    }

    /// Another value takes the place of an entry's.
    #[inline]
    pub(super) fn replace(&mut self, record: Record<'_>, stored: &[u8]) {
        let size = &self.states[usize::from(record.state())];
        if stored.len() == record.value().len() && size.is_of_one_age(record.value(), stored) {
            return;
        }
        self.take(record);
        self.add(record.state(), record.key_len(), record.entry(), stored);
    }

    /// Entries of a state whose entries do not expire come, and others go.
    pub(super) fn change(&mut self, state: u16, come: Amount, gone: Amount) {
        let size = &mut self.states[usize::from(state)];
        debug_assert!(size.ages.is_none(), "what expires is counted by its stamp");
        size.amount = size.amount.with(come).without(gone);
        self.total = self.total + come.bytes - gone.bytes;
    }

    /// All of `other`, which is of one state, goes.
    pub(super) fn take_all(&mut self, state: u16, other: &Size) {
        let size = &mut self.states[usize::from(state)];
        let before = size.amount.bytes;
        match &other.ages {
            None => size.amount = size.amount.without(other.amount),
            Some(ages) => ages.by_stamp.values().for_each(|age| {
                size.take(age.amount, &age.first.to_le_bytes());
            }),
        }
        self.total -= before - size.amount.bytes;
    }

    /// The entries that a record holds.
    pub(super) fn entries(&self, record: Record<'_>) -> u64 {
        let size = &self.states[usize::from(record.state())];
        size.amount_of(record.key_len(), record.entry(), record.value()).entries
    }

    /// The bytes with which a record counts: none, where it is no entry, or one that has expired.
    pub(super) fn counted(&self, record: Record<'_>) -> u64 {
        let size = &self.states[usize::from(record.state())];
        if record.flags().is_put() && size.has_any_as_old(record.value()) {
            size.amount_of(record.key_len(), record.entry(), record.value()).bytes
        } else {
            0
        }
    }

    /// What has expired by then counts no longer.
    pub(super) fn expire(&mut self, until: Timestamp) {
        for size in &mut self.states {
            self.total -= size.expire(until);
        }
    }
}

impl Size {
    fn new(Counted { life, in_bundles }: Counted) -> Self {
        let ages = life.map(|life| {
            let width = i64::try_from(life.0.duration_ms / 64).unwrap_or(i64::MAX).max(1);
            Ages { life, width, by_stamp: BTreeMap::new(), until: NO_TIME }
        });
        Self { amount: Amount::default(), in_bundles, ages }
    }

    /// The same state, holding nothing.
    pub(super) fn emptied(&self) -> Self {
        let ages = self.ages.as_ref().map(|ages| Ages { by_stamp: BTreeMap::new(), ..*ages });
        Self { amount: Amount::default(), in_bundles: self.in_bundles, ages }
    }

    /// Entries and their bytes.
    pub(super) const fn amount(&self) -> Amount {
        self.amount
    }

    /// The stamp of the oldest entry; where entries live for ever they bear none.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        let (_, age) = self.ages.as_ref()?.by_stamp.first_key_value()?;
        Some(age.first)
    }

    /// What a record counts with.
    #[inline]
    fn amount_of(&self, key: usize, entry: &[u8], stored: &[u8]) -> Amount {
        match Bundle::under(entry).filter(|bundle| self.in_bundles && bundle.count > 1) {
            None => Amount { bytes: counted_size(key, entry.len(), stored.len()) as u64, entries: 1 },
            Some(bundle) => {
                let stamp = self.ages.as_ref().map_or(0, |_| STAMP_BYTES);
                let elements = bundle.elements(&stored[stamp..]);
                let bytes = elements.map(|element| counted_size(key, POSITION_BYTES, stamp + element.len()) as u64);
                Amount { bytes: bytes.sum(), entries: bundle.count.into() }
            }
        }
    }

    /// A record comes. The bytes with which it counts.
    #[inline]
    pub(super) fn add(&mut self, key: usize, entry: &[u8], stored: &[u8]) -> u64 {
        let amount = self.amount_of(key, entry, stored);
        if let Some(ages) = &mut self.ages
            && !ages.add(amount, split(stored).0)
        {
            return 0;
        }
        self.amount = self.amount.with(amount);
        amount.bytes
    }

    /// Entries of one stamp go. The bytes with which they counted.
    #[inline]
    fn take(&mut self, amount: Amount, stored: &[u8]) -> u64 {
        let amount = match &mut self.ages {
            None => amount,
            Some(ages) => ages.take(amount, split(stored).0),
        };
        self.amount = self.amount.without(amount);
        amount.bytes
    }

    /// Whether values with these stamps count together.
    #[inline]
    fn is_of_one_age(&self, one: &[u8], other: &[u8]) -> bool {
        self.ages.as_ref().is_none_or(|ages| ages.place(split(one).0) == ages.place(split(other).0))
    }

    fn has_any_as_old(&self, stored: &[u8]) -> bool {
        self.ages.as_ref().is_none_or(|ages| ages.by_stamp.contains_key(&ages.place(split(stored).0)))
    }

    /// The bytes that count no longer.
    fn expire(&mut self, until: Timestamp) -> u64 {
        let Some(ages) = &mut self.ages else { return 0 };
        ages.until = ages.until.max(until);
        let mut bytes = 0;
        while let Some(first) = ages.by_stamp.first_entry()
            && ages.life.0.expires_at(last_of(*first.key(), ages.width)) <= ages.until
        {
            let Age { amount, .. } = first.remove();
            self.amount = self.amount.without(amount);
            bytes += amount.bytes;
        }
        bytes
    }
}

/// The last stamp that is counted at a place.
const fn last_of(place: i64, width: i64) -> Timestamp {
    place.saturating_add(1).saturating_mul(width).saturating_sub(1)
}

impl Ages {
    const fn place(&self, stamp: Timestamp) -> i64 {
        stamp.div_euclid(self.width)
    }

    /// Whether it counts.
    fn add(&mut self, amount: Amount, stamp: Timestamp) -> bool {
        let place = self.place(stamp);
        if self.life.0.expires_at(last_of(place, self.width)) <= self.until {
            return false;
        }
        let age = self.by_stamp.entry(place).or_insert(Age { amount: Amount::default(), first: stamp });
        age.first = age.first.min(stamp);
        age.amount = age.amount.with(amount);
        true
    }

    /// What it counted with. An element of a list that has expired may be found in the base once more, and go twice.
    fn take(&mut self, amount: Amount, stamp: Timestamp) -> Amount {
        let place = self.place(stamp);
        let Some(age) = self.by_stamp.get_mut(&place) else { return Amount::default() };
        let taken =
            Amount { bytes: amount.bytes.min(age.amount.bytes), entries: amount.entries.min(age.amount.entries) };
        age.amount = age.amount.without(taken);
        if age.amount == Amount::default() {
            self.by_stamp.remove(&place);
        }
        taken
    }
}

/// The bytes with which an entry counts whose parts have these lengths, written to a state with this life.
pub(super) fn size_of(life: Option<Life>, key: &[u8], entry: usize, value: usize) -> u64 {
    counted_size(key.len(), entry, value + life.map_or(0, |_| STAMP_BYTES)) as u64
}

/// What an entry with parts of these lengths counts, its stamp included.
pub(super) const fn counted_size(key: usize, entry: usize, value: usize) -> usize {
    (16 + key + entry + value).next_multiple_of(8)
}

impl Amount {
    pub(super) const fn with(self, other: Self) -> Self {
        Self { bytes: self.bytes + other.bytes, entries: self.entries + other.entries }
    }

    const fn without(self, other: Self) -> Self {
        Self { bytes: self.bytes - other.bytes, entries: self.entries - other.entries }
    }
}
