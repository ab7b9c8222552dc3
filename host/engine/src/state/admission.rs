//! Whether what a call wrote may be committed, and how much more it would be: asked before the first change.

use std::collections::BTreeMap;

use weir_operator::keyed_state::{StateError, StateId, Writes};
use weir_operator::turn::{FiredTimers, TimerChange};

use super::kept::Kept;
use super::limits::Growth;
use super::size::Size;
use super::stamp::STAMP_BYTES;
use super::timers::{ENTRY, Timer};
use super::{SubtaskState, bug};

/// What is known of the call that is about to be committed; nothing of the next one.
#[derive(Debug, Default)]
pub(super) struct Admission {
    /// Whether it was asked for, and there is room.
    is_admitted: bool,
    /// What the base alone holds of lists and maps that the call clears, by state and key.
    pub(super) cleared: BTreeMap<(StateId, u32), Size>,
}

impl SubtaskState {
    /// Whether there is room for what a call did; how many bytes it adds at most.
    ///
    /// # Errors
    /// [`Fault::Guest`](weir_protocol::Fault::Guest), naming the limit.
    pub(super) fn admit_call(
        &mut self,
        writes: &Writes,
        timers: &[TimerChange],
        fired: Option<&FiredTimers>,
    ) -> Result<u64, StateError> {
        let mut growth = self.check(writes)?;
        for timer in timers.iter().filter(|timer| timer.register) {
            growth.add(self.selection.key(timer.key).len(), ENTRY, Some(0))?;
        }
        growth.check_room(&self.log)?;
        if let Err(error) = growth.check_budget(&self.log, &self.limits) {
            let (live, max) = (self.log.live(), self.limits.live_bytes_max);
            let exactly = self.growth_of_call(writes, timers, fired);
            if exactly > 0 && live.saturating_add_signed(exactly) > max {
                return Err(error);
            }
        }
        self.admission.is_admitted = true;
        Ok(growth.bytes())
    }

    /// By how many bytes what a call did makes what is held larger.
    pub(super) fn growth_of_call(
        &mut self,
        writes: &Writes,
        timers: &[TimerChange],
        fired: Option<&FiredTimers>,
    ) -> i64 {
        let Self { states, log, selection, admission, timers: pending, .. } = self;
        let written = writes.iter().map(|(state, writes)| states[state.0 as usize].growth(log, selection, writes));
        let cleared = admission.cleared.values().map(|size| size.amount().bytes.cast_signed());
        let fired = fired.into_iter().flat_map(|fired| {
            let timer = |((&key, &at), &tag)| Timer { domain: fired.domain, at, tag, key: selection.key(key) };
            fired.keys.key_of.iter().zip(&fired.at).zip(&fired.tags).map(timer)
        });
        let changes = timers.iter().map(|change| {
            let TimerChange { register, domain, key, at, tag } = *change;
            (register, Timer { domain, at, tag, key: selection.key(key) })
        });
        written.sum::<i64>() - cleared.sum::<i64>() + pending.growth(fired, changes)
    }

    /// Leaves nothing that can fail half-way through a commit.
    pub(super) fn settle(&mut self, writes: &Writes) -> Result<(), StateError> {
        let Admission { is_admitted, cleared } = std::mem::take(&mut self.admission);
        if !is_admitted {
            self.check(writes)?.check_budget(&self.log, &self.limits)?;
        }
        for ((state, _), size) in cleared {
            let number = u16::try_from(state.0 + 1).expect("there are at most STATES_MAX states");
            self.log.sizes_mut().take_all(number, &size);
        }
        Ok(())
    }

    fn check(&self, writes: &Writes) -> Result<Growth, StateError> {
        let mut growth = Growth::default();
        for (state, writes) in writes.iter() {
            let kept = self.states.get(state.0 as usize);
            if !kept.is_some_and(|kept| kept.takes(writes)) {
                return Err(bug(format!("state {} is written to as what it is not declared as", state.0)));
            }
            let stamp = kept.and_then(Kept::life).map_or(0, |_| STAMP_BYTES);
            growth.add_writes(writes, stamp, |key| self.selection.key(key).len())?;
        }
        for &state in &self.refreshed {
            growth.join(self.states[state].seen_growth());
        }
        growth.check_room(&self.log)?;
        Ok(growth)
    }
}
