//! Keyed state as plain ordered maps: what a backend is compared with.

use std::collections::{BTreeMap, BTreeSet};

use weir_operator::turn::TimeDomain;
use weir_protocol::time::Timestamp;

/// A timer in the order in which it fires: domain, time, tag, key.
pub(super) type ModelTimer = (TimeDomain, Timestamp, u32, Vec<u8>);

/// What must be there. Which state is left out where a kind has one only.
#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    /// By state and key.
    pub(super) values: BTreeMap<(u32, Vec<u8>), Vec<u8>>,
    pub(super) lists: BTreeMap<Vec<u8>, Vec<Vec<u8>>>,
    pub(super) maps: BTreeMap<Vec<u8>, BTreeMap<Vec<u8>, Vec<u8>>>,
    pub(super) timers: BTreeSet<ModelTimer>,
}

impl Model {
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
