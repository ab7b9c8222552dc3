//! When the dust has settled: the job has ended, and nothing that it dropped is left.

use std::collections::BTreeSet;

use weir_protocol::id::EntryNumber;

use crate::world::World;

impl World {
    pub(crate) fn check_settled(&mut self) {
        if !self.truth.has_ended() {
            return self.broken("the-job-ends", "nothing is left to do, and the job has not ended");
        }
        if self.truth.is_collected {
            self.totals.collected += 1;
            self.check_dropped();
        }
        self.check_unnamed();
    }

    /// What an entry named is needed, or gone; so is every entry of the chain.
    fn check_dropped(&mut self) {
        let needed = &self.truth.needed;
        let named = self.truth.history.iter().flat_map(|entry| entry.entry.manifest.objects());
        let left = named
            .map(|object| &object.name)
            .find(|name| !needed.contains(*name) && self.store.objects.contains_key(*name));
        let left = left.map(|name| format!("{name} is left, and nothing names it any more"));
        let restorable: BTreeSet<EntryNumber> = self.restorable().iter().map(|entry| entry.entry.number).collect();
        let is_known = |number: &&EntryNumber| restorable.contains(number) || self.truth.returned.contains(number);
        let entry = self.store.entries.keys().find(|number| !is_known(number));
        let entry = entry.map(|number| format!("entry {} is left, and no entry retains it", number.0));
        if let Some(what) = left.or(entry) {
            self.broken("nothing-piles-up", what);
        }
    }

    /// What no entry ever named is swept by the next owner but one that lived for the grace time.
    fn check_unnamed(&mut self) {
        let Some(newest) = self.truth.history.last() else { return };
        let last = newest.entry.owner.number;
        let unneeded = self.store.objects.iter().filter(|(name, _)| !self.truth.needed.contains(*name));
        let left = unneeded.filter(|(_, object)| object.made_by < last).count();
        if left > UNNAMED_MAX {
            self.broken("nothing-piles-up", format!("{left} objects of earlier owners are left"));
        }
    }
}

/// Objects of earlier owners that may be left: of those that lived shortly before the last, and late writes.
const UNNAMED_MAX: usize = 120;
