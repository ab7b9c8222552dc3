//! When the dust has settled: the job has ended, and nothing has piled up.

use crate::world::World;

/// Objects that the last owner uploaded and named in no entry: it does not sweep its own.
const LEFT_BEHIND_MAX: usize = 150;

impl World {
    pub(crate) fn check_settled(&mut self) {
        if !self.truth.has_ended() {
            return self.broken("the-job-ends", "nothing is left to do, and the job has not ended");
        }
        let (objects, needed) = (self.store.objects.len(), self.truth.needed.len());
        if objects > needed + LEFT_BEHIND_MAX {
            self.broken("nothing-piles-up", format!("{objects} objects are left, and {needed} are named"));
        }
    }
}
