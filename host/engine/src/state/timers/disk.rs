//! Timers on their way to the base and back.
//!
//! Guarantees that what a read of the base found changes nothing that memory knows better: records that are newer, and
//! tombstones. Does not own when a chunk's records leave ([`spill`](super::super::spill)), nor where the disk is waited for.

use weir_operator::batch::{BytesColumn, OptionalColumn};
use weir_operator::keyed_state::{Fetch, StateError};
use weir_operator::turn::{TimeDomain, TimerChange};
use weir_protocol::time::Timestamp;

use super::super::SubtaskState;
use super::super::base::{Base, write_timer_key};
use super::super::log::{Log, Position};
use super::super::record::Record;
use super::pending::{Pending, Place, bytes_of};
use super::{STATE, Timer, Timers};

/// What the base is asked for.
pub(in crate::state) enum WantedTimers {
    /// Whether it holds these: keys of the base, sorted.
    These(Vec<Vec<u8>>),
    /// The next of a domain from a place on, as many as fill so many bytes of memory.
    Next(TimeDomain, Place, u64),
}

/// What it said.
pub(in crate::state) enum FoundTimers {
    /// For each whether it is there.
    These(Vec<Vec<u8>>, OptionalColumn),
    /// Places in order, and that of the first one behind them.
    Next(TimeDomain, BytesColumn, Option<Place>),
}

impl WantedTimers {
    /// Reads from the base, which may wait for the disk.
    pub(in crate::state) fn read(self, base: &Base) -> Result<FoundTimers, StateError> {
        match self {
            Self::These(keys) => {
                let mut found = OptionalColumn::default();
                base.values(&keys, &mut found)?;
                Ok(FoundTimers::These(keys, found))
            }
            Self::Next(domain, from, bytes) => {
                let (places, next) = base.entries_from(&domain_prefix(domain), &from, bytes, bytes_of)?;
                Ok(FoundTimers::Next(domain, places, next))
            }
        }
    }
}

/// What the keys of the base begin with under which a domain's timers stand.
fn domain_prefix(domain: TimeDomain) -> Vec<u8> {
    let mut prefix = Vec::new();
    write_timer_key(&[domain as u8], &[], &mut prefix);
    prefix
}

impl SubtaskState {
    /// What must come from disk before [`due`](Self::due) can answer; ask again when it was
    /// [supplied](weir_operator::keyed_state::KeyedState::supply), until there is nothing.
    #[must_use]
    pub fn fetch_due(&self, domain: TimeDomain, up_to: Timestamp, max: usize) -> Option<Box<dyn Fetch>> {
        let from = self.timers.pending[domain as usize].page_from(domain, up_to, max)?;
        let bytes = self.spill.as_ref()?.page_bytes();
        self.fetch_wanted(Vec::new(), Some(WantedTimers::Next(domain, from.clone(), bytes)))
    }

    /// Of what a call registers or cancels, what only the base could say is pending.
    pub(in crate::state) fn wanted_timers(&mut self, changes: &[TimerChange]) -> Option<WantedTimers> {
        if self.timers.pending.iter().all(Pending::is_here) {
            return None;
        }
        let mut wanted = Vec::new();
        for change in changes {
            let TimerChange { domain, key, at, tag, .. } = *change;
            let timer = Timer { domain, at, tag, key: self.selection.key(key) };
            let (pending, place) = self.timers.of(&timer);
            if pending.is_unknown(place) {
                let mut key = Vec::new();
                write_timer_key(&timer.entry(), timer.key, &mut key);
                wanted.push(key);
            }
        }
        wanted.sort_unstable();
        wanted.dedup();
        (!wanted.is_empty()).then_some(WantedTimers::These(wanted))
    }

    /// Takes in what the base said.
    pub(in crate::state) fn take_timers(&mut self, found: FoundTimers) {
        let Self { timers, log, .. } = self;
        match found {
            FoundTimers::These(keys, found) => {
                for (key, found) in keys.iter().zip(found.iter()) {
                    let timer = Timer::from_base_key(key).expect("the base was asked for timers");
                    if found.is_some() {
                        timers.bring(log, timer);
                    } else {
                        let (pending, place) = timers.of(&timer);
                        pending.is_absent(place);
                    }
                }
            }
            FoundTimers::Next(domain, places, next) => {
                for place in places.iter() {
                    timers.bring(log, Timer::from_due_order(domain, place));
                }
                timers.pending[domain as usize].read_up_to(next);
                self.keep_near(domain);
            }
        }
    }

    /// Collects a timer, or its tombstone, for the base, if that is live and does not fire next.
    pub(in crate::state) fn collect_timer(&mut self, at: Position, born: u64) {
        let record = self.log.record(at);
        let timer = Timer::from_record(record.key(), record.entry()).expect("a timer's record holds a timer");
        if record.flags().is_put() && self.timers.is_near(&timer) {
            self.move_if_live(at, false);
        } else if self.timers.hand(timer, record, at)
            && let Some(spill) = &mut self.spill
        {
            if !self.log.is_in_base(at) {
                spill.outgoing.push_timer(record);
            }
            spill.collect(at, born, record.size());
        }
    }

    /// A round of leaving begins: what fires next by now does not.
    pub(in crate::state) fn keep_near_timers(&mut self) {
        self.keep_near(TimeDomain::EventTime);
        self.keep_near(TimeDomain::ProcessingTime);
    }

    fn keep_near(&mut self, domain: TimeDomain) {
        let bytes = self.spill.as_ref().map_or(0, |spill| spill.near_bytes());
        self.timers.pending[domain as usize].keep_near(bytes);
    }
}

impl Timers {
    /// Whether a timer stays in memory, because it fires next.
    fn is_near(&mut self, timer: &Timer<'_>) -> bool {
        let (pending, place) = self.of(timer);
        pending.is_near(place)
    }

    /// A timer's record, or its tombstone, is handed to the base. Whether it is what is known of the timer.
    fn hand(&mut self, timer: Timer<'_>, record: Record<'_>, at: Position) -> bool {
        let is_put = record.flags().is_put();
        let is_live = self.is_live(timer, is_put, at);
        if is_live && is_put {
            let (pending, place) = self.of(&timer);
            pending.hand(place);
        }
        is_live
    }

    /// The base has what this record says: it need not be in memory, unless the timer fires next by now.
    pub(in crate::state) fn left(&mut self, log: &mut Log, timer: Timer<'_>, at: Position) {
        let is_put = log.record(at).flags().is_put();
        let (pending, place) = self.of(&timer);
        if is_put {
            if pending.here.get(place) != Some(at.0) || pending.is_near(place) {
                return;
            }
            pending.leave(place);
        } else {
            if pending.gone.get(place) != Some(at.0) {
                return;
            }
            pending.gone.remove(place);
        }
        log.leave(at);
    }

    /// Takes in a timer that the base holds, unless memory knows better.
    fn bring(&mut self, log: &mut Log, timer: Timer<'_>) {
        let (pending, place) = self.of(&timer);
        if pending.here.get(place).is_none() && pending.gone.get(place).is_none() {
            let at = log.append_from_base(STATE, timer.key, &timer.entry(), &[]);
            pending.here.insert(place, at.0);
        }
    }
}
