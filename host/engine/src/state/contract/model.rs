//! Keyed state as plain ordered maps: what a backend is compared with.

use std::collections::{BTreeMap, BTreeSet};

use weir_operator::turn::TimeDomain;
use weir_protocol::description::TtlDescription;
use weir_protocol::time::Timestamp;

use super::fleet::append;
use super::{HISTORY, TABLE, states};

/// A timer in the order in which it fires: domain, time, tag, key.
pub(super) type ModelTimer = (TimeDomain, Timestamp, u32, Vec<u8>);

/// What was written and not removed, expired or not. Which state is left out where a kind has one only.
#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    /// By state and key.
    pub(super) values: BTreeMap<(u32, Vec<u8>), Stamped>,
    pub(super) lists: BTreeMap<Vec<u8>, Vec<Stamped>>,
    pub(super) maps: BTreeMap<Vec<u8>, BTreeMap<Vec<u8>, Stamped>>,
    pub(super) timers: BTreeSet<ModelTimer>,
}

/// What is held, and when it was written.
#[derive(Debug, Clone)]
pub(super) struct Stamped {
    pub(super) at: Timestamp,
    pub(super) value: Vec<u8>,
}

/// The time to live of all states, if they have one, and what time it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Time {
    pub(super) ttl: Option<TtlDescription>,
    pub(super) now: Timestamp,
}

impl Time {
    /// What a read sees of it.
    pub(super) fn seen(self, held: &Stamped) -> Option<&[u8]> {
        let is_seen = self.ttl.is_none_or(|ttl| ttl.shows(held.at, self.now));
        is_seen.then_some(held.value.as_slice())
    }

    /// What a read that is committed does to it.
    fn refresh(self, held: &mut Stamped) {
        if self.ttl.is_some_and(|ttl| ttl.is_refreshed(held.at, self.now)) {
            held.at = self.now;
        }
    }
}

impl Model {
    /// A call read all values; `and_more`: all lists and maps too.
    pub(super) fn read(&mut self, time: Time, and_more: bool) {
        self.values.values_mut().for_each(|held| time.refresh(held));
        if and_more {
            self.lists.values_mut().flatten().for_each(|held| time.refresh(held));
            self.maps.values_mut().flat_map(BTreeMap::values_mut).for_each(|held| time.refresh(held));
        }
    }

    /// A version that declares `declared` goes on with what was written as `held`.
    pub(super) fn migrate(&mut self, held: &[u32], declared: &[u32]) {
        let rewrite = |state: usize, of: &mut Stamped| {
            if held[state] < declared[state] {
                append(&mut of.value, &states()[state].name, held[state]);
            }
        };
        self.values.iter_mut().for_each(|((state, _), of)| rewrite(*state as usize, of));
        self.lists.values_mut().flatten().for_each(|of| rewrite(HISTORY.0 as usize, of));
        self.maps.values_mut().flat_map(BTreeMap::values_mut).for_each(|of| rewrite(TABLE.0 as usize, of));
    }

    /// What is due, of keys that `owns` says so, by the rules of the contract.
    pub(super) fn due(
        &self,
        domain: TimeDomain,
        up_to: Timestamp,
        max: usize,
        owns: impl Fn(&[u8]) -> bool,
    ) -> Vec<ModelTimer> {
        let mut keys = BTreeSet::new();
        let owned = self.timers.iter().filter(|timer| timer.0 == domain && owns(&timer.3));
        owned.take(max).take_while(|timer| timer.1 <= up_to && keys.insert(timer.3.clone())).cloned().collect()
    }
}
