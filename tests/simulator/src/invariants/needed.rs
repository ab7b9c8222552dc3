//! Nothing is deleted that the newest entry, one that it retains, or a fork needs.

use std::collections::BTreeSet;
use std::rc::Rc;

use weir_protocol::id::EntryNumber;

use crate::attempt::slot_of;
use crate::call::Entry;
use crate::world::World;

impl World {
    /// The newest entry and those that it retains.
    pub(super) fn restorable(&self) -> Vec<Entry> {
        let history = &self.truth.history;
        let Some(newest) = history.last() else { return Vec::new() };
        let kept = newest.entry.retained.iter().filter_map(|kept| {
            let found = history.binary_search_by_key(&kept.number, |entry| entry.entry.number).ok()?;
            Some(Rc::clone(&history[found]))
        });
        kept.chain([Rc::clone(newest)]).collect()
    }

    /// Works out what is needed, now that there is another newest entry.
    pub(super) fn need(&mut self) {
        let restorable = self.restorable();
        let objects = restorable.iter().flat_map(|entry| entry.entry.manifest.objects());
        let needed: BTreeSet<String> = objects.map(|object| object.name.clone()).collect();
        let gone = restorable.iter().find(|entry| !self.store.entries.contains_key(&entry.entry.number));
        if let Some(gone) = gone {
            self.broken("needed-stays", format!("entry {} is retained, and was deleted", gone.entry.number.0));
        }
        self.truth.needed = needed;
    }

    pub(crate) fn check_deletion(&mut self, name: &str) {
        if self.truth.needed.contains(name) {
            self.broken("needed-stays", format!("{name} is deleted, though it can be restored"));
        }
        if self.truth.pinned.values().any(|names| names.contains(name)) {
            self.broken("needed-stays", format!("{name} is deleted while a fork copies it"));
        }
    }

    pub(crate) fn check_entry_deletion(&mut self, number: EntryNumber) {
        if self.restorable().iter().any(|entry| entry.entry.number == number) {
            self.broken("needed-stays", format!("entry {} is deleted, though it can be restored", number.0));
        }
    }

    pub(crate) fn check_slot_deletion(&mut self, slot: u64) {
        let lowest = self.restorable().iter().map(|entry| slot_of(&entry.entry)).min();
        if lowest.is_none_or(|lowest| slot >= lowest) {
            self.broken("needed-stays", format!("slot {slot} is deleted, though a restore would read it"));
        }
    }

    /// A slot was acknowledged: it will be read, or was cut off by nothing but a person's cancel.
    pub(crate) fn check_acknowledged(&mut self, slot: u64, request: u32) {
        let there = self.truth.expected[usize::from(crate::data::INGEST)].iter().flatten();
        let is_in_log =
            there.clone().any(|expected| u64::from(expected.position) == slot) && self.truth.is_request(slot, request);
        let cut_off = self.truth.has_ended() && self.truth.closed.is_none_or(|closed| slot >= closed);
        if !is_in_log || cut_off {
            self.broken("acknowledged-is-read", format!("slot {slot} was acknowledged, and nobody will read it"));
        }
    }
}
